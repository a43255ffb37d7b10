package view

import (
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

// Recall is an NFT of which its publisher took back what it published, or one object of a batch, and the accounts that
// its publisher has or had.
type Recall struct {
	Asset   uint64
	Index   uint32 // of the one object; 0 is all
	Senders []string
	// At is where on the chain it is said. What comes later is not ended by it: anybody knows which asset its next NFT
	// will be.
	At consortium.Position
}

const (
	recallItems = 100  // objects that are withdrawn in one transaction: each is in many lists
	recallsMost = 1000 // … and in one call, but for the rest of a batch
)

// Withdraw ends what NFTs published that their publishers took back: it leaves the view. It returns the events that had
// published it, and the objects of batches, these before their batch; an NFT that is no object of this consortium, or
// not one of the senders', is passed over. To withdraw what is withdrawn already is harmless. It carries out the first
// of the recalls, as many as end some thousand objects, and says how many.
func (v *View) Withdraw(recalls ...Recall) (ended []Event, carriedOut int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var ends []end
	for carriedOut < len(recalls) && len(ends) < recallsMost {
		some, err := v.ends(recalls[carriedOut])
		if err != nil {
			return nil, 0, fmt.Errorf("withdrawing asset %d: %w", recalls[carriedOut].Asset, err)
		}
		ends = append(ends, some...)
		carriedOut++
	}
	for limit := recallItems; len(ends) > 0; {
		n := min(len(ends), limit)
		var list []Event
		err := v.write(func(txn *kv.Txn) error {
			list = nil
			for _, e := range ends[:n] {
				switch event, err := v.end(txn, e); {
				case err == nil:
					list = append(list, event)
				case !v.stale(err):
					return fmt.Errorf("at %s: %w", history.ParsePosition(e.at), err)
				}
			}
			return nil
		})
		if errors.Is(err, kv.ErrTooBig) && n > 1 {
			limit = n / 2 // about many values each
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("withdrawing objects: %w", err)
		}
		ends, ended = ends[n:], append(ended, list...)
		if err := v.follow(); err != nil {
			return nil, 0, err
		}
	}
	return ended, carriedOut, nil
}

// end is an event that ends or, of a batch, one object of it.
type end struct {
	at    []byte
	index uint32 // of the object, which may not be known yet
	by    consortium.Position
}

// ends is what a recall ends: of a batch first its objects, so that all is done when the batch itself has ended.
func (v *View) ends(r Recall) (list []end, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		at, ok, err := store.Get(txn, store.Key(store.TableAsset, store.U64(r.Asset)))
		if err != nil || !ok {
			return err
		}
		e, err := history.At(txn, at)
		if err != nil {
			return v.passStale(err)
		}
		isBatch := e.Note.Kind == wire.KindBatch
		if !e.Position.Before(r.At) || !slices.Contains(r.Senders, e.Sender) || r.Index != 0 && !isBatch {
			return nil
		}
		if isRecord, err := store.Has(txn, store.Key(store.TableRecord, at)); err != nil || isRecord {
			return err
		}
		if isBatch && r.Index == 0 {
			objects, err := history.Objects(txn, e, v.passStale)
			if err != nil {
				return err
			}
			for _, o := range objects {
				list = append(list, end{at: history.PositionKey(o.Position), by: r.At})
			}
		}
		list = append(list, end{at: at, index: r.Index, by: r.At})
		return nil
	})
	return list, err
}

// end ends an event, or an object of a batch, and gives it.
func (v *View) end(txn *kv.Txn, of end) (e Event, err error) {
	if of.index == 0 {
		if e, err = history.At(txn, of.at); err != nil {
			return e, err
		}
		return v.endEvent(txn, e, of.by)
	}
	batch, err := history.At(txn, of.at)
	if err != nil {
		return e, err
	}
	e, err = history.Object(txn, batch, of.index)
	isKnown := err == nil
	if err != nil && !errors.Is(err, history.ErrStale) {
		return e, err
	}
	batch.Withdraw(of.index)
	if err := history.Set(txn, batch); err != nil {
		return e, err
	}
	if !isKnown { // it never comes
		return batch.Object(of.index, "", Listed{}), nil
	}
	return v.endEvent(txn, e, of.by)
}

func (v *View) endEvent(txn *kv.Txn, e Event, by consortium.Position) (_ Event, err error) {
	switch e.State {
	case Ended:
		return e, nil
	case Waiting:
		if err = v.unwait(txn, e); err == nil && e.Publication != nil { // it was its turn
			err = v.succeed(txn, e.Publication)
		}
	case Duplicate:
		err = txn.Delete(store.Key(store.TableDuplicate, e.Publication, history.PositionKey(e.Position)))
	case InView:
		err = v.leave(txn, e.Entered)
	}
	if err == nil && e.State != Refused {
		err = history.Use(txn, e.Directory, -1)
	}
	if err != nil {
		return e, err
	}
	e.State, e.Ended = Ended, by
	return e, history.Set(txn, e)
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
