// Package view is what a node serves, derived from the chain and from IPFS:
//
//   - view.go opens it, and has what is written with every transaction;
//   - events.go is the log of what the chain shows, waiting.go what of it waits for its blocks or for a record;
//   - entry.go is an object in the view, enter.go how it comes and goes, withdraw.go how it is taken back, removals.go
//     what left lately;
//   - lines.go keeps apart what several members publish under one id, and serves one of them, relead.go another one
//     when that leads, mistrust.go never those of some;
//   - index.go lets an index in, such as that of repo/find, which is told what comes and goes;
//   - package listing has the indexes by which a page costs the same in a small and in a large collection, query.go
//     finds in them what a query asks for, pages.go reads it.
//
// It may lag after a power loss, or be deleted altogether; it is never ahead of its cursor and never holds half of a
// window of the chain.
package view

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/removals"
	"github.com/serviceledger/slnode/repo/view/internal/turns"
)

// View is what the node serves, derived from the chain and IPFS: the log of events (events.go) and the objects that
// they published, with indexes by which a page costs the same in a small and in a large collection.
type View struct {
	store *store.Store

	mu    sync.Mutex // one writer; also makes the order of commits that of date_added
	stamp int64      // the last date_added given, unix microseconds

	counts       atomic.Pointer[counts]
	moved        counts           // … more, once the running transaction is committed
	changed      map[string]int64 // collections that the running transaction changes, by their keys, and the last date in them
	leading      bool             // another line leads than the one that is served, of some object
	unled        chan struct{}    // see Unled
	step         int              // leadItems, but for tests
	mostRemovals int64            // removals.Most, but for tests

	index      Index
	indexed    Change                        // … what the running transaction changes in it
	mistrusted map[string]bool               // members whose lines never lead here
	waiting    [2][turns.Classes]turns.Turns // what waits, by Queue
	waits      [][]byte                      // … since the running transaction
	onChange   func()
	onStale    func(error)
}

// counts is how much there is, kept because counting it would take longer the more there is.
type counts struct {
	Objects   int64 `json:"objects"`   // versions of objects
	Waiting   int64 `json:"waiting"`   // events that wait for their blocks
	Undecided int64 `json:"undecided"` // … or for a record
	Removals  int64 `json:"removals,omitzero"`
}

// OnChange sets what is called after every change of the objects that are served. It is called while the view is
// locked for writers, and must be quick. To be set before anything is written.
func (v *View) OnChange(tell func()) { v.onChange = tell }

// OnStale sets what is told of an index that names what is not there. Nothing makes one; where there is one all the
// same, it is passed over, so that it hides no more than itself. To be set before anything is read.
func (v *View) OnStale(tell func(error)) { v.onStale = tell }

// stale reports whether an error is that of a stale index, and tells.
func (v *View) stale(err error) bool {
	if !errors.Is(err, history.ErrStale) {
		return false
	}
	v.onStale(err)
	return true
}

// passStale is err, unless that is of a stale index.
func (v *View) passStale(err error) error {
	if v.stale(err) {
		return nil
	}
	return err
}

// write runs a transaction and brings the counts up to date. The caller holds the mutex.
func (v *View) write(transaction func(*kv.Txn) error) error {
	v.moved, v.waits, v.indexed = counts{}, v.waits[:0], v.index.Change()
	clear(v.changed)
	now := *v.counts.Load()
	err := v.store.Write(func(txn *kv.Txn) error {
		err := transaction(txn)
		if err == nil {
			err = v.indexed.Write(txn)
		}
		for collection, at := range v.changed {
			if err == nil {
				err = txn.Set(store.Key(store.TableChanged, []byte(collection)), store.U64(uint64(at)))
			}
		}
		if err != nil || v.moved == (counts{}) {
			return err
		}
		now.Objects += v.moved.Objects
		now.Waiting += v.moved.Waiting
		now.Undecided += v.moved.Undecided
		now.Removals += v.moved.Removals
		return store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaCounts)), now)
	})
	if err != nil {
		return err
	}
	v.counts.Store(&now)
	for _, k := range v.waits {
		v.turnsOf(k).Put(k)
	}
	if len(v.changed) > 0 {
		v.onChange()
	}
	return nil
}

// What the table of single values has: of the objects, and of the event log.
const (
	metaCounts    = "counts"
	metaFormat    = "format"
	metaCursor    = "cursor"
	metaSequences = "sequences"
)

// tablesFormat is that of the tables. A view of another one is deleted when it is opened, and folded anew.
const tablesFormat = 6

// Open opens the view in a folder, and makes one that isn't there. A view of another format begins anew.
func Open(path string, storeKey []byte) (*View, error) {
	s, err := store.Open(path, kv.Options{Key: storeKey, Create: true})
	if err != nil {
		return nil, err
	}
	v, err := New(s)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return v, nil
}

// New opens the view in a store.
func New(s *store.Store) (*View, error) {
	v := &View{store: s, changed: map[string]int64{}, index: noIndex{}, onChange: func() {}, onStale: func(error) {}, unled: make(chan struct{}, 1), step: leadItems, mostRemovals: removals.Most}
	v.counts.Store(&counts{})
	if err := v.restore(); err != nil {
		return nil, fmt.Errorf("opening the view: %w", err)
	}
	return v, nil
}

// restore reads what is held in memory.
func (v *View) restore() error {
	var format int
	var counts counts
	err := v.store.Read(func(txn *kv.Txn) error {
		if k, found := store.Last(txn, store.Key(store.TableEntry)); found {
			v.stamp = int64(binary.BigEndian.Uint64(k[2:]))
		}
		changed, err := changedAt(txn, Everything)
		if err != nil {
			return err
		}
		v.stamp = max(v.stamp, changed)
		if _, err := store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaFormat)), &format); err != nil {
			return err
		}
		_, err = store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaCounts)), &counts)
		return err
	})
	if err != nil {
		return err
	}
	if format != tablesFormat {
		return v.begin()
	}
	v.counts.Store(&counts)
	return v.store.Read(func(txn *kv.Txn) error {
		if _, v.leading = store.Last(txn, store.Key(store.TableLead)); v.leading {
			v.unled <- struct{}{}
		}
		if err := v.restoreMistrust(txn); err != nil {
			return err
		}
		return v.restoreWaiting(txn)
	})
}

// begin makes the view empty.
func (v *View) begin() error {
	empty, err := v.store.IsEmpty()
	if err == nil && !empty {
		err = v.store.Empty()
	}
	if err != nil {
		return err
	}
	v.counts.Store(&counts{})
	v.leading = false
	for queue := range v.waiting {
		for class := range v.waiting[queue] {
			v.waiting[queue][class].Clear()
		}
	}
	return v.store.Write(func(txn *kv.Txn) error {
		kept := mistrust{slices.Sorted(maps.Keys(v.mistrusted)), true} // of an empty view
		return errors.Join(
			store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaMistrust)), kept),
			store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaFormat)), tablesFormat),
			v.index.Begin(txn),
		)
	})
}

// Reset deletes the view. The next fold begins at the charter. What was served before keeps its place in time: the
// dates that are given afterwards are later than all before.
func (v *View) Reset() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.begin(); err != nil {
		return fmt.Errorf("deleting the view: %w", err)
	}
	v.onChange()
	return nil
}

// Close closes the view.
func (v *View) Close() error { return v.store.Close() }

// Reclaim gives the disk space of what was deleted back.
func (v *View) Reclaim() error { return v.store.Reclaim() }

// Damage is what of the view was found damaged since it was opened, or nil. What is damaged can't be told from the
// rest: the view is deleted when the repository is closed, and derived again when it is opened.
func (v *View) Damage() error { return v.store.Damage() }

// Damaged is closed when the view is found damaged.
func (v *View) Damaged() <-chan struct{} { return v.store.Damaged() }

// nextStamp is a date_added that no entry had: the time, but always later than the one before, whatever the clock does.
func (v *View) nextStamp() int64 {
	v.stamp = max(time.Now().UnixMicro(), v.stamp+1)
	return v.stamp
}

// CountObjects tells how many versions of objects are in the view.
func (v *View) CountObjects() int64 { return v.counts.Load().Objects }
