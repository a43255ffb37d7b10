package outbox

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// The order in which what was accepted goes on. Records come first: what waits for them is published under a key that
// somebody should not have, or can't be read. Everything else is published by turns, so that nobody's few objects wait
// for somebody's many: an object of each request, again and again, where a user has at most requestsATurn requests in
// one turn. Within a request the order stays.
//
// The turn of an item is decided once and for all when it is accepted; it is a part of its key in the queues, so that
// to read a queue from its beginning is to read it in this order.
const requestsATurn = 64

// heads is how many objects of a request can't be told from a small one: the rest is the item's [Item.Bulk].
const heads = 16

// order gives items their ranks. It is under the outbox's lock.
type order struct {
	now    uint64            // the greatest rank that has been signed: the turn that it is
	starts map[string]uint64 // the rank of the first object of each user's latest request
}

// begin gives the rank of a request's first object: the turn that it is, and not before the user's former requests.
func (o *order) begin(user string) uint64 {
	start := max(o.now, 1) // records have 0
	if last, found := o.starts[user]; found && last+1 > start {
		start = last + 1
	}
	if o.starts == nil || len(o.starts) >= maxStarts {
		o.forget()
	}
	o.starts[user] = start
	return start
}

// maxStarts is how many users are remembered before those are forgotten whose requests had their turn.
const maxStarts = 1000

func (o *order) forget() {
	kept := map[string]uint64{}
	for user, start := range o.starts {
		if start > o.now {
			kept[user] = start
		}
	}
	o.starts = kept
}

// Request is what a client posts at once. Its parts come in one after the other, by one goroutine.
type Request struct {
	outbox *Outbox

	begun bool
	start uint64
	items uint64 // so far; a batch is one

	quota  daybook.Quota
	batch  *making // what its objects go into; nil: they go by themselves
	opened []Item  // batches that nobody may take yet
}

// place gives an item its place in the order.
func (r *Request) place(o *order, item *Item) {
	if !item.takesTurns() {
		return
	}
	if !r.begun {
		r.begun, r.start = true, o.begin(item.User)
	}
	item.Rank, item.Bulk = r.start+r.items*requestsATurn, item.Bulk || r.items >= heads
	r.items++
}

// takesTurns: records don't.
func (i *Item) takesTurns() bool { return i.User != "" }

// spot is where an item is in a queue.
type spot struct{ rank, number uint64 }

func (i *Item) spot() spot { return spot{i.Rank, i.Number} }

// Before reports whether an item goes on before another one, as far as the order decides.
func (i *Item) Before(other Item) bool { return i.spot().isBefore(other.spot()) }

// before is the place next to a place, towards the beginning.
func (p spot) before() spot { return spot{p.rank, p.number - 1} } // numbers begin with 1

func (p spot) isBefore(q spot) bool {
	return p.rank < q.rank || p.rank == q.rank && p.number < q.number
}

func (p spot) key() []byte { return append(store.U64(p.rank), store.U64(p.number)...) }

// placeOf reads the end of a key of a queue.
func spotOf(k []byte) spot {
	at := k[len(k)-16:]
	return spot{binary.BigEndian.Uint64(at), binary.BigEndian.Uint64(at[8:])}
}

// queueKey is the key of an item in the queue of a state.
func (i *Item) queueKey(state State) []byte {
	k := append(make([]byte, 0, 2+1+8+8), store.TableQueue, '/', byte(state))
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(k, i.Rank), i.Number)
}

// Reader reads the queue of a state from its beginning to its end, in parts, while others put items in: what comes
// in before the place where it is is read next.
type Reader struct {
	outbox *Outbox
	state  State

	mu    sync.Mutex
	after *spot // where to go on; nil: at the beginning
	low   *spot // the first one that came in since the last part was begun; nil: none
}

// Reader gives a reader of a state's queue.
func (o *Outbox) Reader(state State) *Reader {
	r := &Reader{outbox: o, state: state}
	o.queues[state].Watch(r.came)
	return r
}

// came notes that something was put into the queue.
func (r *Reader) came(k []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at := spotOf(k); r.low == nil || at.isBefore(*r.low) {
		r.low = &at
	}
}

// Restart goes back to the beginning.
func (r *Reader) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = nil
}

// back goes back to a place, if it is not there yet. The lock is held.
func (r *Reader) back(to spot) {
	if before := to.before(); r.after != nil && before.isBefore(*r.after) {
		r.after = &before
	}
}

// Next gives up to limit items; none at the end of the queue.
func (r *Reader) Next(limit int) (items []Item, err error) {
	r.mu.Lock()
	if r.low != nil {
		r.back(*r.low)
	}
	after := r.after
	r.low = nil
	r.mu.Unlock()
	err = r.outbox.scanQueue(r.state, after, func(item Item) bool {
		items = append(items, item)
		return len(items) < limit
	})
	if err != nil || len(items) == 0 {
		return nil, err
	}
	last := items[len(items)-1].spot()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = &last
	return items, nil
}

// Return says that an item that Next gave, and those after it, were not looked at.
func (r *Reader) Return(item Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back(item.spot())
}

// scanQueue visits the items of a state's queue in their order, beginning after a place (nil: at the beginning), until
// visit returns false.
func (o *Outbox) scanQueue(state State, after *spot, visit func(Item) bool) error {
	var from []byte
	if after != nil {
		from = after.key()
	}
	err := o.queues[state].Scan(o.store, from, func(txn *kv.Txn, k []byte, _ *kv.Item) (bool, error) {
		item, err := queuedItem(txn, k)
		if err != nil || item.State != state { // else its place is one that it had
			return err == nil, err
		}
		if item.Objects > 0 && o.isOpen(item.Number) {
			return true, nil
		}
		return visit(item), nil
	})
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	return nil
}
