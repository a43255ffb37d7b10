package export

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/quality"
)

const day = 24 * time.Hour

// began is when the indicators of made came into force.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestWithAScoreAListLosesWhatTimeHasMadeUncertain(t *testing.T) {
	hash := equals("file:hashes.MD5", strings.Repeat("ab", 16))
	domain := equals("domain-name:value", "a.example")
	for _, c := range []struct {
		name    string
		pattern string
		more    map[string]any
		score   int
		lasts   time.Duration // after began; 0: for ever
	}{
		{"an address without a confidence", equals("ipv4-addr:value", "198.51.100.9"), nil, 30, 46*day + 21*time.Hour},
		{"a domain that is surer", domain, map[string]any{"confidence": 100}, 30, 58*day + 19*time.Hour + 12*time.Minute},
		{"a domain that is labelled phishing", domain, map[string]any{"labels": []string{"Phishing"}}, 30, 87934 * time.Second},
		{"what was changed later", domain, map[string]any{"modified": "2026-01-11T00:00:00Z"}, 30, 56*day + 21*time.Hour},
		{"what came into force later", domain, map[string]any{"valid_from": "2026-01-02T00:00:00Z"}, 30, 47*day + 21*time.Hour},
		{"what ends by itself before", domain, map[string]any{"valid_until": "2026-01-03T00:00:00Z"}, 30, 2 * day},
		{"what ends by itself after", domain, map[string]any{"valid_until": "2027-01-03T00:00:00Z"}, 30, 46*day + 21*time.Hour},
		{"a hash", hash, nil, 30, 0},
		{"a list without a score", domain, nil, 0, 0},
	} {
		object := made(1, c.pattern, c.more)
		for _, format := range []Format{Plain, STIX} {
			in := func(after time.Duration) bool {
				_, out := exported(t, Options{Format: format, Score: c.score, Now: began.Add(after)}, object)
				return strings.Contains(out, "example") || strings.Contains(out, "198.51") || strings.Contains(out, "abab")
			}
			if c.lasts == 0 {
				if !in(10_000 * day) {
					t.Errorf("%s (%s): %s does not last", c.name, format, c.pattern)
				}
				continue
			}
			if !in(c.lasts-2*time.Second) || in(c.lasts+time.Second) {
				t.Errorf("%s (%s): in the list before %t, after %t", c.name, format, in(c.lasts-2*time.Second), in(c.lasts+time.Second))
			}
		}
	}
}

func TestWhatWasNeverSureEnoughIsInNoListWithAScore(t *testing.T) {
	for _, pattern := range []string{equals("domain-name:value", "a.example"), equals("file:hashes.MD5", strings.Repeat("ab", 16))} {
		object := made(1, pattern, map[string]any{"confidence": 20})
		if l, out := exported(t, Options{Format: Plain, Score: 30}, object); out != "" || !l.Until.IsZero() {
			t.Errorf("%s until %v", out, l.Until)
		}
	}
}

func TestOfSeveralKindsEachFallsInItsOwnWay(t *testing.T) {
	object := made(1, "[domain-name:value = 'a.example' OR file:hashes.MD5 = '"+strings.Repeat("ab", 16)+"']", nil)
	late := Options{Format: Plain, Score: 30, Now: began.Add(100 * day)}
	if _, out := exported(t, late, object); out != strings.Repeat("ab", 16)+"\n" {
		t.Errorf("%q is left", out)
	}
	late.Format = STIX
	for pattern, want := range map[string]bool{
		string(object): true, string(made(1, equals("email-addr:value", "a@b.example"), nil)): true, string(made(1, equals("domain-name:value", "a.example"), nil)): false,
		string(made(1, "rule x {}", map[string]any{"pattern_type": "yara"})): true,
	} {
		if _, out := exported(t, late, []byte(pattern)); strings.Contains(out, "indicator--") != want {
			t.Errorf("%s is left: %t", pattern, !want)
		}
	}
}

func TestASightingBeginsTheScoreAnew(t *testing.T) {
	object := made(1, equals("domain-name:value", "a.example"), nil)
	o := Options{Format: Plain, Score: 30, Now: began.Add(60 * day)}
	if _, out := exported(t, o, object); out != "" {
		t.Fatalf("%q", out)
	}
	o.Sighted = func(indicator string) time.Time {
		if indicator != id(1) {
			return time.Time{}
		}
		return began.Add(50 * day)
	}
	if l, out := exported(t, o, object); out != "a.example\n" || !l.Until.Equal(began.Add(96*day+21*time.Hour)) {
		t.Errorf("%q until %v", out, l.Until)
	}
	o.Sighted = func(string) time.Time { return began.Add(-day) }
	if _, out := exported(t, o, object); out != "" {
		t.Errorf("a sighting before it came into force keeps %q", out)
	}
}

func TestOwnRulesSayHowScoresFall(t *testing.T) {
	source := func(member string) Source {
		return sourceOfMember(member, made(1, equals("domain-name:value", "a.example"), nil))
	}
	rules := quality.Rules{{Members: []string{"bravo"}, Model: quality.Model{Lifetime: 10 * day, Speed: 1, Threshold: 30}}}
	for member, want := range map[string]time.Duration{"bravo": 5 * day, "charlie": 30 * day} { // of 80, 40 is left
		l, err := Prepare(t.Context(), source(member), Options{Format: Plain, Score: 40, Decay: rules, Now: began.Add(time.Hour)})
		if err != nil || !l.Until.Equal(began.Add(want)) {
			t.Errorf("of %s until %v, %v", member, l.Until, err)
		}
	}
}

// Clients keep a list until it says that it is over: until then nothing of it may change.
func TestBetweenItsBoundariesAListIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var objects [][]byte
		for n := range rapid.IntRange(1, 6).Draw(t, "objects") {
			more := map[string]any{
				"confidence": rapid.IntRange(0, 100).Draw(t, "confidence"),
				"modified":   began.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "modified")) * time.Second).Format(time.RFC3339),
				"labels":     []string{rapid.SampledFrom([]string{"phishing", "other"}).Draw(t, "label")},
			}
			if rapid.Bool().Draw(t, "ends") {
				more["valid_until"] = began.Add(time.Duration(rapid.IntRange(100_001, 9_000_000).Draw(t, "until")) * time.Second).Format(time.RFC3339)
			}
			pattern := rapid.SampledFrom([]string{"[domain-name:value = 'a%d.example']", "[ipv4-addr:value = '198.51.100.%d']", "[file:hashes.MD5 = '%032x']"}).Draw(t, "pattern")
			objects = append(objects, made(n, fmt.Sprintf(pattern, n), more))
		}
		o := Options{
			Format: rapid.SampledFrom(Formats()).Draw(t, "format"), Score: rapid.IntRange(1, 99).Draw(t, "score"),
			Now: began.Add(time.Duration(rapid.IntRange(0, 9_000_000).Draw(t, "now")) * time.Second),
		}
		first, before := exported(t, o, objects...)
		if first.Until.IsZero() {
			o.Now = o.Now.Add(time.Duration(rapid.IntRange(0, 90_000_000).Draw(t, "later")) * time.Second)
		} else {
			left := int(first.Until.Sub(o.Now)/time.Second) - 1
			o.Now = o.Now.Add(time.Duration(rapid.IntRange(0, max(0, left)).Draw(t, "later")) * time.Second)
		}
		if _, after := exported(t, o, objects...); !bytes.Equal([]byte(before), []byte(after)) {
			t.Fatalf("until %v it is\n%s\nat %v\n%s", first.Until, before, o.Now, after)
		}
	})
}

func TestWhatIsToBeLeftOutIsCountedAndInNoList(t *testing.T) {
	object := made(1, "[domain-name:value IN ('a.example', 'b.example')]", nil)
	o := Options{Left: Left{Value: func(v observable.Value) bool {
		return v == observable.Value{Kind: observable.Domain, Text: "a.example"}
	}}}
	for _, format := range []Format{Plain, Hosts, CSV, Zeek, RPZ, Suricata} {
		o.Format = format
		if l, out := exported(t, o, object); strings.Contains(out, "a.example") || !strings.Contains(out, "b.example") || l.Skipped.Value != 1 {
			t.Errorf("%s: %+v\n%s", format, l.Skipped, out)
		}
	}
}

func TestAScoreBeginsWithTheShareThatAReliabilityLeaves(t *testing.T) {
	object := made(1, equals("domain-name:value", "a.example"), nil) // of 80
	options := func(letter quality.Reliability, score int, after time.Duration) Options {
		return Options{Format: Plain, Score: score, Now: began.Add(after), Reliability: map[string]quality.Reliability{"": letter}}
	}
	for _, c := range []struct {
		letter  quality.Reliability
		score   int
		after   time.Duration
		in      bool
		skipped int
	}{
		{"A", 30, day, true, 0},
		{"B", 60, 0, true, 0},         // 68
		{"B", 70, 0, false, 1},        // … for its publisher alone
		{"E", 30, day, false, 1},      // 16
		{"E", 10, 0, true, 0},         //
		{"E", 30, 50 * day, false, 0}, // it would be over by its age
		{"C", 30, 40 * day, false, 1}, // 56 is below 30 after 26 days, 80 after 47
		{"", 30, day, true, 0},
	} {
		l, out := exported(t, options(c.letter, c.score, c.after), object)
		if (out != "") != c.in || l.Skipped.Reliability != c.skipped || l.Skipped.Total() != c.skipped {
			t.Errorf("%s at %d after %v: %q, %+v", c.letter, c.score, c.after, out, l.Skipped)
		}
	}
	if _, out := exported(t, options("E", 0, day), object); out == "" {
		t.Error("a list without a score weighs by it")
	}
	o := options("E", 30, 0)
	if !o.ByMember() {
		t.Error("it does not matter who published what")
	}
}

// What a page says of an indicator is what lists do with it.
func TestAnIndicatorIsWorthWhatListsMakeOfIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		more := map[string]any{"confidence": rapid.IntRange(0, 100).Draw(rt, "confidence")}
		if rapid.Bool().Draw(rt, "phishing") {
			more["labels"] = []string{"phishing"}
		}
		pattern := rapid.SampledFrom([]string{equals("domain-name:value", "a.example"), equals("file:hashes.MD5", strings.Repeat("ab", 16))}).Draw(rt, "pattern")
		seen := began.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "seen")) * day)
		o := Options{
			Format: Plain, Score: 30, Now: began.Add(time.Duration(rapid.IntRange(0, 4000).Draw(rt, "hours")) * time.Hour), Sighted: func(string) time.Time { return seen },
			Reliability: map[string]quality.Reliability{"": rapid.SampledFrom([]quality.Reliability{"", "B", "E"}).Draw(rt, "letter")},
		}
		object := made(1, pattern, more)
		w, is := Appraise(Object{JSON: object}, o)
		_, out := exported(t, o, object)
		inList := out != ""
		if !is || w.Least != 30 || inList != (w.Until.IsZero() && !w.Falls && w.Base >= 30 || w.Until.After(o.Now)) {
			rt.Fatalf("%+v, and in the list: %t", w, inList)
		}
		if inList && w.Score < 29 || !inList && w.Score > 31 {
			rt.Fatalf("the score is %d, and in the list: %t", w.Score, inList)
		}
	})
	for _, none := range [][]byte{[]byte(`{`), []byte(`{}`), made(1, equals("ipv4-addr:value", "198.51.100.9"), map[string]any{"revoked": true}), made(1, equals("ipv4-addr:value", "198.51.100.9"), map[string]any{"indicator_types": []string{"benign"}})} {
		if w, is := Appraise(Object{JSON: none}, Options{Now: began}); is {
			t.Errorf("%s is worth %+v", none, w)
		}
	}
}
