package node

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
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

// keyring mints a record, which changes nothing here.
func (w *world) keyring(owner, reader *org) consortium.Event {
	w.t.Helper()
	d, err := consortium.DraftKeyring(w.id, w.collection, map[uint32]*seal.EpochKey{1: w.key}, []string{reader.identity.Recipient()}, time.Now())
	must(w.t, err)
	return w.mint(owner, d)
}

func TestADeliveryThatIsInterruptedLosesNothingBeforeItsLastRecord(t *testing.T) {
	alpha, bravo := newOrg(t, "alpha"), newOrg(t, "bravo")
	w := newWorld(t, alpha)
	events := w.found(alpha, bravo)
	w.open()
	must(t, w.deliver(events...))
	one, two := w.mint(bravo, w.object(1)), w.mint(bravo, w.object(2))
	must(t, w.deliver(one, two))
	w.drain()
	window := []consortium.Event{w.destroy(bravo, one.Asset), w.destroy(bravo, two.Asset), w.keyring(alpha, bravo), w.mint(bravo, w.object(3))}
	w.blocks.failNext = errors.New("the node is stopped here")
	if err := w.deliver(window...); err == nil {
		t.Fatal("the delivery was not interrupted")
	}
	w.open()
	must(t, w.deliver(window...))
	w.drain()
	if n := w.shown(); n != 1 {
		t.Errorf("%d objects are served, want one: two of three were withdrawn", n)
	}
	for _, o := range []*org{alpha, bravo} {
		if highest, holes := w.fold.sequence(o.address()); highest != o.sequence || len(holes) > 0 {
			t.Errorf("the sequence numbers of %s are %d without %v, want all up to %d", o.document.Organisation, highest, holes, o.sequence)
		}
	}
}

// The node stops after a record was logged and before the cursor moves.
func TestSequenceNumbersBeforeALoggedRecordAreKept(t *testing.T) {
	alpha, bravo := newOrg(t, "alpha"), newOrg(t, "bravo")
	w := newWorld(t, alpha)
	events := w.found(alpha, bravo)
	w.open()
	must(t, w.deliver(events...))
	object := w.mint(bravo, w.object(1))
	window := []consortium.Event{object, w.keyring(alpha, bravo), w.destroy(bravo, object.Asset)}
	w.blocks.failNext = errors.New("the node is stopped here")
	if err := w.deliver(window...); err == nil {
		t.Fatal("the delivery was not interrupted")
	}
	w.open()
	must(t, w.deliver(window...))
	for _, o := range []*org{alpha, bravo} {
		if highest, holes := w.fold.sequence(o.address()); highest != o.sequence || len(holes) > 0 {
			t.Errorf("the sequence numbers of %s are %d without %v, want all up to %d", o.document.Organisation, highest, holes, o.sequence)
		}
	}
}

func TestAnObjectThatIsMadeAndDestroyedInOneWindowMayBePublishedAgain(t *testing.T) {
	alpha := newOrg(t, "alpha")
	w := newWorld(t, alpha)
	events := w.found(alpha)
	w.open()
	must(t, w.deliver(events...))
	items, err := w.r.Outbox.Accept([]repo.Submission{{Item: repo.Item{Key: []byte("k")}}})
	must(t, err)
	object := w.mint(alpha, w.object(1))
	_, err = w.r.Outbox.AddGroups([]repo.Group{{TxIDs: []string{object.TxID}}}, items)
	must(t, err)
	must(t, w.deliver(object, w.destroy(alpha, object.Asset)))
	item, _, err := w.r.Outbox.Find([]byte("k"))
	must(t, err)
	if item.State != repo.Withdrawn {
		t.Errorf("the item is %s: posting it again would answer success and publish nothing", item.State)
	}
}

// A record that breaks the rules is as if it had never been minted, today and after a restart.
func TestARecordThatWasRefusedStaysVoidAfterARestart(t *testing.T) {
	alpha := newOrg(t, "alpha")
	for name, spoil := range map[string]func(*consortium.Event){
		"its content is wrong": func(*consortium.Event) {},
		"its hash is wrong":    func(e *consortium.Event) { e.MetadataHash[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			alpha.sequence = 0
			w := newWorld(t, alpha)
			events := w.found(alpha)
			w.open()
			must(t, w.deliver(events...))
			w.drain()
			// A record about another collection than its note says.
			other, err := consortium.DraftCollection(w.id, uuid.NewString(), 1, wire.Collection{Title: "Other", DefaultLevel: "green", Metadata: wire.MetadataOpen},
				map[uint32]*seal.EpochKey{1: w.key}, []string{alpha.identity.Recipient()}, time.Now())
			must(t, err)
			other.Note.Collection = w.collection
			void := w.mint(alpha, other)
			spoil(&void)
			must(t, w.deliver(void, w.mint(alpha, w.object(1))))
			w.drain()
			if n := w.shown(); n != 1 {
				t.Errorf("%d objects are served, want 1", n)
			}
			w.open()
			if _, ok := w.fold.collection(w.collection); !ok {
				t.Error("after a restart the collection can't be read")
			}
		})
	}
}
