package node

import (
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestTheGovernorsRecordsAreInTheEvidenceIfTheyShowThatNoneIsLeftOut(t *testing.T) {
	h := newHostileWorld(t)
	n := notaryOf(h)
	h.admits(newOrg(t, "before"))
	object := h.mint(h.mallory, h.object(1))
	h.takes(object)
	numbered := func() int {
		t.Helper()
		list, err := n.numbered(object)
		must(t, err)
		return len(list)
	}
	if got := numbered(); got != 0 {
		t.Errorf("%d records, and nothing of the governor's came after the object", got)
	}
	h.admits(newOrg(t, "after"))
	// The default collection, the admission before, that after: the founder admitted mallory before them.
	if got := numbered(); got != 3 {
		t.Errorf("%d records, want 3", got)
	}
	if got := len(withNumbered(nil, nil)); got != 0 {
		t.Errorf("%d records of none", got)
	}
	later := h.mint(h.mallory, h.object(2))
	h.takes(later, h.mint(h.founder, h.object(3))) // it takes a number, and is no record
	h.admits(newOrg(t, "last"))
	if list, err := n.numbered(later); err != nil || len(list) != 0 {
		t.Errorf("%d records (%v), and a number between them is an object's", len(list), err)
	}
	amendment, err := consortium.DraftAmendment(h.id, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{h.self.address()}}}, time.Now())
	must(t, err)
	h.takes(h.mint(h.founder, amendment))
	if list, err := n.numbered(h.mint(h.mallory, h.object(4))); err != nil || len(list) != 0 {
		t.Errorf("%d records of a former governor (%v)", len(list), err)
	}
}

func notaryOf(h *hostileWorld) *notary { return &notary{view: h.r.View, fold: h.fold} }

func TestAMemberWithTwoNodesIsNamed(t *testing.T) {
	h := newHostileWorld(t)
	h.takes(h.mint(h.mallory, h.object(1)), h.mint(h.mallory, h.object(2)))
	if list := notaryOf(h).repeated(); len(list) != 0 {
		t.Fatalf("%+v", list)
	}
	h.mallory.sequence-- // the other node gives the same number
	h.takes(h.mint(h.mallory, h.object(3)))
	list := notaryOf(h).repeated()
	if len(list) != 1 || list[0].Member != "mallory" || list[0].Count != 1 || list[0].Number != 2 || list[0].Round != h.round {
		t.Errorf("%+v", list)
	}
	// It is remembered, and not counted again.
	h.open()
	if again := notaryOf(h).repeated(); len(again) != 1 || again[0] != list[0] {
		t.Errorf("after a restart: %+v", again)
	}
}
