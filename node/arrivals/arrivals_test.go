package arrivals

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/repo/view"
)

// shelf is a view in a list, the oldest first.
type shelf struct {
	list []*view.Entry
	err  error
	asks int
}

func (s *shelf) Page(q view.Query) (page []*view.Entry, more bool, err error) {
	s.asks++
	if s.err != nil {
		return nil, false, s.err
	}
	for i := range s.list {
		e := s.list[i]
		if q.Descending {
			e = s.list[len(s.list)-1-i]
		}
		if e.DateAdded <= q.After || q.Before > 0 && e.DateAdded >= q.Before {
			continue
		}
		if len(page) == q.Limit {
			return page, true, nil
		}
		page = append(page, e)
	}
	return page, false, nil
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// came is an entry that came some time before noon, and took some time to come.
func came(ago, took time.Duration, publisher, kind, collection string) *view.Entry {
	at := noon.Add(-ago)
	return &view.Entry{DateAdded: at.UnixMicro(), StoredAt: at.Add(-took), Publisher: publisher, Type: kind, Collection: collection}
}

func everything(string) bool { return true }

const dayTime = 24 * time.Hour

func TestWhatCameIsCountedByDayPublisherAndType(t *testing.T) {
	s := &shelf{list: []*view.Entry{
		came(Days*dayTime, 0, "A", "indicator", "x"), // too long ago
		came(2*dayTime+time.Minute, time.Hour, "A", "malware", "x"),
		came(2*dayTime, 2*dayTime, "B", "indicator", "y"),
		came(time.Minute, 700*time.Millisecond, "A", "indicator", "x"),
	}}
	s.list[2].Member = "C" // whose account B is
	b := &Book{View: s, Now: func() time.Time { return noon }}
	if err := b.Count(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	got := b.Tell(everything).Recent(3)
	want := "[2026-11-28 2026-11-29 2026-11-30] map[A:[1 0 1] C:[1 0 0]] map[indicator:[1 0 1] malware:[1 0 0]] 3 [1 0 0 0 0 0 0 1] true"
	days := []string{}
	for _, day := range got.Days {
		days = append(days, day.Format(time.DateOnly))
	}
	if is := fmt.Sprint(days, got.Publishers, got.Types, got.All, got.Within, got.Back.IsZero()); is != want {
		t.Errorf("counted is %s\nwant %s", is, want)
	}
	if got := b.Tell(func(c string) bool { return c == "y" }); got.All != 1 || len(got.Publishers) != 1 {
		t.Errorf("of what is in y is told %+v", got)
	}
}

// Whatever comes between calls that are cut short, everything is counted once.
func TestEverythingIsCountedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := &shelf{}, noon.Add(-time.Hour)
		b := &Book{View: s}
		b.Now = func() time.Time { now = now.Add(time.Millisecond); return now }
		arrive := func() {
			for range rapid.IntRange(0, 3*pageSize).Draw(t, "new") {
				now = now.Add(time.Microsecond)
				s.list = append(s.list, &view.Entry{DateAdded: now.UnixMicro(), StoredAt: now, Publisher: "A", Type: "indicator"})
			}
		}
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			arrive()
			if err := b.Count(context.Background(), time.Duration(rapid.IntRange(0, 3).Draw(t, "ms"))*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Count(context.Background(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := b.Tell(everything); got.All != len(s.list) || !got.Back.IsZero() {
			t.Errorf("of %d are counted %d, back to %v", len(s.list), got.All, got.Back)
		}
	})
}

func TestACountThatIsCutShortSaysHowFarItIs(t *testing.T) {
	s := &shelf{}
	for i := range 2 * pageSize {
		s.list = append(s.list, came(time.Duration(2*pageSize-i)*time.Second, 0, "A", "indicator", "x"))
	}
	b := &Book{View: s, Now: func() time.Time { return noon }}
	if err := b.Count(t.Context(), -time.Second); err != nil {
		t.Fatal(err)
	}
	if got := b.Tell(everything); got.All != pageSize || !got.Back.Equal(noon.Add(-pageSize*time.Second)) {
		t.Errorf("%d are counted, back to %v", got.All, got.Back)
	}
	s.err = errors.New("the disk is gone")
	if err := b.Count(t.Context(), time.Hour); !errors.Is(err, s.err) {
		t.Errorf("a view that fails is answered with %v", err)
	}
}

func TestDaysThatAreOverAreForgotten(t *testing.T) {
	now := noon
	b := &Book{View: &shelf{list: []*view.Entry{came(time.Minute, 0, "A", "indicator", "x")}}, Now: func() time.Time { return now }}
	for _, days := range []int{Days - 1, Days} {
		now = noon.AddDate(0, 0, days)
		if err := b.Count(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := len(b.counts); got != Days-days {
			t.Errorf("after %d days %d kinds are remembered", days, got)
		}
	}
}

func TestMoreKindsThanFitAreCountedAsOther(t *testing.T) {
	b := &Book{View: &shelf{}, Now: func() time.Time { return noon }, counts: map[kind]*count{}}
	for i := range maxKinds + 10 {
		b.add(came(time.Minute, 0, "A", fmt.Sprint("x-", i), "x"))
	}
	if got := b.Tell(everything); got.All != maxKinds+10 || got.Types[other][Days-1] != 10 || len(b.counts) > maxKinds+1 {
		t.Errorf("%d are counted, %d of them as other, in %d kinds", got.All, got.Types[other][Days-1], len(b.counts))
	}
}
