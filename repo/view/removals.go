package view

import (
	"bytes"
	"errors"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/removals"
)

// Removal is a version of an object that left the view.
type Removal = removals.Removal

// removalOf describes an entry that is about to leave, and gives it its object, if that can be read.
func (v *View) removalOf(txn *kv.Txn, entry *Entry) (*Removal, error) {
	r := &Removal{Collection: entry.Collection, ID: entry.ID, Type: entry.Type, Version: entry.Version}
	for in, is := range map[string]*bool{entry.Collection: &r.InOwn, Everything: &r.InAll} {
		o, _, err := getObject(txn, entries.CollectionKey(in), entry.ID)
		if *is = !o.served.IsEmpty() && bytes.Equal(o.shown, entries.MemberKey(entry.Owner())); err != nil {
			return nil, err
		}
	}
	whole, err := entries.Read(txn, store.U64(uint64(entry.DateAdded)), true)
	if err == nil {
		entry.Object = whole.Object
		r.Name(entry.Object)
	}
	return r, v.passStale(err)
}

// keepRemoval keeps a removal, with the date at which its collections changed.
func (v *View) keepRemoval(txn *kv.Txn, r *Removal) error {
	own, _, err := getObject(txn, entries.CollectionKey(r.Collection), r.ID)
	all, _, allErr := getObject(txn, entries.CollectionKey(Everything), r.ID)
	if err != nil || allErr != nil {
		return errors.Join(err, allErr)
	}
	r.GoneOwn, r.GoneAll = own.served.IsEmpty(), all.served.IsEmpty()
	old, err := removals.Keep(txn, v.stamp, r, v.counts.Load().Removals+v.moved.Removals+1, v.mostRemovals)
	v.moved.Removals += 1 - old
	return err
}

// Removals gives what left a collection lately, after a date: up to limit, and whether there is more.
func (v *View) Removals(collection string, after int64, limit int) ([]Removal, bool, error) {
	return removals.Of(v.store.Read, collection, collection == Everything, collection == Others, after, limit)
}
