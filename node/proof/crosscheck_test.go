package proof

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
)

func TestJoinedRangesHoldTheSameRoundsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) consortium.Range {
			first := rapid.Uint64Range(0, 40).Draw(t, "first")
			return consortium.Range{First: first, Last: first + rapid.Uint64Range(0, 9).Draw(t, "length")}
		}), 0, 8).Draw(t, "ranges")
		in := func(list []consortium.Range, round uint64) bool {
			return slices.ContainsFunc(list, func(r consortium.Range) bool { return r.First <= round && round <= r.Last })
		}
		got := joined(slices.Clone(ranges))
		for round := range uint64(60) {
			if in(ranges, round) != in(got, round) {
				t.Fatalf("round %d: %v became %v", round, ranges, got)
			}
		}
		a := crosschecker{ranges: got}
		next, rounds := uint64(0), 0
		for {
			round, more := a.inRanges(next)
			if !more {
				break
			}
			if round < next || !in(ranges, round) {
				t.Fatalf("round %d after %d of %v", round, next, ranges)
			}
			next, rounds = round+1, rounds+1
		}
		want := 0
		for round := range uint64(60) {
			if in(ranges, round) {
				want++
			}
		}
		if rounds != want {
			t.Fatalf("%d rounds of %d", rounds, want)
		}
	})
}

func TestEveryDifferenceBetweenLogAndBlockIsNamed(t *testing.T) {
	event := func() consortium.Event {
		return consortium.Event{
			Position: consortium.Position{Round: 5, Intra: 1}, Time: time.Unix(7, 0), TxID: "T", Sender: "S", Asset: 9, Consortium: 1,
			Note: wire.Note{Kind: wire.KindObject, Sequence: 3}, Directory: "bafy", MetadataHash: []byte{1},
		}
	}
	if got := difference(event(), event()); got != "" {
		t.Errorf("the same differs: %s", got)
	}
	for name, change := range map[string]func(*consortium.Event){
		"position":      func(e *consortium.Event) { e.Intra++ },
		"time":          func(e *consortium.Event) { e.Time = e.Time.Add(time.Second) },
		"asset":         func(e *consortium.Event) { e.Asset++ },
		"sender":        func(e *consortium.Event) { e.Sender = "X" },
		"note":          func(e *consortium.Event) { e.Note.Sequence++ },
		"directory":     func(e *consortium.Event) { e.Directory = "" },
		"metadata hash": func(e *consortium.Event) { e.MetadataHash = []byte{2} },
	} {
		e := event()
		change(&e)
		if difference(e, event()) == "" {
			t.Errorf("another %s goes unnoticed", name)
		}
	}
}

// The rules are applied to what the blocks hold, whatever the log says.
func TestARoundIsComparedInBothDirections(t *testing.T) {
	charter := consortium.Event{Position: consortium.Position{Round: 1}, TxID: "C", Sender: "G", Asset: 7, Note: wire.Note{Kind: wire.KindCharter}}
	record := func(round, intra uint64, txid string, note wire.Note) consortium.Event {
		return consortium.Event{Position: consortium.Position{Round: round, Intra: intra}, TxID: txid, Sender: "G", Asset: 100 + round, Consortium: 7, Note: note}
	}
	admission := record(2, 0, "A", wire.Note{Kind: wire.KindMember, Sequence: 1, Account: "G"})
	one := record(3, 0, "1", wire.Note{Kind: wire.KindObject, Sequence: 2})
	two := record(3, 1, "2", wire.Note{Kind: wire.KindObject, Sequence: 3})
	removal := record(4, 0, "R", wire.Note{Kind: wire.KindDestroy, Sequence: 4})
	removal.Asset = admission.Asset
	three := record(5, 0, "3", wire.Note{Kind: wire.KindObject, Sequence: 5})
	stranger := record(5, 1, "S", wire.Note{Kind: wire.KindObject, Sequence: 1})
	stranger.Sender = "X"

	a := &crosschecker{Notary: &Notary{State: state.New("", consortium.New(7, "C", nil), nil)}, derived: consortium.New(7, "C", nil), report: Crosscheck{Passed: true}}
	for _, r := range []crosscheckedRound{
		{number: 1, log: []consortium.Event{charter}, absent: true},
		{number: 2, log: []consortium.Event{admission}, block: []consortium.Event{admission}},
		{number: 3, log: []consortium.Event{one, record(3, 2, "?", one.Note)}, block: []consortium.Event{one, two}},
		{number: 4, block: []consortium.Event{removal}},
		{number: 5, log: []consortium.Event{three}, block: []consortium.Event{three, stranger}},
	} {
		a.compare(&r)
	}
	got := map[string]Problem{}
	for _, f := range a.report.Findings {
		got[f.TxID] = f.Problem
	}
	want := map[string]Problem{"2": Omitted, "?": NotInBlock, "R": Omitted, "3": NoRight}
	if len(got) != len(want) || a.report.Passed {
		t.Errorf("found %v, want %v", got, want)
	}
	for txid, problem := range want {
		if got[txid] != problem {
			t.Errorf("%s: %q, want %q", txid, got[txid], problem)
		}
	}
	if r := a.report; r.Events != 5 || r.Confirmed != 2 || r.Rounds != 4 || r.Unread != (Unread{Rounds: 1, Events: 1, First: 1, Last: 1}) {
		t.Errorf("%+v", r)
	}
}
