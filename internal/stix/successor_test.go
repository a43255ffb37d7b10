package stix

import (
	"errors"
	"strings"
	"testing"
)

// version is a version of one tool.
func version(created, modified, more string) string {
	return object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID+`"`,
		`"created":"`+created+`","modified":"`+modified+`"`, more)
}

// Checklist 13.5: section 3.6.
func TestCheckSuccessor(t *testing.T) {
	const (
		t1, t2 = "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z"
		acme   = `"created_by_ref":"identity--` + randomUUID + `"`
		other  = `"created_by_ref":"identity--2c2a05b5-239e-4033-aa22-7c51cbf620f0"`
	)
	first := version(t1, t1, acme)
	definition := object(`"type":"marking-definition","spec_version":"2.1","id":"marking-definition--` + randomUUID + `","created":"` + t1 + `"`)
	for _, c := range []struct{ name, prev, next, property, rule string }{
		{"a later version", first, version(t1, t2, acme), "", ""},
		{"later by a nanosecond", first, version(t1, "2024-01-01T00:00:00.000000001Z", acme), "", ""},
		{"created written another way", first, version("2024-01-01T00:00:00Z", t2, acme), "", ""},
		{"revocation", first, version(t1, t2, acme+`,"revoked":true`), "", ""},
		{"an observable", observable(`"a":1`), observable(`"a":2`), "", ""},
		{"an observable with times after one without", observable(``), observable(times), "", ""},
		{"an observable with times of its own", observable(times), observable(`"created":"2023-01-01T00:00:00Z"`), "", ""},

		{"another id", first, strings.ReplaceAll(version(t1, t2, acme), "tool--8e", "tool--9e"), "id", "must be that of the earlier version"},
		{"the same instant", first, version(t1, "2024-01-01T00:00:00Z", acme), "modified", "must be later"},
		{"an earlier version", version(t1, t2, acme), version(t1, t1, acme), "modified", "must be later"},
		{"another creator", first, version(t1, t2, other), "created_by_ref", "must not change"},
		{"no creator any more", first, version(t1, t2, ""), "created_by_ref", "must not change"},
		{"a creator from now on", version(t1, t1, ""), version(t1, t2, acme), "created_by_ref", "must not change"},
		{"another time of creation", first, version("2023-12-31T00:00:00.000Z", t2, acme), "created", "must not change"},
		{"after the revocation", version(t1, t1, acme+`,"revoked":true`), version(t1, t2, acme), "id", "revoked"},
		{"the revocation again", version(t1, t1, acme+`,"revoked":true`), version(t1, t2, acme+`,"revoked":true`), "id", "revoked"},
		{"a marking definition, which has no versions", definition, definition, "modified", "must be later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := mustParse(t, c.next)
			err := CheckSuccessor(mustParse(t, c.prev), next)
			if c.rule == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var broken *Error
			if !errors.As(err, &broken) {
				t.Fatalf("error is %v", err)
			}
			if broken.Property != c.property || !strings.Contains(broken.Rule, c.rule) || broken.ID != next.ID || broken.Version != next.Version() {
				t.Errorf("%+v", broken)
			}
		})
	}
}
