package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// founded is a world whose charter, members and default collection are read.
func founded(t *testing.T, self *org, others ...*org) *world {
	t.Helper()
	w := newWorld(t, self)
	events := w.found(append([]*org{self}, others...)...)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	return w
}

// record mints a record of a collection of the owner's own, for the given recipients.
func (w *world) record(owner *org, id string, epoch uint32, recipients ...*org) consortium.Event {
	w.t.Helper()
	key, err := seal.NewEpochKey()
	must(w.t, err)
	var to []string
	for _, o := range recipients {
		to = append(to, o.identity.Recipient())
	}
	draft, err := consortium.DraftCollection(w.id, id, epoch, wire.Collection{
		Title: "A collection", DefaultLevel: "green", Metadata: wire.MetadataOpen, Readers: wire.Accounts{Members: true},
	}, map[uint32]*seal.EpochKey{epoch: key}, to, time.Now())
	must(w.t, err)
	return w.mint(owner, draft)
}

// What a record says is found out once. After a restart it is known, though none of its blocks is read.
func TestARecordIsReadOnce(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	must(t, w.deliver(w.record(other, uuid.NewString(), 1, self), w.record(other, uuid.NewString(), 1, other), w.keyring(self, other)))
	w.drain()
	before := w.fold.collections()
	if len(before) != 2 {
		t.Fatalf("%d collections can be read, want 2", len(before))
	}
	read := 0
	w.blocks.reading = func() { read++ }
	w.open()
	w.drain()
	if read > 0 {
		t.Errorf("%d directories are read at the start", read)
	}
	if after := w.fold.collections(); len(after) != 2 || after[0].Properties.Title != before[0].Properties.Title || !after[0].Key.Equal(before[0].Key) {
		t.Errorf("after the start the collections are %+v", after)
	}
}

// Another identity can open what this one could not.
func TestRecordsAreReadAnewWithOtherKeys(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	later := newOrg(t, "later")
	must(t, w.deliver(w.record(other, uuid.NewString(), 1, later)))
	w.drain()
	if got := len(w.fold.collections()); got != 1 {
		t.Fatalf("%d collections can be read, want 1", got)
	}
	w.self = &org{account: self.account, identity: later.identity.With(self.identity), document: self.document}
	w.open()
	w.drain()
	if got := len(w.fold.collections()); got != 2 {
		t.Errorf("with other keys %d collections can be read, want 2", got)
	}
}

// A record whose blocks were lost is got again, and what it says is known meanwhile.
func TestARecordWhoseBlocksAreLostIsGotAgain(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	kept := w.blocks.dirs
	w.blocks = newMemStore()
	w.open()
	if len(w.fold.collections()) != 1 {
		t.Error("with the blocks the state is lost")
	}
	if waiting, _ := w.r.View.CountEvents(); waiting == 0 {
		t.Fatal("nothing is asked for")
	}
	w.blocks.dirs = kept
	w.drain()
	if waiting, _ := w.r.View.CountEvents(); waiting != 0 {
		t.Errorf("%d records wait still", waiting)
	}
}

// Reading the records of a load ends after a while; the others are read in the next loads, and nothing is lost.
func TestManyRecordsAreReadInPortions(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	w.fetcher.recordTime = 0 // one in each load
	var events []consortium.Event
	for range 12 {
		events = append(events, w.record(other, uuid.NewString(), 1, self))
	}
	must(t, w.deliver(events...))
	must(t, w.deliver(w.mint(self, w.object(1))))
	due, _, err := w.r.View.Due(repo.Fresh, nil, time.Now(), fetchBatch)
	must(t, err)
	l, err := w.fetcher.fetch(t.Context(), due, freshTimeout)
	must(t, err)
	must(t, w.fetcher.settle(t.Context(), l))
	if got := len(w.fold.collections()); got != 2 || w.shown() != 1 {
		t.Errorf("after one load %d collections are known and %d objects are shown, want 2 and 1", got, w.shown())
	}
	w.drain()
	if got := len(w.fold.collections()); got != 13 {
		t.Errorf("%d collections are known, want 13", got)
	}
}

func TestObjectsThatNameOneDirectoryAreOpenedOnce(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	first := w.mint(other, w.object(1))
	events := []consortium.Event{first}
	for range 300 {
		e := w.mintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), first.MetadataHash)
		events = append(events, e)
	}
	wrong := w.mintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), make([]byte, 32))
	must(t, w.deliver(append(events, wrong)...))
	read := 0
	w.blocks.reading = func() { read++ }
	w.drain()
	if read > 3 { // once in a load
		t.Errorf("the directory is read %d times for %d NFTs", read, len(events))
	}
	if w.shown() != 1 {
		t.Errorf("%d objects are shown, want 1", w.shown())
	}
	for i, e := range append(events, wrong) {
		logged, _, err := w.r.View.Event(e.TxID)
		must(t, err)
		want := repo.Duplicate
		switch i {
		case 0:
			want = repo.InView
		case len(events):
			want = repo.Refused
		}
		if logged.State != want {
			t.Fatalf("NFT %d is %s, want %s", i, logged.State, want)
		}
	}
	// The first is taken back: the next takes its place, with the same content.
	must(t, w.deliver(w.destroy(other, first.Asset)))
	w.drain()
	if entry, err := w.r.View.Latest(w.collection, "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"); err != nil || entry == nil || entry.TxID != events[1].TxID {
		t.Errorf("the object is %+v, %v", entry, err)
	}
}

// Anybody can take back as many NFTs of one directory as it likes, in one window.
func TestManyWithdrawalsOfOneDirectoryDeleteItsBlocksOnceAndLast(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	first := w.mint(other, w.object(1))
	events := []consortium.Event{first}
	for range 250 {
		events = append(events, w.mintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), first.MetadataHash))
	}
	must(t, w.deliver(events...))
	w.drain()
	var destroys []consortium.Event
	for _, e := range events {
		destroys = append(destroys, w.destroy(other, e.Asset))
	}
	must(t, w.deliver(destroys[:250]...))
	if here, err := w.blocks.Has(t.Context(), mustDecode(t, first.Directory)); err != nil || !here {
		t.Fatal("the blocks are gone while an NFT needs them")
	}
	must(t, w.deliver(destroys[250:]...))
	if here, err := w.blocks.Has(t.Context(), mustDecode(t, first.Directory)); err != nil || here {
		t.Error("the blocks are kept though no NFT needs them")
	}
	if w.shown() != 0 {
		t.Errorf("%d objects are shown", w.shown())
	}
}

// One member's flood: what another one mints after it is in the next load.
func TestAFloodOfOneMemberHoldsUpNobodyElse(t *testing.T) {
	self, other := newOrg(t, "self"), newOrg(t, "other")
	w := founded(t, self, other)
	var flood []consortium.Event
	for n := range 2000 {
		root, err := wire.DirectoryCID.Sum(fmt.Appendf(nil, "nobody has it %d", n))
		must(t, err)
		flood = append(flood, w.mintDirectory(other, wire.Note{Kind: wire.KindObject}, root, make([]byte, 32)))
	}
	must(t, w.deliver(flood...))
	must(t, w.deliver(w.mint(self, w.object(1)), w.record(self, uuid.NewString(), 1, self)))
	due, _, err := w.r.View.Due(repo.Fresh, nil, time.Now(), fetchBatch)
	must(t, err)
	if len(due) != fetchBatch || !slices.ContainsFunc(due, func(e repo.LoggedEvent) bool { return e.Sender == self.address() && e.Note.Kind == wire.KindObject }) {
		t.Errorf("%d events are due, and the other member's are not among them", len(due))
	}
	if !slices.ContainsFunc(due, func(e repo.LoggedEvent) bool { return e.Note.Kind == wire.KindCollection }) {
		t.Error("the record is not among them")
	}
}

func mustDecode(t *testing.T, text string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(text)
	must(t, err)
	return c
}
