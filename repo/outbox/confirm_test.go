package outbox

import (
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Objects that were found in another's batch are known by their places there.
func TestWhatWasFoundInAnothersBatchIsWithdrawnAloneOrWithAllOfIt(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	for i, item := range accept(t, o, "a", "b", "c", "elsewhere") {
		at := consortium.Place{TxID: "THEIRS", Round: 5, Asset: 6, Index: uint32(i + 1)}
		if i == 3 {
			at.TxID = "OTHERS"
		}
		must(t, o.Resolve(item, at, ""))
	}
	states := func() (states []State) {
		for _, name := range []string{"a", "b", "c", "elsewhere"} {
			states = append(states, itemNamed(t, o, name).State)
		}
		return states
	}
	must(t, o.Withdraw(wire.Publication{TxID: "THEIRS", Index: 2}, wire.Publication{TxID: "THEIRS", Index: 4}))
	if got := states(); !slices.Equal(got, []State{Confirmed, Withdrawn, Confirmed, Confirmed}) {
		t.Errorf("after the second one was withdrawn they are %v", got)
	}
	must(t, o.Withdraw(wire.Publication{TxID: "THEIRS"}))
	if got := states(); !slices.Equal(got, []State{Withdrawn, Withdrawn, Withdrawn, Confirmed}) {
		t.Errorf("after all were withdrawn they are %v", got)
	}
}

func TestAPlaceThatABatchDoesNotHaveWithdrawsNothing(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 9, Bytes: 1000}, "a", "b")
	storeBatch(t, o, queue(t, o, Accepted)[0])
	g := group(t, o, queue(t, o, Stored))
	_, err := o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 6}})
	must(t, err)
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0], Index: 3}))
	if a, b := itemNamed(t, o, "a").State, itemNamed(t, o, "b").State; a != Confirmed || b != Confirmed {
		t.Errorf("they are %s and %s", a, b)
	}
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0], Index: 2}))
	if a, b := itemNamed(t, o, "a").State, itemNamed(t, o, "b").State; a != Confirmed || b != Withdrawn {
		t.Errorf("after the last one was withdrawn they are %s and %s", a, b)
	}
}

// … as what was lost with the blocks that it was sealed into.
func TestWhatCanNeverBePublishedHasNoPlace(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	item := accept(t, o, "a")[0]
	must(t, o.Resolve(item, consortium.Place{}, "lost"))
	if got := itemNamed(t, o, "a"); got.State != Confirmed || got.TxID != "" || got.Failure != "lost" {
		t.Errorf("it is %+v", got)
	}
	if _, found, err := itemByTxID(o, ""); err != nil || found {
		t.Errorf("it is found by no transaction: %v, %v", found, err)
	}
	must(t, o.Resolve(accept(t, o, "without an NFT")[0], consortium.Place{TxID: "X"}, ""))
	if list, err := o.Deposits(time.Now().Add(time.Hour), 10); err != nil || len(list) != 0 {
		t.Errorf("there are the deposits %+v (%v)", list, err)
	}
}

func TestNoMoreDefinitionsAreGivenThanAreAskedFor(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	var all []Submission
	for _, version := range []string{"1", "2", "3"} {
		s := submission("marking-definition--x")
		s.Item.Key = []byte(version)
		all = append(all, s)
	}
	_, err := o.Accept(all)
	must(t, err)
	for limit, want := range map[int]int{1: 1, 2: 2, 3: 3, 9: 3} {
		if definitions, err := o.Markings("marking-definition--x", limit); err != nil || len(definitions) != want {
			t.Errorf("of three, %d were asked for, and there are %d (%v)", limit, len(definitions), err)
		}
	}
}

func TestAListIsReadInParts(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	var all []Submission
	for _, name := range []string{"a", "b", "c", "d"} {
		s := submission(name)
		s.Payload, s.Item.ReplacesAsset = nil, 7
		all = append(all, s)
	}
	items, err := o.Accept(all)
	must(t, err)
	for _, part := range []struct {
		after uint64
		limit int
		want  []uint64
	}{{0, 2, []uint64{1, 2}}, {2, 9, []uint64{3, 4}}, {4, 9, nil}, {1, 1, []uint64{2}}} {
		queued, err := o.Queue(Stored, part.after, part.limit)
		must(t, err)
		replacing, err := o.Replacing(part.after, part.limit)
		must(t, err)
		for what, list := range map[string][]Item{"the queue": queued, "what replaces": replacing} {
			var got []uint64
			for _, item := range list {
				got = append(got, item.Number)
			}
			if !slices.Equal(got, part.want) {
				t.Errorf("%d of %s after item %d are %v, want %v", part.limit, what, part.after, got, part.want)
			}
		}
	}
	for _, item := range items {
		_, err := o.AddGroups([]Group{{TxIDs: []string{item.ObjectID}}}, []Item{item})
		must(t, err)
	}
	if groups, err := o.Groups(1, 2); err != nil || len(groups) != 2 || groups[0].Number != 2 || groups[1].Number != 3 {
		t.Errorf("two groups after the first are %+v (%v)", groups, err)
	}
	must(t, o.SetMemo("m/a", nil))
	must(t, o.SetMemo("m/b", nil))
	must(t, o.SetMemo("n", nil))
	if names, err := o.Memos("m/", 1); err != nil || !slices.Equal(names, []string{"m/b"}) {
		t.Errorf("the last memo is %v (%v)", names, err)
	}
	if names, err := o.Memos("m/", 9); err != nil || !slices.Equal(names, []string{"m/b", "m/a"}) {
		t.Errorf("the memos are %v (%v)", names, err)
	}
}

// Else it would be taken for less than was accepted.
func TestWhatIsDamagedIsToldAndTakenForNothingElse(t *testing.T) {
	unended := []byte{0x80}
	for what, damage := range map[string]struct {
		key  func(batch Item) []byte
		does func(o *Outbox, batch Item) error
	}{
		"the counters":        {func(Item) []byte { return store.Key(store.TableCounter) }, func(o *Outbox, _ Item) error { return ignore(Open(o.store)) }},
		"the size of a batch": {func(batch Item) []byte { return batch.queueKey(Accepted) }, func(o *Outbox, _ Item) error { return ignore(Open(o.store)) }},
		"the list of a batch": {func(batch Item) []byte { return listKey(batch.Number) }, func(o *Outbox, batch Item) error { return ignore(o.Objects(batch)) }},
		"a batch": {func(batch Item) []byte { return store.Key(store.TableItem, store.U64(batch.Number)) }, func(o *Outbox, batch Item) error {
			_, _, err := o.Find([]byte("a"))
			return err
		}},
		"an object": {func(batch Item) []byte { return store.Key(store.TableItem, store.U64(1)) }, func(o *Outbox, batch Item) error {
			return ignore(o.Objects(batch))
		}},
	} {
		o, done := newOutbox(t, t.TempDir())
		inBatches(t, o, Anchor{From: 1, Most: 9, Bytes: 1000}, "a", "b")
		batch := queue(t, o, Accepted)[0]
		must(t, damage.does(o, batch))
		must(t, o.store.Write(func(txn *kv.Txn) error { return txn.Set(damage.key(batch), unended) }))
		if err := damage.does(o, batch); err == nil {
			t.Errorf("%s is damaged, and nothing is said", what)
		}
		done()
	}
}

func TestAnObjectThatIsNotThereIsMissedInItsBatch(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	inBatches(t, o, Anchor{From: 1, Most: 9, Bytes: 1000}, "a", "b")
	batch := queue(t, o, Accepted)[0]
	objects, err := o.Objects(batch)
	must(t, err)
	for what, others := range map[string][]Item{"fewer": objects[:1], "none": nil, "in another order": {objects[1], objects[0]}} {
		if err := o.SetBatchStored(batch, others); err == nil || itemNamed(t, o, "a").State != Accepted {
			t.Errorf("%s, it is stored all the same", what)
		}
	}
	stranger := objects[0]
	stranger.Number = 99
	if err := o.GiveUp(stranger, "no"); err == nil {
		t.Error("what is not in its batch leaves it")
	}
	must(t, o.store.Write(func(txn *kv.Txn) error { return txn.Delete(store.Key(store.TableItem, store.U64(objects[1].Number))) }))
	if _, err := o.Objects(batch); err == nil {
		t.Error("one is not there, and nothing is said")
	}
}
