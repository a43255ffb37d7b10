// Package listing has the indexes of the view by which a page costs the same in a small and in a large collection.
package listing

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
	Only    = 'o' // the only version of its object
	Earlier = 'f' // the first of several
	Middle  = 'm'
	Later   = 'l' // the last of several
)

// AllTypes is where the list of all types is: in the place of a type, which none has the name of.
const AllTypes = ""

// Shelf is where entries are listed: with what is served of a collection, or apart from that.
type Shelf byte

const (
	Served Shelf = 0 // entries of the line that leads
	Apart  Shelf = 1 // those of the others
)

// Class is that of a version in the lists of a shelf: the same letters, in upper case for what stands apart.
func (s Shelf) Class(letter byte) byte {
	if s == Apart {
		return letter - 'a' + 'A'
	}
	return letter
}

// Group is entries of one object that are listed together, as versions of each other: those that are served, which are
// one member's, or another member's.
type Group struct {
	Collection []byte
	ID         string
	Member     []byte // by its key; none for those that are served
}

func (g Group) shelf() Shelf {
	if g.Member == nil {
		return Served
	}
	return Apart
}

// Versions is where the group's entries are, by instant and position. No id holds a byte below the space.
func (g Group) Versions() []byte {
	return store.Key(store.TableObject, g.Collection, []byte(g.ID), []byte{byte(g.shelf())}, g.Member)
}

// Head is which versions of a group are its first and its last, kept so that nobody has to look for them. (An
// iterator in a transaction that writes costs as much as everything that it has written.) An empty group has none.
type Head struct{ First, Last VersionAt }

// VersionAt is one version of an object in a collection: where it stands among the others, and its date.
type VersionAt struct {
	Place []byte // instant and position on the chain: no two versions have the same, whoever publishes them
	Date  []byte
}

func (v VersionAt) instant() []byte { return v.Place[:len(v.Place)-PositionSize] }

// The sizes of what is kept, in bytes.
const (
	PositionSize = 20
	PlaceSize    = 12 + PositionSize
	HeadSize     = 2 * (PlaceSize + 8)
)

// IsEmpty reports whether there is nothing in the group.
func (h Head) IsEmpty() bool { return h.First.Date == nil }

// Encode gives a head as it is stored.
func (h Head) Encode() []byte {
	return slices.Concat(h.First.Place, h.First.Date, h.Last.Place, h.Last.Date)
}

// DecodeHead undoes Encode, of HeadSize bytes.
func DecodeHead(data []byte) Head {
	part := func(data []byte) VersionAt { return VersionAt{Place: data[:PlaceSize], Date: data[PlaceSize:]} }
	return Head{First: part(data[:HeadSize/2]), Last: part(data[HeadSize/2:])}
}

// class is what a version is among the others.
func (h Head) class(v VersionAt) byte {
	switch first, last := bytes.Equal(v.Date, h.First.Date), bytes.Equal(v.Date, h.Last.Date); {
	case first && last:
		return Only
	case first:
		return Earlier
	case last:
		return Later
	}
	return Middle
}

// ends are the first and the last version, or the only one.
func (h Head) ends() []VersionAt {
	switch {
	case h.IsEmpty():
		return nil
	case bytes.Equal(h.First.Date, h.Last.Date):
		return []VersionAt{h.Last}
	}
	return []VersionAt{h.First, h.Last}
}

// listKeys are an entry's places in the lists of a collection.
func listKeys(collection []byte, kind string, class byte, date []byte) [][]byte {
	return [][]byte{ListPrefix(collection, AllTypes, class, date), ListPrefix(collection, kind, class, date)}
}

// ListPrefix is where the dates of a list are.
func ListPrefix(collection []byte, kind string, class byte, date []byte) []byte {
	return store.Key(store.TableList, collection, []byte(kind), []byte{0, class}, date)
}

// InstantPrefix is where the entries of a shelf are whose version is an instant.
func InstantPrefix(collection []byte, s Shelf, instant, date []byte) []byte {
	return store.Key(store.TableInstant, collection, []byte{byte(s)}, instant, date)
}

// relist moves a version from one class to another. All versions of an object have one type.
func (g Group) relist(txn *kv.Txn, kind string, v VersionAt, from, to byte) error {
	if from == to {
		return nil
	}
	return errors.Join(g.unlist(txn, kind, v, from), g.list(txn, kind, v, to))
}

func (g Group) list(txn *kv.Txn, kind string, v VersionAt, class byte) error {
	for _, k := range listKeys(g.Collection, kind, g.shelf().Class(class), v.Date) {
		if err := txn.Set(k, nil); err != nil {
			return err
		}
	}
	return nil
}

func (g Group) unlist(txn *kv.Txn, kind string, v VersionAt, class byte) error {
	for _, k := range listKeys(g.Collection, kind, g.shelf().Class(class), v.Date) {
		if err := txn.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Add lists a version of a type in the group, and gives what is its head then.
func (g Group) Add(txn *kv.Txn, was Head, v VersionAt, kind string) (is Head, err error) {
	is = was
	if was.IsEmpty() || bytes.Compare(v.Place, was.First.Place) < 0 {
		is.First = v
	}
	if was.IsEmpty() || bytes.Compare(v.Place, was.Last.Place) > 0 {
		is.Last = v
	}
	for _, end := range was.ends() { // what was an end may be none any more
		if err := g.relist(txn, kind, end, was.class(end), is.class(end)); err != nil {
			return is, err
		}
	}
	if err := g.list(txn, kind, v, is.class(v)); err != nil {
		return is, err
	}
	if err := txn.Set(append(g.Versions(), v.Place...), v.Date); err != nil {
		return is, err
	}
	return is, txn.Set(InstantPrefix(g.Collection, g.shelf(), v.instant(), v.Date), nil)
}

// Drop undoes Add. What was next to an end becomes the end.
func (g Group) Drop(txn *kv.Txn, was Head, v VersionAt, kind string) (is Head, err error) {
	class := was.class(v)
	if err := g.unlist(txn, kind, v, class); err != nil {
		return was, err
	}
	versions := g.Versions()
	for _, k := range [][]byte{slices.Concat(versions, v.Place), InstantPrefix(g.Collection, g.shelf(), v.instant(), v.Date)} {
		if err := txn.Delete(k); err != nil {
			return was, err
		}
	}
	switch class {
	case Middle:
		return was, nil
	case Only:
		return Head{}, nil
	}
	end, found, err := endOf(txn, versions, class == Later)
	if err != nil || !found {
		return Head{}, err
	}
	is = was
	if class == Later {
		is.Last = end
	} else {
		is.First = end
	}
	return is, g.relist(txn, kind, end, was.class(end), is.class(end))
}

// endOf finds the last or the first of a group's versions.
func endOf(txn *kv.Txn, versions []byte, last bool) (v VersionAt, found bool, err error) {
	var it *kv.Iterator
	if last {
		it = txn.NewReverse(versions)
	} else {
		it = txn.NewIterator(versions)
		it.Seek(versions)
	}
	defer it.Close()
	if !it.Valid() {
		return VersionAt{}, false, nil
	}
	date, err := it.Item().Value()
	return VersionAt{Place: slices.Clone(it.Item().Key()[len(versions):]), Date: date}, err == nil, err
}

// Some gives up to so many entries of the group.
func (g Group) Some(txn *kv.Txn, limit int) (list []VersionAt, err error) {
	versions := g.Versions()
	err = store.Scan(txn, versions, nil, func(k []byte, item *kv.Item) (bool, error) {
		date, err := item.Value()
		list = append(list, VersionAt{Place: slices.Clone(k[len(k)-PlaceSize:]), Date: date})
		return len(list) < limit, err
	})
	return list, err
}
