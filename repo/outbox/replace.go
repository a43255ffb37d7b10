package outbox

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Replaces reports whether a submission takes the place of an item with the same key.
func (s *Submission) Replaces(existing Item) bool {
	if s.Item.ReplacesAsset != 0 && s.Item.ReplacesAsset == existing.Asset && s.Item.ReplacesIndex == existing.Index {
		return true // the same content, perhaps: what is there is being withdrawn
	}
	return !bytes.Equal(existing.Hash, s.Item.Hash) && (s.Replace || s.Item.Revoked && !existing.Revoked)
}

// noteReplacing remembers that an item takes the place of another one.
func noteReplacing(txn *kv.Txn, item Item) error {
	if item.Replaces == 0 && item.ReplacesAsset == 0 {
		return nil
	}
	return txn.Set(store.Key(store.TableReplace, store.U64(item.Number)), nil)
}

// Replacing gives up to limit items, beginning after a number, that take the places of others. They stay in this list
// until [Outbox.Replaced]: who ends what they replace can be killed at any moment, and does it again.
func (o *Outbox) Replacing(after uint64, limit int) (items []Item, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableReplace), store.U64(after+1), func(k []byte, _ *kv.Item) (bool, error) {
			item, _, err := itemAt(txn, k[len(k)-8:])
			if err != nil {
				return false, fmt.Errorf("item %d: %w", binary.BigEndian.Uint64(k[len(k)-8:]), err)
			}
			items = append(items, item)
			return len(items) < limit, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is replaced: %w", err)
	}
	return items, nil
}

// Replaced records that what an item replaces is ended, or can't be.
func (o *Outbox) Replaced(n uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.store.Write(func(txn *kv.Txn) error { return txn.Delete(store.Key(store.TableReplace, store.U64(n))) }); err != nil {
		return fmt.Errorf("recording that item %d has taken its place: %w", n, err)
	}
	return nil
}
