package proof

import (
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

func TestTheGovernorsRecordsAreInTheEvidenceIfTheyShowThatNoneIsLeftOut(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	n := notaryOf(h)
	h.Admits(nodetest.NewOrg(t, "before"))
	object := h.Mint(h.Mallory, h.Object(1))
	h.Takes(object)
	numbered := func() int {
		t.Helper()
		list, err := n.numbered(object)
		nodetest.Must(t, err)
		return len(list)
	}
	if got := numbered(); got != 0 {
		t.Errorf("%d records, and nothing of the governor's came after the object", got)
	}
	h.Admits(nodetest.NewOrg(t, "after"))
	// The default collection, the admission before, that after: the founder admitted mallory before them.
	if got := numbered(); got != 3 {
		t.Errorf("%d records, want 3", got)
	}
	if got := len(withNumbered(nil, nil)); got != 0 {
		t.Errorf("%d records of none", got)
	}
	later := h.Mint(h.Mallory, h.Object(2))
	h.Takes(later, h.Mint(h.Founder, h.Object(3))) // it takes a number, and is no record
	h.Admits(nodetest.NewOrg(t, "last"))
	if list, err := n.numbered(later); err != nil || len(list) != 0 {
		t.Errorf("%d records (%v), and a number between them is an object's", len(list), err)
	}
	amendment, err := consortium.DraftAmendment(h.ID, wire.Amendment{Name: "Test", Governor: wire.Quorum{Threshold: 1, Accounts: []string{h.Self.Address()}}}, time.Now())
	nodetest.Must(t, err)
	h.Takes(h.Mint(h.Founder, amendment))
	if list, err := n.numbered(h.Mint(h.Mallory, h.Object(4))); err != nil || len(list) != 0 {
		t.Errorf("%d records of a former governor (%v)", len(list), err)
	}
}

func notaryOf(h *worldtest.HostileWorld) *Notary { return &Notary{View: h.R.View, State: h.State} }

func TestAMemberWithTwoNodesIsNamed(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	h.Takes(h.Mint(h.Mallory, h.Object(1)), h.Mint(h.Mallory, h.Object(2)))
	if list := notaryOf(h).Repeated(); len(list) != 0 {
		t.Fatalf("%+v", list)
	}
	h.Mallory.Sequence-- // the other node gives the same number
	h.Takes(h.Mint(h.Mallory, h.Object(3)))
	list := notaryOf(h).Repeated()
	if len(list) != 1 || list[0].Member != "mallory" || list[0].Count != 1 || list[0].Number != 2 || list[0].Round != h.Round {
		t.Errorf("%+v", list)
	}
	// It is remembered, and not counted again.
	h.Open()
	if again := notaryOf(h).Repeated(); len(again) != 1 || again[0] != list[0] {
		t.Errorf("after a restart: %+v", again)
	}
}
