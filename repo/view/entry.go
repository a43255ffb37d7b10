package view

import (
	"bytes"
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

// Collections of the view beside those of the consortium, of which none has such an id.
const (
	Everything = "00000000-0000-0000-0000-000000000000" // every object, in the line that leads among all collections
	Others     = "00000000-0000-0000-0000-000000000001" // all other lines
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

// at is where the entry stands among the versions of its object.
func (e *Entry) at() listing.VersionAt {
	return listing.VersionAt{Place: slices.Concat(instantKey(e.Instant), history.PositionKey(e.Position)), Date: store.U64(uint64(e.DateAdded))}
}

func collectionKey(id string) []byte {
	u, err := uuid.Parse(id)
	if err != nil {
		return bytes.Repeat([]byte{0xff}, 16) // no collection has it
	}
	return u[:]
}

// identity is what makes two publications the same: their member, and an object and a version or, for what has no
// version, its content.
func (e *Entry) identity() []byte {
	beginning := slices.Concat([]byte(e.ID), []byte{0}, memberKey(e.Owner()))
	if e.Unversioned {
		return slices.Concat(beginning, []byte{'h'}, e.Hash)
	}
	return slices.Concat(beginning, []byte{'v'}, instantKey(e.Instant))
}

// instantKey sorts as time does, from year 1 on.
func instantKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint32(store.U64(uint64(t.Unix())+1<<63), uint32(t.Nanosecond()))
}

// publication names what an entry publishes, in its collection.
func (e *Entry) publication() []byte { return slices.Concat(collectionKey(e.Collection), e.identity()) }

// encodeEntry gives what stands before the object.
func encodeEntry(e *Entry) ([]byte, error) {
	header, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header), nil
}

func splitEntry(data []byte) (header, object []byte, err error) {
	if len(data) < 4 || uint32(len(data)-4) < binary.BigEndian.Uint32(data) {
		return nil, nil, fmt.Errorf("a damaged entry: %w", history.ErrStale)
	}
	end := 4 + binary.BigEndian.Uint32(data)
	return data[4:end], data[end:], nil
}

func decodeEntry(data []byte, withObject bool) (*Entry, error) {
	header, object, err := splitEntry(data)
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

// Entry gives the object that an event brought into the view; nil if there is none.
func (v *View) Entry(e Event) (entry *Entry, err error) {
	if e.State != InView {
		return nil, nil
	}
	err = v.store.Read(func(txn *kv.Txn) error {
		entry, err = readEntry(txn, store.U64(uint64(e.Entered)), true)
		if v.stale(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the object of transaction %s: %w", e.TxID, err)
	}
	return entry, nil
}

func entryAt(txn *kv.Txn, date []byte) (*Entry, error) { return readEntry(txn, date, false) }

func readEntry(txn *kv.Txn, date []byte, withObject bool) (e *Entry, err error) {
	item, err := txn.Item(store.Key(store.TableEntry, date))
	if errors.Is(err, kv.ErrNotFound) {
		err = history.ErrStale
	}
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", binary.BigEndian.Uint64(date), err)
	}
	return itemEntry(item, withObject)
}

func itemEntry(item *kv.Item, withObject bool) (e *Entry, err error) {
	show := item.ShowHead
	if withObject {
		show = item.Show
	}
	err = show(func(data []byte) error {
		e, err = decodeEntry(data, withObject)
		return err
	})
	return e, err
}
