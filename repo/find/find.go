// Package find has the indexes by which objects are found in the view: by the values that they are about, by what they
// refer to and by words.
//
//   - find.go has the tables, change.go is told what comes into the view and leaves it, build.go makes the indexes of
//     what was there before;
//   - extract.go says under what an object is found;
//   - read.go asks.
//
// What is in the tables follows from the objects alone. Whoever changes what follows from them, here or in package
// observable, raises [format]: then the indexes are made anew in the background, and the view stays as it is.
package find

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view"
)

// format is that of the indexes. It is part of every key, so that what is left of another one is in nobody's way.
const format = 3

// metaIndexes is what the table of single values has of the indexes.
const metaIndexes = "indexes"

// state is how far the indexes are.
type state struct {
	Format int   `json:"format"`
	Next   int64 `json:"next"`  // date_added from which on older entries are not in them yet
	Until  int64 `json:"until"` // … up to this one, after which they all are
	Done   int64 `json:"done"`  // how many of these are in them
	Whole  bool  `json:"whole"`
}

// Index is the indexes of a view.
type Index struct {
	view  *view.View
	state atomic.Pointer[state]
	step  int // buildItems, but for tests
}

var _ view.Index = (*Index)(nil)

// New gives a view its indexes. What the view holds already is in them once [Index.Run] has put it there.
func New(v *view.View) (*Index, error) {
	x := &Index{view: v, step: buildItems}
	now := state{Format: format}
	err := v.Maintain(func(txn *kv.Txn) error {
		var kept state
		found, err := store.GetJSON(txn, metaKey(), &kept)
		if err != nil {
			return err
		}
		if found && kept.Format == format {
			now = kept
			return nil
		}
		last, any := store.Last(txn, store.Key(store.TableEntry))
		if now.Whole = !any; any {
			now.Until = int64(binary.BigEndian.Uint64(last[len(last)-8:]))
		}
		return store.SetJSON(txn, metaKey(), now)
	})
	if err != nil {
		return nil, fmt.Errorf("opening the indexes: %w", err)
	}
	x.state.Store(&now)
	v.Attach(x)
	return x, nil
}

func metaKey() []byte { return store.Key(store.TableMeta, []byte(metaIndexes)) }

// Begin begins with an empty view, of which everything is in the indexes.
func (x *Index) Begin(txn *kv.Txn) error {
	now := state{Format: format, Whole: true}
	x.state.Store(&now)
	return store.SetJSON(txn, metaKey(), now)
}

// Progress tells how many of the entries that were there before the indexes are in them. It is whole when all are.
type Progress struct {
	Whole bool  `json:"whole"`
	Done  int64 `json:"done"`
	Of    int64 `json:"of"` // about, as entries come and go
}

// Progress tells how far the indexes are.
func (x *Index) Progress() Progress {
	now := *x.state.Load()
	p := Progress{Whole: now.Whole, Done: now.Done, Of: now.Done}
	if !now.Whole {
		p.Of = max(x.view.CountObjects(), now.Done)
	}
	return p
}

// posting is one name of an entry in an index, and what it says there.
type posting struct {
	prefix []byte
	tag    byte
}

// tableSize is how long that is what the keys of a table begin with: its letter, a slash and the format.
const tableSize = 3

func tableKey(table byte, parts ...[]byte) []byte {
	const whole = 96 // mostly enough for the key of a block
	k := append(make([]byte, 0, whole), store.Key(table, []byte{format})...)
	for _, part := range parts {
		k = append(k, part...)
	}
	return k
}

// valueKey is where the entries are that are about a value.
func valueKey(v observable.Value) []byte { return tableKey(store.TableValue, v.Key(), []byte{0}) }

// referenceKey is where the entries are that refer to an object, by the property in which they do.
func referenceKey(id, kind string) []byte {
	return tableKey(store.TableReference, []byte(id), []byte{0}, []byte(kind), []byte{0})
}

// wordKey is where the entries are that have a word.
func wordKey(word string) []byte { return tableKey(store.TableWord, []byte(word), []byte{0}) }

// postings are the keys of an entry in the indexes: of its object, and of where that is stored.
func postings(entry *view.Entry) (list []posting) {
	e := extract(entry.Object)
	list = make([]posting, 0, len(e.values)+len(e.references)+len(e.words)+1)
	if at, is := observable.Normalise(observable.Atom{Kind: observable.CID, Text: entry.Directory}); is {
		list = append(list, posting{valueKey(at), byte(observable.Stored)})
	}
	for _, f := range e.values {
		list = append(list, posting{valueKey(f.Value), byte(f.Role)})
	}
	for _, r := range e.references {
		list = append(list, posting{prefix: referenceKey(r.ID, r.Kind)})
	}
	for _, word := range e.words {
		list = append(list, posting{prefix: wordKey(word)})
	}
	return list
}

// errDamaged says that an index holds what nobody writes.
var errDamaged = errors.New("a damaged index")
