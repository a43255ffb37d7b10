package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// edited is a config file before and after a limit is set.
var edited = []struct {
	what   string
	before string
	whose  Whose
	name   string
	limit  *Limit
	after  string // "" if it is refused
}{
	{"a new one", "# mine\n[limits]\nobjects = 5\n[limits.accounts]\n# people\nalice = { objects = 1 } # hers\n\n[limits.keys]\n", OfAccounts, "bob", &Limit{Objects: 7},
		"# mine\n[limits]\nobjects = 5\n[limits.accounts]\n# people\nalice = { objects = 1 } # hers\n\"bob\" = { objects = 7, algo = \"\" }\n\n[limits.keys]\n"},
	{"another one", "[limits.accounts]\n'alice' = { objects = 1, algo = \"1 ALGO\" } # hers\nbob = { objects = 2 }\n", OfAccounts, "alice", &Limit{ALGO: 2_500_000},
		"[limits.accounts]\n\"alice\" = { objects = 0, algo = \"2.5 ALGO\" } # hers\nbob = { objects = 2 }\n"},
	{"none any more", "[limits.accounts]\nalice = { objects = 1 }\n\"*\" = { objects = 3 }", OfAccounts, "alice", nil, "[limits.accounts]\n\"*\" = { objects = 3 }\n"},
	{"a key's, where there is no section", "[limits.accounts]\nsiem = { objects = 1 }\n", OfKeys, "siem", &Limit{Objects: 9},
		"[limits.accounts]\nsiem = { objects = 1 }\n\n[limits.keys]\n\"siem\" = { objects = 9, algo = \"\" }\n"},
	{"everybody else's", "[ limits . keys ]\n", OfKeys, "*", &Limit{Objects: 9}, "[ limits . keys ]\n\"*\" = { objects = 9, algo = \"\" }\n"},
	{"none where there was none", "[limits.accounts]\n", OfAccounts, "alice", nil, "[limits.accounts]\n"},
	{"a table of its own", "[limits.accounts.alice]\nobjects = 1\n", OfAccounts, "alice", &Limit{Objects: 2}, ""},
	{"in one line", "[limits]\naccounts = { alice = { objects = 1 } }\n", OfAccounts, "alice", nil, ""},
	{"too much", "", OfAccounts, "alice", &Limit{Objects: -1}, ""},
}

func TestALimitIsSetInTheConfigFileAndNothingElse(t *testing.T) {
	const head = "[organisation]\nname = \"acme\" # us\n"
	for _, c := range edited {
		dir := t.TempDir()
		if err := os.WriteFile(Path(dir), []byte(head+c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		want, refused := c.after, c.after == ""
		if refused {
			want = c.before
		}
		got, err := SetLimit(dir, c.whose, c.name, c.limit)
		text, readErr := os.ReadFile(Path(dir))
		if readErr != nil || string(text) != head+want || (err != nil) != refused {
			t.Errorf("%s: the file is\n%s(%v, %v)", c.what, text, err, readErr)
		}
		if now, has := got.Limits.list(c.whose)[c.name]; err == nil && (has != (c.limit != nil) || has && now != *c.limit) {
			t.Errorf("%s: it is %+v, %t", c.what, now, has)
		}
	}
}

func TestLimitsThatAreSetAtTheSameTimeAreAllThere(t *testing.T) {
	dir := t.TempDir()
	if err := Default().writeNamed(dir, "acme"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if _, err := SetLimit(dir, OfKeys, "key "+strconv.Itoa(i), &Limit{Objects: int64(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if c, err := Read(dir); err != nil || len(c.Limits.Keys) != 8 {
		t.Errorf("%+v, %v", c.Limits.Keys, err)
	}
}

func (c Config) writeNamed(dir, name string) error {
	c.Organisation.Name = name
	return c.Write(dir)
}
