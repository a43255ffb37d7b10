package repo

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Recall is an NFT whose object its publisher took back, and the accounts that its publisher has or had.
type Recall struct {
	Asset   uint64
	Senders []string
}

// recallItems is how many objects are withdrawn in one transaction: each is in many lists.
const recallItems = 100

// Withdraw ends the objects of NFTs that their publishers took back: they leave the view. It returns the events that had
// published them; an NFT that is no object of this consortium, or not one of the senders', is passed over. To withdraw
// what is withdrawn already is harmless.
func (v *View) Withdraw(recalls ...Recall) (ended []LoggedEvent, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for some := range slices.Chunk(recalls, recallItems) {
		var list []LoggedEvent
		err := v.write(func(txn *kv.Txn) error {
			for _, r := range some {
				e, found, err := v.withdraw(txn, r)
				if err != nil {
					return fmt.Errorf("asset %d: %w", r.Asset, err)
				}
				if found {
					list = append(list, e)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("withdrawing objects: %w", err)
		}
		ended = append(ended, list...)
	}
	return ended, nil
}

func (v *View) withdraw(txn *kv.Txn, r Recall) (e LoggedEvent, found bool, err error) {
	at, ok, err := get(txn, key(tableAsset, u64(r.Asset)))
	if err != nil || !ok {
		return e, false, err
	}
	if e, err = eventAt(txn, at); err != nil {
		return e, false, v.passStale(err)
	}
	if isRecord, err := has(txn, key(tableRecord, at)); err != nil || isRecord || !slices.Contains(r.Senders, e.Sender) {
		return e, false, err
	}
	switch e.State {
	case Ended:
		return e, true, nil
	case Waiting:
		if err = v.unwait(txn, e); err == nil && e.Publication != nil { // it was its turn
			err = v.succeed(txn, e.Publication)
		}
	case Duplicate:
		err = txn.Delete(key(tableDuplicate, e.Publication, at))
	case InView:
		err = v.leave(txn, e.Entered)
	}
	if err == nil && e.State != Refused {
		err = use(txn, e.Directory, -1)
	}
	if err != nil {
		return e, false, err
	}
	e.State = Ended
	return e, true, setJSON(txn, key(tableEvent, at), e)
}

// use counts the events that may count and name a directory. They are not looked for: anybody can mint any number of
// NFTs about one directory.
func use(txn *kv.Txn, directory string, by int) error {
	k := key(tableDirectory, []byte(directory))
	value, found, err := get(txn, k)
	if err != nil {
		return err
	}
	n := by
	if found {
		n += int(binary.BigEndian.Uint64(value))
	}
	if n <= 0 {
		return txn.Delete(k)
	}
	return txn.Set(k, u64(uint64(n)))
}

// Uses reports whether an event that may count names a directory. Anybody can mint an NFT about somebody else's, and
// destroying that one must not cost the others their blocks.
func (v *View) Uses(directory string) (used bool, err error) {
	err = v.store.read(func(txn *kv.Txn) error {
		used, err = has(txn, key(tableDirectory, []byte(directory)))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking for the events of directory %.80s: %w", directory, err)
	}
	return used, nil
}

// Withdraw records that the NFTs of items were destroyed, given by their transactions; others' are passed over. Their keys
// may be published again.
func (o *Outbox) Withdraw(txids ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for some := range slices.Chunk(txids, recallItems) {
		if err := o.withdraw(some); err != nil {
			return fmt.Errorf("recording withdrawals: %w", err)
		}
	}
	return nil
}

func (o *Outbox) withdraw(txids []string) error {
	var items []Item
	err := o.store.read(func(txn *kv.Txn) error {
		for _, txid := range txids {
			item, found, err := itemBy(txn, key(tableTx, []byte(txid)))
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
