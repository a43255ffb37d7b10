// Package outbox is what an organisation publishes, from its acceptance to its confirmation on the chain and its
// withdrawal:
//
//   - outbox.go opens it, and has the queues and counters that all else stands on;
//   - item.go is one thing to publish and how it is found, accept.go how it comes in, batch.go what goes together,
//     order.go whose turn it is;
//   - sequence.go gives it its number on the chain, groups.go keeps what is signed, confirm.go what became of it;
//   - replace.go is about what takes the place of something else, reopen.go about what must be sealed again,
//     markings.go has the marking definitions that were published;
//   - spent.go is what goes into the day-book;
//   - status.go is what became of the requests, recovery.go what a restored node must wait for, sole.go who else signs,
//     memo.go whatever else must be kept.
//
// What a method of [Outbox] returned from survives the death of the process and of the machine.
package outbox

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Outbox is what this organisation publishes, from its acceptance to its confirmation on the chain. Every method is
// atomic for each item and durable when it returns.
type Outbox struct {
	Now   func() time.Time // the day-book's time
	store *store.Store

	mu       sync.Mutex // one writer
	counters counters
	counts   [Confirmed]atomic.Int64 // how many items are in each queue
	moved    [Confirmed]int64        // … more, once the running transaction is committed
	order    order
	queues   [Confirmed]*store.Queue
	puts     [Confirmed]store.Lowest // … for the running transaction

	openMu sync.Mutex
	open   map[uint64]bool // batches that are being filled
}

type counters struct {
	Items    uint64 `json:"items"`         // the last number given to an item
	Groups   uint64 `json:"groups"`        // … to a group
	Sequence uint64 `json:"sequence"`      // … to a transaction: the chain's sequence number of this publisher
	Rank     uint64 `json:"rank,omitzero"` // the greatest that was signed, see order.go
	// Free are numbers up to Sequence that were given to nothing, see [Outbox.FillSequence].
	Free []uint64 `json:"free,omitzero"`
}

// Open opens the outbox in a store.
func Open(s *store.Store) (*Outbox, error) {
	o := &Outbox{Now: time.Now, store: s, open: map[uint64]bool{}}
	for state := range o.queues {
		o.queues[state] = store.NewQueue(store.Key(store.TableQueue, []byte{byte(state)}))
	}
	err := s.Read(func(txn *kv.Txn) error {
		if _, err := store.GetJSON(txn, store.Key(store.TableCounter), &o.counters); err != nil {
			return err
		}
		o.order.now = o.counters.Rank
		return store.Scan(txn, store.Key(store.TableQueue), nil, func(k []byte, item *kv.Item) (bool, error) {
			n, err := readWeight(item)
			o.counts[k[2]].Add(n)
			return true, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("opening the outbox: %w", err)
	}
	return o, nil
}

// write runs a transaction and brings the counts up to date. The caller holds the mutex.
func (o *Outbox) write(transaction func(*kv.Txn) error) error {
	o.moved, o.puts = [Confirmed]int64{}, [Confirmed]store.Lowest{}
	if err := o.store.Write(transaction); err != nil {
		return err
	}
	for state, n := range o.moved {
		o.counts[state].Add(n)
		if k := o.puts[state]; k != nil {
			o.queues[state].Put(k)
		}
	}
	return nil
}

// put stores an item and moves it from the queue of its former state (0: none) to that of its state. Items that are
// done are in no queue.
func (o *Outbox) put(txn *kv.Txn, item Item, former State) error {
	if former != 0 && former != item.State && former < Confirmed {
		o.moved[former] -= item.weight()
		if err := txn.Delete(item.queueKey(former)); err != nil {
			return err
		}
	}
	if item.State < Confirmed && former != item.State {
		o.moved[item.State] += item.weight()
		k := item.queueKey(item.State)
		o.puts[item.State].Add(k)
		if err := txn.Set(k, weightValue(&item)); err != nil {
			return err
		}
	}
	return setItem(txn, item)
}

// setItem stores an item that stays where it is in the queues, or is in none.
func setItem(txn *kv.Txn, item Item) error {
	return store.SetJSON(txn, store.Key(store.TableItem, store.U64(item.Number)), item)
}

// queuedItem reads the item that a key of the queue names.
func queuedItem(txn *kv.Txn, k []byte) (item Item, err error) {
	_, err = store.GetJSON(txn, store.Key(store.TableItem, k[len(k)-8:]), &item)
	return item, err
}

// eachQueued calls visit for every item in the given states, until it returns an error.
func eachQueued(txn *kv.Txn, states []State, visit func(Item) error) error {
	for _, state := range states {
		err := store.Scan(txn, store.Key(store.TableQueue, []byte{byte(state)}), nil, func(k []byte, _ *kv.Item) (bool, error) {
			item, err := queuedItem(txn, k)
			if err != nil {
				return false, err
			}
			return true, visit(item)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EachPending calls visit with the directories of what is on its way to the chain, in a transaction of the caller.
func EachPending(txn *kv.Txn, visit func(directory string) error) error {
	return eachQueued(txn, []State{Stored, Signed}, func(item Item) error {
		if item.Note.Kind == wire.KindBatch {
			objects, err := objectsOf(txn, item)
			if err != nil {
				return err
			}
			for _, object := range objects {
				if err := visit(object.Directory); err != nil {
					return err
				}
			}
		}
		return visit(item.Directory)
	})
}

// Queue gives up to limit items of a state, in the order in which they go on, beginning after the one with a number (0:
// at the beginning).
func (o *Outbox) Queue(state State, after uint64, limit int) (items []Item, err error) {
	var from *spot
	if after > 0 {
		last, _, err := o.Item(after)
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		at := last.spot()
		from = &at
	}
	err = o.scanQueue(state, from, func(item Item) bool {
		items = append(items, item)
		return len(items) < limit
	})
	return items, err
}

// Count tells how many objects and records are in each of the states before [Confirmed].
func (o *Outbox) Count() map[State]int {
	counts := map[State]int{}
	for _, state := range []State{Accepted, Stored, Signed} {
		counts[state] = int(o.counts[state].Load())
	}
	return counts
}

// update changes items of state former in chunks of one transaction each.
func (o *Outbox) update(items []Item, change func(*kv.Txn, *Item) error) error {
	for len(items) > 0 {
		n := min(len(items), store.ChunkItems)
		err := o.write(func(txn *kv.Txn) error {
			for _, item := range items[:n] {
				former := item.State
				if err := change(txn, &item); err != nil {
					return err
				}
				if err := o.put(txn, item, former); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
