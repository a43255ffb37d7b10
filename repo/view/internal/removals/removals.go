// Package removals keeps what left a view lately, in the order of time.
package removals

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Removal is a version of an object that left the view: it was withdrawn, or somebody turned out to have published the
// same before. Who has taken it over can't see that otherwise.
type Removal struct {
	Date       int64     `json:"-"` // like a date_added, and never that of anything else
	Collection string    `json:"collection"`
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Version    string    `json:"version"`
	Removed    time.Time `json:"removed"`
	// Values are those that the object was about, so that whoever kept only these finds them: as many as there is room
	// for.
	Values []observable.Value `json:"values,omitempty"`

	// InOwn and InAll say whether it was served in its collection and among all collections, Gone whether nothing of the
	// object is served there any more.
	InOwn   bool `json:"own,omitempty"`
	InAll   bool `json:"all,omitempty"`
	GoneOwn bool `json:"gone_own,omitempty"`
	GoneAll bool `json:"gone_all,omitempty"`
}

// How many are kept, for how long, and how much each may name.
const (
	Most    = 100_000
	Last    = 30 * 24 * time.Hour
	values  = 100
	bytesOf = 8 << 10 // of the values
	dropped = 3       // with each that comes, at most
)

// Gone reports whether nothing of the object is in its collection any more or, with all, in the one with everything.
func (r *Removal) Gone(all bool) bool {
	if all {
		return r.GoneAll
	}
	return r.GoneOwn
}

// Name names the values that an object is about.
func (r *Removal) Name(object []byte) {
	found, _ := observable.FromObject(object)
	size := 0
	for _, f := range found[:min(len(found), values)] {
		if size += len(f.Value.Text); size > bytesOf {
			break
		}
		r.Values = append(r.Values, f.Value)
	}
}

// Keep keeps one with a date, of which there are so many then, and lets the oldest ones go. It tells how many went.
func Keep(txn *kv.Txn, date int64, r *Removal, kept, most int64) (gone int64, err error) {
	now := time.Now()
	r.Removed = now.UTC().Truncate(time.Microsecond)
	if err := store.SetJSON(txn, store.Key(store.TableRemoval, store.U64(uint64(date))), r); err != nil {
		return 0, err
	}
	var old [][]byte
	err = store.Scan(txn, store.Key(store.TableRemoval), nil, func(k []byte, _ *kv.Item) (bool, error) {
		if kept-int64(len(old)) <= most && dateOf(k) > now.Add(-Last).UnixMicro() {
			return false, nil
		}
		old = append(old, bytes.Clone(k))
		return len(old) < dropped, nil
	})
	for _, k := range old {
		if err == nil {
			err = txn.Delete(k)
		}
	}
	return int64(len(old)), err
}

func dateOf(k []byte) int64 {
	return int64(binary.BigEndian.Uint64(k[len(store.Key(store.TableRemoval)):]))
}

// Of gives what left a collection, everything or what stands apart, after a date: up to limit, and whether there is
// more.
func Of(read func(func(*kv.Txn) error) error, collection string, all, apart bool, after int64, limit int) (list []Removal, more bool, err error) {
	err = read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableRemoval), store.U64(uint64(after+1)), func(k []byte, item *kv.Item) (bool, error) {
			var r Removal
			if err := store.ItemJSON(item, &r); err != nil {
				return false, err
			}
			switch {
			case all && !r.InAll, apart && r.InAll, !all && !apart && (!r.InOwn || r.Collection != collection):
				return true, nil
			case len(list) == limit:
				more = true
				return false, nil
			}
			r.Date = dateOf(k)
			list = append(list, r)
			return true, nil
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("reading what left collection %s: %w", collection, err)
	}
	return list, more, nil
}
