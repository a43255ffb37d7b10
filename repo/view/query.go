package view

import (
	"bytes"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// source is where the entries are that a query asks for: a collection as it is kept, and the shelves.
func (q Query) source() (collection []byte, shelves []listing.Shelf) {
	switch {
	case q.AnyLine:
		return collectionKey(q.Collection), []listing.Shelf{listing.Served, listing.Apart}
	case q.Collection == Others:
		return collectionKey(Everything), []listing.Shelf{listing.Apart}
	}
	return collectionKey(q.Collection), []listing.Shelf{listing.Served}
}

// dates visits the dates of the entries that the query asks for, ascending, until visit returns false.
func (v *View) dates(txn *kv.Txn, q Query, visit func(date []byte) (bool, error)) error {
	if len(q.IDs) > 0 {
		return v.byID(txn, q, visit)
	}
	collection, shelves := q.source()
	var lists []*kv.Iterator
	defer func() {
		for _, it := range lists {
			it.Close()
		}
	}()
	open := func(prefix []byte) {
		it := txn.NewIterator(prefix)
		if it.Seek(slices.Concat(prefix, store.U64(uint64(q.After+1)))); it.Valid() {
			lists = append(lists, it)
		} else { // there are clients that name more types than exist
			it.Close()
		}
	}
	types := q.Types
	if len(types) == 0 {
		types = []string{listing.AllTypes}
	}
	for _, kind := range unique(types) {
		for _, class := range q.Versions.classes() {
			for _, s := range shelves {
				open(listing.ListPrefix(collection, kind, s.Class(class), nil))
			}
		}
	}
	if q.Versions.All {
		return listing.Merge(lists, visit)
	}
	listed := len(lists)
	for _, at := range q.Versions.At {
		for _, s := range shelves {
			open(listing.InstantPrefix(collection, s, instantKey(at), nil))
		}
	}
	if len(lists) == listed || len(q.Types) == 0 {
		return listing.Merge(lists, visit)
	}
	return listing.Merge(lists, func(date []byte) (bool, error) {
		entry, err := entryAt(txn, date)
		if v.stale(err) {
			return true, nil
		}
		if err != nil || !slices.Contains(q.Types, entry.Type) {
			return true, err
		}
		return visit(date)
	})
}

// classes are the lists that the versions are in which don't depend on their instants.
func (v Versions) classes() []byte {
	switch {
	case v.All:
		return []byte{listing.Only, listing.Earlier, listing.Middle, listing.Later}
	case v.First && v.Last:
		return []byte{listing.Only, listing.Earlier, listing.Later}
	case v.First:
		return []byte{listing.Only, listing.Earlier}
	case v.Last:
		return []byte{listing.Only, listing.Later}
	}
	return nil
}

// byID looks every object up. What it holds in memory grows with the limit, not with the number of versions.
func (v *View) byID(txn *kv.Txn, q Query, visit func([]byte) (bool, error)) error {
	after := store.U64(uint64(q.After))
	var dates [][]byte
	add := func(date []byte) {
		if bytes.Compare(date, after) <= 0 {
			return
		}
		if dates = append(dates, date); len(dates) > 2*q.Limit+1000 {
			dates = listing.Earliest(dates, q.Limit+1)
		}
	}
	for _, id := range unique(q.IDs) {
		err := q.groups(txn, id, func(g listing.Group, h listing.Head) error {
			if len(q.Types) > 0 {
				entry, err := entryAt(txn, h.Last.Date)
				if err != nil {
					return v.passStale(err)
				}
				if !slices.Contains(q.Types, entry.Type) {
					return nil
				}
			}
			return q.Versions.of(txn, g.Versions(), h, add)
		})
		if err != nil {
			return err
		}
	}
	for _, date := range listing.Earliest(dates, q.Limit+1) {
		if more, err := visit(date); err != nil || !more {
			return err
		}
	}
	return nil
}

// groups gives the groups of an object that a query asks for.
func (q Query) groups(txn *kv.Txn, id string, look func(listing.Group, listing.Head) error) error {
	collection, shelves := q.source()
	var wanted []byte
	if q.Member != "" {
		shelves, wanted = []listing.Shelf{listing.Served, listing.Apart}, memberKey(q.Member)
	}
	for _, s := range shelves {
		g := listing.Group{Collection: collection, ID: id}
		if s == listing.Served {
			o, _, err := getObject(txn, collection, id)
			if err == nil && !o.served.IsEmpty() && (wanted == nil || bytes.Equal(o.shown, wanted)) {
				err = look(g, o.served)
			}
			if err != nil {
				return err
			}
			continue
		}
		if wanted != nil {
			g.Member = wanted
			h, err := g.ApartHead(txn)
			if err == nil && !h.IsEmpty() {
				err = look(g, h)
			}
			return err
		}
		if err := listing.ScanApart(txn, collection, id, look); err != nil {
			return err
		}
	}
	return nil
}

// of gives the dates of the versions of one object.
func (v Versions) of(txn *kv.Txn, versions []byte, h listing.Head, add func(date []byte)) error {
	addAll := func(from []byte) error {
		return store.Scan(txn, from, nil, func(_ []byte, item *kv.Item) (bool, error) {
			date, err := item.Value()
			add(date)
			return true, err
		})
	}
	if v.All {
		return addAll(versions)
	}
	if v.First {
		add(h.First.Date)
	}
	if v.Last {
		add(h.Last.Date)
	}
	for _, at := range v.At {
		if err := addAll(slices.Concat(versions, instantKey(at))); err != nil {
			return err
		}
	}
	return nil
}

func unique(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
