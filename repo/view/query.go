package view

import (
	"bytes"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// source is where the entries are that a query asks for: a collection as it is kept, and the shelves.
func (q Query) source() (collection []byte, shelves []shelf) {
	switch {
	case q.AnyLine:
		return collectionKey(q.Collection), []shelf{served, apart}
	case q.Collection == Others:
		return collectionKey(Everything), []shelf{apart}
	}
	return collectionKey(q.Collection), []shelf{served}
}

// dates visits the dates of the entries that the query asks for, ascending, until visit returns false.
func (v *View) dates(txn *kv.Txn, q Query, visit func(date []byte) (bool, error)) error {
	collection, shelves := q.source()
	if len(q.IDs) > 0 {
		return v.byID(txn, q, visit)
	}
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
		types = []string{allTypes}
	}
	for _, kind := range unique(types) {
		for _, class := range q.Versions.classes() {
			for _, s := range shelves {
				open(listPrefix(collection, kind, s.class(class), nil))
			}
		}
	}
	if q.Versions.All {
		return merge(lists, visit)
	}
	listed := len(lists)
	for _, at := range q.Versions.At {
		for _, s := range shelves {
			open(instantPrefix(collection, s, instantKey(at), nil))
		}
	}
	if len(lists) == listed || len(q.Types) == 0 {
		return merge(lists, visit)
	}
	return merge(lists, func(date []byte) (bool, error) {
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
		return []byte{only, earlier, middle, later}
	case v.First && v.Last:
		return []byte{only, earlier, later}
	case v.First:
		return []byte{only, earlier}
	case v.Last:
		return []byte{only, later}
	}
	return nil
}

// merge visits the dates at the ends of the keys of several lists, ascending, each once.
func merge(lists []*kv.Iterator, visit func(date []byte) (bool, error)) error {
	lists = slices.Clone(lists)
	date := func(it *kv.Iterator) []byte { k := it.Item().Key(); return k[len(k)-8:] }
	var before []byte
	for len(lists) > 0 {
		at := 0
		for i := range lists {
			if bytes.Compare(date(lists[i]), date(lists[at])) < 0 {
				at = i
			}
		}
		if next := date(lists[at]); !bytes.Equal(next, before) {
			before = append(before[:0], next...)
			if more, err := visit(before); err != nil || !more {
				return err
			}
		}
		if lists[at].Next(); !lists[at].Valid() {
			lists = slices.Delete(lists, at, at+1)
		}
	}
	return nil
}

func unique(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// byID looks every object up. What it holds in memory grows with the limit, not with the number of versions.
func (v *View) byID(txn *kv.Txn, q Query, visit func([]byte) (bool, error)) error {
	after := store.U64(uint64(q.After))
	var dates [][]byte
	add := func(date []byte) {
		if bytes.Compare(date, after) <= 0 {
			return
		}
		if dates = append(dates, date); len(dates) > 2*q.Limit+1000 {
			dates = earliest(dates, q.Limit+1)
		}
	}
	for _, id := range unique(q.IDs) {
		err := q.groups(txn, id, func(g group, h head) error {
			if len(q.Types) > 0 {
				entry, err := entryAt(txn, h.last.date)
				if err != nil {
					return v.passStale(err)
				}
				if !slices.Contains(q.Types, entry.Type) {
					return nil
				}
			}
			return q.Versions.of(txn, g.versions(), h, add)
		})
		if err != nil {
			return err
		}
	}
	for _, date := range earliest(dates, q.Limit+1) {
		if more, err := visit(date); err != nil || !more {
			return err
		}
	}
	return nil
}

// groups gives the groups of an object that a query asks for.
func (q Query) groups(txn *kv.Txn, id string, look func(group, head) error) error {
	collection, shelves := q.source()
	if q.Member != "" {
		shelves = []shelf{served, apart}
	}
	wanted := memberKey(q.Member)
	for _, s := range shelves {
		g := group{collection: collection, id: id}
		if s == served {
			o, _, err := getObject(txn, collection, id)
			if err == nil && !o.served.isEmpty() && (q.Member == "" || bytes.Equal(o.shown, wanted)) {
				err = look(g, o.served)
			}
			if err != nil {
				return err
			}
			continue
		}
		if q.Member != "" {
			g.member = wanted
			h, err := getApart(txn, collection, id, wanted)
			if err == nil && !h.isEmpty() {
				err = look(g, h)
			}
			return err
		}
		if err := scanApart(txn, collection, id, look); err != nil {
			return err
		}
	}
	return nil
}

// scanApart gives the lines of an object that are apart.
func scanApart(txn *kv.Txn, collection []byte, id string, look func(group, head) error) error {
	return store.Scan(txn, apartKey(collection, id, nil), nil, func(k []byte, item *kv.Item) (bool, error) {
		g := group{collection: collection, id: id, member: slices.Clone(k[len(k)-memberKeySize:])}
		data, err := item.Value()
		if err == nil && len(data) != headSize {
			err = damagedLine(id)
		}
		if err == nil {
			err = look(g, decodeHead(data))
		}
		return err == nil, err
	})
}

// of gives the dates of the versions of one object.
func (v Versions) of(txn *kv.Txn, versions []byte, h head, add func(date []byte)) error {
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
		add(h.first.date)
	}
	if v.Last {
		add(h.last.date)
	}
	for _, at := range v.At {
		if err := addAll(slices.Concat(versions, instantKey(at))); err != nil {
			return err
		}
	}
	return nil
}

// earliest sorts dates, each once, and gives the first n of them.
func earliest(dates [][]byte, n int) [][]byte {
	slices.SortFunc(dates, bytes.Compare)
	dates = slices.CompactFunc(dates, bytes.Equal)
	return dates[:min(n, len(dates))]
}
