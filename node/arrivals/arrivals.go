// Package arrivals counts what came into the view, by day, for pictures: who published it, of what type it is, and how
// long it took from its publication until it could be read here. Nothing of it is stored: it is read from the view, the
// newest first, as far as there is time, and goes on where it was.
package arrivals

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/repo/view"
)

// Days is for how many days is counted, today included; they begin at midnight UTC.
const Days = 90

const (
	pageSize = 500    // entries that are read at a time
	maxKinds = 50_000 // of what is counted apart: from then on what is new is "other"
)

// other is the type of what would be a kind too many.
const other = "other"

// Steps are the times within which something could be read here; what took longer is in none.
var Steps = [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// Pages is the view.
type Pages interface {
	Page(view.Query) ([]*view.Entry, bool, error)
}

// Book counts. Its methods may be called concurrently.
type Book struct {
	View Pages
	Now  func() time.Time

	mu       sync.Mutex
	from, to int64 // date_added in microseconds: what lies between them is counted, both included
	whole    bool  // … and that is all of the days
	counts   map[kind]*count
}

// kind is what is counted apart.
type kind struct {
	day                         int64 // since 1970
	publisher, what, collection string
}

type count struct {
	all    int
	within [len(Steps)]int
}

// Count reads what is not counted yet, for as long as it may take at most. It needn't be called again before there is
// something to be told.
func (b *Book) Count(ctx context.Context, most time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	end, since := b.Now().Add(most), b.firstDay()*day
	if b.counts == nil {
		b.counts = map[kind]*count{}
	}
	for more := b.to > 0 || b.whole; more; { // what came since
		var list []*view.Entry
		var err error
		if list, more, err = b.page(ctx, view.Query{After: b.to}); err != nil {
			return err
		}
		for _, e := range list {
			b.add(e)
			b.to = e.DateAdded
		}
		if more && b.Now().After(end) {
			return nil
		}
	}
	for !b.whole { // what came before, or all
		list, more, err := b.page(ctx, view.Query{Before: b.from, Descending: true})
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.DateAdded < since {
				more = false
				break
			}
			b.add(e)
			b.from, b.to = e.DateAdded, max(b.to, e.DateAdded)
		}
		b.whole = !more
		if b.Now().After(end) {
			break
		}
	}
	b.forget()
	return nil
}

func (b *Book) page(ctx context.Context, q view.Query) ([]*view.Entry, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	q.Collection, q.AnyLine, q.Versions, q.Limit = view.Everything, true, view.Versions{All: true}, pageSize
	list, more, err := b.View.Page(q)
	if err != nil {
		return nil, false, fmt.Errorf("counting what came in: %w", err)
	}
	return list, more && len(list) > 0, nil
}

// day is one in microseconds.
const day = int64(24 * time.Hour / time.Microsecond)

func (b *Book) firstDay() int64 { return b.Now().UnixMicro()/day - Days + 1 }

func (b *Book) add(e *view.Entry) {
	k := kind{e.DateAdded / day, e.Publisher, e.Type, e.Collection}
	if e.Member != "" {
		k.publisher = e.Member
	}
	c := b.counts[k]
	if c == nil && len(b.counts) >= maxKinds {
		k.what = other
		c = b.counts[k]
	}
	if c == nil {
		c = &count{}
		b.counts[k] = c
	}
	c.all++
	took := e.Added().Sub(e.StoredAt)
	for i, step := range Steps {
		if took <= step {
			c.within[i]++
			break
		}
	}
}

// forget drops the days that are over.
func (b *Book) forget() {
	first := b.firstDay()
	for k := range b.counts {
		if k.day < first {
			delete(b.counts, k)
		}
	}
}

// Tally is what was counted.
type Tally struct {
	Days       []time.Time      // the oldest first
	Publishers map[string][]int // by day, by the account of the publisher
	Types      map[string][]int // by day
	All        int
	Within     [len(Steps)]int // how many could be read within each step, and not within the one before
	Back       time.Time       // back to when is counted by now; zero if it is all
}

// Tell gives what was counted in the collections that may be told of.
func (b *Book) Tell(may func(collection string) bool) Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := Tally{Publishers: map[string][]int{}, Types: map[string][]int{}, Days: make([]time.Time, Days)}
	first := b.firstDay()
	for i := range t.Days {
		t.Days[i] = time.UnixMicro((first + int64(i)) * day).UTC()
	}
	if !b.whole {
		t.Back = time.UnixMicro(b.from).UTC()
	}
	let := map[string]bool{}
	for k, c := range b.counts {
		allowed, known := let[k.collection]
		if !known {
			allowed = may(k.collection)
			let[k.collection] = allowed
		}
		i := int(k.day - first)
		if !allowed || i < 0 || i >= Days {
			continue
		}
		for name, row := range map[string]map[string][]int{k.publisher: t.Publishers, k.what: t.Types} {
			if row[name] == nil {
				row[name] = make([]int, Days)
			}
			row[name][i] += c.all
		}
		t.All += c.all
		for step, n := range c.within {
			t.Within[step] += n
		}
	}
	return t
}

// Recent cuts a tally's days to the last ones in which anything came, at least so many.
func (t Tally) Recent(least int) Tally {
	from := Days - least
	for _, row := range t.Publishers {
		if i := slices.IndexFunc(row, func(n int) bool { return n > 0 }); i >= 0 {
			from = min(from, i)
		}
	}
	cut := t
	cut.Days, cut.Publishers, cut.Types = t.Days[from:], map[string][]int{}, map[string][]int{}
	for name, row := range t.Publishers {
		cut.Publishers[name] = row[from:]
	}
	for name, row := range t.Types {
		cut.Types[name] = row[from:]
	}
	return cut
}
