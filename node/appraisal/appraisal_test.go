package appraisal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/repo/config"
)

// notes are memos in memory.
type notes struct {
	kept map[string][]byte
	err  error
}

func (n *notes) Memo(name string) ([]byte, error) { return n.kept[name], n.err }

func (n *notes) SetMemo(name string, data []byte) error {
	if n.err == nil {
		n.kept[name] = data
	}
	return n.err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, dir string, c config.Config, kept *notes) *Appraiser {
	t.Helper()
	a, err := Open(dir, c, kept, slog.New(slog.DiscardHandler))
	must(t, err)
	return a
}

func changed(t *testing.T, a *Appraiser) int64 {
	t.Helper()
	at, err := a.Changed(false)
	must(t, err)
	return at
}

// A client's list is over when it would be made by other rules, also if they came while the node was down.
func TestListsChangeWithTheRulesThatTheyAreMadeBy(t *testing.T) {
	kept, dir := &notes{kept: map[string][]byte{}}, t.TempDir()
	a := opened(t, dir, config.Default(), kept)
	first := changed(t, a)
	for range 2 {
		if at := changed(t, opened(t, dir, config.Default(), kept)); at != first {
			t.Errorf("the same rules: %d, want %d", at, first)
		}
	}
	slower := config.Default()
	slower.Decay = []config.Decay{{Lifetime: config.Duration{Duration: time.Hour}}}
	must(t, a.Reload(slower))
	second := changed(t, a)
	var o export.Options
	must(t, a.Fill(&o, false))
	if second <= first || len(o.Decay) != 1 || o.Decay.Model(observable.MD5, nil, "").Lifetime != time.Hour {
		t.Errorf("changed at %d, then %d, %+v", first, second, o.Decay)
	}
	if at := changed(t, opened(t, dir, slower, kept)); at != second {
		t.Errorf("after a restart: %d, want %d", at, second)
	}
	ours := config.Default()
	ours.Quality.OwnDomains = []string{"acme.example"}
	third := changed(t, opened(t, dir, ours, kept))
	if third <= second {
		t.Errorf("with other domains of ours: %d", third)
	}
	must(t, os.Mkdir(ListsPath(dir), 0o700))
	must(t, os.WriteFile(filepath.Join(ListsPath(dir), "x.json"), []byte(`{"name":"x","list":["b.example"]}`), 0o600))
	if at := changed(t, opened(t, dir, ours, kept)); at <= third {
		t.Errorf("with another list: %d", at)
	}
}

func TestRulesThatCanNotBeKeptMakeNoLists(t *testing.T) {
	kept := &notes{kept: map[string][]byte{}}
	a := opened(t, t.TempDir(), config.Default(), kept)
	kept.err = errors.New("broken")
	if _, err := a.Changed(false); !errors.Is(err, kept.err) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.TempDir(), config.Default(), kept, nil); !errors.Is(err, kept.err) {
		t.Errorf("%v", err)
	}
	kept.err = nil
	wrong := config.Default()
	wrong.Decay = []config.Decay{{Speed: 99}}
	if err := a.Reload(wrong); err == nil {
		t.Error("a speed of 99 is taken")
	}
	kept.kept[policyMemo] = []byte("{")
	if _, err := Open(t.TempDir(), config.Default(), kept, nil); err == nil {
		t.Error("what is damaged is taken")
	}
}

func domain(name string) observable.Value {
	return observable.Value{Kind: observable.Domain, Text: name}
}

func TestListsLeaveOutWhatIsOnWarningLists(t *testing.T) {
	ours := config.Default()
	ours.Quality.OwnDomains, ours.Quality.OwnNetworks = []string{"acme.example"}, []string{"198.51.100.0/24"}
	a := opened(t, t.TempDir(), ours, &notes{kept: map[string][]byte{}})
	for v, want := range map[observable.Value][2]bool{
		domain("www.acme.example"): {true, true}, domain("evil.example"): {false, false}, domain("raw.githubusercontent.com"): {false, true}, domain("bit.ly"): {false, false},
		{Kind: observable.IPv4, Text: "198.51.100.7"}: {true, true}, {Kind: observable.IPv4, Text: "8.8.8.8"}: {false, true},
		{Kind: observable.URL, Text: "https://raw.githubusercontent.com/x"}: {false, false},
	} {
		for i, drop := range []bool{false, true} {
			var o export.Options
			must(t, a.Fill(&o, drop))
			if got := o.Left.Value(v); got != want[i] {
				t.Errorf("%s is left out: %t, with drop %t", v, got, drop)
			}
		}
	}
}

func TestOwnListsAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	l := OpenLists(dir, config.Default(), slog.New(slog.DiscardHandler))
	l.now = func() time.Time { return now }
	on := func() int {
		t.Helper()
		hits, err := l.Match(domain("b.example"))
		must(t, err)
		return len(hits)
	}
	if on() != 0 {
		t.Error("it is on a list before there is one")
	}
	must(t, os.Mkdir(ListsPath(dir), 0o700))
	must(t, os.WriteFile(filepath.Join(ListsPath(dir), "x.json"), []byte(`{"name":"x","list":["b.example"]}`), 0o600))
	if on() != 0 {
		t.Error("the folder is looked at again at once")
	}
	if now = now.Add(lookAgain); on() != 1 {
		t.Error("a list that came is not read")
	}
	must(t, os.WriteFile(filepath.Join(ListsPath(dir), "y.json"), []byte(`{`), 0o600))
	if now = now.Add(lookAgain); on() != 1 {
		t.Error("a broken list takes a good one away")
	}
	if list, wrong, err := l.All(); err != nil || len(wrong) != 1 || list[0].Name != "x" {
		t.Errorf("%v, %v", wrong, err)
	}
	must(t, os.Remove(filepath.Join(ListsPath(dir), "x.json")))
	if now = now.Add(lookAgain); on() != 0 {
		t.Error("a list that is gone is used")
	}
}

func TestAnIndicatorThatIsMistakenIsWarnedAbout(t *testing.T) {
	l := OpenLists(t.TempDir(), config.Default(), slog.New(slog.DiscardHandler))
	for object, want := range map[string]string{
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '10.0.0.1']"`:                                        "hard true",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '8.8.8.8' OR ipv4-addr:value = '10.0.0.1']"`:         "hard true",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '10.0.0.1' AND domain-name:value = 'evil.example']"`: "hard false",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '8.8.8.8']"`:                                         "shared false",
		`"type":"indicator","pattern_type":"stix","pattern":"[domain-name:value = 'evil.example']"`:                                  "none false",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '10.0.0.1']","revoked":true`:                         "none false",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '10.0.0.1']","indicator_types":["benign"]`:           "none false",
		`"type":"indicator","pattern_type":"stix","pattern":"[ipv4-addr:value = '10.0.0.1']","indicator_types":"benign"`:             "hard true",
		`"type":"ipv4-addr","value":"10.0.0.1"`: "none false",
	} {
		warnings, mistaken, err := l.Warnings([]byte("{" + object + "}"))
		must(t, err)
		class := "none"
		if len(warnings) > 0 {
			class = warnlist.Gravest(warnings[0].Hits).String()
		}
		if got := fmt.Sprint(class, " ", mistaken); got != want {
			t.Errorf("%s: %s, want %s", object, got, want)
		}
	}
}

// members call something benign.
type members struct {
	said    map[string][]observable.Value
	changed int64
	asked   int
}

func (m *members) Benign(from []string) (map[string][]observable.Value, error) {
	m.asked++
	said := map[string][]observable.Value{}
	for _, name := range from {
		said[name] = m.said[name]
	}
	return said, nil
}

func (m *members) BenignChanged() (int64, error) { return m.changed, nil }

func TestWhatNamedMembersCallBenignIsASharedList(t *testing.T) {
	kept := &notes{kept: map[string][]byte{}}
	c := config.Default()
	c.Quality.BenignFrom = []string{"cert"}
	a := opened(t, t.TempDir(), c, kept)
	now := time.Now()
	a.now = func() time.Time { return now }
	relay, other := observable.Value{Kind: observable.IPv4, Text: "203.0.113.7"}, observable.Value{Kind: observable.Domain, Text: "mail.acme.example"}
	m := &members{said: map[string][]observable.Value{"cert": {relay}, "mallory": {other}}}
	a.Consortium = m
	hits := func(v observable.Value) (n int) {
		list, err := a.Match(v)
		must(t, err)
		for _, hit := range list {
			if hit.Class == warnlist.Shared && strings.Contains(hit.List, "calls benign") {
				n++
			}
		}
		return n
	}
	if hits(relay) != 1 || hits(other) != 0 {
		t.Errorf("%d lists have what cert calls benign, %d what mallory does", hits(relay), hits(other))
	}
	first := changed(t, a)
	m.said["cert"], m.changed = []observable.Value{other}, 1
	now = now.Add(time.Second)
	if hits(other) != 0 || m.asked != 1 {
		t.Errorf("within a minute it was asked %d times", m.asked)
	}
	now = now.Add(time.Minute)
	if hits(other) != 1 || hits(relay) != 0 || changed(t, a) <= first {
		t.Error("what cert calls benign now is on no list, or lists did not change")
	}
	now = now.Add(2 * time.Minute)
	if hits(other) != 1 || m.asked != 2 {
		t.Errorf("though nothing has changed it was asked %d times", m.asked)
	}
	must(t, a.Reload(config.Default()))
	if hits(other) != 0 {
		t.Error("who is not named any more is heard")
	}
}

// rated says how reliable bravo is.
type rated struct{ letter quality.Reliability }

func (r *rated) Rated() (map[string]quality.Reliability, string) {
	if r.letter == "" {
		return nil, ""
	}
	return map[string]quality.Reliability{"bravo": r.letter}, string(r.letter)
}

func TestListsChangeWithHowReliableMembersAreHeldToBe(t *testing.T) {
	kept := &notes{kept: map[string][]byte{}}
	a := opened(t, t.TempDir(), config.Default(), kept)
	before := changed(t, a)
	letters := &rated{}
	a.Raters = letters
	if at := changed(t, a); at != before {
		t.Errorf("without a letter lists change at %d, not %d", at, before)
	}
	letters.letter = "D"
	if at := changed(t, a); at <= before {
		t.Errorf("with a letter lists change at %d, not after %d", at, before)
	}
	var o export.Options
	must(t, a.Fill(&o, false))
	if o.Reliability != nil {
		t.Errorf("a list without a score weighs by %v", o.Reliability)
	}
	o.Score = 30
	must(t, a.Fill(&o, false))
	if o.Reliability["bravo"] != "D" {
		t.Errorf("a list with a score weighs by %v", o.Reliability)
	}
}
