// Package found keeps what of the chain was found when it had been passed: transactions, which belong to what the view
// is made of and aren't deleted with it, and which rounds have to be asked of a source again.
package found

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Transaction is one that was found, with what no signature covers.
type Transaction struct {
	TxID   string `json:"txid"`
	Signed []byte `json:"signed"` // in msgpack
	Round  uint64 `json:"round"`
	Intra  uint64 `json:"intra"`
	Asset  uint64 `json:"asset,omitzero"`
	Time   int64  `json:"time"` // of the block, in seconds
}

// Missed are rounds that were passed without the word of a source.
type Missed struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// fold says how much of what was found is in the view.
type fold struct {
	Added  uint64    `json:"added"`           // transactions, ever
	Folded uint64    `json:"folded"`          // … that were there when the view was begun
	Itself time.Time `json:"itself,omitzero"` // when it was last begun anew because of them
}

// Max bounds the transactions: who signs so many that the sources hide is nobody's member for long.
const Max = 10_000

// Table is what was found, in the state.
type Table struct {
	store *store.Store

	mu     sync.Mutex
	list   []Transaction // in the order of their places
	fold   fold
	missed map[string]Missed
}

var foldKey = store.Key(store.TableMissed)

// Open reads the table.
func Open(s *store.Store) (*Table, error) {
	t := &Table{store: s, missed: map[string]Missed{}}
	err := s.Read(func(txn *kv.Txn) error {
		if _, err := store.GetJSON(txn, foldKey, &t.fold); err != nil {
			return err
		}
		err := store.ScanJSON(txn, missedPrefix, func(k []byte, m Missed) error {
			t.missed[string(k[len(missedPrefix):])] = m
			return nil
		})
		if err != nil {
			return err
		}
		return store.ScanJSON(txn, store.Key(store.TableFound), func(_ []byte, one Transaction) error {
			t.list = append(t.list, one)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading what was found late: %w", err)
	}
	t.sort()
	return t, nil
}

func (t *Table) sort() {
	slices.SortFunc(t.list, func(a, b Transaction) int {
		return slices.Compare([]uint64{a.Round, a.Intra}, []uint64{b.Round, b.Intra})
	})
}

// Add keeps transactions. It tells how many of them are new; beyond [Max] none is taken.
func (t *Table) Add(list ...Transaction) (added int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := map[string]bool{}
	list = slices.DeleteFunc(slices.Clone(list), func(one Transaction) bool {
		again := seen[one.TxID]
		seen[one.TxID] = true
		return again || slices.ContainsFunc(t.list, func(known Transaction) bool { return known.TxID == one.TxID })
	})
	list = list[:min(len(list), Max-len(t.list))]
	if len(list) == 0 {
		return 0, nil
	}
	next := t.fold
	next.Added += uint64(len(list))
	err = t.store.Write(func(txn *kv.Txn) error {
		for _, one := range list {
			if err := store.SetJSON(txn, store.Key(store.TableFound, store.U64(one.Round), []byte(one.TxID)), one); err != nil {
				return err
			}
		}
		return store.SetJSON(txn, foldKey, next)
	})
	if err != nil {
		return 0, fmt.Errorf("keeping what was found late: %w", err)
	}
	t.list, t.fold = append(t.list, list...), next
	t.sort()
	return len(list), nil
}

// Between gives what was found of some rounds, in the order of the places.
func (t *Table) Between(first, last uint64) []Transaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, _ := slices.BinarySearchFunc(t.list, first, func(one Transaction, round uint64) int { return compare(one.Round, round) })
	to := from
	for to < len(t.list) && t.list[to].Round <= last {
		to++
	}
	return slices.Clone(t.list[from:to])
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Count is how much was found, how much of it the view was begun without, and when it was last begun anew because of
// it.
func (t *Table) Count() (all, unfolded int, itself time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.list), int(t.fold.Added - t.fold.Folded), t.fold.Itself
}

// Began records that the view is begun anew, with all that was found; at the given time, if because of it.
func (t *Table) Began(itself time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.fold
	next.Folded = next.Added
	if !itself.IsZero() {
		next.Itself = itself
	}
	if next == t.fold {
		return nil
	}
	if err := t.store.Write(func(txn *kv.Txn) error { return store.SetJSON(txn, foldKey, next) }); err != nil {
		return fmt.Errorf("recording what is folded in: %w", err)
	}
	t.fold = next
	return nil
}

// apart is how far the end of what a source has missed may be from what is kept of it: it is written that seldom while
// it grows.
const apart = 100

// Miss records rounds that were passed without a source.
func (t *Table) Miss(source string, first, last uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, known := t.missed[source]
	grown := Missed{First: first, Last: last}
	if known {
		grown = Missed{First: min(first, m.First), Last: max(last, m.Last)}
	}
	t.missed[source] = grown
	if known && grown.First == m.First && grown.Last/apart == m.Last/apart {
		return nil
	}
	// After a crash more is asked than was missed, not less.
	kept := Missed{First: grown.First, Last: (grown.Last/apart + 1) * apart}
	if err := t.store.Write(func(txn *kv.Txn) error { return store.SetJSON(txn, missedKey(source), kept) }); err != nil {
		return fmt.Errorf("recording what %s was not asked: %w", source, err)
	}
	return nil
}

// Missed gives the rounds that were passed without a source.
func (t *Table) Missed(source string) (m Missed, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, found = t.missed[source]
	return m, found
}

// Asked records that a source was asked what it had missed.
func (t *Table) Asked(source string, m Missed) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.missed[source] != m { // more was passed meanwhile
		return nil
	}
	if err := t.store.Write(func(txn *kv.Txn) error { return txn.Delete(missedKey(source)) }); err != nil {
		return fmt.Errorf("recording what %s was asked: %w", source, err)
	}
	delete(t.missed, source)
	return nil
}

// Follow makes the sources known by which the chain is followed from now on. Those that are new have to be asked all
// that was passed, up to the cursor; of the first ones of all none is.
func (t *Table) Follow(names []string, cursor uint64) error {
	added, err := t.add(names)
	if err != nil || cursor == 0 {
		return err
	}
	for _, name := range added {
		if err := t.Miss(name, 1, cursor); err != nil {
			return err
		}
	}
	return nil
}

// add keeps the names of sources, and gives those that are new.
func (t *Table) add(names []string) (added []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err = t.store.Write(func(txn *kv.Txn) error {
		var known []string
		before, err := store.GetJSON(txn, namesKey, &known)
		if err != nil {
			return err
		}
		added = nil
		for _, name := range names {
			if !slices.Contains(known, name) {
				known = append(known, name)
				if before {
					added = append(added, name)
				}
			}
		}
		return store.SetJSON(txn, namesKey, known[max(0, len(known)-maxNames):])
	})
	if err != nil {
		return nil, fmt.Errorf("recording the sources of the chain: %w", err)
	}
	return added, nil
}

const maxNames = 100

var namesKey = store.Key(store.TableMissed, []byte{0})

var missedPrefix = store.Key(store.TableMissed, []byte{1})

func missedKey(source string) []byte { return slices.Concat(missedPrefix, []byte(source)) }
