package taxii

import (
	"testing"

	"github.com/serviceledger/slnode/taxii/conformance"
)

// The server does all of what the suite asks, what the standard demands and
// what it does not. Each kind of credential is tried.
func TestTheServerConforms(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 4 << 20 })
	for name, target := range map[string]conformance.Target{
		"user and token": {User: "paul", Password: "pw-paul", Token: "tok-paul"},
		"user":           {User: "paul", Password: "pw-paul"},
		"token":          {Token: "tok-paul"},
	} {
		t.Run(name, func(t *testing.T) {
			target.URL = f.url
			results, err := conformance.Run(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				switch r.Outcome {
				case conformance.Failed:
					t.Errorf("%s %s %s: %s", r.Section, r.Level, r.Title, r.Detail)
				case conformance.Skipped:
					if name == "user and token" {
						t.Errorf("%s %s %s was not tried: %s", r.Section, r.Level, r.Title, r.Detail)
					}
				}
			}
		})
	}
}
