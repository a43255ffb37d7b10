package replicate_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/repo/outbox"
)

func TestDestroyingANFTAboutSomebodyElsesDirectoryLeavesItsBlocks(t *testing.T) {
	alpha, mallory := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "mallory")
	w := newWorld(t, alpha)
	events := w.Found(alpha, mallory)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	victim := w.Mint(alpha, w.Object(1))
	nodetest.Must(t, w.Deliver(victim))
	w.Drain()
	for _, target := range []consortium.Event{victim, events[len(events)-1]} {
		root, err := cid.Decode(target.Directory)
		nodetest.Must(t, err)
		theft := w.MintDirectory(mallory, wire.Note{Kind: wire.KindObject}, root, target.MetadataHash)
		nodetest.Must(t, w.Deliver(theft))
		w.Drain()
		nodetest.Must(t, w.Deliver(w.Destroy(mallory, theft.Asset)))
		if _, err := w.Blocks.Read(t.Context(), root); err != nil {
			t.Errorf("the blocks of alpha's %s: %v", target.Note.Kind, err)
		}
	}
	w.Open()
	if _, ok := w.State.Collection(w.Collection); !ok {
		t.Error("after a restart the default collection can't be read")
	}
	root, err := cid.Decode(victim.Directory)
	nodetest.Must(t, err)
	nodetest.Must(t, w.Deliver(w.Destroy(alpha, victim.Asset)))
	if _, err := w.Blocks.Read(t.Context(), root); err == nil {
		t.Error("the blocks of an object stay when its own publisher withdraws it")
	}
}

// A directory is known to others from its announcement on, which is before its transaction is confirmed.
func TestDestroyingANFTAboutAnAnnouncedDirectoryLeavesItsBlocks(t *testing.T) {
	alpha, mallory := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "mallory")
	w := newFoundedWorld(t, alpha, mallory)
	w.Drain()
	announced := w.Mint(alpha, w.Object(1)) // not confirmed yet
	items, err := w.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte("k"), Directory: announced.Directory}}})
	nodetest.Must(t, err)
	_, err = w.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{announced.TxID}}}, items)
	nodetest.Must(t, err)
	root, err := cid.Decode(announced.Directory)
	nodetest.Must(t, err)
	theft := w.MintDirectory(mallory, wire.Note{Kind: wire.KindObject}, root, announced.MetadataHash)
	nodetest.Must(t, w.Deliver(theft))
	w.Drain()
	nodetest.Must(t, w.Deliver(w.Destroy(mallory, theft.Asset)))
	if _, err := w.Blocks.Read(t.Context(), root); err != nil {
		t.Errorf("the blocks of what alpha is publishing: %v", err)
	}
}

// keyring mints a record, which changes nothing here.
func (w *world) keyring(owner, reader *nodetest.Org) consortium.Event {
	w.T.Helper()
	d, err := consortium.DraftKeyring(w.ID, w.Collection, map[uint32]*seal.EpochKey{1: w.Key}, []string{reader.Identity.Recipient()}, time.Now())
	nodetest.Must(w.T, err)
	return w.Mint(owner, d)
}

func TestADeliveryThatIsInterruptedLosesNothingBeforeItsLastRecord(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newFoundedWorld(t, alpha, bravo)
	one, two := w.Mint(bravo, w.Object(1)), w.Mint(bravo, w.Object(2))
	nodetest.Must(t, w.Deliver(one, two))
	w.Drain()
	window := []consortium.Event{w.Destroy(bravo, one.Asset), w.Destroy(bravo, two.Asset), w.keyring(alpha, bravo), w.Mint(bravo, w.Object(3))}
	w.Blocks.FailNext = errors.New("the node is stopped here")
	if err := w.Deliver(window...); err == nil {
		t.Fatal("the delivery was not interrupted")
	}
	w.Open()
	nodetest.Must(t, w.Deliver(window...))
	w.Drain()
	if n := w.Shown(); n != 1 {
		t.Errorf("%d objects are served, want one: two of three were withdrawn", n)
	}
	for _, o := range []*nodetest.Org{alpha, bravo} {
		if highest, holes := w.State.Sequence(o.Address()); highest != o.Sequence || len(holes) > 0 {
			t.Errorf("the sequence numbers of %s are %d without %v, want all up to %d", o.Document.Organisation, highest, holes, o.Sequence)
		}
	}
}

// The node stops after a record was logged and before the cursor moves.
func TestSequenceNumbersBeforeALoggedRecordAreKept(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newFoundedWorld(t, alpha, bravo)
	object := w.Mint(bravo, w.Object(1))
	window := []consortium.Event{object, w.keyring(alpha, bravo), w.Destroy(bravo, object.Asset)}
	w.Blocks.FailNext = errors.New("the node is stopped here")
	if err := w.Deliver(window...); err == nil {
		t.Fatal("the delivery was not interrupted")
	}
	w.Open()
	nodetest.Must(t, w.Deliver(window...))
	for _, o := range []*nodetest.Org{alpha, bravo} {
		if highest, holes := w.State.Sequence(o.Address()); highest != o.Sequence || len(holes) > 0 {
			t.Errorf("the sequence numbers of %s are %d without %v, want all up to %d", o.Document.Organisation, highest, holes, o.Sequence)
		}
	}
}

func TestAnObjectThatIsMadeAndDestroyedInOneWindowMayBePublishedAgain(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	items, err := w.R.Outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte("k")}}})
	nodetest.Must(t, err)
	object := w.Mint(alpha, w.Object(1))
	_, err = w.R.Outbox.AddGroups([]outbox.Group{{TxIDs: []string{object.TxID}}}, items)
	nodetest.Must(t, err)
	nodetest.Must(t, w.Deliver(object, w.Destroy(alpha, object.Asset)))
	item, _, err := w.R.Outbox.Find([]byte("k"))
	nodetest.Must(t, err)
	if item.State != outbox.Withdrawn {
		t.Errorf("the item is %s: posting it again would answer success and publish nothing", item.State)
	}
}

// A record that breaks the rules is as if it had never been minted, today and after a restart.
func TestARecordThatWasRefusedStaysVoidAfterARestart(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	for name, spoil := range map[string]func(*consortium.Event){
		"its content is wrong": func(*consortium.Event) {},
		"its hash is wrong":    func(e *consortium.Event) { e.MetadataHash[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			alpha.Sequence = 0
			w := newWorld(t, alpha)
			events := w.Found(alpha)
			w.Open()
			nodetest.Must(t, w.Deliver(events...))
			w.Drain()
			// A record about another collection than its note says.
			other, err := consortium.DraftCollection(w.ID, uuid.NewString(), 1, wire.Collection{Title: "Other", DefaultLevel: "green", Metadata: wire.MetadataOpen},
				map[uint32]*seal.EpochKey{1: w.Key}, []string{alpha.Identity.Recipient()}, time.Now())
			nodetest.Must(t, err)
			other.Note.Collection = w.Collection
			void := w.Mint(alpha, other)
			spoil(&void)
			nodetest.Must(t, w.Deliver(void, w.Mint(alpha, w.Object(1))))
			w.Drain()
			if n := w.Shown(); n != 1 {
				t.Errorf("%d objects are served, want 1", n)
			}
			w.Open()
			if _, ok := w.State.Collection(w.Collection); !ok {
				t.Error("after a restart the collection can't be read")
			}
		})
	}
}

// An NFT that was minted with an account that was replaced since can't be destroyed: its publisher withdraws it by a
// record, and nobody else does.
func TestWhatWasPublishedWithAnEarlierAccountIsWithdrawnByARecordOfItsPublishers(t *testing.T) {
	h := worldtest.NewHostileWorld(t)
	e := h.Mint(h.Mallory, h.Object(1))
	h.Takes(e)
	h.Rotates(h.Mallory, worldtest.Changes{Account: true})
	withdraws := func(by *nodetest.Org) {
		t.Helper()
		draft, err := consortium.DraftWithdrawal(h.ID, e.Asset, 0, time.Now())
		nodetest.Must(t, err)
		h.Takes(h.Mint(by, draft))
	}
	withdraws(h.Founder)
	if h.Shown() != 1 {
		t.Fatal("another member withdraws it")
	}
	withdraws(h.Mallory)
	if here, err := h.Blocks.Has(t.Context(), mustDecode(t, e.Directory)); h.Shown() != 0 || here || err != nil {
		t.Errorf("%d objects are shown; its blocks are here: %t, %v", h.Shown(), here, err)
	}
}
