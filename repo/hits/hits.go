// Package hits counts what sensors of this organisation have seen, by indicator and day, and remembers what of it
// others were told. Nothing of it leaves the node by itself.
//
// hits.go has the counters, add.go counts, told.go remembers what others were told.
package hits

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// What is kept, at most.
const (
	KeptDays  = 400     // of one indicator the last ones on which it hit; what was before is one sum
	MaxCount  = 1 << 40 // of one indicator
	most      = 100_000 // indicators
	keptKeys  = 10_000  // of requests, so that one that comes again counts nothing
	keysStay  = 2       // days for which they are kept
	addAtOnce = 250     // indicators that one write counts
)

// Day is a day in UTC, counted from 1970-01-01.
type Day uint32

const dayLength = 24 * time.Hour

// DayOf is the day of a moment.
func DayOf(at time.Time) Day { return Day(max(0, at.Unix()) / int64(dayLength/time.Second)) }

// Begin is the moment when a day begins.
func (d Day) Begin() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }

// On is how often an indicator hit on a day.
type On struct {
	Day   Day    `json:"d"`
	Count uint64 `json:"n"`
}

// Counter is how often an indicator hit.
type Counter struct {
	Indicator string `json:"-"`               // STIX id
	Days      []On   `json:"days"`            // in their order
	First     Day    `json:"first"`           // ever
	Before    uint64 `json:"before,omitzero"` // … and before Days
	Told      *Told  `json:"told,omitzero"`   // nil: nobody was told
}

// Last is the last day on which it hit.
func (c Counter) Last() Day {
	if len(c.Days) == 0 {
		return c.First
	}
	return c.Days[len(c.Days)-1].Day
}

// Until is how often it hit up to a day, and the last day on which it did.
func (c Counter) Until(day Day) (count uint64, last Day) {
	count = c.Before
	for _, on := range c.Days {
		if on.Day <= day {
			count, last = min(count+on.Count, MaxCount), on.Day
		}
	}
	return count, last
}

// Count is how often it hit.
func (c Counter) Count() uint64 {
	n, _ := c.Until(^Day(0))
	return n
}

// add counts hits on a day.
func (c *Counter) add(day Day, n uint64) {
	at, found := slices.BinarySearchFunc(c.Days, day, func(on On, d Day) int { return int(on.Day) - int(d) })
	switch {
	case found:
		c.Days[at].Count = min(c.Days[at].Count+n, MaxCount)
	default:
		c.Days = slices.Insert(c.Days, at, On{day, min(n, MaxCount)})
	}
	if len(c.Days) == 1 && c.Before == 0 || day < c.First {
		c.First = day
	}
	if over := len(c.Days) - KeptDays; over > 0 {
		for _, on := range c.Days[:over] {
			c.Before = min(c.Before+on.Count, MaxCount)
		}
		c.Days = slices.Delete(c.Days, 0, over)
	}
}

// Book is the counters, in the state.
type Book struct {
	store *store.Store
	most  int // most, but for tests

	mu      sync.Mutex
	counted bool
	count   int // indicators, once they were counted
	latest  int64
}

// New is the book in a store.
func New(s *store.Store) *Book { return &Book{store: s, most: most} }

// The keys of the table: what begins them, after its letter.
const (
	counters = 'i'
	requests = 'k'
	rations  = 'r'
	changes  = 'c'
)

func key(kind byte, name string) []byte { return store.Key(store.TableHit, []byte{kind}, []byte(name)) }

// Of gives the counter of an indicator; found is false if it never hit.
func (b *Book) Of(indicator string) (c Counter, found bool, err error) {
	err = b.store.Read(func(txn *kv.Txn) error {
		found, err = store.GetJSON(txn, key(counters, indicator), &c)
		return err
	})
	if err != nil {
		return c, false, fmt.Errorf("reading how often %.80q hit: %w", indicator, err)
	}
	c.Indicator = indicator
	return c, found, nil
}

// eachPage is how many counters are read in one transaction.
const eachPage = 500

// Each visits all counters, in the order of the indicators' ids, until visit returns an error, which it returns.
func (b *Book) Each(visit func(Counter) error) error {
	prefix := key(counters, "")
	var after []byte
	for {
		var page []Counter
		err := b.store.Read(func(txn *kv.Txn) error {
			return store.Scan(txn, prefix, after, func(k []byte, item *kv.Item) (bool, error) {
				c := Counter{Indicator: string(k[len(prefix):])}
				if err := store.ItemJSON(item, &c); err != nil {
					return false, err
				}
				page = append(page, c)
				return len(page) < eachPage, nil
			})
		})
		if err != nil {
			return fmt.Errorf("reading what hit: %w", err)
		}
		for _, c := range page {
			if err := visit(c); err != nil {
				return err
			}
			after = append([]byte(c.Indicator), 0)
		}
		if len(page) < eachPage {
			return nil
		}
	}
}

// Forget forgets counters that did not hit since a day, and what is kept of requests that are long past.
func (b *Book) Forget(before, today Day) error {
	var old []string
	err := b.Each(func(c Counter) error {
		if c.Last() < before {
			old = append(old, c.Indicator)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for some := range slices.Chunk(old, addAtOnce) {
		err := b.store.Write(func(txn *kv.Txn) error {
			for _, indicator := range some {
				if err := txn.Delete(key(counters, indicator)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forgetting what hit long ago: %w", err)
		}
		b.count -= len(some)
	}
	return b.forgetRequests(today)
}

// Changed tells when an indicator was last found to have hit on a day after all before, in unix microseconds; 0 if none
// ever was.
func (b *Book) Changed() (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.countAll()
	return b.latest, err
}
