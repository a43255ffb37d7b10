package outbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newOutbox(t testing.TB, dir string) (*Outbox, func()) {
	t.Helper()
	s, err := store.Open(dir, kv.Options{Key: make([]byte, 32), Durable: true, Create: true})
	must(t, err)
	o, err := Open(s)
	must(t, err)
	return o, func() { must(t, s.Close()) }
}

// inMemory opens the outbox in a memory, as after a restart if it has something.
func inMemory(t testing.TB, memory *kv.Memory) *Outbox {
	t.Helper()
	o, err := Open(store.New(memory.DB(kv.Hooks{})))
	must(t, err)
	return o
}

func submission(name string) Submission {
	return Submission{Item: Item{Key: []byte(name), ObjectID: name, Note: wire.Note{Kind: wire.KindObject}}, Payload: []byte("payload of " + name)}
}

func accept(t testing.TB, o *Outbox, names ...string) []Item {
	t.Helper()
	var submissions []Submission
	for _, name := range names {
		submissions = append(submissions, submission(name))
	}
	items, err := o.Accept(submissions)
	must(t, err)
	return items
}

// group signs items, as far as the outbox is concerned.
func group(t testing.TB, o *Outbox, items []Item) Group {
	t.Helper()
	items, err := o.Number(items)
	must(t, err)
	g := Group{Raw: []byte("signed"), FirstValid: 1, LastValid: 1000}
	for _, item := range items {
		g.TxIDs = append(g.TxIDs, fmt.Sprintf("TX-%s-%d", item.ObjectID, item.Note.Sequence))
	}
	groups, err := o.AddGroups([]Group{g}, items)
	must(t, err)
	return groups[0]
}

func queue(t testing.TB, o *Outbox, state State) []Item {
	t.Helper()
	items, err := o.Queue(state, 0, 1000)
	must(t, err)
	return items
}

func TestAnItemGoesFromAcceptedToConfirmed(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	accept(t, o, "a", "b")
	items := queue(t, o, Accepted)
	if len(items) != 2 {
		t.Fatalf("%d items are accepted", len(items))
	}
	if payload, err := o.Payload(items[0].Number); err != nil || string(payload) != "payload of a" {
		t.Fatalf("payload %q, %v", payload, err)
	}
	must(t, o.SetStored(items))
	if _, err := o.Payload(items[0].Number); err == nil {
		t.Error("the plaintext is still there after the object was stored")
	}
	g := group(t, o, queue(t, o, Stored))
	if groups, err := o.Groups(0, 10); err != nil || len(groups) != 1 || !slices.Equal(groups[0].TxIDs, []string{"TX-a-1", "TX-b-2"}) {
		t.Fatalf("groups %+v, %v", groups, err)
	}
	confirmations := []consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 100}, {TxID: g.TxIDs[1], Round: 5, Asset: 101}, {TxID: "SOMEBODY ELSE'S", Round: 5, Asset: 102}}
	confirmed, err := o.Confirm(confirmations)
	must(t, err)
	again, err := o.Confirm(confirmations)
	must(t, err)
	if len(confirmed) != 2 || len(again) != 0 || confirmed[1].Asset != 101 {
		t.Errorf("confirmed %+v, then %+v", confirmed, again)
	}
	if groups, err := o.Groups(0, 10); err != nil || len(groups) != 0 {
		t.Errorf("a confirmed group is kept: %+v, %v", groups, err)
	}
	if counts := o.Count(); counts[Accepted]+counts[Stored]+counts[Signed] != 0 {
		t.Errorf("something is queued still: %v", counts)
	}
}

func TestWhatIsPublishedAlreadyIsNotPublishedAgain(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	first := accept(t, o, "a")[0]
	if again := accept(t, o, "a", "a"); again[0].Number != first.Number || again[1].Number != first.Number {
		t.Errorf("the same key gave items %d and %d, want %d", again[0].Number, again[1].Number, first.Number)
	}
	must(t, o.SetStored(queue(t, o, Accepted)))
	g := group(t, o, queue(t, o, Stored))
	_, err := o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 100}})
	must(t, err)
	if again := accept(t, o, "a")[0]; again.Number != first.Number || again.TxID != g.TxIDs[0] {
		t.Errorf("after its confirmation the key gave %+v", again)
	}
	must(t, o.Withdraw(wire.Publication{TxID: g.TxIDs[0]}))
	if again := accept(t, o, "a")[0]; again.Number == first.Number || again.Publication != 1 || again.State != Accepted {
		t.Errorf("after its withdrawal the key gave %+v, want a new publication", again)
	}
}

// Whatever happens in whatever order, with the store closed and opened in between, every key has one item, numbers have
// no holes, and no item is lost. … even where all of it says that it was accepted at one time.
func TestWhatCameInIsTold(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	news := func(items []Item) (news []bool) {
		for _, item := range items {
			news = append(news, item.New)
		}
		return news
	}
	if got := news(accept(t, o, "a", "a", "b")); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("of a, a and b are new: %v", got)
	}
	items := accept(t, o, "c", "a", "d")
	if got := news(items); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("with a there before, of c, a and d are new: %v", got)
	}
	if item, found, err := o.Find([]byte("c")); err != nil || !found || item.New {
		t.Errorf("found later it is %+v, %v, %v", item, found, err)
	}
	must(t, o.GiveUp(items[0], "no"))
	if again := accept(t, o, "c"); !again[0].New || again[0].Number == items[0].Number {
		t.Errorf("given up and accepted again it is %+v", again[0])
	}
}

func TestWhatIsGivenUpLeavesNothingBehindAndCanBePublishedAgain(t *testing.T) {
	dir := t.TempDir()
	o, done := newOutbox(t, dir)
	items := accept(t, o, "a", "marking-definition--x")
	must(t, o.SetStored(items[:1]))
	numbered, err := o.Number(queue(t, o, Stored))
	must(t, err)
	g := group(t, o, numbered)
	if err := o.GiveUp(queue(t, o, Signed)[0], "too late"); err == nil {
		t.Fatal("what can be confirmed is given up")
	}
	must(t, o.Expire(g))
	must(t, o.GiveUp(queue(t, o, Stored)[0], "too wide"))
	must(t, o.GiveUp(queue(t, o, Accepted)[0], "too wide"))
	done()
	o, done = newOutbox(t, dir)
	defer done()
	if counts := o.Count(); counts[Accepted]+counts[Stored]+counts[Signed] != 0 {
		t.Errorf("%v wait", counts)
	}
	item, _, err := o.Find([]byte("a"))
	if err != nil || item.State != Withdrawn || item.Failure != "too wide" || item.Note.Sequence != 0 {
		t.Errorf("the item is %+v (%v)", item, err)
	}
	if _, err := o.Payload(items[1].Number); err == nil {
		t.Error("its content is kept")
	}
	if definitions, err := o.Markings("marking-definition--x", 10); err != nil || len(definitions) != 0 {
		t.Errorf("%d definitions are kept (%v)", len(definitions), err)
	}
	again := accept(t, o, "a")
	must(t, o.SetStored(again))
	numbered, err = o.Number(queue(t, o, Stored))
	must(t, err)
	if again[0].Publication != 1 || numbered[0].Note.Sequence != 1 {
		t.Errorf("published again it is number %d with the sequence number %d, want 1 and 1", again[0].Publication, numbered[0].Note.Sequence)
	}
}

func TestTheOutboxLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		o := inMemory(t, memory)
		expected := map[string]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "name")
				accept(t, o, name)
				expected[name] = true
			case 1:
				must(t, o.SetStored(queue(t, o, Accepted)))
			case 2:
				if stored := queue(t, o, Stored); len(stored) > 0 {
					group(t, o, stored[:rapid.IntRange(1, len(stored)).Draw(rt, "size")])
				}
			case 3, 4:
				groups, err := o.Groups(0, 100)
				must(t, err)
				if len(groups) == 0 {
					continue
				}
				g := rapid.SampledFrom(groups).Draw(rt, "group")
				if rapid.Bool().Draw(rt, "expires") {
					must(t, o.Expire(g))
					continue
				}
				var confirmations []consortium.Place
				for i, txid := range g.TxIDs {
					confirmations = append(confirmations, consortium.Place{TxID: txid, Round: 7, Asset: uint64(i)})
				}
				_, err = o.Confirm(confirmations)
				must(t, err)
			case 5:
				o = inMemory(t, memory)
			}
		}
		checkNothingIsLost(rt, o, expected)
	})
}

// checkNothingIsLost wants an item for each of what is expected, in the queue of its state, and numbers without a hole.
func checkNothingIsLost(rt *rapid.T, o *Outbox, expected map[string]bool) {
	states := map[State]int{}
	var sequences []uint64
	for n := uint64(1); n <= o.counters.Items; n++ {
		item, found, err := o.Item(n)
		if err != nil || !found || !expected[item.ObjectID] {
			rt.Fatalf("item %d is %+v, %v, %v", n, item, found, err)
		}
		delete(expected, item.ObjectID)
		states[item.State]++
		if item.Note.Sequence > 0 {
			sequences = append(sequences, item.Note.Sequence)
		}
		if item.State == Accepted {
			if _, err := o.Payload(n); err != nil {
				rt.Fatalf("item %d is accepted but %v", n, err)
			}
		}
	}
	if len(expected) > 0 {
		rt.Fatalf("lost: %v", expected)
	}
	slices.Sort(sequences)
	for i, s := range sequences {
		if s != uint64(i+1) {
			rt.Fatalf("sequence numbers %v have a hole or a double", sequences)
		}
	}
	counts := o.Count()
	for _, state := range []State{Accepted, Stored, Signed} {
		if counts[state] != states[state] {
			rt.Fatalf("%d items are in the queue of %v, %d in that state", counts[state], state, states[state])
		}
	}
}

func TestAStatusIsKeptWithItsItems(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	item := accept(t, o, "a")[0]
	lines := []StatusLine{{ObjectID: "a", Item: item.Number}, {ObjectID: "b", Failure: "refused"}}
	must(t, o.AddStatus(Status{ID: "s", Root: "acme", User: "ann", Requested: monday}, lines))
	s, found, err := o.Status("s")
	must(t, err)
	read, err := o.StatusLines("s", 0)
	must(t, err)
	items, err := o.ItemsOf(read)
	must(t, err)
	if !found || s.User != "ann" || s.Parts() != 1 || !slices.Equal(read, lines) || items[item.Number].ObjectID != "a" || !s.Requested.Equal(monday) {
		t.Errorf("read %+v with %+v and %+v, %v", s, read, items, found)
	}
	if _, found, err := o.Status("another"); err != nil || found {
		t.Errorf("a status that nobody made: %v, %v", found, err)
	}
}

func TestRecordsComeFirstAndInTheirOrder(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	var submissions []Submission
	for i, note := range []wire.Note{
		{Kind: wire.KindObject}, {Kind: wire.KindMember}, {Kind: wire.KindObject}, {Kind: wire.KindCollection}, {Kind: wire.KindRotation},
		{Kind: wire.KindKeyring}, {Kind: wire.KindRemoval, Asset: 7}, {Kind: wire.KindRemoval}, {Kind: wire.KindDestroy}, {Kind: wire.KindAmendment},
	} {
		item := Item{Key: []byte{byte(i)}, Note: note}
		if note.Kind == wire.KindObject || note.Kind == wire.KindDestroy || note.Asset != 0 {
			item.User = "somebody"
		}
		submissions = append(submissions, Submission{Item: item})
	}
	_, err := o.Accept(submissions)
	must(t, err)
	var kinds []wire.Kind
	for _, item := range queue(t, o, Stored)[:6] {
		kinds = append(kinds, item.Note.Kind)
	}
	if want := []wire.Kind{wire.KindMember, wire.KindCollection, wire.KindRotation, wire.KindKeyring, wire.KindRemoval, wire.KindAmendment}; !slices.Equal(kinds, want) {
		t.Errorf("first come %v, want %v", kinds, want)
	}
}

// A status of a hundred thousand objects is in no one value, nor in one transaction.
func TestAStatusOfManyObjectsIsKeptInParts(t *testing.T) {
	o, done := newOutbox(t, t.TempDir())
	defer done()
	for _, n := range []int{0, 1, statusPart, statusPart + 1, 40*statusPart - 1} {
		lines := make([]StatusLine, n)
		for i := range lines {
			lines[i] = StatusLine{ObjectID: fmt.Sprint("object ", i), Note: strings.Repeat("a note ", 40)}
		}
		id := fmt.Sprint("of ", n)
		must(t, o.AddStatus(Status{ID: id}, lines))
		s, found, err := o.Status(id)
		if err != nil || !found || s.Lines != n {
			t.Fatalf("of %d lines: %+v, %v, %v", n, s, found, err)
		}
		var read []StatusLine
		for part := range s.Parts() {
			some, err := o.StatusLines(id, part)
			if err != nil || len(some) == 0 || len(some) > statusPart {
				t.Fatalf("part %d of %d lines has %d, %v", part, n, len(some), err)
			}
			read = append(read, some...)
		}
		if !slices.Equal(read, lines) {
			t.Errorf("of %d lines %d are read, or others", n, len(read))
		}
		if _, err := o.StatusLines(id, s.Parts()); err == nil {
			t.Errorf("%d lines have another part", n)
		}
	}
}
