package view

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Recall is an NFT whose object its publisher took back, and the accounts that its publisher has or had.
type Recall struct {
	Asset   uint64
	Senders []string
	// At is where on the chain it is said. What comes later is not ended by it: anybody knows which asset its next NFT
	// will be.
	At consortium.Position
}

// recallItems is how many objects are withdrawn in one transaction: each is in many lists.
const recallItems = 100

// Withdraw ends the objects of NFTs that their publishers took back: they leave the view. It returns the events that
// had published them; an NFT that is no object of this consortium, or not one of the senders', is passed over. To
// withdraw what is withdrawn already is harmless.
func (v *View) Withdraw(recalls ...Recall) (ended []Event, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for some := range slices.Chunk(recalls, recallItems) {
		var list []Event
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
		if err := v.follow(); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

func (v *View) withdraw(txn *kv.Txn, r Recall) (e Event, found bool, err error) {
	at, ok, err := store.Get(txn, store.Key(store.TableAsset, store.U64(r.Asset)))
	if err != nil || !ok {
		return e, false, err
	}
	if e, err = eventAt(txn, at); err != nil {
		return e, false, v.passStale(err)
	}
	if !e.Position.Before(r.At) {
		return e, false, nil
	}
	if isRecord, err := store.Has(txn, store.Key(store.TableRecord, at)); err != nil || isRecord || !slices.Contains(r.Senders, e.Sender) {
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
		err = txn.Delete(store.Key(store.TableDuplicate, e.Publication, at))
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
	return e, true, store.SetJSON(txn, store.Key(store.TableEvent, at), e)
}

// use counts the events that may count and name a directory. They are not looked for: anybody can mint any number of
// NFTs about one directory.
func use(txn *kv.Txn, directory string, by int) error {
	k := store.Key(store.TableDirectory, []byte(directory))
	value, found, err := store.Get(txn, k)
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
	return txn.Set(k, store.U64(uint64(n)))
}

// Uses reports whether an event that may count names a directory. Anybody can mint an NFT about somebody else's, and
// destroying that one must not cost the others their blocks.
func (v *View) Uses(directory string) (used bool, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		used, err = store.Has(txn, store.Key(store.TableDirectory, []byte(directory)))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking for the events of directory %.80s: %w", directory, err)
	}
	return used, nil
}
