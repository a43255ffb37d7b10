package replicate_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// founded is a world whose charter, members and default collection are read.
func founded(t *testing.T, self *nodetest.Org, others ...*nodetest.Org) *world {
	t.Helper()
	w := newWorld(t, self)
	events := w.Found(append([]*nodetest.Org{self}, others...)...)
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	return w
}

// record mints a record of a collection of the owner's own in which all publish, for the given recipients.
func (w *world) record(owner *nodetest.Org, id string, epoch uint32, recipients ...*nodetest.Org) consortium.Event {
	w.T.Helper()
	key, err := seal.NewEpochKey()
	nodetest.Must(w.T, err)
	var to []string
	for _, o := range recipients {
		to = append(to, o.Identity.Recipient())
	}
	draft, err := consortium.DraftCollection(w.ID, id, epoch, wire.Collection{
		Title: "A collection", DefaultLevel: "green", Metadata: wire.MetadataOpen, Readers: wire.Accounts{Members: true}, Contributors: wire.Accounts{Members: true},
	}, map[uint32]*seal.EpochKey{epoch: key}, to, time.Now())
	nodetest.Must(w.T, err)
	return w.Mint(owner, draft)
}

// What a record says is found out once. After a restart it is known, though none of its blocks is read.
func TestARecordIsReadOnce(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	nodetest.Must(t, w.Deliver(w.record(other, uuid.NewString(), 1, self), w.record(other, uuid.NewString(), 1, other), w.keyring(self, other)))
	w.Drain()
	before := w.State.Collections()
	if len(before) != 2 {
		t.Fatalf("%d collections can be read, want 2", len(before))
	}
	read := 0
	w.Blocks.Reading = func() { read++ }
	w.Open()
	w.Drain()
	if read > 0 {
		t.Errorf("%d directories are read at the start", read)
	}
	if after := w.State.Collections(); len(after) != 2 || after[0].Properties.Title != before[0].Properties.Title || !after[0].Key.Equal(before[0].Key) {
		t.Errorf("after the start the collections are %+v", after)
	}
}

// Another identity can open what this one could not.
func TestRecordsAreReadAnewWithOtherKeys(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	later := nodetest.NewOrg(t, "later")
	nodetest.Must(t, w.Deliver(w.record(other, uuid.NewString(), 1, later)))
	w.Drain()
	if got := len(w.State.Collections()); got != 1 {
		t.Fatalf("%d collections can be read, want 1", got)
	}
	w.Self = &nodetest.Org{Account: self.Account, Identity: later.Identity.With(self.Identity), Document: self.Document}
	w.Open()
	w.Drain()
	if got := len(w.State.Collections()); got != 2 {
		t.Errorf("with other keys %d collections can be read, want 2", got)
	}
}

// A record whose blocks were lost is got again, and what it says is known meanwhile.
func TestARecordWhoseBlocksAreLostIsGotAgain(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	kept := w.Blocks.Dirs
	w.Blocks = nodetest.NewMemStore()
	w.Open()
	if len(w.State.Collections()) != 1 {
		t.Error("with the blocks the state is lost")
	}
	if waiting, _ := w.R.View.CountEvents(); waiting == 0 {
		t.Fatal("nothing is asked for")
	}
	w.Blocks.Dirs = kept
	w.Drain()
	if waiting, _ := w.R.View.CountEvents(); waiting != 0 {
		t.Errorf("%d records wait still", waiting)
	}
}

// Reading the records of a load ends after a while; the others are read in the next loads, and nothing is lost.
func TestManyRecordsAreReadInPortions(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	w.Fetcher.RecordTime = 0 // one in each load
	var events []consortium.Event
	for range 12 {
		events = append(events, w.record(other, uuid.NewString(), 1, self))
	}
	nodetest.Must(t, w.Deliver(events...))
	nodetest.Must(t, w.Deliver(w.Mint(self, w.Object(1))))
	due, _, err := w.R.View.Due(view.Fresh, nil, time.Now(), replicate.FetchBatch)
	nodetest.Must(t, err)
	nodetest.Must(t, w.Fetcher.Load(t.Context(), due))
	if got := len(w.State.Collections()); got != 2 || w.Shown() != 1 {
		t.Errorf("after one load %d collections are known and %d objects are shown, want 2 and 1", got, w.Shown())
	}
	w.Drain()
	if got := len(w.State.Collections()); got != 13 {
		t.Errorf("%d collections are known, want 13", got)
	}
}

func TestObjectsThatNameOneDirectoryAreOpenedOnce(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	first := w.Mint(other, w.Object(1))
	events := []consortium.Event{first}
	for range 300 {
		e := w.MintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), first.MetadataHash)
		events = append(events, e)
	}
	wrong := w.MintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), make([]byte, 32))
	nodetest.Must(t, w.Deliver(append(events, wrong)...))
	read := 0
	w.Blocks.Reading = func() { read++ }
	w.Drain()
	if read > 3 { // once in a load
		t.Errorf("the directory is read %d times for %d NFTs", read, len(events))
	}
	if w.Shown() != 1 {
		t.Errorf("%d objects are shown, want 1", w.Shown())
	}
	for i, e := range append(events, wrong) {
		logged, _, err := w.R.View.Event(e.TxID)
		nodetest.Must(t, err)
		want := view.Duplicate
		switch i {
		case 0:
			want = view.InView
		case len(events):
			want = view.Refused
		}
		if logged.State != want {
			t.Fatalf("NFT %d is %s, want %s", i, logged.State, want)
		}
	}
	// The first is taken back: the next takes its place, with the same content.
	nodetest.Must(t, w.Deliver(w.Destroy(other, first.Asset)))
	w.Drain()
	if entry, err := w.R.View.Latest(w.Collection, "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"); err != nil || entry == nil || entry.TxID != events[1].TxID {
		t.Errorf("the object is %+v, %v", entry, err)
	}
}

// Anybody can take back as many NFTs of one directory as it likes, in one window.
func TestManyWithdrawalsOfOneDirectoryDeleteItsBlocksOnceAndLast(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	first := w.Mint(other, w.Object(1))
	events := []consortium.Event{first}
	for range 250 {
		events = append(events, w.MintDirectory(other, wire.Note{Kind: wire.KindObject}, mustDecode(t, first.Directory), first.MetadataHash))
	}
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	var destroys []consortium.Event
	for _, e := range events {
		destroys = append(destroys, w.Destroy(other, e.Asset))
	}
	nodetest.Must(t, w.Deliver(destroys[:250]...))
	if here, err := w.Blocks.Has(t.Context(), mustDecode(t, first.Directory)); err != nil || !here {
		t.Fatal("the blocks are gone while an NFT needs them")
	}
	nodetest.Must(t, w.Deliver(destroys[250:]...))
	if here, err := w.Blocks.Has(t.Context(), mustDecode(t, first.Directory)); err != nil || here {
		t.Error("the blocks are kept though no NFT needs them")
	}
	if w.Shown() != 0 {
		t.Errorf("%d objects are shown", w.Shown())
	}
}

// One member's flood: what another one mints after it is in the next load.
func TestAFloodOfOneMemberHoldsUpNobodyElse(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	var flood []consortium.Event
	for n := range 2000 {
		root, err := wire.DirectoryCID.Sum(fmt.Appendf(nil, "nobody has it %d", n))
		nodetest.Must(t, err)
		flood = append(flood, w.MintDirectory(other, wire.Note{Kind: wire.KindObject}, root, make([]byte, 32)))
	}
	nodetest.Must(t, w.Deliver(flood...))
	nodetest.Must(t, w.Deliver(w.Mint(self, w.Object(1)), w.record(self, uuid.NewString(), 1, self)))
	due, _, err := w.R.View.Due(view.Fresh, nil, time.Now(), replicate.FetchBatch)
	nodetest.Must(t, err)
	if len(due) != replicate.FetchBatch || !slices.ContainsFunc(due, func(e view.Event) bool { return e.Sender == self.Address() && e.Note.Kind == wire.KindObject }) {
		t.Errorf("%d events are due, and the other member's are not among them", len(due))
	}
	if !slices.ContainsFunc(due, func(e view.Event) bool { return e.Note.Kind == wire.KindCollection }) {
		t.Error("the record is not among them")
	}
}

func mustDecode(t *testing.T, text string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(text)
	nodetest.Must(t, err)
	return c
}

// A consortium of before there was a publisher in the metadata can't be read by anybody. Its nodes stop and say so,
// rather than to wait for ever for records that are void.
func TestANodeOfAConsortiumOfAFormerFormatStops(t *testing.T) {
	self := nodetest.NewOrg(t, "self")
	w := newWorld(t, self)
	events := w.Found(self)
	files, err := w.Blocks.Dirs[cid.MustParse(events[0].Directory)].Files()
	nodetest.Must(t, err)
	for i := range files {
		files[i].Data = bytes.Replace(files[i].Data, []byte(`"publisher":"`+self.Address()+`",`), nil, 1)
		if files[i].Name == wire.MetadataName {
			hash := wire.MetadataHash(files[i].Data)
			events[0].MetadataHash = hash[:]
		}
	}
	former, err := unixfs.Build(files...)
	nodetest.Must(t, err)
	nodetest.Must(t, w.Blocks.Put(t.Context(), []unixfs.Directory{former}))
	events[0].Directory = former.Root().String()
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	if err := w.TryDrain(t.Context()); !errors.Is(err, replicate.ErrFormerFormat) {
		t.Errorf("it goes on: %v", err)
	}
	if e, _, err := w.R.View.Event(events[0].TxID); err != nil || e.State != view.Waiting {
		t.Errorf("the charter is %s (%v)", e.State, err)
	}
}
