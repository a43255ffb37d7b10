package stix

import (
	"strings"
	"testing"
)

// version is a version of one tool.
func version(created, modified, more string) string {
	return object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID+`"`,
		`"created":"`+created+`","modified":"`+modified+`"`, more)
}

// Checklist 13.5: section 3.6, which real producers break.
func TestSuccessionNotesWhatIsOddAndRefusesNothing(t *testing.T) {
	const (
		t1, t2 = "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z"
		acme   = `"created_by_ref":"identity--` + randomUUID + `"`
		other  = `"created_by_ref":"identity--2c2a05b5-239e-4033-aa22-7c51cbf620f0"`
	)
	first := version(t1, t1, acme)
	for _, c := range []struct {
		name, earlier, later string
		notes                []string // the beginnings
	}{
		{"a later version", first, version(t1, t2, acme), nil},
		{"created written another way", first, version("2024-01-01T00:00:00Z", t2, acme), nil},
		{"revocation", first, version(t1, t2, acme+`,"revoked":true`), nil},
		{"the revocation again", version(t1, t1, acme+`,"revoked":true`), version(t1, t2, acme+`,"revoked":true`), nil},
		{"an observable", observable(`"a":1`), observable(`"a":2`), nil},
		{"an observable with times of its own", observable(times), observable(`"created":"2023-01-01T00:00:00Z"`), nil},

		{"another creator", first, version(t1, t2, other), []string{"created_by_ref is"}},
		{"no creator any more", first, version(t1, t2, ""), []string{"created_by_ref is"}},
		{"a creator from now on", version(t1, t1, ""), version(t1, t2, acme), []string{"created_by_ref is"}},
		{"created moved, as MISP does", first, version(t2, t2, acme), []string{"created is"}},
		{"a revocation that moved created", first, version(t2, t2, acme+`,"revoked":true`), []string{"created is"}},
		{"after the revocation, as MITRE did", version(t1, t1, acme+`,"revoked":true`), version(t1, t2, acme), []string{"revoked is taken back"}},
		{"everything", version(t1, t1, acme+`,"revoked":true`), version(t2, t2, other), []string{"revoked", "created_by_ref", "created is"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			notes := Succession(mustParse(t, c.earlier), mustParse(t, c.later))
			if len(notes) != len(c.notes) {
				t.Fatalf("%q", notes)
			}
			for i, note := range notes {
				if !strings.HasPrefix(note, c.notes[i]) {
					t.Errorf("%q", note)
				}
			}
		})
	}
}
