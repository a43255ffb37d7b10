package node

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestAVersionWithNothingNewButItsDatesIsNotNew(t *testing.T) {
	const a = `{"type":"identity","name":"ACME","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}`
	for b, want := range map[string]bool{
		`{"modified":"2026-02-01T00:00:00Z","created":"2026-02-01T00:00:00Z","name":"ACME","type":"identity"}`: true,
		`{"modified":"2026-02-01T00:00:00Z","name":"ACMÉ","type":"identity"}`:                                  false,
		`{"modified":"2026-02-01T00:00:00Z","name":"ACME","type":"identity","revoked":true}`:                   false,
		`[]`: false,
	} {
		if got := sameButDates([]byte(a), []byte(b)); got != want {
			t.Errorf("%s: %t", b, got)
		}
	}
}

func TestUnmarkedObjectsGoAsFarAsTheFeedSays(t *testing.T) {
	plain := &stix.Object{Type: "indicator"}
	green := &stix.Object{Type: "indicator", Labels: []string{"tlp:green"}}
	definition := &stix.Object{Type: "marking-definition"}
	everybody := consortium.Collection{Properties: wire.Collection{Readers: wire.Accounts{Members: true}}}
	named := consortium.Collection{Properties: wire.Collection{Readers: wire.Accounts{Named: []string{"A"}}}}
	for _, test := range []struct {
		policy  string
		object  *stix.Object
		into    consortium.Collection
		refused bool
	}{
		{"collection", plain, everybody, false},
		{"refuse", plain, named, true},
		{"refuse", green, everybody, false},
		{"refuse", definition, everybody, false},
		{"amber", plain, everybody, true},
		{"amber", plain, named, false},
		{"red", plain, named, true},
		{"red", green, named, false},
	} {
		policy, err := unmarkedPolicy(test.policy)
		must(t, err)
		if got := policy.refuses(test.object, (&fold{self: "self"}).audience(test.into), stix.Levels{}); (got != "") != test.refused {
			t.Errorf("%s: %q", test.policy, got)
		}
	}
	if _, err := unmarkedPolicy("purple"); err == nil {
		t.Error("a policy that is none is taken")
	}
}
