package scorecard

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	period    = 180 * 24 * time.Hour
	countPage = 500
	maxSample = 1000           // indicators of one member that are looked at
	anew      = 24 * time.Hour // after which is counted from the beginning: objects leave the period, and the view
	everyone  = view.Everything
)

// book counts what members published first within the period, and draws some of it. It is read from the view, the
// newest first, as far as there is time, and goes on where it was.
type book struct {
	began        time.Time
	since, until time.Time // block times; since is zero where the chain has none
	first        uint64    // the round in which the period begins
	from, to     int64     // date_added in microseconds: what lies between them is counted, both included
	whole        bool
	members      map[string]*drawn // by first account
}

// drawn is what one member published: a number, and some indicators that stand for all. An indicator is drawn if the
// hash of its date_added, which this node gave it, is below a bound; the bound sinks as there are more. So each is
// drawn as likely as any other, whenever it came.
type drawn struct {
	objects, indicators int
	bound               uint64
	dates               []int64
}

func (d *drawn) draw(date int64) {
	if hash(date) > d.bound {
		return
	}
	d.dates = append(d.dates, date)
	for len(d.dates) > maxSample {
		d.bound /= 2
		d.dates = slices.DeleteFunc(d.dates, func(date int64) bool { return hash(date) > d.bound })
	}
}

// hash spreads dates evenly (the finaliser of SplitMix64).
func hash(date int64) uint64 {
	x := uint64(date) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// follow brings the book up to date, for as long as there is time. The caller has the turn.
func (r *Room) follow(ctx context.Context, end time.Time) error {
	b := &r.book
	if b.members == nil || r.Now().Sub(b.began) > anew || r.Now().Before(b.began) {
		begun, err := r.begin()
		if err != nil {
			return err
		}
		*b, r.cards = begun, map[string]kept{}
	}
	for more := b.whole; more; { // what came since
		var list []*view.Entry
		var err error
		if list, more, err = r.page(ctx, view.Query{After: b.to}); err != nil {
			return err
		}
		for _, e := range list {
			b.add(e)
			b.to = e.DateAdded
		}
		if more && r.Now().After(end) {
			return nil
		}
	}
	for !b.whole && !r.Now().After(end) { // what came before
		list, more, err := r.page(ctx, view.Query{Before: b.from, Descending: true})
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.DateAdded < b.since.UnixMicro() && !b.since.IsZero() { // nothing is here before it is on the chain
				more = false
				break
			}
			b.add(e)
			b.from, b.to = e.DateAdded, max(b.to, e.DateAdded)
		}
		b.whole = !more
	}
	return nil
}

// begin finds the period: it ends now or, on a chain that lags, with the newest block that brought anything.
func (r *Room) begin() (b book, err error) {
	b = book{began: r.Now(), until: r.Now().UTC(), members: map[string]*drawn{}}
	newest, _, err := r.View.Page(view.Query{Collection: everyone, AnyLine: true, Versions: view.Versions{All: true}, Descending: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return b, err
	}
	b.from, b.to = newest[0].DateAdded+1, newest[0].DateAdded
	at, err := r.timeOf(newest[0])
	if err != nil || at.IsZero() {
		return b, err
	}
	if at.Before(b.until) {
		b.until = at
	}
	b.since = b.until.Add(-period)
	low, high := uint64(0), newest[0].Position.Round // what is in low is too early, or there is nothing in it
	for low < high {
		middle := low + (high-low)/2
		events, err := r.View.Log(consortium.Position{Round: middle, Intra: math.MaxUint64, Index: math.MaxUint32}, 1)
		if err != nil {
			return b, err
		}
		if len(events) > 0 && events[0].Time.Before(b.since) {
			low = events[0].Round
		} else {
			high = middle
		}
	}
	b.first = low + 1
	return b, nil
}

// timeOf is when an entry was confirmed, by its block; zero if that is not known.
func (r *Room) timeOf(e *view.Entry) (time.Time, error) {
	event, _, err := r.View.Event(e.TxID)
	return event.Time.UTC(), err
}

func (r *Room) page(ctx context.Context, q view.Query) ([]*view.Entry, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	q.Collection, q.AnyLine, q.Versions, q.Limit = everyone, true, view.Versions{First: true}, countPage
	list, more, err := r.View.Page(q)
	return list, more && len(list) > 0, err
}

// add counts an entry.
func (b *book) add(e *view.Entry) {
	if e.Position.Round < b.first {
		return
	}
	d := b.members[e.Owner()]
	if d == nil {
		d = &drawn{bound: math.MaxUint64}
		b.members[e.Owner()] = d
	}
	d.objects++
	if e.Type == "indicator" {
		d.indicators++
		d.draw(e.DateAdded)
	}
}
