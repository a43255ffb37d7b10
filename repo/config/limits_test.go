package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/microalgo"
)

const limitsText = `
[organisation]
name = "acme"
[publish]
reserve = "1.5 ALGO"
[limits]
objects = 5000
algo = "10 ALGO"
[limits.accounts]
alice = { objects = 100, algo = "1 ALGO" }
"*" = { objects = 10 }
[limits.keys]
siem = { algo = "0.5" }
`

func TestLimitsAreReadAndWrittenAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(limitsText), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.TLP.Markings = map[string]string{} // as it is written
	dir := t.TempDir()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Path(dir), []string{"SLNODE_LIMITS_OBJECTS=7", "SLNODE_PUBLISH_RESERVE=2"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Differences(again), " "); got != "limits.objects publish.reserve" || again.Limits.Objects != 7 || again.Publish.Reserve != microalgo.Text(2*microalgo.ALGO) {
		t.Errorf("what was written differs in %s", got)
	}
	l := again.Limits
	for name, want := range map[string]Limit{"alice": {100, microalgo.Text(microalgo.ALGO)}, "bob": {Objects: 10}} {
		if got := l.Of(l.Accounts, name); got != want {
			t.Errorf("%s has %+v", name, got)
		}
	}
	if got, other := l.Of(l.Keys, "siem"), l.Of(l.Keys, "another"); got != (Limit{ALGO: 500_000}) || other != (Limit{}) {
		t.Errorf("the keys have %+v and %+v", got, other)
	}
}

func TestALimitThatCannotBeUsedIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"[limits]\nobjects = -1":                      "limits.objects: -1 is not between",
		"[limits]\nalgo = \"much\"":                   "is no amount of money",
		"[limits.accounts]\nalice = { objects = -5 }": `limits.accounts."alice".objects: -5 is not between`,
		"[limits.keys]\n\"\" = { objects = 5 }":       "limits.keys: a name is empty",
		"[limits.keys]\nsiem = { object = 5 }":        "limits.keys.siem.object is not known",
		"[publish]\nreserve = \"-1 ALGO\"":            "is no amount of money",
		"[publish]\nreserve = \"1.12345678 ALGO\"":    "with up to 6 decimals",
	} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte("[organisation]\nname = \"acme\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
