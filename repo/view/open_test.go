package view

import (
	"fmt"
	"testing"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

func TestAViewOfAnotherFormatIsFoldedAnew(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	first := c.event()
	before := publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "one"))
	must(t, v.Advance(9, nil))
	must(t, v.store.Write(func(txn *kv.Txn) error {
		return store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaFormat)), tablesFormat-1)
	}))
	must(t, v.Close())
	for range 2 { // the second time there is nothing to do
		v, err = Open(dir, make([]byte, 32))
		must(t, err)
		cursor, err := v.Cursor()
		must(t, err)
		if n := v.CountObjects(); n != 0 || cursor != 0 {
			t.Fatalf("%d objects, cursor %d", n, cursor)
		}
		must(t, v.Close())
	}
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	if again := publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "one")); again.Entered <= before.Entered {
		t.Errorf("it entered at %d, and at %d before", again.Entered, before.Entered)
	}
}

func TestWhatAViewCountsIsThereWhenItIsOpenedAgain(t *testing.T) {
	dir, c := t.TempDir(), &chain{}
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	for _, state := range []State{InView, InView, InView, Undecided, Undecided, Waiting, Refused} {
		e := c.event()
		must(t, v.Append([]NewEvent{e}, nil))
		o := Outcome{Event: Event{Event: e.Event}, State: state, Collection: collectionA, Due: monday}
		if state == InView {
			o.Entry = entryOf(e, collectionA, fmt.Sprintf("malware-%d", c.round), monday, "x")
		}
		must(t, v.Settle([]Outcome{o}))
	}
	_, _, err = withdraw(v, 1001, "PUBLISHER")
	must(t, err)
	for range 2 {
		waiting, undecided := v.CountEvents()
		if n := v.CountObjects(); n != 2 || waiting != 1 || undecided != 2 {
			t.Errorf("%d objects, %d events wait, %d are undecided", n, waiting, undecided)
		}
		must(t, v.Close())
		v, err = Open(dir, make([]byte, 32))
		must(t, err)
	}
	must(t, v.Close())
}
