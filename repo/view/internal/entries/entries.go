// Package entries has the entries of the view, as they are kept.
package entries

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// Entry is one version of one object in the view.
type Entry struct {
	Collection  string              `json:"collection"`
	ID          string              `json:"id"`
	Type        string              `json:"type"`
	Version     string              `json:"version"` // as TAXII has it
	Instant     time.Time           `json:"instant"` // the same as a point in time
	Unversioned bool                `json:"unversioned,omitzero"`
	Hash        []byte              `json:"hash"` // SHA-256 of the canonical JSON
	DateAdded   int64               `json:"added"`
	Position    consortium.Position `json:"position"`
	Publisher   string              `json:"publisher"`       // account
	Member      string              `json:"member,omitzero"` // whose account that is, by the member's first one; none for the publisher's own
	TxID        string              `json:"txid"`
	Asset       uint64              `json:"asset"`
	Directory   string              `json:"directory"`
	StoredAt    time.Time           `json:"stored"`
	Object      []byte              `json:"-"`
}

// Place is where on the chain the entry is.
func (e *Entry) Place() consortium.Place {
	return consortium.Place{TxID: e.TxID, Round: e.Position.Round, Asset: e.Asset, Index: e.Position.Index, Directory: e.Directory}
}

// Added is the entry's date_added.
func (e *Entry) Added() time.Time { return time.UnixMicro(e.DateAdded).UTC() }

// At is where the entry stands among the versions of its object.
func (e *Entry) At() listing.VersionAt {
	return listing.VersionAt{Place: slices.Concat(InstantKey(e.Instant), history.PositionKey(e.Position)), Date: store.U64(uint64(e.DateAdded))}
}

// CollectionKey is a collection in a key.
func CollectionKey(id string) []byte {
	u, err := uuid.Parse(id)
	if err != nil {
		return bytes.Repeat([]byte{0xff}, 16) // no collection has it
	}
	return u[:]
}

// Identity is what makes two publications the same: their member, and an object and a version or, for what has no
// version, its content.
func (e *Entry) Identity() []byte {
	beginning := slices.Concat([]byte(e.ID), []byte{0}, MemberKey(e.Owner()))
	if e.Unversioned {
		return slices.Concat(beginning, []byte{'h'}, e.Hash)
	}
	return slices.Concat(beginning, []byte{'v'}, InstantKey(e.Instant))
}

// InstantKey sorts as time does, from year 1 on.
func InstantKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint32(store.U64(uint64(t.Unix())+1<<63), uint32(t.Nanosecond()))
}

// Publication names what an entry publishes, in its collection.
func (e *Entry) Publication() []byte { return slices.Concat(CollectionKey(e.Collection), e.Identity()) }

// Encode gives what stands before the object.
func Encode(e *Entry) ([]byte, error) {
	header, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header), nil
}

func split(data []byte) (header, object []byte, err error) {
	if len(data) < 4 || uint32(len(data)-4) < binary.BigEndian.Uint32(data) {
		return nil, nil, fmt.Errorf("a damaged entry: %w", history.ErrStale)
	}
	end := 4 + binary.BigEndian.Uint32(data)
	return data[4:end], data[end:], nil
}

// Decode undoes Encode, of what an entry is kept as.
func Decode(data []byte, withObject bool) (*Entry, error) {
	header, object, err := split(data)
	if err != nil {
		return nil, err
	}
	var e Entry
	if err := json.Unmarshal(header, &e); err != nil {
		return nil, fmt.Errorf("a damaged entry: %w: %w", history.ErrStale, err)
	}
	if withObject {
		e.Object = bytes.Clone(object)
	}
	return &e, nil
}

// MemberKey is a member in a key, shorter than its account.
func MemberKey(member string) []byte {
	sum := sha256.Sum256([]byte(member))
	return sum[:listing.MemberSize]
}

// Owner is the member whose entry it is: it has the entry's publisher for its account, or had.
func (e *Entry) Owner() string { return cmp.Or(e.Member, e.Publisher) }

// At gives the entry with a date, without its object.
func At(txn *kv.Txn, date []byte) (*Entry, error) { return Read(txn, date, false) }

// Read gives the entry with a date.
func Read(txn *kv.Txn, date []byte, withObject bool) (e *Entry, err error) {
	item, err := txn.Item(store.Key(store.TableEntry, date))
	if errors.Is(err, kv.ErrNotFound) {
		err = history.ErrStale
	}
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", binary.BigEndian.Uint64(date), err)
	}
	return Of(item, withObject)
}

// Of gives the entry that an item is.
func Of(item *kv.Item, withObject bool) (e *Entry, err error) {
	show := item.ShowHead
	if withObject {
		show = item.Show
	}
	err = show(func(data []byte) error {
		e, err = Decode(data, withObject)
		return err
	})
	return e, err
}

// Reader reads entries in ascending order of their dates. The entries of a page mostly lie side by side: stepping
// from one to the next is several times faster than looking each of them up.
type Reader struct{ it *kv.Iterator }

// NewReader is to be closed.
func NewReader(txn *kv.Txn) *Reader {
	return &Reader{txn.NewIterator(store.Key(store.TableEntry))}
}

// Close ends the reading.
func (r *Reader) Close() { r.it.Close() }

// seek finds the entry with a date.
func (r *Reader) seek(date []byte) (*kv.Item, error) {
	const steps = 8 // a seek costs about as much as these
	wanted := store.Key(store.TableEntry, date)
	for range steps {
		if !r.it.Valid() || bytes.Compare(r.it.Item().Key(), wanted) >= 0 {
			break
		}
		r.it.Next()
	}
	if !r.it.Valid() || !bytes.Equal(r.it.Item().Key(), wanted) {
		r.it.Seek(wanted)
	}
	if !r.it.Valid() || !bytes.Equal(r.it.Item().Key(), wanted) {
		return nil, fmt.Errorf("entry %d: %w: %w", binary.BigEndian.Uint64(date), history.ErrStale, kv.ErrNotFound)
	}
	return r.it.Item(), nil
}

// Read reads the entry with a date: with its object, without it, or its date and its object alone.
func (r *Reader) Read(date []byte, withObject, objectAlone bool) (e *Entry, err error) {
	item, err := r.seek(date)
	if err != nil {
		return nil, err
	}
	if !objectAlone {
		return Of(item, withObject)
	}
	err = item.Show(func(data []byte) error {
		_, object, err := split(data)
		e = &Entry{DateAdded: int64(binary.BigEndian.Uint64(date)), Object: bytes.Clone(object)}
		return err
	})
	return e, err
}

// Size is that of an entry with its object, in bytes. It costs less than reading it.
func (r *Reader) Size(date []byte) (int, error) {
	item, err := r.seek(date)
	if err != nil {
		return 0, err
	}
	return item.Size()
}
