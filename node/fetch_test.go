package node

import (
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo"
)

func TestObjectsAreReconsideredWhenTheNodeStoppedRightAfterTheirRecord(t *testing.T) {
	alpha, bravo := newOrg(t, "alpha"), newOrg(t, "bravo")
	w := newWorld(t, bravo)
	events := w.found(alpha)
	d, err := consortium.DraftMember(w.id, bravo.document, events[0].Time)
	must(t, err)
	events = append(events, w.mint(alpha, d), w.mint(alpha, w.object(1)))
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	if _, undecided := w.r.View.CountEvents(); undecided != 1 {
		t.Fatalf("%d objects are undecided without a key, want 1", undecided)
	}
	keyring := w.keyring(alpha, bravo)
	must(t, w.deliver(keyring))
	logged, _, err := w.r.View.Event(keyring.TxID)
	must(t, err)
	must(t, w.r.View.Settle([]repo.Outcome{{Event: logged, State: repo.Held}})) // and here the node is killed
	w.open()
	w.drain()
	if n := w.shown(); n != 1 {
		t.Errorf("%d objects are served, want 1", n)
	}
}
