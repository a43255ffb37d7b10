package money

import (
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/daybook"
)

const (
	forecastDays = 7 // before today, of which a forecast is the average
	// WarnDays is how long the money has to last at least: below that it is trouble.
	WarnDays = 14
)

// Forecast is how long the money lasts, if what comes costs what the last week did.
type Forecast struct {
	// Over is of how many days it is the average, today's part of a day included: at most eight, and less while the
	// day-book is younger than a week.
	Over float64 `json:"over_days"`
	// Rate is what a day takes: fees and deposits, without what came back; 0 where more came back.
	Rate microalgo.Amount `json:"microalgo_a_day"`
	// Lasts is for how many days what objects can spend is enough at that rate; absent where nothing is spent, or the
	// balance is not known.
	Lasts *float64 `json:"lasts_days,omitempty"`
	// Young means that less than a whole day is known: what a new node publishes first says little of what comes.
	Young bool `json:"young,omitempty"`
}

// Low reports whether the money ends soon.
func (f Forecast) Low() bool { return f.Lasts != nil && !f.Young && *f.Lasts < WarnDays }

// String says it in words: "lasts 9 days at last week's rate, 1.21 ALGO a day"; "" where nothing is to be said.
func (f Forecast) String() string {
	if f.Lasts == nil {
		return ""
	}
	rate := "last week's rate"
	if f.Over < forecastDays {
		rate = fmt.Sprintf("the rate of the last %s", dayCount(f.Over))
	}
	return fmt.Sprintf("lasts %s at %s, %s ALGO a day", dayCount(*f.Lasts), rate, roundly(f.Rate))
}

// roundly leaves the first three digits of an amount: an average has no more that say anything.
func roundly(a microalgo.Amount) microalgo.Amount {
	step := microalgo.Amount(1)
	for a/step >= 1000 {
		step *= 10
	}
	return a.Plus(step/2) / step * step
}

func dayCount(days float64) string {
	switch {
	case days > 3650:
		return "more than ten years"
	case days < 1:
		return fmt.Sprintf("%.0f hours", days*24)
	case days < 2:
		return "1 day"
	}
	return fmt.Sprintf("%.0f days", days-0.499) // whole days, of which there are at least so many
}

// Book is the day-book.
type Book interface {
	// Each visits the lines of some days, both included.
	Each(first, last daybook.Day, visit func(daybook.Line) error) error
	// Began is the day of the first line.
	Began() (day daybook.Day, found bool, err error)
}

// Foresee tells how long an amount lasts. It is nil where that is not known.
func Foresee(book Book, at time.Time, spendable *microalgo.Amount) (f Forecast, err error) {
	today := daybook.DayOf(at)
	began, found, err := book.Began()
	if err != nil || !found {
		f.Young = true
		return f, err
	}
	first := max(began, today-min(today, forecastDays))
	var out, back microalgo.Amount
	err = book.Each(first, today, func(l daybook.Line) error {
		if l.For == daybook.Former { // of other accounts: it is none of this one's
			return nil
		}
		out, back = out.Plus(l.Fees).Plus(l.Locked), back.Plus(l.Freed)
		return nil
	})
	if err != nil {
		return f, err
	}
	f.Young = began >= today
	f.Over = max(1, at.Sub(first.Begin()).Hours()/24)
	f.Rate = microalgo.Amount(float64(out.Less(back)) / f.Over)
	if f.Rate > 0 && spendable != nil {
		lasts := float64(*spendable) / float64(f.Rate)
		f.Lasts = &lasts
	}
	return f, nil
}
