package outbox

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Confirm records that transactions are on the chain. Those that aren't of this outbox, or are recorded already, are
// passed over, so that it can be told twice. A group is forgotten when its last transaction is confirmed.
func (o *Outbox) Confirm(places []consortium.Place) (items []Item, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(places) > 0 {
		n := min(len(places), store.ChunkItems)
		var confirmed []Item
		err := o.write(func(txn *kv.Txn) error {
			confirmed = confirmed[:0]
			spent, groups := intake{}, map[uint64]Group{}
			for _, c := range places[:n] {
				item, found, err := itemBy(txn, store.Key(store.TableTx, []byte(c.TxID)))
				if err != nil {
					return err
				}
				if !found || item.State != Signed { // every signing of its group has an entry in the table
					continue
				}
				item.State, item.TxID, item.Round, item.Asset = Confirmed, c.TxID, c.Round, c.Asset
				if err := o.put(txn, item, Signed); err != nil {
					return err
				}
				if err := keepDeposit(txn, item); err != nil {
					return err
				}
				fee, err := feeOf(txn, groups, item)
				if err != nil {
					return err
				}
				spent.confirmed(item, fee)
				confirmed = append(confirmed, item)
			}
			if err := daybook.Write(txn, o.today(), spent.spent); err != nil {
				return err
			}
			return forgetGroups(txn, confirmed)
		})
		if err != nil {
			return items, fmt.Errorf("recording confirmations: %w", err)
		}
		items, places = append(items, confirmed...), places[n:]
	}
	return items, nil
}

// Resolve records that an item is published by a transaction that this outbox doesn't know: its journal was lost after
// it had been submitted, or another member published the same, in another directory than the item's. A failure says
// that what was published is not the same after all.
func (o *Outbox) Resolve(item Item, at consortium.Place, failure string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		if err := o.resolve(txn, item, at, failure, &next); err != nil {
			return err
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return fmt.Errorf("recording that item %d is published: %w", item.Number, err)
	}
	o.counters = next
	return nil
}

func (o *Outbox) resolve(txn *kv.Txn, item Item, at consortium.Place, failure string, next *counters) error {
	former, err := o.takeOut(txn, &item, next)
	if err != nil {
		return err
	}
	item.State, item.TxID, item.Round, item.Asset, item.Index, item.Failure = Confirmed, at.TxID, at.Round, at.Asset, at.Index, failure
	if at.Directory != "" {
		item.Directory = at.Directory
	}
	if err := o.put(txn, item, former); err != nil || at.TxID == "" {
		return err
	}
	if err := keepDeposit(txn, item); err != nil {
		return err
	}
	return txn.Set(txKey(at.Name()), store.U64(item.Number))
}

// txKey is where the item is found that a transaction published, or one of a batch that this outbox doesn't know.
func txKey(name wire.Publication) []byte { return store.Key(store.TableTx, []byte(name.String())) }

// takeOut takes an item that is about to be done out of its batch, if it is in one. It tells the state by whose queue
// it is found; 0 if it is in none.
func (o *Outbox) takeOut(txn *kv.Txn, item *Item, next *counters) (former State, err error) {
	if item.Batch == 0 {
		return item.State, nil
	}
	if err := o.leave(txn, item, next); err != nil {
		return 0, err
	}
	return 0, txn.DeleteLarge(store.Key(store.TablePayload, store.U64(item.Number)))
}

// GiveUp records that an item is never published, and why: its content is deleted here. Its key can be taken in again.
// An item that is signed can't be given up, nor one whose batch is sealed.
func (o *Outbox) GiveUp(item Item, failure string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		if item.State != Accepted && item.State != Stored {
			return fmt.Errorf("it is in state %d", item.State)
		}
		former, err := o.takeOut(txn, &item, &next)
		if err != nil {
			return err
		}
		next.free(&item)
		item.State, item.Failure = Withdrawn, failure
		if item.isMarking() {
			if err := txn.DeleteLarge(item.markingKey()); err != nil {
				return err
			}
		}
		if err := txn.DeleteLarge(store.Key(store.TablePayload, store.U64(item.Number))); err != nil {
			return err
		}
		if err := store.SetJSON(txn, store.Key(store.TableCounter), next); err != nil {
			return err
		}
		return o.put(txn, item, former)
	})
	if err != nil {
		return fmt.Errorf("giving item %d up: %w", item.Number, err)
	}
	o.counters = next
	return nil
}

// free gives back the number of what was signed once, and can't be confirmed any more.
func (c *counters) free(item *Item) {
	if item.Note.Sequence != 0 {
		c.Free = append(c.Free[:len(c.Free):len(c.Free)], item.Note.Sequence)
		item.Note.Sequence = 0
	}
}

// withdrawChunk is how many items are withdrawn in one transaction.
const withdrawChunk = 100

// Withdraw records that what items published was withdrawn: all that a transaction did, or one object of a batch.
// Others' are passed over. Their keys may be published again.
func (o *Outbox) Withdraw(names ...wire.Publication) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for some := range slices.Chunk(names, withdrawChunk) {
		if err := o.withdraw(some); err != nil {
			return fmt.Errorf("recording withdrawals: %w", err)
		}
	}
	return nil
}

func (o *Outbox) withdraw(names []wire.Publication) error {
	var items []Item
	err := o.store.Read(func(txn *kv.Txn) error {
		for _, name := range names {
			published, err := publishedAs(txn, name)
			if err != nil {
				return err
			}
			items = append(items, published...)
		}
		return nil
	})
	if err != nil || len(items) == 0 { // others' are none of ours, and nothing waits for the disk
		return err
	}
	return o.write(func(txn *kv.Txn) error {
		for _, item := range items {
			if err := endItem(txn, item); err != nil {
				return err
			}
		}
		return nil
	})
}

// publishedAs gives the items, as yet in force, that were published under a name. What is known of the objects of a
// batch that is not this outbox's has names of its own.
func publishedAs(txn *kv.Txn, name wire.Publication) (items []Item, err error) {
	take := func(item Item, found bool) {
		if found && item.State == Confirmed {
			items = append(items, item)
		}
	}
	if name.Index == 0 {
		err = store.Scan(txn, txKey(name), nil, func(_ []byte, of *kv.Item) (bool, error) {
			n, err := of.Value()
			if err != nil {
				return false, err
			}
			item, found, err := itemAt(txn, n)
			take(item, found)
			return true, err
		})
		return items, err
	}
	object, found, err := itemBy(txn, txKey(name))
	if err != nil || found {
		take(object, found)
		return items, err
	}
	batch, _, err := itemBy(txn, txKey(wire.Publication{TxID: name.TxID}))
	if err != nil {
		return nil, err
	}
	numbers, err := readList(txn, batch.Number)
	if err != nil || int(name.Index) > len(numbers) {
		return nil, err
	}
	object, found, err = itemByNumber(txn, numbers[name.Index-1])
	take(object, found)
	return items, err
}

// endItem records that what an item published is withdrawn.
func endItem(txn *kv.Txn, item Item) error {
	ended := []Item{item}
	if item.Markings {
		objects, err := objectsOf(txn, item)
		if err != nil {
			return err
		}
		ended = append(ended, objects...)
	}
	for _, one := range ended {
		if one.isMarking() {
			if err := txn.DeleteLarge(one.markingKey()); err != nil {
				return err
			}
		}
	}
	item.State = Withdrawn
	return setItem(txn, item)
}
