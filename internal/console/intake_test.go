package console

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
)

func someWishes() Wishes {
	n := 0
	return Wishes{Level: "amber", Confidence: 70, Days: 60, Now: time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC), NewID: func() string {
		n++
		return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	}}
}

// says is what a paste becomes, a word a draft: the value or name, with ! before what is refused and ? before what is
// dubious.
func says(in Intake) string {
	var list []string
	for _, d := range in.Drafts {
		mark := ""
		switch {
		case d.Refused != "":
			mark = "!"
		case d.Dubious != "":
			mark = "?"
		}
		list = append(list, mark+firstOf(d.Value.Text, d.Name))
	}
	if in.Refused != "" {
		list = append(list, "refused: "+in.Refused[:min(len(in.Refused), 20)])
	}
	return strings.Join(list, " ")
}

func TestAPasteBecomesIndicators(t *testing.T) {
	t.Parallel()
	const red = `{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-4000-8000-000000000009","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","valid_from":"2026-01-01T00:00:00Z","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.9']","object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"]}`
	for _, c := range []struct{ name, paste, kind, want string }{
		{"a mail", "Hi, block 203.0.113[.]7 and hxxps://evil[.]example/a now.", "text", "203.0.113.7 https://evil.example/a"},
		{"one twice", "203.0.113.7\n203.0.113[.]7", "text", "203.0.113.7"},
		{"too wide", "0.0.0.0/0\n203.0.0.0/7\n2001::/16", "text", "!0.0.0.0/0 !202.0.0.0/7 !2001::/16"},
		{"a source", "8.8.8[.]8 and evil[.]example, seen on virustotal.com", "text", "8.8.8.8 evil.example ?virustotal.com"},
		{"no indicator", "CVE-2026-1234 by T1566", "text", "!CVE-2026-1234 !T1566"},
		{"at home", "printer.lan\nhttp://wiki.internal/", "text", "!printer.lan !http://wiki.internal/"},
		{"red", "TLP:RED\n203.0.113.7", "text", "refused: The text says TLP:RE"},
		{"red in other words", "this is tlp red. 203.0.113.7", "text", "refused: The text says TLP:RE"},
		{"nothing", "  \n", "", "refused: There is nothing in"},
		{"nothing in it", "Hello there", "text", "refused: No address, domain,"},
		{"a table", "value,comment,confidence\n203.0.113.7,C2 of Grey Heron,90\n'evil.example,,\nprinter.lan,,", "csv", "203.0.113.7 evil.example !printer.lan"},
		{"a table of another country", "IP;Title\n203.0.113.7;x", "csv", "203.0.113.7"},
		{"no table", "203.0.113.7, evil.example", "text", "203.0.113.7 evil.example"},
		{"a bundle", `{"type":"bundle","id":"bundle--1","objects":[` + red + `,{"type":"x"}]}`, "stix", "!203.0.113.9 !"},
		{"a list", `[` + strings.Replace(red, "e828b379-4e03-4974-9ac4-e53a884c97c1", "55d920b0-5e8b-4f79-9ee9-91f868d9b421", 1) + `]`, "stix", "203.0.113.9"},
		{"broken JSON", `{"type":`, "stix", "refused: This begins like JSO"},
		{"a value in brackets", "[2001:db8::7]:443", "text", "2001:db8::7"},
	} {
		in := TakeIn(c.paste, someWishes())
		if got := strings.TrimSpace(says(in)); got != c.want {
			// what is refused as a whole has its reason
			if c.kind != "" && in.Kind != c.kind {
				t.Errorf("%s is %q, want %q", c.name, in.Kind, c.kind)
			}
			t.Errorf("%s becomes %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAnIndicatorIsWhatWasWishedFor(t *testing.T) {
	t.Parallel()
	w := someWishes()
	w.CreatedBy = "identity--00000000-0000-4000-8000-000000000001"
	in := TakeIn("value,name,confidence\n203.0.113.7,Grey Heron,90\nevil.example,,", w)
	var got []map[string]any
	for _, d := range in.Drafts {
		var o map[string]any
		if err := json.Unmarshal(d.JSON, &o); err != nil {
			t.Fatal(err)
		}
		got = append(got, o)
	}
	for key, want := range map[string]any{"name": "Grey Heron", "confidence": 90.0, "pattern": "[ipv4-addr:value = '203.0.113.7']", "valid_from": "2026-11-30T08:00:00.000Z",
		"valid_until": "2027-01-29T08:00:00.000Z", "created_by_ref": w.CreatedBy} {
		if got[0][key] != want {
			t.Errorf("%s is %v, want %v", key, got[0][key], want)
		}
	}
	if got[1]["confidence"] != 70.0 || got[1]["name"] != "evil.example" || fmt.Sprint(got[1]["object_marking_refs"]) != "[marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421]" {
		t.Errorf("the other is %v", got[1])
	}
	w.Level, w.Confidence, w.Days = "", -1, 0
	if in = TakeIn("203.0.113.7", w); strings.Contains(string(in.Drafts[0].JSON), "confidence") || strings.Contains(string(in.Drafts[0].JSON), "until") || strings.Contains(string(in.Drafts[0].JSON), "marking") {
		t.Errorf("without wishes it is %s", in.Drafts[0].JSON)
	}
}

func TestAPasteIsBounded(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&many, "203.0.%d.%d\n", i/250, i%250+1)
	}
	in := TakeIn(many.String(), someWishes())
	if len(in.Drafts) != maxTaken || in.Note == "" {
		t.Errorf("%d are taken, and it says %q", len(in.Drafts), in.Note)
	}
	if in = TakeIn(strings.Repeat("x", maxPaste+1), someWishes()); len(in.Drafts) > 0 || in.Refused == "" {
		t.Errorf("too much becomes %+v", in)
	}
}

// wellFormed holds that whatever is not refused is a STIX object, and has the value that it was made of.
func wellFormed(t interface{ Fatalf(string, ...any) }, in Intake) {
	for _, d := range in.Drafts {
		if d.Refused != "" {
			if d.JSON != nil {
				t.Fatalf("%+v is refused and has an object", d)
			}
			continue
		}
		if _, err := stix.Parse(d.JSON); err != nil {
			t.Fatalf("%s: %v", d.JSON, err)
		}
		if in.Kind == "stix" {
			continue
		}
		found, _ := observable.FromObject(d.JSON)
		if !slices.ContainsFunc(found, func(f observable.Found) bool { return f.Value == d.Value }) {
			t.Fatalf("%s says %v, not %v", d.JSON, found, d.Value)
		}
	}
}

func TestAPatternSaysItsValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{"mutex", "file-name", "user-agent", "registry-key", "x509-serial", "mac", "asn"}).Draw(t, "kind")
		value := rapid.OneOf(rapid.StringMatching(`[a-z0-9'\\ :."äß-]{1,30}`), rapid.String()).Draw(t, "value")
		wellFormed(t, TakeIn(kind+": "+value, someWishes()))
	})
}

func FuzzAPaste(f *testing.F) {
	for _, seed := range []string{"203.0.113[.]7", "value,name\n203.0.113.7,\"x", `{"type":"bundle","objects":[{"type":"indicator"}]}`, "mutex: a'b\\c", "hxxp://[2001:db8::1]/'", "[{}]", "[", "ip;\n;;\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, paste string) {
		in := TakeIn(paste, someWishes())
		if len(in.Drafts) > maxTaken || len(in.Drafts) == 0 && in.Refused == "" {
			t.Fatalf("it becomes %+v", in)
		}
		wellFormed(t, in)
	})
}
