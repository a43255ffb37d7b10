package view

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

// enter puts an object into the view, unless another transaction of the same member published it before: of two, the
// earlier on the chain counts, whichever arrives first here. It completes the event.
func (v *View) enter(txn *kv.Txn, e *Event, entry *Entry) error {
	entry.Member = e.Member
	collection := entries.CollectionKey(entry.Collection)
	date, found, err := store.Get(txn, store.Key(store.TableIdentity, collection, entry.Identity()))
	if err != nil {
		return err
	}
	if found {
		switch other, err := entries.At(txn, date); {
		case v.stale(err): // it is in nobody's way
		case err != nil:
			return err
		case other.Position.Before(entry.Position):
			return duplicate(txn, e, entry, other)
		default:
			if err := v.replace(txn, other, entry); err != nil {
				return err
			}
		}
	}
	if err := v.put(txn, entry, v.place); err != nil {
		return err
	}
	e.Entered = entry.DateAdded
	v.moved.Objects++
	return nil
}

// put writes an entry with a new date, and lists it in its collection and in that with everything.
func (v *View) put(txn *kv.Txn, entry *Entry, list indexing) error {
	entry.DateAdded = v.nextStamp()
	collection := entries.CollectionKey(entry.Collection)
	if err := txn.Set(store.Key(store.TableIdentity, collection, entry.Identity()), store.U64(uint64(entry.DateAdded))); err != nil {
		return err
	}
	for _, in := range [][]byte{collection, entries.CollectionKey(Everything)} {
		if err := list(txn, in, entry); err != nil {
			return err
		}
		v.changed[string(in)] = entry.DateAdded
	}
	v.indexed.Enter(entry)
	head, err := entries.Encode(entry)
	if err != nil {
		return err
	}
	return txn.Put(kv.Entry{Key: store.Key(store.TableEntry, store.U64(uint64(entry.DateAdded))), Head: head, Body: entry.Object})
}

// take deletes an entry, which has its object, and takes it out of its collection and of that with everything.
func (v *View) take(txn *kv.Txn, entry *Entry, unlist indexing) error {
	v.indexed.Leave(entry)
	now := v.nextStamp()
	for _, in := range [][]byte{entries.CollectionKey(entry.Collection), entries.CollectionKey(Everything)} {
		if err := unlist(txn, in, entry); err != nil {
			return err
		}
		v.changed[string(in)] = now
	}
	return txn.DeleteLarge(store.Key(store.TableEntry, store.U64(uint64(entry.DateAdded))))
}

func duplicateReason(entry, other *Entry) string {
	if !bytes.Equal(entry.Hash, other.Hash) {
		return "transaction " + other.TxID + " published the same version before, with other content"
	}
	return "transaction " + other.TxID + " published it before"
}

// replace makes an entry a duplicate of one that is earlier on the chain but arrived later.
func (v *View) replace(txn *kv.Txn, later, earlier *Entry) error {
	if err := v.remove(txn, later); err != nil {
		return err
	}
	at := history.PositionKey(later.Position)
	loser, err := history.At(txn, at)
	if v.stale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := duplicate(txn, &loser, later, earlier); err != nil {
		return err
	}
	return history.Set(txn, loser)
}

// leave takes an entry out of the view. The first duplicate of it takes its place.
func (v *View) leave(txn *kv.Txn, date int64) error {
	entry, err := entries.At(txn, store.U64(uint64(date)))
	if v.stale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := v.remove(txn, entry); err != nil {
		return err
	}
	return v.succeed(txn, entry.Publication())
}

// succeed makes the first duplicate of a publication wait again. The others stay duplicates, of that one: anybody can
// make them, and a transaction must not grow with their number.
func (v *View) succeed(txn *kv.Txn, publication []byte) error {
	return store.Scan(txn, store.Key(store.TableDuplicate, publication), nil, func(_ []byte, item *kv.Item) (bool, error) {
		k := slices.Clone(item.Key())
		if err := txn.Delete(k); err != nil {
			return false, err
		}
		duplicate, err := history.At(txn, history.PlaceOf(k))
		if v.stale(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		return false, v.wait(txn, duplicate, time.Time{})
	})
}

// duplicate makes an event a duplicate of an entry.
func duplicate(txn *kv.Txn, e *Event, entry, of *Entry) error {
	e.State, e.Reason, e.Entered, e.Publication = Duplicate, duplicateReason(entry, of), 0, entry.Publication()
	return txn.Set(store.Key(store.TableDuplicate, e.Publication, history.PositionKey(entry.Position)), nil)
}

func (v *View) remove(txn *kv.Txn, entry *Entry) error {
	if err := txn.Delete(store.Key(store.TableIdentity, entries.CollectionKey(entry.Collection), entry.Identity())); err != nil {
		return err
	}
	r, err := v.removalOf(txn, entry)
	if v.moved.Objects--; err == nil {
		err = v.take(txn, entry, v.displace)
	}
	if err != nil {
		return err
	}
	return v.keepRemoval(txn, r)
}

// Changed tells when objects last came into a collection or left it, in the unix microseconds of date_added: not before
// any that it holds, and before any that will come. It is 0 for a collection that never held anything.
func (v *View) Changed(collection string) (at int64, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		at, err = changedAt(txn, collection)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking when collection %s changed: %w", collection, err)
	}
	return at, nil
}

func changedAt(txn *kv.Txn, collection string) (int64, error) {
	if collection == Others { // of which nothing comes or goes but with everything
		collection = Everything
	}
	value, found, err := store.Get(txn, store.Key(store.TableChanged, entries.CollectionKey(collection)))
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, nil
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}
