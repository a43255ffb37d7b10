package testnet

import (
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/withdraw"
)

// A member that mints what another one has published, byte for byte: it publishes nothing, so that it neither takes the
// object for its own nor keeps it alive when its publisher withdraws it.
func TestHostileCopiesOfAnothersDirectories(t *testing.T) {
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	alpha := n.members[0]
	mallory := n.hostile("mallory", enoughAlgo)
	ring := cliJSON[collections.Info](alpha, "collection", "create", "Ring", "--readers", "bravo")
	published := alpha.post(n.collection, indicator(1)).Successes[0]
	mallory.learn()
	root := cid.MustParse(published.CID)
	held, err := mallory.Get(mallory.minutes(), root)
	must(t, err)
	d, found := held[root]
	if !found {
		t.Fatal("a member doesn't get what another one published")
	}
	mallory.Serve(d)
	var mints []ledger.Mint
	for _, note := range []wire.Note{{Kind: wire.KindObject}, {Kind: wire.KindObject}, {Kind: wire.KindKeyring, Collection: ring.ID}} {
		mint, err := mallory.NFT(note, d)
		must(t, err)
		mints = append(mints, mint)
	}
	mallory.mint(mints...)
	alpha.post(n.collection, indicator(2))
	shown := func(objects ...string) {
		t.Helper()
		for _, o := range n.members {
			o.showsExactly("consortium", everythingOf(o), objects...)
			if list, err := o.at("consortium", "others"); err != nil || len(list) > 0 {
				t.Errorf("%s serves as mallory's: %v (%v)", o.Name, list, err)
			}
		}
	}
	for _, o := range n.members {
		o.folded(2) // what was minted before it as well
	}
	shown(indicator(1), indicator(2))
	list := cliJSON[[]withdraw.Withdrawal](alpha, "withdraw", published.TxID)
	if !slices.ContainsFunc(list, func(w withdraw.Withdrawal) bool { return w.Withdrawn }) {
		t.Fatalf("withdrawn: %+v", list)
	}
	shown(indicator(2))
	for _, o := range n.members {
		if c := o.consortium(); !slices.ContainsFunc(c.Collections, func(c collections.Info) bool { return c.ID == ring.ID && c.Title == "Ring" }) {
			t.Errorf("%s has the collections %+v", o.Name, c.Collections)
		}
	}
}
