package money

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/daybook"
)

// book is a day-book in memory.
type book struct {
	lines []daybook.Line
	err   error
}

func (b book) Each(first, last daybook.Day, visit func(daybook.Line) error) error {
	for _, l := range b.lines {
		if l.Day >= first && l.Day <= last {
			if err := visit(l); err != nil {
				return err
			}
		}
	}
	return b.err
}

func (b book) Began() (daybook.Day, bool, error) {
	if len(b.lines) == 0 {
		return 0, false, b.err
	}
	return slices.MinFunc(b.lines, func(x, y daybook.Line) int { return int(x.Day) - int(y.Day) }).Day, true, b.err
}

const day0 = daybook.Day(20_000)

// spent is a line of a day some days after the first.
func spent(after int, fees, locked, freed microalgo.Amount) daybook.Line {
	return daybook.Line{Day: day0 + daybook.Day(after), For: daybook.Objects, Sums: daybook.Sums{Fees: fees, Locked: locked, Freed: freed}}
}

func TestTheForecastIsWhatTheLastWeekTook(t *testing.T) {
	t.Parallel()
	noon := 12 * time.Hour
	week := func(each microalgo.Amount) (list []daybook.Line) {
		for i := range 30 {
			list = append(list, spent(i, each, 0, 0))
		}
		return list
	}
	const many = 9_000_000
	for _, c := range []struct {
		name  string
		lines []daybook.Line
		at    time.Duration // after day0
		have  microalgo.Amount
		lasts float64 // days; negative: nothing is said
		low   bool
		words string
	}{
		{"nothing was spent", nil, noon, many, -1, false, ""},
		{"steadily", week(1_000_000), 30 * 24 * time.Hour, 7_000_000, 7, true, "lasts 7 days at last week's rate, 1 ALGO a day"},
		{"enough", week(100_000), 29*24*time.Hour + noon, 14_000_000, 131.25, false, "lasts 131 days at last week's rate, 0.107 ALGO a day"},
		{"a day old", []daybook.Line{spent(0, 100, 500_000, 0)}, noon, 1_000_000, 1.9996, false, "lasts 1 day at the rate of the last 1 day, 0.5 ALGO a day"},
		{"two days old", []daybook.Line{spent(0, 0, 750_000, 0)}, 24*time.Hour + noon, 1_000_000, 2, true, "lasts 2 days at the rate of the last 1 day, 0.5 ALGO a day"},
		{"more came back", []daybook.Line{spent(0, 0, 100_000, 0), spent(1, 1000, 0, 100_000*2)}, 2 * 24 * time.Hour, many, -1, false, ""},
		{"long ago", []daybook.Line{spent(0, 0, 100_000, 0)}, 30 * 24 * time.Hour, many, -1, false, ""},
		{"nothing is left", week(1_000_000), 30 * 24 * time.Hour, 0, 0, true, "lasts 0 hours at last week's rate, 1 ALGO a day"},
		{"for ever", week(8), 30 * 24 * time.Hour, microalgo.Amount(math.MaxUint64), math.MaxUint64 / 8.0, false, "lasts more than ten years at last week's rate, 0.000008 ALGO a day"},
	} {
		f, err := Foresee(book{lines: c.lines}, day0.Begin().Add(c.at), &c.have)
		if err != nil || (f.Lasts == nil) != (c.lasts < 0) || f.Lasts != nil && math.Abs(*f.Lasts-c.lasts) > 1e-3*max(1, c.lasts) || f.Low() != c.low || f.String() != c.words {
			t.Errorf("%s: %+v, %q, low: %t, %v", c.name, f, f, f.Low(), err)
		}
		if f, err := Foresee(book{lines: c.lines}, day0.Begin().Add(c.at), nil); err != nil || f.Lasts != nil || f.Low() {
			t.Errorf("%s: without a balance it is %+v, %v", c.name, f, err)
		}
	}
}

func TestABookThatCannotBeReadIsNoForecast(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, b := range []book{{err: broken}, {lines: []daybook.Line{spent(0, 1, 1, 0)}, err: broken}} {
		if _, err := Foresee(b, day0.Begin(), nil); !errors.Is(err, broken) {
			t.Errorf("it is %v", err)
		}
		h := History{Book: b, Now: time.Now}
		if _, err := h.Each(t.Context(), Query{}, func(daybook.Line) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("its history is %v", err)
		}
	}
}

func TestAHistoryIsOfTheDaysThatAreAskedForAndAddsUp(t *testing.T) {
	t.Parallel()
	h := History{Book: book{lines: []daybook.Line{spent(0, 1, 10, 0), spent(1, 2, 20, 5), spent(2, 4, 40, 0), spent(9, 8, 80, 0)}}, Now: func() time.Time { return day0.Begin().AddDate(0, 0, 2) }}
	for _, c := range []struct {
		q     Query
		lines int
		fees  microalgo.Amount
	}{{Query{}, 3, 7}, {Query{Since: day0 + 1}, 2, 6}, {Query{Until: day0 + 1}, 2, 3}, {Query{Since: day0 + 1, Until: day0 + 9}, 3, 14}, {Query{Since: day0 + 3, Until: day0 + 4}, 0, 0}} {
		n := 0
		total, err := h.Each(t.Context(), c.q, func(daybook.Line) error {
			n++
			return nil
		})
		if err != nil || n != c.lines || total.Lines != n || total.Fees != c.fees || total.Began != day0 {
			t.Errorf("%+v: %d lines, %+v, %v", c.q, n, total, err)
		}
	}
}
