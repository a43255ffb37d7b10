package view

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// The lists of a collection: of all its entries and of those of each type, each of them apart by what the entry is
// among the versions of its object. So every combination of types and of first, last or all versions is a merge of
// lists that hold nothing else, and the cost of a page is that of the entries on it, not of what lies between them.
const (
	only    = 'o' // the only version of its object
	earlier = 'f' // the first of several
	middle  = 'm'
	later   = 'l' // the last of several
)

// allTypes is where the list of all types is: in the place of a type, which none has the name of.
const allTypes = ""

// head is which versions of an object are its first and its last, kept so that nobody has to look for them. (An
// iterator in a transaction that writes costs as much as everything that it has written.)
type head struct{ first, last versionAt }

// versionAt is one version of an object in a collection: where it stands among the others, and its date.
type versionAt struct {
	place []byte // instant and position on the chain: no two versions have the same, whoever publishes them
	date  []byte
}

const placeSize = 12 + 16

func (e *Entry) at() versionAt {
	return versionAt{place: slices.Concat(instantKey(e.Instant), positionKey(e.Position)), date: store.U64(uint64(e.DateAdded))}
}

func getHead(txn *kv.Txn, collection []byte, id string) (h head, found bool, err error) {
	data, found, err := store.Get(txn, store.Key(store.TableHead, collection, []byte(id)))
	if err != nil || !found {
		return head{}, false, err
	}
	const size = placeSize + 8
	if len(data) != 2*size {
		return head{}, false, fmt.Errorf("a damaged head of object %.80q", id)
	}
	part := func(data []byte) versionAt { return versionAt{place: data[:placeSize], date: data[placeSize:]} }
	return head{first: part(data[:size]), last: part(data[size:])}, true, nil
}

func setHead(txn *kv.Txn, collection []byte, id string, h head) error {
	return txn.Set(store.Key(store.TableHead, collection, []byte(id)), slices.Concat(h.first.place, h.first.date, h.last.place, h.last.date))
}

// class is what a version is among the others.
func (h head) class(v versionAt) byte {
	switch first, last := bytes.Equal(v.date, h.first.date), bytes.Equal(v.date, h.last.date); {
	case first && last:
		return only
	case first:
		return earlier
	case last:
		return later
	}
	return middle
}

// ends are the first and the last version, or the only one.
func (h head) ends() []versionAt {
	if bytes.Equal(h.first.date, h.last.date) {
		return []versionAt{h.last}
	}
	return []versionAt{h.first, h.last}
}

func objectPrefix(collection []byte, id string) []byte {
	return store.Key(store.TableObject, collection, []byte(id), []byte{0})
}

// listKeys are an entry's places in the lists of a collection.
func listKeys(collection []byte, kind string, class byte, date []byte) [][]byte {
	return [][]byte{listPrefix(collection, allTypes, class, date), listPrefix(collection, kind, class, date)}
}

func listPrefix(collection []byte, kind string, class byte, date []byte) []byte {
	return store.Key(store.TableList, collection, []byte(kind), []byte{0, class}, date)
}

// relist moves a version from one class to another. All versions of an object have one type.
func relist(txn *kv.Txn, collection []byte, kind string, v versionAt, from, to byte) error {
	if from == to {
		return nil
	}
	return errors.Join(unlist(txn, collection, kind, v, from), list(txn, collection, kind, v, to))
}

func list(txn *kv.Txn, collection []byte, kind string, v versionAt, class byte) error {
	for _, k := range listKeys(collection, kind, class, v.date) {
		if err := txn.Set(k, nil); err != nil {
			return err
		}
	}
	return nil
}

func unlist(txn *kv.Txn, collection []byte, kind string, v versionAt, class byte) error {
	for _, k := range listKeys(collection, kind, class, v.date) {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// place enters an entry into the indexes of a collection.
func place(txn *kv.Txn, collection []byte, entry *Entry) error {
	v := entry.at()
	was, found, err := getHead(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	is := was
	if !found || bytes.Compare(v.place, was.first.place) < 0 {
		is.first = v
	}
	if !found || bytes.Compare(v.place, was.last.place) > 0 {
		is.last = v
	}
	if found { // what was an end may be none any more
		for _, end := range was.ends() {
			if err := relist(txn, collection, entry.Type, end, was.class(end), is.class(end)); err != nil {
				return err
			}
		}
	}
	if err := setHead(txn, collection, entry.ID, is); err != nil {
		return err
	}
	if err := list(txn, collection, entry.Type, v, is.class(v)); err != nil {
		return err
	}
	if err := txn.Set(append(objectPrefix(collection, entry.ID), v.place...), v.date); err != nil {
		return err
	}
	return txn.Set(store.Key(store.TableInstant, collection, instantKey(entry.Instant), v.date), nil)
}

// displace undoes place. What was next to an end becomes the end.
func displace(txn *kv.Txn, collection []byte, entry *Entry) error {
	v := entry.at()
	was, _, err := getHead(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	class := was.class(v)
	if err := unlist(txn, collection, entry.Type, v, class); err != nil {
		return err
	}
	versions := objectPrefix(collection, entry.ID)
	for _, k := range [][]byte{slices.Concat(versions, v.place), store.Key(store.TableInstant, collection, instantKey(entry.Instant), v.date)} {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	if class == middle {
		return nil
	}
	end, found, err := endOf(txn, versions, class == later)
	if err != nil {
		return err
	}
	if !found {
		return txn.Delete(store.Key(store.TableHead, collection, []byte(entry.ID)))
	}
	is := was
	if class == later {
		is.last = end
	} else {
		is.first = end
	}
	if err := relist(txn, collection, entry.Type, end, was.class(end), is.class(end)); err != nil {
		return err
	}
	return setHead(txn, collection, entry.ID, is)
}

// endOf finds the last or the first of an object's versions.
func endOf(txn *kv.Txn, versions []byte, last bool) (v versionAt, found bool, err error) {
	var it *kv.Iterator
	if last {
		it = txn.NewReverse(versions)
	} else {
		it = txn.NewIterator(versions)
		it.Seek(versions)
	}
	defer it.Close()
	if !it.Valid() {
		return versionAt{}, false, nil
	}
	date, err := it.Item().Value()
	return versionAt{place: slices.Clone(it.Item().Key()[len(versions):]), date: date}, err == nil, err
}

// dates visits the dates of the entries that the query asks for, ascending, until visit returns false.
func (v *View) dates(txn *kv.Txn, q Query, visit func(date []byte) (bool, error)) error {
	collection := collectionKey(q.Collection)
	if len(q.IDs) > 0 {
		return v.byID(txn, q, collection, visit)
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
			open(listPrefix(collection, kind, class, nil))
		}
	}
	if q.Versions.All {
		return merge(lists, visit)
	}
	listed := len(lists)
	for _, at := range q.Versions.At {
		open(store.Key(store.TableInstant, collection, instantKey(at)))
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
func (v *View) byID(txn *kv.Txn, q Query, collection []byte, visit func([]byte) (bool, error)) error {
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
		h, found, err := getHead(txn, collection, id)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if len(q.Types) > 0 {
			entry, err := entryAt(txn, h.last.date)
			if v.stale(err) {
				continue
			}
			if err != nil {
				return err
			}
			if !slices.Contains(q.Types, entry.Type) {
				continue
			}
		}
		if err := q.Versions.of(txn, objectPrefix(collection, id), h, add); err != nil {
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
