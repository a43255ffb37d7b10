package outbox

import (
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// The way back of what is sealed, and must not be signed as it is.

// BeginReopening records that a batch which is stored, and not signed, goes back to its beginning, whatever happens
// until it is there.
func (o *Outbox) BeginReopening(batch Item) (Item, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch.Reopening = true
	if err := o.write(func(txn *kv.Txn) error { return setItem(txn, batch) }); err != nil {
		return batch, fmt.Errorf("reopening batch %d: %w", batch.Number, err)
	}
	return batch, nil
}

// KeepPayloads writes the plaintext of objects whose batch is being reopened.
func (o *Outbox) KeepPayloads(objects []Item, payloads [][]byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := 0; at < len(objects); {
		err := o.write(func(txn *kv.Txn) error {
			for n, size := 0, 0; at < len(objects) && n < store.ChunkItems && size <= store.ChunkBytes; n++ {
				if err := txn.Set(store.Key(store.TablePayload, store.U64(objects[at].Number)), payloads[at]); err != nil {
					return err
				}
				size += len(payloads[at])
				at++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("reopening the objects of a batch: %w", err)
		}
	}
	return nil
}

// Found says where an object is that a batch was to publish, and is on the chain already.
type Found struct {
	Object  Item
	At      consortium.Place
	Failure string // see [Outbox.Resolve]
}

// ReopenBatch takes a batch back to its beginning, whose objects all have their plaintext again: it has to be sealed
// anew, without those that were found elsewhere.
func (o *Outbox) ReopenBatch(batch Item, found []Found) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err := o.write(func(txn *kv.Txn) error {
		objects, err := objectsOf(txn, batch)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := txn.Delete(store.Key(store.TableUse, []byte(object.Directory))); err != nil {
				return err
			}
			object.unseal()
			if err := setItem(txn, object); err != nil {
				return err
			}
		}
		batch.unseal()
		batch.Reopening = false
		if err := o.put(txn, batch, Stored); err != nil {
			return err
		}
		for _, f := range found {
			f.Object.unseal()
			if err := o.resolve(txn, f.Object, f.At, f.Failure, &next); err != nil {
				return err
			}
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return fmt.Errorf("reopening batch %d: %w", batch.Number, err)
	}
	o.counters = next
	return nil
}

// unseal forgets what an item got when it was sealed.
func (i *Item) unseal() {
	i.State, i.Epoch, i.Publisher, i.Directory, i.MetadataHash, i.Index = Accepted, 0, "", "", nil, 0
}

// Reopen takes an item that is stored, and not signed, back to its beginning, with its plaintext: it has to be sealed
// anew, since its collection has another key now.
func (o *Outbox) Reopen(item Item, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.update([]Item{item}, func(txn *kv.Txn, item *Item) error {
		item.unseal()
		return txn.Set(store.Key(store.TablePayload, store.U64(item.Number)), payload)
	})
	if err != nil {
		return fmt.Errorf("reopening item %d: %w", item.Number, err)
	}
	return nil
}
