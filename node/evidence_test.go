package node

import (
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

func TestTheGovernorsRecordsAreInTheEvidenceIfTheyShowThatNoneIsLeftOut(t *testing.T) {
	h := newHostileWorld(t)
	n := h.notary()
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

func (h *hostileWorld) notary() *notary { return &notary{view: h.r.View, fold: h.fold} }
