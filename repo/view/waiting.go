package view

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/turns"
)

// Queue is one of the two queues in which events wait for their blocks, see package turns.
type Queue = turns.Queue

// The queues.
const (
	Fresh   = turns.Fresh   // never asked for
	Retried = turns.Retried // asked for in vain
)

const (
	recordShare = 4    // of what is given at once, records are one in so many at most
	batchShare  = 16   // batches that are given at once: each can be a thousand objects
	maxHasten   = 1000 // of one member that are hastened at once
)

// turnsOf are the turns that a waitingKey belongs to.
func (v *View) turnsOf(k []byte) *turns.Turns { return &v.waiting[k[2]][k[3]] }

// restoreWaiting finds the queues that something waits in.
func (v *View) restoreWaiting(txn *kv.Txn) error {
	var from []byte
	for {
		found := false
		err := store.Scan(txn, store.Key(store.TableWaiting), from, func(k []byte, _ *kv.Item) (bool, error) {
			found = true
			v.turnsOf(k).Put(slices.Clone(k))
			beginning := k[len(store.Key(store.TableWaiting)) : len(k)-turns.PlaceSize]
			from = append(slices.Clone(beginning), bytes.Repeat([]byte{0xff}, turns.PlaceSize+1)...)
			return false, nil
		})
		if err != nil || !found {
			return err
		}
	}
}

// Due gives up to limit events of a queue whose blocks should be asked for now, a fair share of every member's, in
// chain order; those that are busy, because they were given before, are passed over. Some batches come last, in the
// order in which it is their members' turn. If nothing is due, next is when the first will be; zero if none waits.
func (v *View) Due(queue Queue, busy func(consortium.Position) bool, now time.Time, limit int) (events []Event, next time.Time, err error) {
	inOrder := 0
	for class := range v.waiting[queue] {
		left := limit - len(events)
		switch class {
		case turns.Record:
			left = max(1, limit/recordShare)
		case turns.Batch:
			left, inOrder = batchShare, len(events)
		}
		d := due{view: v, busy: busy, now: now}
		if err := turns.Deal(v.waiting[queue][class].Next(), left, d.take); err != nil {
			return nil, time.Time{}, fmt.Errorf("reading the events that wait: %w", err)
		}
		events = append(events, d.events...)
		if next.IsZero() || !d.next.IsZero() && d.next.Before(next) {
			next = d.next
		}
	}
	slices.SortFunc(events[:inOrder], func(a, b Event) int { return a.Compare(b.Position) })
	return events, next, nil
}

// due collects what is due.
type due struct {
	view   *View
	busy   func(consortium.Position) bool
	now    time.Time
	events []Event
	next   time.Time // when the first of what is not due yet will be
}

// take takes up to n events of a queue, from after a place on, and says how many they were and where the last is.
func (d *due) take(q *store.Queue, after []byte, n int) (took int, last []byte, err error) {
	err = q.Scan(d.view.store, after, func(txn *kv.Txn, k []byte, _ *kv.Item) (bool, error) {
		place := k[len(k)-turns.PlaceSize:]
		if at := time.UnixMilli(int64(binary.BigEndian.Uint64(place))); at.After(d.now) {
			if d.next.IsZero() || at.Before(d.next) {
				d.next = at
			}
			return false, nil
		}
		if d.busy != nil && d.busy(history.ParsePosition(place)) {
			return true, nil
		}
		e, err := history.At(txn, place[8:])
		if err != nil {
			return true, d.view.passStale(err)
		}
		d.events, last = append(d.events, e), slices.Clone(place)
		took++
		return took < n, nil
	})
	return took, last, err
}

// Await makes a record wait for its blocks again, because they are gone.
func (v *View) Await(e Event) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.write(func(txn *kv.Txn) error {
		now, err := history.At(txn, history.PositionKey(e.Position))
		if err != nil || now.State != Held {
			return v.passStale(err)
		}
		return v.wait(txn, now, time.Time{})
	})
	if err != nil {
		return fmt.Errorf("waiting for transaction %s again: %w", e.TxID, err)
	}
	return nil
}

// wait makes an event wait until it is due; at the zero time it is due at once.
func (v *View) wait(txn *kv.Txn, e Event, due time.Time) error {
	e.State, e.Due = Waiting, 0
	if !due.IsZero() {
		e.Due = due.UnixMilli()
	}
	k := turns.Key(e)
	if err := txn.Set(k, nil); err != nil {
		return err
	}
	v.waits = append(v.waits, k)
	v.moved.Waiting++
	return history.Set(txn, e)
}

// unwait takes an event out of the waiting table.
func (v *View) unwait(txn *kv.Txn, e Event) error {
	v.moved.Waiting--
	return txn.Delete(turns.Key(e))
}

// Hasten makes events due that were asked for in vain, those of each member that are due first, records before all
// else: because a member was connected that may have the blocks. The others come when they are due.
func (v *View) Hasten() error {
	hastened := map[string]int{}
	for class := range v.waiting[Retried] {
		for _, q := range v.waiting[Retried][class].Next() {
			member := string(q.Table()[len(store.Key(store.TableWaiting, []byte{0, 0})):])
			n, err := v.hasten(q, maxHasten-hastened[member])
			if err != nil {
				return fmt.Errorf("hastening the events that wait: %w", err)
			}
			hastened[member] += n
		}
	}
	return nil
}

// hasten hastens up to so many of a queue, and says how many.
func (v *View) hasten(q *store.Queue, limit int) (n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if limit == 0 {
		return 0, nil
	}
	var places [][]byte
	err = q.Scan(v.store, nil, func(_ *kv.Txn, k []byte, _ *kv.Item) (bool, error) {
		places = append(places, slices.Clone(history.PlaceOf(k)))
		return len(places) < limit, nil
	})
	if err != nil || len(places) == 0 {
		return 0, err
	}
	return len(places), v.write(func(txn *kv.Txn) error {
		for _, at := range places {
			e, err := history.At(txn, at)
			if v.stale(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := v.unwait(txn, e); err != nil {
				return err
			}
			if err := v.wait(txn, e, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// review asks for a collection's undecided objects to be reconsidered. The number tells whether that was asked for
// again in the meantime.
func review(txn *kv.Txn, collection string) error {
	k := store.Key(store.TableReview, []byte(collection))
	value, found, err := store.Get(txn, k)
	if err != nil {
		return err
	}
	n := uint64(0)
	if found {
		n = binary.BigEndian.Uint64(value)
	}
	return txn.Set(k, store.U64(n+1))
}

// Reconsider makes the undecided objects wait again that are decided now, of the collections of which a record was
// settled since the last time. It returns how many there were. Interrupted, it begins again the next time.
func (v *View) Reconsider(decided func(e Event, collection string) bool) (n int, err error) {
	for {
		var collection, number []byte
		err := v.store.Read(func(txn *kv.Txn) error {
			return store.Scan(txn, store.Key(store.TableReview), nil, func(k []byte, item *kv.Item) (_ bool, err error) {
				collection = bytes.Clone(k[len(store.Key(store.TableReview)):])
				number, err = item.Value()
				return false, err
			})
		})
		if err != nil || collection == nil {
			return n, err
		}
		reconsidered, err := v.reconsider(collection, number, decided)
		if n += reconsidered; err != nil {
			return n, fmt.Errorf("reconsidering collection %s: %w", collection, err)
		}
	}
}

// reconsider looks at the undecided objects of a collection, some at a time.
func (v *View) reconsider(collection, number []byte, decided func(Event, string) bool) (n int, err error) {
	var from []byte
	for more := true; more; {
		var again int
		if again, from, err = v.reconsiderSome(collection, from, decided); err != nil {
			return n, err
		}
		n, more = n+again, from != nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return n, v.write(func(txn *kv.Txn) error {
		k := store.Key(store.TableReview, collection)
		if now, _, err := store.Get(txn, k); err != nil || !bytes.Equal(now, number) {
			return err // a record was settled meanwhile
		}
		return txn.Delete(k)
	})
}

// reconsiderSome looks at some of them, and says where to go on; nil at the end.
func (v *View) reconsiderSome(collection, from []byte, decided func(Event, string) bool) (again int, next []byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.write(func(txn *kv.Txn) error {
		var keys [][]byte
		err := store.Scan(txn, store.Key(store.TableUndecided, collection), from, func(k []byte, item *kv.Item) (bool, error) {
			keys = append(keys, slices.Clone(item.Key()))
			return len(keys) < store.ChunkItems, nil
		})
		if err != nil {
			return err
		}
		for _, k := range keys {
			e, err := history.At(txn, history.PlaceOf(k))
			switch {
			case v.stale(err) || err == nil && e.State != Undecided:
			case err != nil:
				return err
			case !decided(e, string(collection)):
				continue
			default:
				if err := v.wait(txn, e, time.Time{}); err != nil {
					return err
				}
				again++
			}
			v.moved.Undecided--
			if err := txn.Delete(k); err != nil {
				return err
			}
		}
		if len(keys) == store.ChunkItems {
			next = append(keys[len(keys)-1][len(store.Key(store.TableUndecided, collection)):], 0)
		}
		return nil
	})
	return again, next, err
}
