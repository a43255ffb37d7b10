package hits

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Request is what is counted together.
type Request struct {
	// By and Key name the request, so that it counts once though it comes again within two days. Without a key it always
	// counts.
	By, Key string
	At      time.Time
	Hits    map[string]map[Day]uint64 // by indicator
}

// Result is what became of a request.
type Result struct {
	Counted int  // indicators
	Again   bool // it was counted before, wholly, and counts nothing
	Full    int  // indicators for which there is no place
}

// progress is how much of a request is counted.
type progress struct {
	Day  Day    `json:"day"`
	Upto string `json:"upto,omitzero"` // indicators up to this one
	Done bool   `json:"done,omitzero"`
}

// Add counts hits. What of a request was counted before it was interrupted is not counted again when it comes again.
func (b *Book) Add(r Request) (done Result, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, rest := progress{Day: DayOf(r.At)}, slices.Sorted(maps.Keys(r.Hits))
	err = b.countAll()
	if err == nil && r.Key != "" {
		err = b.store.Read(func(txn *kv.Txn) error {
			_, err := store.GetJSON(txn, r.key(), &now)
			return err
		})
	}
	if err != nil {
		return done, fmt.Errorf("counting hits: %w", err)
	}
	if now.Done {
		return Result{Again: true}, nil
	}
	rest = slices.DeleteFunc(rest, func(indicator string) bool { return indicator <= now.Upto })
	for !now.Done {
		some := rest[:min(len(rest), addAtOnce)]
		rest = rest[len(some):]
		if now.Done = len(rest) == 0; len(some) > 0 {
			now.Upto = some[len(some)-1]
		}
		took, err := b.addSome(r, some, now)
		if err != nil {
			return done, fmt.Errorf("counting hits: %w", err)
		}
		done.Counted, done.Full = done.Counted+took.Counted, done.Full+took.Full
	}
	return done, nil
}

// key is where it is kept how much of a request is counted.
func (r *Request) key() []byte {
	name := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(r.By), r.By, r.Key))
	return key(requests, string(name[:]))
}

// addSome counts the hits of some indicators, and how far the request is then, in one write.
func (b *Book) addSome(r Request, some []string, now progress) (took Result, err error) {
	count, latest := b.count, b.latest
	err = b.store.Write(func(txn *kv.Txn) error {
		took, count, latest = Result{}, b.count, b.latest
		for _, indicator := range some {
			full, isNew, later, err := b.addTo(txn, indicator, r.Hits[indicator], count)
			if err != nil {
				return err
			}
			if took.Counted++; full {
				took.Counted, took.Full = took.Counted-1, took.Full+1
			}
			if isNew {
				count++
			}
			if later {
				latest = max(b.latest+1, r.At.UnixMicro())
			}
		}
		if latest != b.latest {
			if err := store.SetJSON(txn, key(changes, ""), latest); err != nil {
				return err
			}
		}
		if r.Key == "" {
			return nil
		}
		return store.SetJSON(txn, r.key(), now)
	})
	if err == nil {
		b.count, b.latest = count, latest
	}
	return took, err
}

// addTo counts hits of one indicator.
func (b *Book) addTo(txn *kv.Txn, indicator string, on map[Day]uint64, count int) (full, isNew, later bool, err error) {
	c := Counter{}
	found, err := store.GetJSON(txn, key(counters, indicator), &c)
	if err != nil {
		return false, false, false, err
	}
	if !found && count >= b.most {
		return true, false, false, nil
	}
	last := c.Last()
	for day, n := range on {
		if n > 0 {
			c.add(day, n)
		}
	}
	if len(c.Days) == 0 {
		return false, false, false, nil
	}
	return false, !found, !found || c.Last() > last, store.SetJSON(txn, key(counters, indicator), c)
}

// countAll counts the indicators, once. The caller holds the mutex.
func (b *Book) countAll() error {
	if b.counted {
		return nil
	}
	n := 0
	err := b.store.Read(func(txn *kv.Txn) error {
		if _, err := store.GetJSON(txn, key(changes, ""), &b.latest); err != nil {
			return err
		}
		return store.Scan(txn, key(counters, ""), nil, func([]byte, *kv.Item) (bool, error) {
			n++
			return true, nil
		})
	})
	if err != nil {
		return fmt.Errorf("counting what hit: %w", err)
	}
	b.counted, b.count = true, n
	return nil
}

// forgetRequests forgets which requests came long ago, and of too many all but the latest. The caller holds the mutex.
func (b *Book) forgetRequests(today Day) error {
	type one struct {
		key []byte
		day Day
	}
	var all []one
	err := b.store.Read(func(txn *kv.Txn) error {
		return store.ScanJSON(txn, key(requests, ""), func(k []byte, p progress) error {
			all = append(all, one{slices.Clone(k), p.Day})
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("forgetting requests: %w", err)
	}
	slices.SortFunc(all, func(x, y one) int { return int(y.day) - int(x.day) })
	keep := 0
	for keep < len(all) && keep < keptKeys && all[keep].day+keysStay >= today {
		keep++
	}
	for some := range slices.Chunk(all[keep:], addAtOnce) {
		err := b.store.Write(func(txn *kv.Txn) error {
			for _, o := range some {
				if err := txn.Delete(o.key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forgetting requests: %w", err)
		}
	}
	return nil
}
