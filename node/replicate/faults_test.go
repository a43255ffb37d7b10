package replicate_test

import (
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
)

// What a store does not give is never taken for there being nothing: what the chain tells is taken as a whole or not at
// all, and what failed is done again, also after a restart.
func TestNothingIsFollowedOnAGuess(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	restarts := func() error { return h.Replicator.Restore(t.Context()) }
	follows := func(what string, shown int64, events ...consortium.Event) {
		t.Helper()
		h.Faults.EachIsTold(t, "following "+what, func() error {
			err := h.Deliver(events...)
			if err != nil { // the node ends, and begins anew
				nodetest.Must(t, restarts())
			}
			return err
		})
		h.Faults.EachIsBorne(t, "reading "+what, func() error { return h.TryDrain(t.Context()) })
		h.Faults.EachIsBorne(t, "a restart after "+what, restarts)
		h.Drain()
		if h.Shown() != shown {
			t.Errorf("after %s %d objects are served, want %d", what, h.Shown(), shown)
		}
	}
	first, second := h.Mint(h.Mallory, h.Object(1)), h.Mint(h.Self, h.Object(2))
	follows("objects", 2, first, second)
	follows("a duplicate", 2, h.Mint(h.Mallory, h.Object(1)))
	delta := nodetest.NewOrg(t, "delta")
	draft, err := consortium.DraftMember(h.ID, delta.Document, time.Now())
	nodetest.Must(t, err)
	follows("an admission", 2, h.Mint(h.Founder, draft))
	follows("an object of the newcomer", 3, h.Mint(delta, h.Object(3)))
	follows("a withdrawal of what has a duplicate", 3, h.Destroy(h.Mallory, first.Asset))
	draft, err = consortium.DraftWithdrawal(h.ID, second.Asset, 0, time.Now())
	nodetest.Must(t, err)
	follows("a record of a withdrawal", 2, h.Mint(h.Self, draft))
	draft, err = consortium.DraftRemoval(h.ID, delta.Address(), time.Now())
	nodetest.Must(t, err)
	follows("a removal", 2, h.Mint(h.Founder, draft))
	follows("what a removed member publishes", 2, h.Mint(delta, h.Object(4)))
}
