package listing

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// MemberSize is the size of a member in a key.
const MemberSize = 16

func apartKey(collection []byte, id string, member []byte) []byte {
	return store.Key(store.TableHead, collection, []byte(id), []byte{0}, member)
}

// ApartHead gives the head of a member's line that stands apart.
func (g Group) ApartHead(txn *kv.Txn) (Head, error) {
	data, found, err := store.Get(txn, apartKey(g.Collection, g.ID, g.Member))
	if err != nil || !found {
		return Head{}, err
	}
	return g.decodeApart(data)
}

func (g Group) decodeApart(data []byte) (Head, error) {
	if len(data) != HeadSize {
		return Head{}, fmt.Errorf("a damaged head of a line of object %.80q", g.ID)
	}
	return DecodeHead(data), nil
}

// SetApartHead keeps it.
func (g Group) SetApartHead(txn *kv.Txn, h Head) error {
	k := apartKey(g.Collection, g.ID, g.Member)
	if h.IsEmpty() {
		return txn.Delete(k)
	}
	return txn.Set(k, h.Encode())
}

// ScanApart gives the lines of an object that stand apart.
func ScanApart(txn *kv.Txn, collection []byte, id string, look func(Group, Head) error) error {
	return store.Scan(txn, apartKey(collection, id, nil), nil, func(k []byte, item *kv.Item) (bool, error) {
		g := Group{Collection: collection, ID: id, Member: slices.Clone(k[len(k)-MemberSize:])}
		data, err := item.Value()
		if err != nil {
			return false, err
		}
		h, err := g.decodeApart(data)
		if err == nil {
			err = look(g, h)
		}
		return err == nil, err
	})
}

// Forget takes a version out of the group that has no entry, and gives what is its head then.
func (g Group) Forget(txn *kv.Txn, v VersionAt) (h Head, err error) {
	if err := txn.Delete(append(g.Versions(), v.Place...)); err != nil {
		return h, err
	}
	first, found, err := endOf(txn, g.Versions(), false)
	if err != nil || !found {
		return h, err
	}
	last, _, err := endOf(txn, g.Versions(), true)
	return Head{First: first, Last: last}, err
}
