package outbox

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/storetest"
)

// frail is an outbox on a store that can be told to fail.
type frail struct {
	*Outbox
	store *storetest.Store
}

func newFrail(t *testing.T) frail {
	s := storetest.New(t)
	o, err := Open(s.Store)
	must(t, err)
	return frail{o, s}
}

// told does something, while each access to the store fails in turn.
func (o frail) told(t *testing.T, what string, do func() error) {
	t.Helper()
	o.store.EachIsTold(t, what, func() any { return []any{o.Count(), o.counters, o.order.now, len(o.open)} }, do)
}

func ignore[T any](_ T, err error) error { return err }

var place = consortium.Place{TxID: "ELSEWHERE", Round: 9, Asset: 90, Directory: "elsewhere"}

// eachTold does several things, each to an outbox of its own.
func eachTold(t *testing.T, things map[string]func(t *testing.T, o frail)) {
	for what, do := range things {
		t.Run(what, func(t *testing.T) { do(t, newFrail(t)) })
	}
}

// What is done to what goes by itself, while the store fails at each place of it: it is told, nothing is half done, and
// it can be done again.
func TestAFailingStoreTakesNothingInByHalf(t *testing.T) {
	eachTold(t, map[string]func(t *testing.T, o frail){
		"accepting": func(t *testing.T, o frail) {
			withdrawn := accept(t, o.Outbox, "withdrawn")[0]
			must(t, o.GiveUp(withdrawn, "no"))
			other := submission("other")
			other.Replace, other.Item.Hash, other.Also = true, []byte("another"), [][]byte{[]byte("a"), []byte("withdrawn"), []byte("new")}
			unless := submission("unless")
			unless.Unless = []byte("a")
			accept(t, o.Outbox, "a", "other")
			o.told(t, "accepting", func() error {
				return ignore(o.Accept([]Submission{submission("a"), submission("marking-definition--x"), submission("withdrawn"), other, unless}))
			})
			if n := o.Count()[Accepted]; n != 5 {
				t.Errorf("%d are accepted", n)
			}
		},
		"storing": func(t *testing.T, o frail) {
			items := accept(t, o.Outbox, "a", "b")
			o.told(t, "storing", func() error { return o.SetStored(items) })
		},
		"opening again": func(t *testing.T, o frail) {
			must(t, o.SetStored(accept(t, o.Outbox, "a", "b")))
			item := queue(t, o.Outbox, Stored)[0]
			o.told(t, "reopening", func() error { return o.Reopen(item, []byte("payload")) })
		},
		"giving up": func(t *testing.T, o frail) {
			item := accept(t, o.Outbox, "marking-definition--x")[0]
			o.told(t, "giving up", func() error { return o.GiveUp(item, "no") })
		},
	})
}

func TestAFailingStoreLeavesNothingHalfDone(t *testing.T) {
	eachTold(t, map[string]func(t *testing.T, o frail){
		"signing": func(t *testing.T, o frail) {
			must(t, o.SetStored(accept(t, o.Outbox, "a", "b")))
			items := queue(t, o.Outbox, Stored)
			o.told(t, "numbering", func() (err error) {
				numbered, err := o.Number(items)
				if err == nil {
					items = numbered
				}
				return err
			})
			g := Group{TxIDs: []string{"TX-a", "TX-b"}, Raw: []byte("signed")}
			o.told(t, "adding a group", func() error {
				groups, err := o.AddGroups([]Group{g}, items)
				if err == nil {
					g = groups[0]
				}
				return err
			})
			o.told(t, "signing again", func() error {
				_, found, err := o.Resign(g.Number, []string{"TX-a2", "TX-b2"}, []byte("again"), 2000)
				if err == nil && !found {
					t.Error("the group is not there")
				}
				return err
			})
			groups, err := o.Groups(0, 10)
			must(t, err)
			o.told(t, "expiring", func() error { return o.Expire(groups[0]) })
		},
		"confirming": func(t *testing.T, o frail) {
			must(t, o.SetStored(accept(t, o.Outbox, "a", "marking-definition--x")))
			g := group(t, o.Outbox, queue(t, o.Outbox, Stored))
			places := []consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 100}, {TxID: g.TxIDs[1], Round: 5, Asset: 101}}
			o.told(t, "confirming in part", func() error { return ignore(o.Confirm(places[:1])) })
			o.told(t, "confirming", func() error { return ignore(o.Confirm(places)) })
			o.told(t, "deciding about a deposit", func() error {
				list, err := o.Deposits(time.Now().Add(time.Hour), 1)
				if err != nil || len(list) == 0 {
					return err
				}
				return o.Decided(list[0])
			})
			o.told(t, "withdrawing", func() error {
				return o.Withdraw(wire.Publication{TxID: g.TxIDs[0]}, wire.Publication{TxID: g.TxIDs[1]}, wire.Publication{TxID: "ANOTHER'S"})
			})
		},
		"resolving": func(t *testing.T, o frail) {
			item := accept(t, o.Outbox, "a")[0]
			o.told(t, "resolving", func() error { return o.Resolve(item, place, "") })
		},
	})
}

func TestAFailingStoreRemembersNothingByHalf(t *testing.T) {
	eachTold(t, map[string]func(t *testing.T, o frail){
		"what is remembered": func(t *testing.T, o frail) {
			o.told(t, "a memo", func() error { return o.SetMemo("memo", []byte("kept")) })
			o.told(t, "forgetting a memo", func() error { return o.ForgetMemo("memo") })
			o.told(t, "a recovery", func() error { return o.SetRecovery(&Recovery{}) })
			o.told(t, "the end of a recovery", func() error { return o.SetRecovery(nil) })
			o.told(t, "who signs", func() error { return o.SetSole(Sole{Account: "A"}) })
			o.told(t, "a status", func() error { return o.AddStatus(Status{ID: "status"}, nil) })
			o.told(t, "beginning a recovery", func() error { return o.store.Write(BeginRecovery) })
		},
		"the numbers": func(t *testing.T, o frail) {
			must(t, o.SetStored(accept(t, o.Outbox, "a", "b")))
			_, err := o.Number(queue(t, o.Outbox, Stored))
			must(t, err)
			o.told(t, "skipping numbers", func() error { return o.SkipSequence(10) })
			o.told(t, "filling numbers in", func() error { return o.FillSequence([]consortium.Range{{First: 1, Last: 4}}) })
			o.told(t, "taking numbers back", func() error { return o.Unnumber(func(n uint64) bool { return n == 1 }) })
			for _, account := range []string{"A", "B"} {
				o.store.EachIsTold(t, "account "+account, nil, func() error { return o.SetPublisher(account) })
			}
			o.told(t, "opening", func() error { return ignore(Open(o.store.Store)) })
			if items, err := o.Number(queue(t, o.Outbox, Stored)); err != nil || items[0].Note.Sequence != 1 || items[1].Note.Sequence != 2 {
				t.Errorf("in the end they have the numbers %+v (%v)", items, err)
			}
		},
		"replacing": func(t *testing.T, o frail) {
			item, err := o.Accept([]Submission{{Item: Item{Key: []byte("a"), ReplacesAsset: 7}, Payload: []byte("payload")}})
			must(t, err)
			o.told(t, "reading what is replaced", func() error { return ignore(o.Replacing(0, 10)) })
			o.told(t, "replacing", func() error { return o.Replaced(item[0].Number) })
		},
	})
}

func TestAFailingStoreLeavesNoBatchHalfDone(t *testing.T) {
	o, names := newFrail(t), named("marking-definition--a", 5)
	o.told(t, "accepting", func() error {
		return ignore(acceptAs(o.Outbox, submissions(names), Anchor{From: 1, Most: 2, Bytes: 1000}))
	})
	for _, n := range []int{0, 4} { // the last one of a batch, and not
		object := itemNamed(t, o.Outbox, names[n])
		o.told(t, "giving an object up", func() error { return o.GiveUp(object, "no") })
	}
	batch := queue(t, o.Outbox, Accepted)[1]
	objects, err := o.Objects(batch)
	must(t, err)
	for i := range objects {
		objects[i].Directory = fmt.Sprint("directory ", i)
	}
	o.told(t, "storing", func() error { return o.SetBatchStored(batch, objects) })
	o.told(t, "reading its objects", func() error { return ignore(o.Objects(batch)) })
	batch = queue(t, o.Outbox, Stored)[0]
	o.told(t, "beginning to reopen", func() error { return ignore(o.BeginReopening(batch)) })
	batch = queue(t, o.Outbox, Stored)[0]
	o.told(t, "keeping plaintext", func() error { return o.KeepPayloads(objects, [][]byte{[]byte("one"), []byte("two")}) })
	found := []Found{{Object: itemNamed(t, o.Outbox, names[2]), At: place}}
	o.told(t, "reopening", func() error { return o.ReopenBatch(batch, found) })
	if n := o.Count(); n[Accepted] != 2 || n[Stored] != 0 {
		t.Errorf("at the end there are %v", n)
	}
	for _, batch := range queue(t, o.Outbox, Accepted) {
		storeBatch(t, o.Outbox, batch)
	}
	g := group(t, o.Outbox, queue(t, o.Outbox, Stored))
	_, err = o.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 100}, {TxID: g.TxIDs[1], Round: 5, Asset: 101}})
	must(t, err)
	o.told(t, "withdrawing an object", func() error { return o.Withdraw(wire.Publication{TxID: g.TxIDs[0], Index: 1}) })
	o.told(t, "withdrawing a batch", func() error { return o.Withdraw(wire.Publication{TxID: g.TxIDs[1]}) })
	for _, name := range []string{names[1], names[3]} {
		definitions, err := o.Markings(name, 10)
		if item := itemNamed(t, o.Outbox, name); item.State != Withdrawn || len(definitions) != 0 || err != nil {
			t.Errorf("%s is %s, and %d definitions of it are kept (%v)", name, item.State, len(definitions), err)
		}
	}
}

// What is asked of a store that fails at any place of the answer is answered in full, or not at all.
func TestAFailingStoreAnswersNothing(t *testing.T) {
	o := newFrail(t)
	must(t, o.SetStored(accept(t, o.Outbox, "a", "marking-definition--x")))
	inBatches(t, o.Outbox, Anchor{From: 1, Most: 2, Bytes: 1000}, named("b", 2)...)
	storeBatch(t, o.Outbox, queue(t, o.Outbox, Accepted)[0])
	stored := queue(t, o.Outbox, Stored)
	g, object := group(t, o.Outbox, stored[:1]), itemNamed(t, o.Outbox, "b-0001")
	must(t, o.SetMemo("memo", []byte("kept")))
	must(t, o.SetRecovery(&Recovery{Until: 7}))
	must(t, o.SetSole(Sole{Account: "A"}))
	lines := []StatusLine{{Item: 1}, {Item: object.Number}, {ObjectID: "refused"}}
	must(t, o.AddStatus(Status{ID: "status"}, lines))
	waiting := accept(t, o.Outbox, "c", "d")[0]
	_, err := o.Accept([]Submission{{Item: Item{Key: []byte("e"), ReplacesAsset: 7}, Payload: []byte("payload")}})
	must(t, err)
	for what, ask := range map[string]func() (any, error){
		"an item by its key":      func() (any, error) { item, _, err := o.Find([]byte("b-0001")); return item.ObjectID, err },
		"an item by its number":   func() (any, error) { item, _, err := o.Item(object.Number); return item.ObjectID, err },
		"who uses a directory":    func() (any, error) { return o.Uses(object.Directory) },
		"a payload":               func() (any, error) { return o.Payload(waiting.Number) },
		"a group":                 func() (any, error) { return o.HasGroup(g.Number) },
		"the groups":              func() (any, error) { return o.Groups(0, 10) },
		"the objects of a batch":  func() (any, error) { return o.Objects(stored[2]) },
		"a queue":                 func() (any, error) { return o.Queue(Stored, 0, 10) },
		"the rest of a queue":     func() (any, error) { return o.Queue(Stored, stored[0].Number, 10) },
		"what is next":            func() (any, error) { return o.Reader(Stored).Next(10) },
		"definitions":             func() (any, error) { return o.Markings("marking-definition--x", 10) },
		"a memo":                  func() (any, error) { return o.Memo("memo") },
		"what is to be recovered": func() (any, error) { return o.Recovery() },
		"who signs":               func() (any, error) { return o.Sole() },
		"what is not signed":      func() (any, error) { return o.Unsigned([]string{g.TxIDs[0], "ANOTHER'S"}) },
		"a status":                func() (any, error) { s, _, err := o.Status("status"); return s.Lines, err },
		"the lines of a status":   func() (any, error) { return o.StatusLines("status", 0) },
		"the items of a status":   func() (any, error) { items, err := o.ItemsOf(lines); return len(items), err },
		"what is new":             func() (any, error) { return o.Fresh([]Submission{submission("a"), submission("new")}) },
		"what is replaced":        func() (any, error) { return o.Replacing(0, 10) },
		"directories on their way": func() (any, error) {
			n := 0
			return &n, o.store.Read(func(txn *kv.Txn) error { return EachPending(txn, func(string) error { n++; return nil }) })
		},
	} {
		want, err := ask()
		must(t, err)
		o.told(t, what, func() error {
			got, err := ask()
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%s is %+v, and in the end %+v", what, want, got)
			}
			return err
		})
	}
}
