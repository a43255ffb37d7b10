package view

import (
	"bytes"
	"errors"
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

// shelf is where entries are listed: with what is served of a collection, or apart from that.
type shelf byte

const (
	served shelf = 0 // entries of the line that leads
	apart  shelf = 1 // those of the others
)

// class is that of a version in the lists of a shelf: the same letters, in upper case for what stands apart.
func (s shelf) class(letter byte) byte {
	if s == apart {
		return letter - 'a' + 'A'
	}
	return letter
}

// group is entries of one object that are listed together, as versions of each other: those that are served, which are
// one member's, or another member's.
type group struct {
	collection []byte
	id         string
	member     []byte // by its key; none for those that are served
}

func (g group) shelf() shelf {
	if g.member == nil {
		return served
	}
	return apart
}

// versions is where the group's entries are, by instant and position. No id holds a byte below the space.
func (g group) versions() []byte {
	return store.Key(store.TableObject, g.collection, []byte(g.id), []byte{byte(g.shelf())}, g.member)
}

// head is which versions of a group are its first and its last, kept so that nobody has to look for them. (An
// iterator in a transaction that writes costs as much as everything that it has written.) An empty group has none.
type head struct{ first, last versionAt }

// versionAt is one version of an object in a collection: where it stands among the others, and its date.
type versionAt struct {
	place []byte // instant and position on the chain: no two versions have the same, whoever publishes them
	date  []byte
}

const (
	positionSize = 16
	placeSize    = 12 + positionSize
	headSize     = 2 * (placeSize + 8)
)

func (e *Entry) at() versionAt {
	return versionAt{place: slices.Concat(instantKey(e.Instant), positionKey(e.Position)), date: store.U64(uint64(e.DateAdded))}
}

func (h head) isEmpty() bool { return h.first.date == nil }

func (h head) encode() []byte {
	return slices.Concat(h.first.place, h.first.date, h.last.place, h.last.date)
}

func decodeHead(data []byte) head {
	part := func(data []byte) versionAt { return versionAt{place: data[:placeSize], date: data[placeSize:]} }
	return head{first: part(data[:headSize/2]), last: part(data[headSize/2:])}
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
	switch {
	case h.isEmpty():
		return nil
	case bytes.Equal(h.first.date, h.last.date):
		return []versionAt{h.last}
	}
	return []versionAt{h.first, h.last}
}

// listKeys are an entry's places in the lists of a collection.
func listKeys(collection []byte, kind string, class byte, date []byte) [][]byte {
	return [][]byte{listPrefix(collection, allTypes, class, date), listPrefix(collection, kind, class, date)}
}

func listPrefix(collection []byte, kind string, class byte, date []byte) []byte {
	return store.Key(store.TableList, collection, []byte(kind), []byte{0, class}, date)
}

// instantPrefix is where the entries of a shelf are whose version is an instant.
func instantPrefix(collection []byte, s shelf, instant, date []byte) []byte {
	return store.Key(store.TableInstant, collection, []byte{byte(s)}, instant, date)
}

// relist moves a version from one class to another. All versions of an object have one type.
func (g group) relist(txn *kv.Txn, kind string, v versionAt, from, to byte) error {
	if from == to {
		return nil
	}
	return errors.Join(g.unlist(txn, kind, v, from), g.list(txn, kind, v, to))
}

func (g group) list(txn *kv.Txn, kind string, v versionAt, class byte) error {
	for _, k := range listKeys(g.collection, kind, g.shelf().class(class), v.date) {
		if err := txn.Set(k, nil); err != nil {
			return err
		}
	}
	return nil
}

func (g group) unlist(txn *kv.Txn, kind string, v versionAt, class byte) error {
	for _, k := range listKeys(g.collection, kind, g.shelf().class(class), v.date) {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// add lists an entry in the group, and gives what is its head then.
func (g group) add(txn *kv.Txn, was head, entry *Entry) (is head, err error) {
	v := entry.at()
	is = was
	if was.isEmpty() || bytes.Compare(v.place, was.first.place) < 0 {
		is.first = v
	}
	if was.isEmpty() || bytes.Compare(v.place, was.last.place) > 0 {
		is.last = v
	}
	for _, end := range was.ends() { // what was an end may be none any more
		if err := g.relist(txn, entry.Type, end, was.class(end), is.class(end)); err != nil {
			return is, err
		}
	}
	if err := g.list(txn, entry.Type, v, is.class(v)); err != nil {
		return is, err
	}
	if err := txn.Set(append(g.versions(), v.place...), v.date); err != nil {
		return is, err
	}
	return is, txn.Set(instantPrefix(g.collection, g.shelf(), instantKey(entry.Instant), v.date), nil)
}

// drop undoes add. What was next to an end becomes the end.
func (g group) drop(txn *kv.Txn, was head, entry *Entry) (is head, err error) {
	v := entry.at()
	class := was.class(v)
	if err := g.unlist(txn, entry.Type, v, class); err != nil {
		return was, err
	}
	versions := g.versions()
	for _, k := range [][]byte{slices.Concat(versions, v.place), instantPrefix(g.collection, g.shelf(), instantKey(entry.Instant), v.date)} {
		if err := txn.Delete(k); err != nil {
			return was, err
		}
	}
	switch class {
	case middle:
		return was, nil
	case only:
		return head{}, nil
	}
	end, found, err := endOf(txn, versions, class == later)
	if err != nil || !found {
		return head{}, err
	}
	is = was
	if class == later {
		is.last = end
	} else {
		is.first = end
	}
	return is, g.relist(txn, entry.Type, end, was.class(end), is.class(end))
}

// endOf finds the last or the first of a group's versions.
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
