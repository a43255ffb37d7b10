package view

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// source is where the entries are that a query asks for: a collection as it is kept, and the shelves.
func (q Query) source() (collection []byte, shelves []listing.Shelf) {
	switch {
	case q.AnyLine:
		return entries.CollectionKey(q.Collection), []listing.Shelf{listing.Served, listing.Apart}
	case q.Collection == Others:
		return entries.CollectionKey(Everything), []listing.Shelf{listing.Apart}
	}
	return entries.CollectionKey(q.Collection), []listing.Shelf{listing.Served}
}

// dates visits the dates of the entries that the query asks for, in its order, until visit returns false.
func (v *View) dates(txn *kv.Txn, q Query, take func(date []byte) (bool, error)) error {
	visit := func(date []byte) (bool, error) {
		if !q.takes(date) { // beyond the other end
			return false, nil
		}
		return take(date)
	}
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
		it := q.iterator(txn, prefix)
		if it.Valid() {
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
		return listing.Merge(lists, q.Descending, visit)
	}
	listed := len(lists)
	for _, at := range q.Versions.At {
		for _, s := range shelves {
			open(listing.InstantPrefix(collection, s, entries.InstantKey(at), nil))
		}
	}
	if len(lists) == listed || len(q.Types) == 0 {
		return listing.Merge(lists, q.Descending, visit)
	}
	return listing.Merge(lists, q.Descending, func(date []byte) (bool, error) {
		entry, err := entries.At(txn, date)
		if v.stale(err) {
			return true, nil
		}
		if err != nil || !slices.Contains(q.Types, entry.Type) {
			return true, err
		}
		return visit(date)
	})
}

// iterator goes through the dates of a list that the query asks for, in its order. It stands at the first.
func (q Query) iterator(txn *kv.Txn, prefix []byte) *kv.Iterator {
	if !q.Descending {
		it := txn.NewIterator(prefix)
		it.Seek(slices.Concat(prefix, store.U64(uint64(q.After+1))))
		return it
	}
	it := txn.NewReverse(prefix)
	if q.Before > 0 {
		it.Seek(slices.Concat(prefix, store.U64(uint64(q.Before-1))))
	}
	return it
}

// takes reports whether the query asks for a date.
func (q Query) takes(date []byte) bool {
	n := int64(binary.BigEndian.Uint64(date))
	return n > q.After && (q.Before == 0 || n < q.Before)
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
	var dates [][]byte
	add := func(date []byte) {
		if !q.takes(date) {
			return
		}
		if dates = append(dates, date); len(dates) > 2*q.Limit+1000 {
			dates = listing.Foremost(dates, q.Descending, q.Limit+1)
		}
	}
	for _, id := range unique(q.IDs) {
		err := q.groups(txn, id, func(g listing.Group, h listing.Head) error {
			if len(q.Types) > 0 {
				entry, err := entries.At(txn, h.Last.Date)
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
	for _, date := range listing.Foremost(dates, q.Descending, q.Limit+1) {
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
		shelves, wanted = []listing.Shelf{listing.Served, listing.Apart}, entries.MemberKey(q.Member)
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
			if err == nil {
				add(date)
			}
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
		if err := addAll(slices.Concat(versions, entries.InstantKey(at))); err != nil {
			return err
		}
	}
	return nil
}

func unique(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
