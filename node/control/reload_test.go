package control

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/config"
)

// What can be taken over is, part by part; what can't is named, and a part with a mistake stays as it was.
func TestAReloadTakesWhatItCanAndNamesTheRest(t *testing.T) {
	dir, c := t.TempDir(), config.Default()
	c.Organisation.Name = "acme"
	nodetest.Must(t, c.Write(dir))
	c, err := config.Read(dir)
	nodetest.Must(t, err)
	var said bytes.Buffer
	var problem error
	certificates := 0
	r := &Reloader{
		Dir: dir, Counts: c, Feeds: func() []config.Feed { return nil }, Certificate: func() { certificates++ }, Log: slog.New(slog.NewTextHandler(&said, nil)),
		Parts: []Part{{"limits", func(config.Config) error { return problem }, func(now *config.Config, next config.Config) { now.TAXII.RateLimit = next.TAXII.RateLimit }}},
	}
	reload := func(from, to, level string, words ...string) {
		t.Helper()
		text, err := os.ReadFile(config.Path(dir))
		nodetest.Must(t, err)
		nodetest.Must(t, os.WriteFile(config.Path(dir), []byte(strings.Replace(string(text), from, to, 1)), 0o600))
		said.Reset()
		if got := r.Reload(); got != level {
			t.Errorf("after %q the log's level is %q, want %q", to, got, level)
		}
		for _, w := range words {
			if !strings.Contains(said.String(), w) {
				t.Errorf("after %q the log says %s, want %q", to, &said, w)
			}
		}
	}
	reload("rate_limit = 10000", "rate_limit = 7", "info", "changed=limits", "level=INFO")
	reload(`poll = "5s"`, `poll = "6s"`, "info", "level=WARN", "keys=[algorand.poll]")
	problem = errors.New("seven is a wrong number")
	reload("rate_limit = 7", "rate_limit = 8", "info", "level=ERROR", "part=limits", "seven is a wrong number", `keys="[algorand.poll taxii.rate_limit]"`)
	if strings.Contains(said.String(), "changed=") || r.Counts.TAXII.RateLimit != 7 || certificates != 3 {
		t.Errorf("what can't be used counts: %d, %s; certificates were read %d times", r.Counts.TAXII.RateLimit, &said, certificates)
	}
	wantPart := func(limit int64, words string) {
		t.Helper()
		if err := r.ReloadPart("limits"); (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) || r.Counts.TAXII.RateLimit != limit || r.Counts.Algorand.Poll.String() != "5s" || certificates != 3 {
			t.Errorf("alone the part counts as %+v, %v", r.Counts.TAXII.RateLimit, err)
		}
	}
	wantPart(7, "seven is a wrong number")
	problem = nil
	wantPart(8, "")
	reload(`poll = "6s"`, `poll = "often"`, "", "everything stays as it is")
	if certificates != 3 {
		t.Error("of a configuration with a mistake the certificate is taken")
	}
}
