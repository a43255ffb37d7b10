package stix

import (
	"strings"
	"testing"
)

func TestIdentifyReadsWhatItCan(t *testing.T) {
	id := "tool--" + randomUUID
	for _, c := range []struct{ name, raw, id, version string }{
		{"a good object", `{"id":"` + id + `",` + times + `}`, id, "2024-01-02T00:00:00.000Z"},
		{"no modified", `{"created":"2024-01-01T00:00:00Z","id":"` + id + `"}`, id, "2024-01-01T00:00:00Z"},
		{"modified that is none", `{"modified":"now","created":"2024-01-01T00:00:00Z","id":"` + id + `"}`, id, "2024-01-01T00:00:00Z"},
		{"no times", `{"id":"` + id + `"}`, id, ""},
		{"properties that appear twice", `{"id":"` + id + `","id":"other","x":1,"x":1,` + times + `}`, id, "2024-01-02T00:00:00.000Z"},
		{"lone surrogates", `{"name":"\ud800","id":"` + id + `",` + times + `}`, id, "2024-01-02T00:00:00.000Z"},
		{"syntax error after the id", `{"id":"` + id + `",` + times + `,}`, id, "2024-01-02T00:00:00.000Z"},
		{"syntax error before the version", `{"id":"` + id + `" "created":1}`, id, ""},
		{"syntax error before the id", `{x,"id":"` + id + `"}`, "", ""},
		{"id that is not well-formed", `{"id":"tool-1"}`, "tool-1", ""},
		{"id that is no text", `{"id":{"id":"x"},"created":["2024-01-01T00:00:00Z"]}`, "", ""},
		{"id in an inner object", `{"x":{"id":"` + id + `"}}`, "", ""},
		{"id that commands a terminal", `{"id":"\u001b[2J\u202e\n"}`, `\x1b[2J\u202e\n`, ""},
		{"not an object", `["id"]`, "", ""},
		{"nothing", ``, "", ""},
		{"no JSON", `<html>`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, version := Identify([]byte(c.raw))
			if id != c.id || version != c.version {
				t.Errorf("%q, %q; want %q, %q", id, version, c.id, c.version)
			}
		})
	}
}

func TestIdentifyBoundsWhatItReturns(t *testing.T) {
	id, _ := Identify([]byte(`{"id":"` + strings.Repeat("\\u0000", 1<<20) + `"}`))
	if id == "" || len(id) > 4*maxEcho {
		t.Errorf("an id of %d bytes", len(id))
	}
}

func FuzzIdentify(f *testing.F) {
	for _, raw := range []string{domainObject(""), observable(""), `{"id":"\ud800","id":1,`, `[`, `{"modified":"2024-01-01T00:00:00Z"`} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, version := Identify(raw)
		checkErrorIsFitToShow(t, &Error{ID: id, Version: version})
		if _, err := ParseTimestamp(version); version != "" && err != nil {
			t.Error(err)
		}
		if o, err := Parse(raw); err == nil && (id != o.ID || version != o.Version()) {
			t.Errorf("%q %q of the object %q %q", id, version, o.ID, o.Version())
		}
	})
}
