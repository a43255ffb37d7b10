package outbox

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
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
				confirmed = append(confirmed, item)
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
	err := o.update([]Item{item}, func(txn *kv.Txn, item *Item) error {
		item.State, item.TxID, item.Round, item.Asset, item.Failure = Confirmed, at.TxID, at.Round, at.Asset, failure
		if at.Directory != "" {
			item.Directory = at.Directory
		}
		if at.TxID == "" {
			return nil
		}
		return txn.Set(store.Key(store.TableTx, []byte(at.TxID)), store.U64(item.Number))
	})
	if err != nil {
		return fmt.Errorf("recording that item %d is published: %w", item.Number, err)
	}
	return nil
}

// GiveUp records that an item is never published, and why: its content is deleted here. Its key can be taken in again.
// An item that is signed can't be given up.
func (o *Outbox) GiveUp(item Item, failure string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		former := item.State
		if former != Accepted && former != Stored {
			return fmt.Errorf("it is in state %d", former)
		}
		if item.Note.Sequence != 0 { // it was signed once, and can't be confirmed any more
			next.Free = append(next.Free[:len(next.Free):len(next.Free)], item.Note.Sequence)
			item.Note.Sequence = 0
		}
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

// withdrawChunk is how many items are withdrawn in one transaction.
const withdrawChunk = 100

// Withdraw records that what items published was withdrawn; others' are passed over. Their keys may be published again.
func (o *Outbox) Withdraw(names ...wire.Publication) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var txids []string
	for _, name := range names {
		if name.Index == 0 { // no item is one of a batch
			txids = append(txids, name.TxID)
		}
	}
	for some := range slices.Chunk(txids, withdrawChunk) {
		if err := o.withdraw(some); err != nil {
			return fmt.Errorf("recording withdrawals: %w", err)
		}
	}
	return nil
}

func (o *Outbox) withdraw(txids []string) error {
	var items []Item
	err := o.store.Read(func(txn *kv.Txn) error {
		for _, txid := range txids {
			item, found, err := itemBy(txn, store.Key(store.TableTx, []byte(txid)))
			if err != nil {
				return err
			}
			if found && item.State == Confirmed {
				items = append(items, item)
			}
		}
		return nil
	})
	if err != nil || len(items) == 0 { // others' are none of ours, and nothing waits for the disk
		return err
	}
	return o.write(func(txn *kv.Txn) error {
		for _, item := range items {
			item.State = Withdrawn
			if item.isMarking() {
				if err := txn.DeleteLarge(item.markingKey()); err != nil {
					return err
				}
			}
			if err := o.put(txn, item, Confirmed); err != nil {
				return err
			}
		}
		return nil
	})
}
