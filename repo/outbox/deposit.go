package outbox

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// An NFT keeps a deposit locked until it is destroyed. Those of objects and of batches are in a list, by when they were
// confirmed here, until somebody has decided about them.

// Deposit is an NFT of this outbox's that was confirmed.
type Deposit struct {
	Item Item
	At   time.Time // when it was confirmed, to the second
}

func (d Deposit) key() []byte {
	return store.Key(store.TableDeposit, store.U64(uint64(d.At.Unix())), store.U64(d.Item.Number))
}

// keepDeposit puts an item that is confirmed into the list, if it has an NFT that it need not keep.
func keepDeposit(txn *kv.Txn, item Item) error {
	kind := item.Note.Kind
	if kind != wire.KindObject && kind != wire.KindBatch || item.Asset == 0 || item.Index > 0 || item.Failure != "" {
		return nil
	}
	return txn.Set(Deposit{item, time.Now()}.key(), nil)
}

// Deposits gives up to limit NFTs that were confirmed before a time, the earliest first.
func (o *Outbox) Deposits(before time.Time, limit int) (list []Deposit, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableDeposit), nil, func(k []byte, _ *kv.Item) (bool, error) {
			number := len(k) - 8
			at := time.Unix(int64(binary.BigEndian.Uint64(k[number-8:])), 0)
			if len(list) >= limit || !at.Before(before) {
				return false, nil
			}
			item, _, err := itemAt(txn, k[number:])
			list = append(list, Deposit{item, at})
			return true, err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is locked: %w", err)
	}
	return list, nil
}

// Releasable counts the NFTs in the list that an account has, and that are not withdrawn: what they keep locked comes
// back when they are released. It reads the whole list.
func (o *Outbox) Releasable(account string) (n int, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableDeposit), nil, func(k []byte, _ *kv.Item) (bool, error) {
			item, _, err := itemAt(txn, k[len(k)-8:])
			if item.State == Confirmed && item.Publisher == account {
				n++
			}
			return true, err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("counting what can be released: %w", err)
	}
	return n, nil
}

// Decided takes an NFT out of the list: it is released, or has to stay, or is gone.
func (o *Outbox) Decided(d Deposit) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.store.Write(func(txn *kv.Txn) error { return txn.Delete(d.key()) }); err != nil {
		return fmt.Errorf("recording that NFT %d is decided about: %w", d.Item.Asset, err)
	}
	return nil
}
