package daybook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/internal/storetest"
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

func write(t *testing.T, s *store.Store, day daybook.Day, e daybook.Entry, sums daybook.Sums) {
	t.Helper()
	must(t, s.Write(func(txn *kv.Txn) error { return daybook.Write(txn, day, map[daybook.Entry]daybook.Sums{e: sums}) }))
}

func lines(t *testing.T, s *store.Store, first, last daybook.Day) (list []daybook.Line) {
	t.Helper()
	must(t, daybook.New(s).Each(first, last, func(l daybook.Line) error {
		list = append(list, l)
		return nil
	}))
	return list
}

// The book is what a table in memory would be, whatever is written in whatever order.
func TestTheBookAddsUpWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		memory, err := kv.NewMemory()
		must(rt, err)
		defer memory.Close()
		s := store.New(memory.DB(kv.Hooks{}))
		type key struct {
			day daybook.Day
			daybook.Entry
		}
		model := map[key]daybook.Sums{}
		const base = 20_000
		for range rapid.IntRange(1, 30).Draw(rt, "writes") {
			day := daybook.Day(base + rapid.IntRange(0, 5).Draw(rt, "day"))
			all := map[daybook.Entry]daybook.Sums{}
			for range rapid.IntRange(1, 3).Draw(rt, "entries") {
				e := daybook.Entry{
					For: daybook.Purpose(rapid.IntRange(1, 5).Draw(rt, "for")),
					By:  rapid.SampledFrom([]string{"", "alice", "key:siem", "feed misp", strings.Repeat("x", 256)}).Draw(rt, "by"),
				}
				all[e] = daybook.Sums{Taken: rapid.Uint64Range(0, 9).Draw(rt, "taken"), NFTs: 1, Fees: microalgo.Amount(rapid.Uint64Range(0, 5000).Draw(rt, "fee")), Locked: microalgo.PerAsset}
			}
			must(rt, s.Write(func(txn *kv.Txn) error { return daybook.Write(txn, day, all) }))
			for e, more := range all {
				sums := model[key{day, e}]
				sums.Add(more)
				model[key{day, e}] = sums
			}
		}
		first, last := daybook.Day(base+rapid.IntRange(0, 5).Draw(rt, "first")), daybook.Day(base+rapid.IntRange(0, 5).Draw(rt, "last"))
		want := 0
		for k := range model {
			if k.day >= first && k.day <= last {
				want++
			}
		}
		got, before := 0, daybook.Line{}
		must(rt, daybook.New(s).Each(first, last, func(l daybook.Line) error {
			if l.Sums != model[key{l.Day, daybook.Entry{For: l.For, By: l.By}}] {
				rt.Fatalf("%v for %v by %.20q is %+v", l.Day, l.For, l.By, l.Sums)
			}
			if got > 0 && (l.Day < before.Day || l.Day == before.Day && l.For < before.For) {
				rt.Fatalf("%v comes after %v", l, before)
			}
			got, before = got+1, l
			return nil
		}))
		if got != want {
			rt.Fatalf("%d lines, want %d", got, want)
		}
	})
}

func TestTheBookForgetsWhatIsOlderThanFourHundredDays(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store
	for day := daybook.Day(1000); day < 1000+daybook.KeptDays+20; day++ {
		write(t, s, day, daybook.Entry{For: daybook.Objects, By: "alice"}, daybook.Sums{Taken: 1})
	}
	all := lines(t, s, 0, 1<<30)
	if len(all) != daybook.KeptDays || all[0].Day != 1020 {
		t.Errorf("%d days are kept, from %d on", len(all), all[0].Day)
	}
	if began, found, err := daybook.New(s).Began(); err != nil || !found || began != 1020 {
		t.Errorf("it began on %d, %t, %v", began, found, err)
	}
}

// However many names somebody makes up, a day has so many lines and no more, and none of the money is lost.
func TestADayHasAThousandLinesAndOneForAllOthers(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store
	const causes = 1100
	for i := range causes {
		write(t, s, 1000, daybook.Entry{For: daybook.Objects, By: fmt.Sprint("somebody ", i)}, daybook.Sums{Taken: 1})
	}
	write(t, s, 1000, daybook.Entry{For: daybook.Objects, By: "somebody 7"}, daybook.Sums{Taken: 1}) // who has a line
	all, sum := lines(t, s, 1000, 1000), daybook.Sums{}
	for _, l := range all {
		sum.Add(l.Sums)
	}
	others := slices.IndexFunc(all, func(l daybook.Line) bool { return l.By == daybook.Others })
	if len(all) != 1001 || sum.Taken != causes+1 || others < 0 || all[others].Taken != causes-1000 {
		t.Errorf("%d lines with %d objects", len(all), sum.Taken)
	}
}

func TestAFailingStoreWritesNothingByHalf(t *testing.T) {
	t.Parallel()
	s := storetest.New(t)
	day := daybook.Day(5000)
	s.EachIsTold(t, "writing", func() any { return nil }, func() error {
		return s.Write(func(txn *kv.Txn) error {
			return daybook.Write(txn, day, map[daybook.Entry]daybook.Sums{{For: daybook.Records}: {Fees: 1}})
		})
	})
	s.EachIsTold(t, "reading", func() any { return nil }, func() error {
		_, err := daybook.New(s.Store).Tally(daybook.Quota{All: daybook.Limit{Objects: 1}}, "", day)
		return err
	})
}

func TestADayIsOneInUTC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, want string }{
		{"2026-11-30T00:00:00Z", "2026-11-30"}, {"2026-11-30T23:59:59.999Z", "2026-11-30"}, {"2026-12-01T01:00:00+02:00", "2026-11-30"}, {"1960-01-01T00:00:00Z", "1970-01-01"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		must(t, err)
		if got := daybook.DayOf(at).String(); got != c.want {
			t.Errorf("%s is of %s, want %s", c.at, got, c.want)
		}
	}
	for _, text := range []string{"", "2026-13-01", "1969-12-31", "30.11.2026", "2026-11-30T00:00:00Z"} {
		if day, err := daybook.ParseDay(text); err == nil {
			t.Errorf("%q is %v", text, day)
		}
	}
}

func TestAQuotaNamesTheLimitWhatIsUsedAndWhenItOpensAgain(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store
	day, err := daybook.ParseDay("2026-11-30")
	must(t, err)
	write(t, s, day, daybook.Entry{For: daybook.Objects, By: "alice"}, daybook.Sums{Taken: 2, Promised: 2 * microalgo.PerNFT})
	write(t, s, day, daybook.Entry{For: daybook.Objects, By: "bob"}, daybook.Sums{Taken: 3, Promised: 3 * microalgo.PerNFT})
	write(t, s, day-1, daybook.Entry{For: daybook.Objects, By: "alice"}, daybook.Sums{Taken: 1000})
	for _, c := range []struct {
		name  string
		quota daybook.Quota
		taken int // objects of an NFT each that are taken in
		want  string
	}{
		{"none", daybook.Quota{}, 100, ""},
		{"objects of one", daybook.Quota{Name: "account alice", User: daybook.Limit{Objects: 4}}, 2, "limits.objects of account alice allows 4 objects, of which 4 are used"},
		{"objects of all", daybook.Quota{All: daybook.Limit{Objects: 9}}, 4, "limits.objects of this organisation allows 9 objects, of which 9 are used"},
		{"money of one", daybook.Quota{Name: "API key siem", User: daybook.Limit{Money: microalgo.ALGO}}, 7, "limits.algo of API key siem allows 1 ALGO, of which 0.909 are used"},
		{"money of all", daybook.Quota{All: daybook.Limit{Money: microalgo.ALGO}}, 4, "limits.algo of this organisation allows 1 ALGO"},
		{"used up", daybook.Quota{User: daybook.Limit{Objects: 1}}, 0, "are used; it opens again at 2026-12-01T00:00:00Z"},
	} {
		must(t, s.Read(func(txn *kv.Txn) error {
			tally, err := daybook.Begin(txn, c.quota, "alice", day)
			if err != nil {
				return err
			}
			for i := range 100 {
				over := tally.Take(microalgo.PerNFT)
				if (over != nil) != (i >= c.taken) || over != nil && !strings.Contains(over.Error(), c.want) {
					t.Errorf("%s: object %d: %v", c.name, i+1, over)
					break
				}
			}
			return nil
		}))
	}
}
