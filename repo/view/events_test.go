package view

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

func TestTheLogIsReadInOrderPieceByPiece(t *testing.T) {
	v := newView(t)
	c := &chain{}
	var want []NewEvent
	for range 300 { // the bytes of positions cross a boundary
		want = append(want, c.event())
	}
	must(t, v.Append(want, nil))
	var after consortium.Position
	for len(want) > 0 {
		got, err := v.Log(after, 70)
		must(t, err)
		if len(got) != min(70, len(want)) {
			t.Fatalf("%d events after %s, %d are left", len(got), after, len(want))
		}
		for i, e := range got {
			if e.TxID != want[i].TxID || e.Position != want[i].Position {
				t.Fatalf("got %s at %s, want %s", e.TxID, e.Position, want[i].TxID)
			}
			after = e.Position
		}
		want = want[len(got):]
	}
	if got, err := v.Log(after, 70); err != nil || len(got) != 0 {
		t.Errorf("after the last: %d, %v", len(got), err)
	}
}

func TestALeaseFindsWhatWasPublished(t *testing.T) {
	v := newView(t)
	c := chain{}
	e := c.event()
	lease := [32]byte{1, 2, 3}
	e.Lease = lease[:]
	must(t, v.Append([]NewEvent{e, c.event()}, nil))
	found, ok, err := v.Leased(lease)
	must(t, err)
	if !ok || found.TxID != e.TxID {
		t.Errorf("found %+v, %v", found, ok)
	}
	if _, ok, err := v.Leased([32]byte{9}); err != nil || ok {
		t.Errorf("found what nobody published: %v, %v", ok, err)
	}
	must(t, v.Reset())
	if _, ok, err := v.Leased(lease); err != nil || ok {
		t.Errorf("found after a reset: %v, %v", ok, err)
	}
}

func TestAppendingAWindowAgainChangesNothing(t *testing.T) {
	v, c := newView(t), &chain{}
	e := c.event()
	must(t, v.Append([]NewEvent{e}, nil))
	settleNow(t, v, e, entryOf(e, collectionA, "malware-1", monday, "x"))
	must(t, v.Append([]NewEvent{e}, nil))
	must(t, v.Advance(7, map[string]*consortium.Sequence{"PUBLISHER": {Highest: 1}}))
	if logged, _, err := v.Event(e.TxID); err != nil || logged.State != InView {
		t.Errorf("after appending again the event is %v, %v", logged.State, err)
	}
	if round, err := v.Cursor(); err != nil || round != 7 {
		t.Errorf("cursor %d, %v", round, err)
	}
	if q, err := v.Sequences(); err != nil || q["PUBLISHER"].Highest != 1 {
		t.Errorf("sequences %v, %v", q, err)
	}
}

// Whichever way a duplicate ends whose turn it was, the one after it comes next.
func TestADuplicateThatCountsForNothingHidesNoOther(t *testing.T) {
	for _, state := range []State{Refused, Held} {
		v, c := newView(t), &chain{}
		events := []NewEvent{c.event(), c.event(), c.event()}
		for _, e := range events {
			publish(t, v, e, entryOf(e, collectionA, "malware-1", monday, "same"))
		}
		_, _, err := withdraw(v, events[0].Asset, "PUBLISHER")
		must(t, err)
		must(t, v.Settle([]Outcome{{Event: Event{Event: events[1].Event}, State: state}}))
		due, _, err := v.Due(Fresh, nil, time.Now(), 10)
		must(t, err)
		if len(due) != 1 || due[0].TxID != events[2].TxID {
			t.Errorf("after one that is %v, due are %+v, want the next duplicate", state, due)
		}
	}
}

func TestWhatIsNoCollectionHasNothing(t *testing.T) {
	v, c := newView(t), &chain{}
	e := c.event()
	publish(t, v, e, entryOf(e, collectionA, "malware-1", monday, "x"))
	for _, id := range []string{"", "x", collectionA[1:], strings.Repeat("f", 31)} {
		at, err := v.Changed(id)
		must(t, err)
		if list := page(t, v, Query{Collection: id, Versions: Versions{All: true}}); len(list) != 0 || at != 0 {
			t.Errorf("collection %q has %v, and changed at %d", id, list, at)
		}
	}
}

func TestAnEntryThatIsCutShortIsNone(t *testing.T) {
	whole, err := entries.Encode(&Entry{ID: "malware-1"})
	must(t, err)
	for n := range whole {
		if _, err := entries.Decode(whole[:n], true); !errors.Is(err, history.ErrStale) {
			t.Errorf("of %d bytes, %d are an entry (%v)", len(whole), n, err)
		}
	}
	e, err := entries.Decode(append(whole, "{}"...), true)
	if err != nil || e.ID != "malware-1" || string(e.Object) != "{}" {
		t.Errorf("all of it is %+v (%v)", e, err)
	}
	if e, err = entries.Decode(whole, true); err != nil || len(e.Object) != 0 {
		t.Errorf("without an object it is %+v (%v)", e, err)
	}
}

func TestADuplicateSaysWhetherItsContentIsAnother(t *testing.T) {
	for content, want := range map[string]string{
		"same": "transaction TX1 published it before", "other": "transaction TX1 published the same version before, with other content",
	} {
		v, c := newView(t), &chain{}
		first, second := c.event(), c.event()
		publish(t, v, first, entryOf(first, collectionA, "malware-1", monday, "same"))
		if got := publish(t, v, second, entryOf(second, collectionA, "malware-1", monday, content)); got.State != Duplicate || got.Reason != want {
			t.Errorf("with %s content it is a %v: %q", content, got.State, got.Reason)
		}
	}
}

// However many objects come at once, none is written into a transaction that is thrown away because it is too large.
func TestWhatComesAtOnceIsWrittenOnce(t *testing.T) {
	touched := func(atOnce int) (touches int) {
		memory, err := kv.NewMemoryOf(4 << 20) // as on the disk
		must(t, err)
		defer memory.Close()
		v, err := New(store.New(memory.DB(kv.Hooks{Touch: func() error { touches++; return nil }})))
		must(t, err)
		c := &chain{}
		var outcomes []Outcome
		for n := range 1000 {
			e := c.event()
			must(t, v.Append([]NewEvent{e}, nil))
			entry := entryOf(e, collectionA, fmt.Sprintf("indicator--%08d-17d4-4cbf-938f-98ee46b3cd3f", n), monday, strings.Repeat("x", 800))
			outcomes = append(outcomes, Outcome{Event: Event{Event: e.Event}, State: InView, Entry: entry})
		}
		touches = 0
		for some := range slices.Chunk(outcomes, atOnce) {
			must(t, v.Settle(some))
		}
		return touches
	}
	if together, apart := touched(1000), touched(100); together > apart {
		t.Errorf("1000 objects at once touch %d keys, by a hundred %d", together, apart)
	}
}

func TestAnEventIsFoundByTheAssetThatItMade(t *testing.T) {
	v, c := newView(t), chain{}
	first, second := c.event(), c.event()
	must(t, v.Append([]NewEvent{first, second}, nil))
	for _, e := range []NewEvent{first, second} {
		if found, ok, err := v.EventOf(e.Asset); err != nil || !ok || found.TxID != e.TxID {
			t.Errorf("that of asset %d is %+v, %v, %v", e.Asset, found, ok, err)
		}
	}
	if found, ok, err := v.EventOf(second.Asset + 1); err != nil || ok || found.TxID != "" {
		t.Errorf("that of an asset that nobody made is %+v, %v, %v", found, ok, err)
	}
}

func TestThereIsNoEntryWhereNoneEntered(t *testing.T) {
	v, c := newView(t), chain{}
	e := c.event()
	entry := entryOf(e, collectionA, "malware-1", monday, "x")
	publish(t, v, e, entry)
	must(t, v.store.Read(func(txn *kv.Txn) error {
		if got, err := v.EntryAt(txn, entry.DateAdded, true); err != nil || got == nil || got.TxID != e.TxID || string(got.Object) != "x" {
			t.Errorf("where one entered: %+v, %v", got, err)
		}
		if got, err := v.EntryAt(txn, entry.DateAdded+1, true); err != nil || got != nil {
			t.Errorf("just after it: %+v, %v", got, err)
		}
		return nil
	}))
}
