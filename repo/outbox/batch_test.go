package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// inBatches accepts objects that may go in batches.
func inBatches(t testing.TB, o *Outbox, as Anchor, names ...string) []Item {
	t.Helper()
	submissions := make([]Submission, len(names))
	for i, name := range names {
		submissions[i] = submission(name)
		submissions[i].Item.Collection, submissions[i].Item.User = "c", "user"
	}
	items, err := acceptAs(o, submissions, as)
	must(t, err)
	return items
}

// acceptAs accepts a request in batches, if there is enough for them.
func acceptAs(o *Outbox, submissions []Submission, as Anchor) ([]Item, error) {
	r := o.Begin()
	defer r.End()
	fresh, err := o.Fresh(submissions)
	if err != nil {
		return nil, err
	}
	if as.From > 0 && Count(fresh) >= as.From {
		r.Batch(as)
	}
	return r.Accept(submissions)
}

func named(name string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%04d", name, i)
	}
	return names
}

// storeBatch seals a batch, as far as the outbox is concerned.
func storeBatch(t testing.TB, o *Outbox, batch Item) {
	t.Helper()
	objects, err := o.Objects(batch)
	must(t, err)
	for i := range objects {
		objects[i].Directory = "directory of " + objects[i].ObjectID
	}
	batch.Directory, batch.Epoch = fmt.Sprintf("directory of batch %d", batch.Number), 1
	must(t, o.SetBatchStored(batch, objects))
}

// reopen takes a batch back.
func reopen(t testing.TB, o *Outbox, batch Item, found ...Found) {
	t.Helper()
	batch, err := o.BeginReopening(batch)
	must(t, err)
	objects, err := o.Objects(batch)
	must(t, err)
	payloads := make([][]byte, len(objects))
	for i, object := range objects {
		payloads[i] = []byte("payload of " + object.ObjectID)
	}
	must(t, o.KeepPayloads(objects, payloads))
	must(t, o.ReopenBatch(batch, found))
}

var usual = Anchor{From: 101, Most: 1000, Bytes: 8 << 20}

func itemNamed(t testing.TB, o *Outbox, name string) Item {
	t.Helper()
	item, found, err := o.Find([]byte(name))
	must(t, err)
	if !found {
		t.Fatalf("there is no item %s", name)
	}
	return item
}

func TestALargeRequestIsAFewTransactions(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	names := named("large", 2500)
	for i, item := range inBatches(t, o, usual, names...) {
		if !item.New || item.State != Accepted || item.ObjectID != names[i] {
			t.Fatalf("object %d comes in as %+v", i, item)
		}
	}
	batches := queue(t, o, Accepted)
	if len(batches) != 3 || batches[0].Objects != 1000 || batches[1].Objects != 1000 || batches[2].Objects != 500 {
		t.Fatalf("they are %d transactions: %+v", len(batches), batches)
	}
	for _, batch := range batches {
		if batch.Note.Kind != wire.KindBatch || batch.Collection != "c" || batch.User != "user" {
			t.Errorf("a batch is %+v", batch)
		}
		storeBatch(t, o, batch)
	}
	if n := o.Count(); n[Accepted] != 0 || n[Stored] != 2500 {
		t.Errorf("there are %v", n)
	}
	group(t, o, queue(t, o, Stored))
	signed := itemNamed(t, o, names[1001])
	if signed.State != Signed || signed.TxID == "" || signed.Note.Sequence != 2 || signed.Index != 2 || signed.Note.Kind != wire.KindObject {
		t.Errorf("the second object of the second batch is %+v", signed)
	}
	if _, err := o.Confirm([]consortium.Place{{TxID: signed.TxID, Round: 7, Asset: 8}}); err != nil {
		t.Fatal(err)
	}
	if item := itemNamed(t, o, names[1999]); item.State != Confirmed || item.Asset != 8 || item.Round != 7 || item.Index != 1000 {
		t.Errorf("the last of it is %+v", item)
	}
	if n := o.Count(); n[Stored] != 0 || n[Signed] != 1500 {
		t.Errorf("there are %v", n)
	}
}

// What is new counts, not what is in the request.
func TestASmallRequestHasATransactionForEachObject(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	names := named("a", 101)
	inBatches(t, o, usual, names[:100]...)
	if n := len(queue(t, o, Accepted)); n != 100 {
		t.Errorf("100 objects are %d transactions", n)
	}
	inBatches(t, o, usual, names...)
	if n := len(queue(t, o, Accepted)); n != 101 {
		t.Errorf("one more is %d transactions", n)
	}
	inBatches(t, o, usual, named("b", 101)...)
	if n := len(queue(t, o, Accepted)); n != 102 {
		t.Errorf("101 objects more are %d transactions", n-101)
	}
	inBatches(t, o, Anchor{}, named("c", 300)...)
	if n := len(queue(t, o, Accepted)); n != 402 {
		t.Errorf("without batches there are %d transactions, want 402", n)
	}
}

func TestABatchTakesNoMoreThanIsHeldInMemory(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 1000, Bytes: 3 * len("payload of a-0000")}, named("a", 7)...)
	var sizes []int
	for _, batch := range queue(t, o, Accepted) {
		sizes = append(sizes, batch.Objects)
	}
	if !slices.Equal(sizes, []int{3, 3, 1}) {
		t.Errorf("the batches have %v objects", sizes)
	}
}

// A request is taken in with several commits. Whoever looks at the queue meanwhile sees none of its batches, and all of
// them afterwards; so does a node that is started again after the request was cut off.
func TestABatchIsNotSealedBeforeItsRequestIsIn(t *testing.T) {
	memory, err := kv.NewMemoryOf(16 << 20)
	must(t, err)
	defer func() { must(t, memory.Close()) }()
	var o *Outbox
	looking, left := 0, 3
	hook := kv.Hooks{Commit: func(commit func() error) error {
		if left--; left < 0 {
			return errors.New("the power is gone")
		}
		err := commit()
		looking += len(queue(t, o, Accepted))
		return err
	}}
	o, err = Open(store.New(memory.DB(hook)))
	must(t, err)
	reader := o.Reader(Accepted)
	_, err = acceptAs(o, submissions(named("a", 5*acceptItems)), Anchor{From: 1, Most: 5 * acceptItems, Bytes: 8 << 20})
	if err == nil || looking != 0 {
		t.Fatalf("%d batches were to be sealed while more came in (%v)", looking, err)
	}
	if batches, err := reader.Next(10); err != nil || len(batches) != 1 || batches[0].Objects != 3*acceptItems {
		t.Errorf("after it was cut off there are %+v (%v)", batches, err)
	}
	again, err := Open(store.New(memory.DB(kv.Hooks{})))
	must(t, err)
	if batches := queue(t, again, Accepted); len(batches) != 1 || batches[0].Objects != 3*acceptItems || again.Count()[Accepted] != batches[0].Objects {
		t.Errorf("after the next start there are %+v, and %v", batches, again.Count())
	}
}

func submissions(names []string) (list []Submission) {
	for _, name := range names {
		s := submission(name)
		s.Item.User = "user"
		list = append(list, s)
	}
	return list
}

// It is sealed again with the number that it has, without what was found on the chain.
func TestABatchThatIsSealedAgainLosesNothing(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	names := named("a", 3)
	inBatches(t, o, Anchor{From: 1, Most: 10, Bytes: 1000}, names...)
	storeBatch(t, o, queue(t, o, Accepted)[0])
	must(t, o.Expire(group(t, o, queue(t, o, Stored))))
	batch := queue(t, o, Stored)[0]
	object := itemNamed(t, o, names[1])
	if used, err := o.Uses(object.Directory); err != nil || !used {
		t.Errorf("the directory of an object of a sealed batch is in use: %v (%v)", used, err)
	}
	if err := o.GiveUp(object, "no"); err == nil {
		t.Error("an object is given up that is sealed with others")
	}
	reopen(t, o, batch, Found{Object: object, At: consortium.Place{TxID: "LOST", Round: 3, Asset: 9, Index: 17, Directory: "there"}})
	if used, err := o.Uses(object.Directory); err != nil || used {
		t.Errorf("the directory of an object that is sealed again is in use: %v (%v)", used, err)
	}
	batch = queue(t, o, Accepted)[0]
	if batch.Objects != 2 || batch.Note.Sequence != 1 || batch.Reopening || batch.Directory != "" || o.Count()[Accepted] != 2 {
		t.Errorf("the batch is %+v; there are %v", batch, o.Count())
	}
	if item := itemNamed(t, o, names[1]); item.State != Confirmed || item.TxID != "LOST" || item.Index != 17 || item.Directory != "there" || item.Note.Sequence != 0 {
		t.Errorf("what was found is %+v", item)
	}
	for _, name := range []string{names[0], names[2]} {
		item := itemNamed(t, o, name)
		if payload, err := o.Payload(item.Number); err != nil || string(payload) != "payload of "+name || item.State != Accepted || item.Directory != "" {
			t.Errorf("%s is %+v, with %q (%v)", name, item, payload, err)
		}
	}
	must(t, o.Withdraw(wire.Publication{TxID: "LOST", Index: 16}, wire.Publication{TxID: "LOST", Index: 18}))
	if item := itemNamed(t, o, names[1]); item.State != Confirmed {
		t.Errorf("with the withdrawal of others it is %s", item.State)
	}
	must(t, o.Withdraw(wire.Publication{TxID: "LOST", Index: 17}))
	if item := itemNamed(t, o, names[1]); item.State != Withdrawn {
		t.Errorf("withdrawn, it is %s", item.State)
	}
}

// The last object that leaves a batch takes it along, and its number goes to something else.
func TestABatchOfNothingIsNone(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 10, Bytes: 1000}, "a", "b")
	storeBatch(t, o, queue(t, o, Accepted)[0])
	must(t, o.Expire(group(t, o, queue(t, o, Stored))))
	reopen(t, o, queue(t, o, Stored)[0])
	for _, name := range []string{"a", "b"} {
		item := itemNamed(t, o, name)
		must(t, o.GiveUp(item, "too wide"))
		if _, err := o.Payload(item.Number); err == nil || itemNamed(t, o, name).State != Withdrawn || itemNamed(t, o, name).Failure != "too wide" {
			t.Errorf("given up, it is %+v", itemNamed(t, o, name))
		}
	}
	if len(queue(t, o, Accepted)) != 0 || o.Count()[Accepted] != 0 || !slices.Equal(o.counters.Free, []uint64{1}) {
		t.Errorf("there are %v, and the numbers %v", o.Count(), o.counters.Free)
	}
}

func TestObjectsAreWithdrawnOneByOneOrAllAtOnce(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	marking := "marking-definition--x"
	inBatches(t, o, Anchor{From: 1, Most: 10, Bytes: 1000}, "a", "b", marking)
	storeBatch(t, o, queue(t, o, Accepted)[0])
	g := group(t, o, queue(t, o, Stored))
	_, err := o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 7, Asset: 8}})
	must(t, err)
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0], Index: 2}, wire.Publication{TxID: g.TxIDs[0], Index: 11}, wire.Publication{TxID: "ANOTHERS", Index: 1}))
	if a, b := itemNamed(t, o, "a"), itemNamed(t, o, "b"); a.State != Confirmed || b.State != Withdrawn || b.TxID != g.TxIDs[0] || b.Index != 2 {
		t.Errorf("the first is %s, the second %+v", a.State, b)
	}
	if again := inBatches(t, o, usual, "a", "b"); again[0].New || !again[1].New || again[1].Publication != 1 {
		t.Errorf("posted again they are %+v", again)
	}
	if definitions, err := o.Markings(marking, 10); err != nil || len(definitions) != 1 {
		t.Errorf("%d definitions are kept (%v)", len(definitions), err)
	}
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0]}))
	if item := itemNamed(t, o, "a"); item.State != Withdrawn || itemNamed(t, o, "b").State != Accepted {
		t.Errorf("withdrawn with all of its batch, it is %s", item.State)
	}
	if definitions, err := o.Markings(marking, 10); err != nil || len(definitions) != 0 {
		t.Errorf("%d definitions are kept of what was withdrawn (%v)", len(definitions), err)
	}
}

func TestAStatusTellsOfObjectsWhatTheirBatchSays(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	items := append(inBatches(t, o, Anchor{From: 1, Most: 2, Bytes: 1000}, "a", "b", "c"), accept(t, o, "d")...)
	var lines []StatusLine
	for _, item := range items {
		lines = append(lines, StatusLine{Item: item.Number})
	}
	storeBatch(t, o, queue(t, o, Accepted)[1])
	g := group(t, o, queue(t, o, Stored))
	told, err := o.ItemsOf(lines)
	must(t, err)
	var states []State
	for _, item := range items {
		states = append(states, told[item.Number].State)
	}
	if !slices.Equal(states, []State{Signed, Signed, Accepted, Accepted}) && !slices.Equal(states, []State{Accepted, Accepted, Signed, Accepted}) {
		t.Errorf("they are %v", states)
	}
	for _, item := range told {
		if (item.TxID == g.TxIDs[0]) != (item.State == Signed) {
			t.Errorf("the transaction of %+v", item)
		}
	}
}

// What is on its way is in a backup's list, with what is in batches.
func TestAllDirectoriesOnTheirWayAreKnown(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 10, Bytes: 1000}, "a", "b")
	storeBatch(t, o, queue(t, o, Accepted)[0])
	var directories []string
	must(t, o.store.Read(func(txn *kv.Txn) error {
		return EachPending(txn, func(directory string) error {
			directories = append(directories, directory)
			return nil
		})
	}))
	if len(directories) != 3 || !slices.Contains(directories, "directory of b") {
		t.Errorf("they are %q", directories)
	}
}

// However long its names are: a batch is recorded as stored in one transaction, and goes back in one.
func TestTheLargestBatchFitsIntoATransaction(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	long := strings.Repeat("x", 250)
	var list []Submission
	for n := range 1000 {
		s := submission(fmt.Sprintf("%s--%036d", long, n))
		s.Item.Key, s.Item.Hash = fmt.Appendf(nil, "%032d", n), make([]byte, 32)
		s.Item.User, s.Item.Collection, s.Item.Version = long[:64], long[:36], "2026-01-02T03:04:05.678901234Z"
		s.Item.Replaces, s.Item.ReplacesAsset, s.Item.ReplacesIndex = 1<<40, 1<<60, 1000
		list = append(list, s)
	}
	_, err := acceptAs(o, list, usual)
	must(t, err)
	batch := queue(t, o, Accepted)[0]
	objects, err := o.Objects(batch)
	must(t, err)
	for i := range objects {
		objects[i].Directory, objects[i].MetadataHash, objects[i].Epoch = fmt.Sprintf("%s%04d", long[:55], i), make([]byte, 32), 1<<31
		objects[i].Publisher = long[:58]
	}
	batch.Directory = "directory"
	must(t, o.SetBatchStored(batch, objects))
	reopen(t, o, queue(t, o, Stored)[0])
	if n := o.Count(); n[Accepted] != 1000 || n[Stored] != 0 {
		t.Errorf("there are %v", n)
	}
}

func TestWhatWasPublishedIsFoundWhateverHasBecomeOfIt(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 10, Bytes: 1000}, "a", "b")
	storeBatch(t, o, queue(t, o, Accepted)[0])
	g := group(t, o, queue(t, o, Stored))
	_, err := o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 7, Asset: 8}})
	must(t, err)
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0], Index: 2}))
	again := inBatches(t, o, usual, "b")
	for index, want := range map[uint32]string{0: "", 1: "a", 2: "b", 3: "none", 99: "none"} {
		item, found, err := o.Published(wire.Publication{TxID: g.TxIDs[0], Index: index})
		must(t, err)
		if found != (want != "none") || found && string(item.Key) != want && index != 0 || found && item.Number == again[0].Number {
			t.Errorf("at %d is %q, %v", index, item.Key, found)
		}
	}
	if _, found, err := o.Published(wire.Publication{TxID: "ANOTHERS"}); found || err != nil {
		t.Errorf("another's is found: %v", err)
	}
}
