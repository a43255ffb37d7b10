package hits

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

func must(t interface {
	Helper()
	Fatal(...any)
}, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newBook is a book in memory; commit decides about its writes.
func newBook(t *testing.T, commit func(commit func() error) error) *Book {
	t.Helper()
	memory, err := kv.NewMemoryOf(8 << 20)
	must(t, err)
	t.Cleanup(func() { must(t, memory.Close()) })
	return New(store.New(memory.DB(kv.Hooks{Commit: commit})))
}

var monday = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func of(t *testing.T, b *Book, indicator string) Counter {
	t.Helper()
	c, _, err := b.Of(indicator)
	must(t, err)
	return c
}

func TestHitsAreCountedByIndicatorAndDay(t *testing.T) {
	b, today := newBook(t, nil), DayOf(monday)
	for range 2 {
		_, err := b.Add(Request{At: monday, Hits: map[string]map[Day]uint64{"a": {today: 3, today - 5: 1}, "b": {today: 1}}})
		must(t, err)
	}
	if c := of(t, b, "a"); c.Count() != 8 || c.First != today-5 || c.Last() != today || len(c.Days) != 2 {
		t.Errorf("%+v", c)
	}
	if count, last := of(t, b, "a").Until(today - 1); count != 2 || last != today-5 {
		t.Errorf("until the day before: %d, %v", count, last)
	}
	var all []string
	must(t, b.Each(func(c Counter) error { all = append(all, c.Indicator); return nil }))
	if !slices.Equal(all, []string{"a", "b"}) {
		t.Errorf("there are %v", all)
	}
}

func TestARequestThatComesAgainCountsNothing(t *testing.T) {
	b, today := newBook(t, nil), DayOf(monday)
	r := Request{By: "key:siem", Key: "1", At: monday, Hits: map[string]map[Day]uint64{"a": {today: 3}}}
	for i := range 3 {
		done, err := b.Add(r)
		must(t, err)
		if done.Again != (i > 0) {
			t.Errorf("the %d. time: %+v", i+1, done)
		}
	}
	r.By = "key:other"
	_, err := b.Add(r)
	must(t, err)
	if n := of(t, b, "a").Count(); n != 6 {
		t.Errorf("%d were counted", n)
	}
	must(t, b.Forget(0, today+3)) // after that it may come again
	_, err = b.Add(r)
	must(t, err)
	if n := of(t, b, "a").Count(); n != 9 {
		t.Errorf("%d were counted", n)
	}
}

// Killed anywhere in a large request, whoever repeats it counts everything once.
func TestAnInterruptedRequestIsCountedOnce(t *testing.T) {
	today, left := DayOf(monday), 0
	b := newBook(t, func(commit func() error) error {
		if left--; left < 0 {
			return fmt.Errorf("the power is gone")
		}
		return commit()
	})
	r := Request{By: "x", Key: "1", At: monday, Hits: map[string]map[Day]uint64{}}
	for n := range 3*addAtOnce + 10 {
		r.Hits[fmt.Sprintf("%05d", n)] = map[Day]uint64{today: 1}
	}
	for range 4 {
		left = 1
		if _, err := b.Add(r); err == nil {
			break
		}
	}
	left = 100
	done, err := b.Add(r)
	if err != nil || !done.Again {
		t.Errorf("it is not done after four writes: %+v, %v", done, err)
	}
	must(t, b.Each(func(c Counter) error {
		if c.Count() != 1 {
			t.Errorf("%s was counted %d times", c.Indicator, c.Count())
		}
		return nil
	}))
	if b.count != len(r.Hits) {
		t.Errorf("%d indicators, %d are known of", len(r.Hits), b.count)
	}
}

func TestMoreIndicatorsThanThereArePlacesForAreToldOf(t *testing.T) {
	b, today := newBook(t, nil), DayOf(monday)
	b.most = 2
	done, err := b.Add(Request{At: monday, Hits: map[string]map[Day]uint64{"a": {today - 90: 1}, "b": {today: 1}, "c": {today: 1}}})
	must(t, err)
	if done.Counted != 2 || done.Full != 1 {
		t.Errorf("%+v", done)
	}
	must(t, b.Forget(today-30, today))
	if done, err = b.Add(Request{At: monday, Hits: map[string]map[Day]uint64{"c": {today: 1}}}); err != nil || done.Counted != 1 {
		t.Errorf("after one was forgotten: %+v, %v", done, err)
	}
}

func TestLaterHitsAreNoticed(t *testing.T) {
	b, today := newBook(t, nil), DayOf(monday)
	before := int64(0)
	for n, c := range []struct {
		day     Day
		changed bool
	}{{today - 3, true}, {today - 3, false}, {today - 4, false}, {today - 2, true}} {
		_, err := b.Add(Request{At: monday, Hits: map[string]map[Day]uint64{"a": {c.day: 1}}})
		must(t, err)
		now, err := b.Changed()
		must(t, err)
		if now > before != c.changed {
			t.Errorf("the %d. hit: %d after %d", n+1, now, before)
		}
		before = now
	}
}

func TestWhatOthersAreToldIsKeptWithTheRation(t *testing.T) {
	b, today := newBook(t, nil), DayOf(monday)
	if err := b.Tell("a", Told{}); err == nil {
		t.Error("what never hit is told of")
	}
	_, err := b.Add(Request{At: monday, Hits: map[string]map[Day]uint64{"a": {today: 1}}})
	must(t, err)
	must(t, b.Plan("a", Told{ID: "sighting--1", Document: []byte(`{"a": 1}`)}, Used{Day: today, Sightings: 1, Money: 7}))
	if c := of(t, b, "a"); c.Told == nil || c.Told.ID != "sighting--1" || string(c.Told.Document) != `{"a": 1}` {
		t.Errorf("%+v", c.Told)
	}
	for day, want := range map[Day]int{today: 1, today - 1: 1, today + 1: 0} {
		if u, err := b.Today(day); err != nil || u.Sightings != want {
			t.Errorf("on day %d: %+v, %v", day, u, err)
		}
	}
}

// A counter says the same as a plain sum, whatever comes in which order.
func TestACounterIsASum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Counter
		sums := map[Day]uint64{}
		for range rapid.IntRange(1, 3*KeptDays).Draw(t, "hits") {
			day, n := Day(rapid.IntRange(1000, 1000+2*KeptDays).Draw(t, "day")), uint64(rapid.IntRange(1, 1000).Draw(t, "n"))
			c.add(day, n)
			sums[day] += n
		}
		var all uint64
		for _, n := range sums {
			all += n
		}
		days := slices.Sorted(maps.Keys(sums))
		if c.Count() != all || c.First != days[0] || c.Last() != days[len(days)-1] || len(c.Days) > KeptDays || !slices.IsSortedFunc(c.Days, func(a, b On) int { return int(a.Day) - int(b.Day) }) {
			t.Fatalf("of %d hits on %d days: %+v", all, len(days), c)
		}
	})
}
