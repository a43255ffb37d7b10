package proof

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/view"
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

// fakeLog is an event log in memory.
type fakeLog []view.Event

func (l fakeLog) Log(after consortium.Position, limit int) (list []view.Event, err error) {
	for _, e := range l {
		if after.Before(e.Position) && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, nil
}

// Every round that the log has or that is to be read comes once, in order, with all that the log has of it.
func TestEveryRoundIsPlannedOnceWithItsEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log fakeLog
		last := rapid.Uint64Range(1, 400).Draw(t, "last")
		want := map[uint64]int{}
		round := uint64(1)
		for range rapid.IntRange(0, 1200).Draw(t, "events") {
			round += rapid.SampledFrom([]uint64{0, 0, 0, 0, 1, 30}).Draw(t, "step")
			position := consortium.Position{Round: round}
			if n := len(log); n > 0 && log[n-1].Round == round {
				position.Intra = log[n-1].Intra + 1
			}
			log = append(log, view.Event{Event: consortium.Event{Position: position}})
			if round <= last {
				want[round]++
			}
		}
		var ranges []consortium.Range
		for range rapid.IntRange(0, 3).Draw(t, "ranges") {
			first := rapid.Uint64Range(1, last).Draw(t, "first")
			ranges = append(ranges, consortium.Range{First: first, Last: min(last, first+rapid.Uint64Range(0, 99).Draw(t, "length"))})
		}
		for _, r := range ranges {
			for n := r.First; n <= r.Last; n++ {
				want[n] += 0
			}
		}
		a := &crosschecker{log: logReader{view: log, last: last}, ranges: joined(ranges)}
		before := uint64(0)
		for next := uint64(1); ; {
			batch, err := a.plan(next)
			if err != nil {
				t.Fatal(err)
			}
			if len(batch) == 0 {
				break
			}
			if len(batch) > roundsAtOnce {
				t.Fatalf("%d rounds at once", len(batch))
			}
			for _, r := range batch {
				if events, planned := want[r.number]; !planned || events != len(r.log) || r.number <= before {
					t.Fatalf("round %d after %d with %d events, want %d", r.number, before, len(r.log), events)
				}
				delete(want, r.number)
				before = r.number
			}
			next = before + 1
		}
		if len(want) > 0 {
			t.Fatalf("rounds %v were not planned", want)
		}
	})
}
