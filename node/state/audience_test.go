package state

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
)

// Whose a collection is, and whom its owner lets publish in it, is part of who reads it.
func TestAnAudienceIsEverybodyWhoReadsButThePublisher(t *testing.T) {
	f := &Shared{Self: "self"}
	none, all := wire.Accounts{}, wire.Accounts{Members: true}
	named := func(accounts ...string) wire.Accounts { return wire.Accounts{Named: accounts} }
	for _, c := range []struct {
		what                  string
		owner                 string
		readers, contributors wire.Accounts
		adHoc                 bool
		widest                string // of the levels that may go there
		red                   bool
	}{
		{"our own notes", "self", none, none, false, "amber+strict", false},
		{"our own notes, for which we are named", "self", named("self"), named("self"), false, "amber+strict", false},
		{"our group", "self", named("other"), none, false, "amber", false},
		{"our group of contributors", "self", none, named("other"), false, "amber", false},
		{"our collection for all", "self", all, all, false, "green", false},
		{"our collection that all publish in", "self", named("other"), all, false, "green", false},
		{"one for the recipients of an object", "self", named("other"), none, true, "amber", true},
		{"one for recipients that grows", "self", all, none, true, "green", false},
		{"another's that names us as its contributor alone", "other", none, named("self"), false, "amber", false},
		{"another's that names us as its reader alone", "other", named("self"), named("self"), false, "amber", false},
		{"another's that says it is for one object", "other", named("self"), named("self"), true, "amber", false},
		{"another's that says it is for nobody's object", "other", none, named("self"), true, "amber", false},
		{"another's for all", "other", all, all, true, "green", false},
	} {
		widest, err := stix.ParseLevel(c.widest)
		if err != nil {
			t.Fatal(err)
		}
		audience := f.Audience(consortium.Collection{Owner: c.owner, Properties: wire.Collection{Readers: c.readers, Contributors: c.contributors, AdHoc: c.adHoc}})
		for _, level := range []stix.Level{stix.Clear, stix.Green, stix.Amber, stix.AmberStrict} {
			if err := stix.Permits(level, audience); (err == nil) != (level <= widest) {
				t.Errorf("%s: %s: %v", c.what, level, err)
			}
		}
		if err := stix.Permits(stix.Red, audience); (err == nil) != c.red {
			t.Errorf("%s: %s: %v", c.what, stix.Red, err)
		}
	}
}
