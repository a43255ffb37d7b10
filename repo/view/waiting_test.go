package view

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Whoever mints how much: everything that is due is given once, and of two members none is given more than the other,
// but for what the other doesn't have.
func TestMembersTakeTurns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		v := inMemory(t, memory)
		c := &chain{}
		now := time.Now().Truncate(time.Millisecond)
		waiting := map[Queue]map[string][]Event{Fresh: {}, Retried: {}} // what is due
		var soonest time.Time
		for range rapid.IntRange(0, 60).Draw(rt, "events") {
			e := c.event()
			e.Member = rapid.SampledFrom([]string{"ALPHA", "ALPHA", "ALPHA", "ALPHA", "BRAVO", "CHARLIE", "ALPHA2"}).Draw(rt, "member")
			must(t, v.Append([]NewEvent{e}, nil))
			logged, _, err := v.Event(e.TxID)
			must(t, err)
			switch rapid.IntRange(0, 3).Draw(rt, "tried") {
			case 0: // it will be due later
				due := now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(rt, "seconds")) * time.Second)
				must(t, v.Settle([]Outcome{{Event: logged, State: Waiting, Due: due}}))
				if soonest.IsZero() || due.Before(soonest) {
					soonest = due
				}
			case 1: // it was due before
				must(t, v.Settle([]Outcome{{Event: logged, State: Waiting, Due: now.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(rt, "ago")) * time.Second)}}))
				waiting[Retried][e.Member] = append(waiting[Retried][e.Member], logged)
			default:
				waiting[Fresh][e.Member] = append(waiting[Fresh][e.Member], logged)
			}
		}
		limit := rapid.IntRange(1, 20).Draw(rt, "limit")
		for queue, left := range waiting {
			next := takeByTurns(rt, v, queue, left, now, limit)
			if queue == Retried && !next.Equal(soonest) {
				rt.Fatalf("at the end the next is due at %s, want %s", next, soonest)
			}
		}
	})
}

// takeByTurns takes everything that is due out of a queue, a few at a time, of which every member has its share. It
// gives when more will be due.
func takeByTurns(rt *rapid.T, v *View, queue Queue, left map[string][]Event, now time.Time, limit int) time.Time {
	given := map[consortium.Position]bool{}
	total := 0
	for _, list := range left {
		total += len(list)
	}
	for len(given) < total {
		due, _, err := v.Due(queue, func(p consortium.Position) bool { return given[p] }, now, limit)
		if err != nil {
			rt.Fatal(err)
		}
		if want := min(limit, total-len(given)); len(due) != want {
			rt.Fatalf("%d of %d are given, want %d", len(due), total-len(given), want)
		}
		if !slices.IsSortedFunc(due, func(a, b Event) int { return a.Compare(b.Position) }) {
			rt.Fatal("they are not in the order of the chain")
		}
		got := map[string]int{}
		for _, e := range due {
			if given[e.Position] {
				rt.Fatalf("%s is given again", e.TxID)
			}
			given[e.Position] = true
			got[e.Member]++
		}
		for a := range got {
			for b, list := range left {
				rest := slices.IndexFunc(list, func(e Event) bool { return !given[e.Position] })
				if got[a] > got[b]+1 && rest >= 0 {
					rt.Fatalf("%s is given %d and %s %d, though it has more", a, got[a], b, got[b])
				}
			}
		}
	}
	due, next, err := v.Due(queue, func(p consortium.Position) bool { return given[p] }, now, limit)
	if err != nil || len(due) > 0 {
		rt.Fatalf("at the end %d are given, %v", len(due), err)
	}
	return next
}

// A view that is opened again gives what waits in it.
func TestWhatWaitsIsFoundAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v, err := Open(dir, make([]byte, 32))
	must(t, err)
	c := &chain{}
	var want []string
	for n := range 40 {
		e := c.event()
		e.Member = fmt.Sprint("MEMBER", n%7)
		if n%3 == 0 {
			e.Effect, e.Note = consortium.Record, wire.Note{Kind: wire.KindKeyring, Collection: collectionA}
		}
		must(t, v.Append([]NewEvent{e}, nil))
		if n%5 == 0 {
			logged, _, err := v.Event(e.TxID)
			must(t, err)
			must(t, v.Settle([]Outcome{{Event: logged, State: Waiting, Due: time.Now().Add(-time.Second)}}))
		}
		want = append(want, e.TxID)
	}
	must(t, v.Close())
	v, err = Open(dir, make([]byte, 32))
	must(t, err)
	defer func() { must(t, v.Close()) }()
	var got []string
	for _, queue := range []Queue{Fresh, Retried} {
		due, _, err := v.Due(queue, nil, time.Now(), 1000)
		must(t, err)
		for _, e := range due {
			got = append(got, e.TxID)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d events wait, want %d", len(got), len(want))
	}
}

// One member's waiting events cost the others nothing when a member is connected, of whatever kinds they are.
func TestHasteningIsBounded(t *testing.T) {
	t.Parallel()
	v, c := newView(t), &chain{}
	later := time.Now().Add(time.Hour)
	var events []NewEvent
	var outcomes []Outcome
	kinds := []wire.Kind{wire.KindObject, wire.KindBatch, wire.KindObject, wire.KindCollection}
	for n := range maxHasten + 500 {
		e := c.event()
		e.Note.Kind = kinds[n%len(kinds)]
		if e.Member = "FLOOD"; n%100 == 0 {
			e.Member = "OTHER"
		}
		events = append(events, e)
	}
	must(t, v.Append(events, nil))
	for _, e := range events {
		logged, _, err := v.Event(e.TxID)
		must(t, err)
		outcomes = append(outcomes, Outcome{Event: logged, State: Waiting, Due: later})
	}
	must(t, v.Settle(outcomes))
	must(t, v.Hasten())
	due, _, err := v.Due(Fresh, nil, time.Now(), 10_000)
	must(t, err)
	got := map[string]int{}
	for _, e := range due {
		got[e.Member]++
	}
	if want := map[string]int{"FLOOD": maxHasten, "OTHER": 15}; !maps.Equal(got, want) {
		t.Errorf("hastened are %v, want %v", got, want)
	}
}

// How many NFTs name a directory is counted, not looked for: against a model that looks.
func TestADirectoryIsUsedAsLongAsAnEventThatMayCountNamesIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(t, err)
		defer func() { must(t, memory.Close()) }()
		v := inMemory(t, memory)
		c := &chain{}
		directories := []string{"bafyone", "bafytwo"}
		var events []NewEvent
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if len(events) == 0 || rapid.IntRange(0, 2).Draw(rt, "new") == 0 {
				e := c.event()
				e.Directory = rapid.SampledFrom(directories).Draw(rt, "directory")
				must(t, v.Append([]NewEvent{e, e}, nil)) // a delivery can be repeated
				events = append(events, e)
			} else {
				e := rapid.SampledFrom(events).Draw(rt, "event")
				logged, _, err := v.Event(e.TxID)
				must(t, err)
				switch rapid.IntRange(0, 4).Draw(rt, "step") {
				case 0:
					must(t, v.Settle([]Outcome{{Event: logged, State: Refused}}))
				case 1:
					_, _, err := withdraw(v, e.Asset, e.Sender)
					must(t, err)
				case 2:
					must(t, v.Settle([]Outcome{{Event: logged, State: InView, Entry: entryOf(e, collectionA, "malware-1", monday, e.Directory)}}))
				case 3:
					must(t, v.Settle([]Outcome{{Event: logged, State: Undecided, Collection: collectionA}}))
				case 4:
					_, err := v.Reconsider(always)
					must(t, err)
				}
			}
			for _, directory := range directories {
				want := slices.ContainsFunc(events, func(e NewEvent) bool {
					logged, _, err := v.Event(e.TxID)
					must(t, err)
					return e.Directory == directory && logged.State != Refused && logged.State != Ended
				})
				if used, err := v.Uses(directory); err != nil || used != want {
					rt.Fatalf("%s is used: %v, want %v (%v)", directory, used, want, err)
				}
			}
		}
	})
}

// A record that decides nothing makes nobody look at an object again.
func TestOnlyWhatIsDecidedIsReconsidered(t *testing.T) {
	t.Parallel()
	v, c := newView(t), &chain{}
	var events []NewEvent
	for range 3 {
		e := c.event()
		events = append(events, e)
		must(t, v.Append([]NewEvent{e}, nil))
		logged, _, err := v.Event(e.TxID)
		must(t, err)
		must(t, v.Settle([]Outcome{{Event: logged, State: Undecided, Collection: collectionA, Epoch: uint32(len(events))}}))
	}
	record := c.event()
	record.Effect, record.Note = consortium.Record, wire.Note{Kind: wire.KindKeyring, Collection: collectionA}
	must(t, v.Append([]NewEvent{record}, nil))
	logged, _, err := v.Event(record.TxID)
	must(t, err)
	must(t, v.Settle([]Outcome{{Event: logged, State: Held, Content: []byte("said")}}))
	looked := 0
	n, err := v.Reconsider(func(e Event, collection string) bool {
		looked++
		return e.Epoch == 2 && collection == collectionA
	})
	must(t, err)
	if waiting, undecided := v.CountEvents(); n != 1 || looked != 3 || waiting != 1 || undecided != 2 {
		t.Errorf("%d of %d wait again; %d wait, %d are undecided", n, looked, waiting, undecided)
	}
	if n, err = v.Reconsider(always); err != nil || n != 0 {
		t.Errorf("without a new record %d are looked at again, %v", n, err)
	}
	if content, err := v.Content(logged); err != nil || string(content) != "said" {
		t.Errorf("the record says %q, %v", content, err)
	}
}

func TestWaitingEventsComeBackWhenTheyAreDue(t *testing.T) {
	v, c := newView(t), &chain{}
	a, b := c.event(), c.event()
	must(t, v.Append([]NewEvent{a, b}, nil))
	now := time.Now()
	due, _, err := v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 2 {
		t.Fatalf("%d are due, want 2", len(due))
	}
	later := now.Add(time.Minute)
	must(t, v.Settle([]Outcome{{Event: due[0], State: Waiting, Reason: "nobody has it", Due: later}}))
	due, _, err = v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != b.TxID {
		t.Fatalf("due now: %+v", due)
	}
	must(t, v.Settle([]Outcome{{Event: due[0], State: Refused}}))
	if due, next, err := v.Due(Retried, nil, now, 10); err != nil || len(due) != 0 || !next.Equal(later.Truncate(time.Millisecond)) {
		t.Errorf("due %v, next %v, %v; want none until %v", due, next, err, later)
	}
	must(t, v.Hasten())
	due, _, err = v.Due(Fresh, nil, now, 10)
	must(t, err)
	if len(due) != 1 || due[0].TxID != a.TxID || due[0].Tries != 1 {
		t.Errorf("hastened: %+v", due)
	}
}

func TestUndecidedObjectsAreReconsideredByCollection(t *testing.T) {
	v, c := newView(t), &chain{}
	a, b, record := c.event(), c.event(), c.event()
	record.Note = wire.Note{Kind: wire.KindKeyring, Collection: collectionA}
	must(t, v.Append([]NewEvent{a, b, record}, nil))
	due, _, err := v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	must(t, v.Settle([]Outcome{
		{Event: due[0], State: Undecided, Collection: collectionA}, {Event: due[1], State: Undecided, Collection: collectionB},
	}))
	if n, err := v.Reconsider(always); err != nil || n != 0 {
		t.Fatalf("without a record: %d reconsidered, %v", n, err)
	}
	must(t, v.Settle([]Outcome{{Event: due[2], State: Held}}))
	n, err := v.Reconsider(always)
	must(t, err)
	due, _, err = v.Due(Fresh, nil, time.Now(), 10)
	must(t, err)
	if n != 1 || len(due) != 1 || due[0].TxID != a.TxID {
		t.Errorf("%d reconsidered, due %+v", n, due)
	}
	if waiting, undecided := v.CountEvents(); waiting != 1 || undecided != 1 {
		t.Errorf("%d wait and %d are undecided", waiting, undecided)
	}
	if n, err := v.Reconsider(always); err != nil || n != 0 {
		t.Errorf("a second time: %d reconsidered, %v", n, err)
	}
}

// Records come first, and leave room: anybody who may make them can make many.
func TestOfWhatIsDueRecordsAreAQuarterAtMost(t *testing.T) {
	v, c := newView(t), &chain{}
	var events []NewEvent
	for range 20 {
		record := c.event()
		record.Note = wire.Note{Kind: wire.KindCollection, Collection: collectionA}
		record.Effect = consortium.Record
		events = append(events, record, c.event())
	}
	must(t, v.Append(events, nil))
	for limit, want := range map[int]int{1: 1, 8: 2, 16: 4} {
		due, _, err := v.Due(Fresh, nil, time.Now(), limit)
		must(t, err)
		records := 0
		for _, e := range due {
			if e.Note.Kind == wire.KindCollection {
				records++
			}
		}
		if records != want || len(due) != limit {
			t.Errorf("of %d that are due %d are records, want %d of %d", len(due), records, want, limit)
		}
	}
}
