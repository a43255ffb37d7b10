package node

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// Whose a collection is, and whom its owner lets publish in it, is part of who reads it.
func TestAnAudienceIsEverybodyWhoReadsButThePublisher(t *testing.T) {
	f := &fold{self: "self"}
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
		must(t, err)
		audience := f.audience(consortium.Collection{Owner: c.owner, Properties: wire.Collection{Readers: c.readers, Contributors: c.contributors, AdHoc: c.adHoc}})
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

// labelled is an indicator with a TLP level.
func labelled(n int, level string) string {
	return strings.Replace(indicatorJSON(n), `"name"`, `"labels":["tlp:`+level+`"],"name"`, 1)
}

func TestWhatWasAcceptedIsNotPublishedWhenOthersReadTheCollectionMeanwhile(t *testing.T) {
	for _, stage := range []string{"accepted", "sealed"} {
		t.Run(stage, func(t *testing.T) {
			h := newHostileWorld(t)
			ring := uuid.NewString()
			p := h.named("Ring", "ring")
			p.Readers.Named, p.Contributors.Named = []string{h.self.address()}, []string{h.self.address()}
			h.takes(h.collectionOf(h.mallory, ring, 1, p, h.self))
			publisher := &publisher{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, recipients: h.owner, wake: func() {}, done: &signal{}, delay: noDelay()}
			into, err := publisher.target(taxii.Collection{ID: ring})
			must(t, err)
			id, err := publisher.accept(publisherRole, taxii.Collection{Root: "mallory", ID: ring}, into,
				taxii.Addition{Objects: []taxii.Incoming{{Raw: []byte(labelled(1, "amber"))}, {Raw: []byte(labelled(2, "green"))}}})
			must(t, err)
			sealed := func() []repo.Item {
				t.Helper()
				items, err := h.r.Outbox.Queue(repo.Accepted, 0, 10)
				must(t, err)
				if len(items) > 0 {
					_, err = h.sealer().seal(t.Context(), items)
					must(t, err)
				}
				items, err = h.r.Outbox.Queue(repo.Stored, 0, 10)
				must(t, err)
				return items
			}
			if stage == "sealed" {
				if n := len(sealed()); n != 2 {
					t.Fatalf("%d objects are sealed, want 2", n)
				}
			}
			// The owner lets everybody in, without another key: everybody can be given the one that there is.
			p.Readers, p.Contributors = wire.Accounts{Members: true}, wire.Accounts{Members: true}
			h.takes(h.collectionOf(h.mallory, ring, 1, p, h.self))
			if c, _ := h.fold.collection(ring); !c.Properties.Readers.Members {
				t.Fatalf("the collection is %+v", c)
			}
			m := &minter{outbox: h.r.Outbox, view: h.r.View, fold: h.fold, fresh: &freshDirectories{blocks: h.blocks}, confirmed: &signal{}, reopened: func() {}, log: discard}
			directories := h.blocks.count()
			rest, problem, err := m.upToDate(t.Context(), sealed())
			if err != nil || problem != nil || len(rest) != 1 || rest[0].Level != uint8(stix.Green) {
				t.Errorf("%+v are signed (%v, %v), want the green one", rest, problem, err)
			}
			if stage == "sealed" && h.blocks.count() != directories-1 {
				t.Error("the blocks of the amber one are kept")
			}
			status, err := publisher.status(id)
			must(t, err)
			if len(status.Failures) != 1 || !strings.Contains(status.Failures[0].Message, "TLP:AMBER") {
				t.Errorf("the status is %+v", status)
			}
			if _, err := h.r.Outbox.Payload(1); err == nil {
				t.Error("its content is kept")
			}
		})
	}
}

func (m *memStore) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.dirs)
}

// A contributor's own definition says what its object's marking means; what is granted to new readers goes by that.
func TestTheOwnerDisclosesOnlyWhatItsPublishersMarkingsAllow(t *testing.T) {
	for says, want := range map[string]bool{"statement": true, "tlp green": true, "tlp amber": false, "": false} {
		h := newHostileWorld(t)
		c := consortium.Collection{ID: h.collection, Owner: h.self.address(), Properties: h.named("Ring", "ring")}
		if says != "" {
			h.enterBy(h.mallory.address(), definitionOf(says))
		}
		h.enterBy(h.founder.address(), strings.Replace(definition("statement", "(c)"), "2026-01-02", "2026-02-02", 1))
		h.enterBy(h.mallory.address(), markedIndicator(1))
		if err := h.owner.mayDisclose(c, h.everybody("ring")); (err == nil) != want {
			t.Errorf("its publisher says %q: %v", says, err)
		}
	}
}
