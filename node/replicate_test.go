package node

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

func TestDestroyingANFTAboutSomebodyElsesDirectoryLeavesItsBlocks(t *testing.T) {
	alpha, mallory := newOrg(t, "alpha"), newOrg(t, "mallory")
	w := newWorld(t, alpha)
	events := w.found(alpha, mallory)
	w.open()
	must(t, w.deliver(events...))
	victim := w.mint(alpha, w.object(1))
	must(t, w.deliver(victim))
	w.drain()
	for _, target := range []consortium.Event{victim, events[len(events)-1]} {
		root, err := cid.Decode(target.Directory)
		must(t, err)
		theft := w.mintDirectory(mallory, wire.Note{Kind: wire.KindObject}, root, target.MetadataHash)
		must(t, w.deliver(theft))
		w.drain()
		must(t, w.deliver(w.destroy(mallory, theft.Asset)))
		if _, err := w.blocks.Read(t.Context(), root); err != nil {
			t.Errorf("the blocks of alpha's %s: %v", target.Note.Kind, err)
		}
	}
	w.open()
	if _, ok := w.fold.collection(w.collection); !ok {
		t.Error("after a restart the default collection can't be read")
	}
	root, err := cid.Decode(victim.Directory)
	must(t, err)
	must(t, w.deliver(w.destroy(alpha, victim.Asset)))
	if _, err := w.blocks.Read(t.Context(), root); err == nil {
		t.Error("the blocks of an object stay when its own publisher withdraws it")
	}
}

// A directory is known to others from its announcement on, which is before its transaction is confirmed.
func TestDestroyingANFTAboutAnAnnouncedDirectoryLeavesItsBlocks(t *testing.T) {
	alpha, mallory := newOrg(t, "alpha"), newOrg(t, "mallory")
	w := newWorld(t, alpha)
	events := w.found(alpha, mallory)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	announced := w.mint(alpha, w.object(1)) // not confirmed yet
	items, err := w.r.Outbox.Accept([]repo.Submission{{Item: repo.Item{Key: []byte("k"), Directory: announced.Directory}}})
	must(t, err)
	_, err = w.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{announced.TxID}}}, items)
	must(t, err)
	root, err := cid.Decode(announced.Directory)
	must(t, err)
	theft := w.mintDirectory(mallory, wire.Note{Kind: wire.KindObject}, root, announced.MetadataHash)
	must(t, w.deliver(theft))
	w.drain()
	must(t, w.deliver(w.destroy(mallory, theft.Asset)))
	if _, err := w.blocks.Read(t.Context(), root); err != nil {
		t.Errorf("the blocks of what alpha is publishing: %v", err)
	}
}
