package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Number gives every item that has none yet the next sequence number of this publisher. A number is kept for ever,
// whatever becomes of the transaction, so that other members see no hole.
func (o *Outbox) Number(items []Item) ([]Item, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	numbered := make([]Item, len(items))
	err := o.write(func(txn *kv.Txn) error {
		for i, item := range items {
			if item.Note.Sequence == 0 {
				item.Note.Sequence = next.number()
				if err := o.put(txn, item, item.State); err != nil {
					return err
				}
			}
			numbered[i] = item
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return nil, fmt.Errorf("numbering items: %w", err)
	}
	o.counters = next
	return numbered, nil
}

// number takes the next sequence number.
func (c *counters) number() uint64 {
	if len(c.Free) > 0 {
		n := c.Free[0]
		c.Free = c.Free[1:]
		return n
	}
	c.Sequence++
	return c.Sequence
}

const publisherMemo = "publisher"

// SetPublisher says whose transactions the outbox is for. When the organisation has another account than before, the
// numbers begin anew.
func (o *Outbox) SetPublisher(account string) error {
	before, err := o.Memo(publisherMemo)
	if err != nil || string(before) == account {
		return err
	}
	if before != nil {
		if err := o.renumber(); err != nil {
			return fmt.Errorf("beginning with the numbers of account %s: %w", account, err)
		}
	}
	return o.SetMemo(publisherMemo, []byte(account))
}

func (o *Outbox) renumber() error {
	if err := o.Unnumber(func(uint64) bool { return true }); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	next.Sequence, next.Free = 0, nil
	if err := o.write(func(txn *kv.Txn) error { return store.SetJSON(txn, store.Key(store.TableCounter), next) }); err != nil {
		return err
	}
	o.counters = next
	return nil
}

// Unnumber takes the sequence numbers that somebody else has given, too, from what is not signed: it gets others.
func (o *Outbox) Unnumber(taken func(number uint64) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var numbered []Item
	err := o.store.Read(func(txn *kv.Txn) error { // what is sealed anew has its number, too
		return eachQueued(txn, []State{Accepted, Stored}, func(item Item) error {
			if item.Note.Sequence != 0 && taken(item.Note.Sequence) {
				numbered = append(numbered, item)
			}
			return nil
		})
	})
	if err == nil {
		err = o.update(numbered, func(_ *kv.Txn, item *Item) error {
			item.Note.Sequence = 0
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("taking sequence numbers back: %w", err)
	}
	return nil
}

// SkipSequence makes the next sequence number at least one more than the highest that was seen on the chain: for a
// node whose outbox was lost.
func (o *Outbox) SkipSequence(seen uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seen <= o.counters.Sequence {
		return nil
	}
	next := o.counters
	next.Sequence = seen
	if err := o.write(func(txn *kv.Txn) error { return store.SetJSON(txn, store.Key(store.TableCounter), next) }); err != nil {
		return fmt.Errorf("skipping sequence numbers: %w", err)
	}
	o.counters = next
	return nil
}

// maxFree bounds how many numbers are filled in.
const maxFree = 4096

// FillSequence gives the numbers that are missing on the chain to what is signed next: the lost node had given them to
// what was never confirmed, and other members would miss them for ever. It must not be called before it is certain that
// they can't be confirmed any more. Those that an item of this outbox has are left to it.
func (o *Outbox) FillSequence(missing []consortium.Range) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		given := map[uint64]bool{}
		err := eachQueued(txn, []State{Accepted, Stored, Signed}, func(item Item) error {
			given[item.Note.Sequence] = true
			return nil
		})
		if err != nil {
			return err
		}
		next.Free = nil
		for _, hole := range missing {
			for n := hole.First; n <= min(hole.Last, next.Sequence) && len(next.Free) < maxFree; n++ {
				if n > 0 && !given[n] {
					next.Free = append(next.Free, n)
				}
			}
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return fmt.Errorf("filling in sequence numbers: %w", err)
	}
	o.counters = next
	return nil
}
