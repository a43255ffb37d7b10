package money

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/repo/daybook"
)

// Query chooses days. What is zero restricts nothing; both ends are included.
type Query struct {
	Since daybook.Day `json:"since,omitzero"`
	Until daybook.Day `json:"until,omitzero"`
}

// History is what was spent, by days.
type History struct {
	Book Book
	Now  func() time.Time
}

// Total is what all lines of a history come to.
type Total struct {
	Lines int `json:"lines"`
	daybook.Sums
	// Began is the first day that the day-book has; what was before it, or is older than 400 days, is not in it.
	Began daybook.Day `json:"began,omitzero"`
}

// Each calls visit with the lines of some days, by day, purpose and cause, until it returns an error.
func (h *History) Each(ctx context.Context, q Query, visit func(daybook.Line) error) (total Total, err error) {
	if q.Until == 0 {
		q.Until = daybook.DayOf(h.Now())
	}
	if total.Began, _, err = h.Book.Began(); err != nil {
		return total, err
	}
	err = h.Book.Each(q.Since, q.Until, func(l daybook.Line) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		total.Lines++
		total.Add(l.Sums)
		return visit(l)
	})
	return total, err
}
