package find

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view"
)

// Reader asks the indexes, as they are at one moment.
type Reader struct {
	view *view.View
	txn  *kv.Txn

	iterators map[byte]*kv.Iterator // one for each table
	having    map[string]*having    // … and for each word that is asked about
}

// Read lets somebody ask. The reader is good as long as ask runs.
func (x *Index) Read(ask func(*Reader) error) error {
	return x.view.Read(func(txn *kv.Txn) error {
		r := &Reader{view: x.view, txn: txn, iterators: map[byte]*kv.Iterator{}, having: map[string]*having{}}
		defer func() {
			for _, it := range r.iterators {
				it.Close()
			}
			for _, h := range r.having {
				h.it.Close()
			}
		}()
		return ask(r)
	})
}

// Posting is an entry that is about a value.
type Posting struct {
	Value observable.Value
	Role  observable.Role
	Date  int64 // the entry's date_added
}

func (r *Reader) iterator(table byte) *kv.Iterator {
	if r.iterators[table] == nil {
		r.iterators[table] = r.txn.NewIterator(tableKey(table))
	}
	return r.iterators[table]
}

// visitName visits the entries under a name, the newest first, until visit returns false: those with a date_added
// before one, if that is not 0.
func visitName(it *kv.Iterator, name []byte, before int64, visit func(mark) (bool, error)) error {
	from := name
	if before != 0 {
		from = blockKey(name, before-1)
	}
	for it.Seek(from); it.Valid() && bytes.HasPrefix(it.Item().Key(), name); it.Next() {
		if !isBlock(it.Item().Key(), name) {
			continue
		}
		block, err := readBlock(it.Item())
		if err != nil {
			return err
		}
		for _, m := range slices.Backward(block) {
			if before != 0 && m.date >= before {
				continue
			}
			if more, err := visit(m); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// Exact visits the entries that are about a value, the newest first, until visit returns false: those with a date_added
// before one, if that is not 0.
func (r *Reader) Exact(v observable.Value, before int64, visit func(Posting) (bool, error)) error {
	return visitName(r.iterator(store.TableValue), valueKey(v), before, func(m mark) (bool, error) {
		return visit(Posting{v, observable.Role(m.tag), m.date})
	})
}

// Around visits the entries that are about what contains a value, as [observable.Value.Around] has it but in the order
// of keys: networks, and domains, from the widest on; until visit returns false. What is not there mostly lies between
// two keys that are neighbours, so that it costs nothing to look for it.
func (r *Reader) Around(v observable.Value, visit func(Posting) (bool, error)) error {
	it, sought := r.iterator(store.TableValue), false
	for _, one := range slices.Backward(v.Around()) { // what contains another one is before it in the order of keys
		if prefix := valueKey(one); sought && (!it.Valid() || bytes.Compare(it.Item().Key(), prefix) > 0 && !bytes.HasPrefix(it.Item().Key(), prefix)) {
			continue // nothing is between what was sought before and where the iterator stands
		}
		sought = true
		more := true
		err := r.Exact(one, 0, func(p Posting) (_ bool, err error) {
			more, err = visit(p)
			return more, err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Within visits the entries that are about what a value contains, in the order of keys, until visit returns false.
func (r *Reader) Within(v observable.Value, visit func(Posting) (bool, error)) error {
	it := r.iterator(store.TableValue)
	for _, span := range v.Within() {
		for it.Seek(tableKey(store.TableValue, span.First)); it.Valid(); it.Next() {
			key, good := keyIn(it.Item())
			if !good || !span.Has(key) {
				break
			}
			block, err := readBlock(it.Item())
			if err != nil {
				return err
			}
			value, err := r.valueOf(block[0].date, key)
			if err != nil {
				return err
			}
			if value == v || value.Kind == 0 {
				continue
			}
			for _, m := range slices.Backward(block) {
				if more, err := visit(Posting{value, observable.Role(m.tag), m.date}); err != nil || !more {
					return err
				}
			}
		}
	}
	return nil
}

// keyIn gives the key of the value that an entry is about at which an iterator stands, as long as it stands there.
func keyIn(item *kv.Item) (key []byte, good bool) {
	const end = 1 + 8 // what follows the key: a zero byte and the date
	k := item.Key()[tableSize:]
	if len(k) <= end {
		return nil, false
	}
	return k[:len(k)-end], true
}

// valueOf gives the value that has a key: by the entry's object where the key doesn't tell; none if that is not there.
func (r *Reader) valueOf(date int64, key []byte) (v observable.Value, err error) {
	if v, good := observable.FromKey(key); good {
		return v, nil
	}
	e, err := r.Entry(date, true)
	if err != nil || e == nil {
		return v, err
	}
	found, _ := observable.FromObject(e.Object)
	for _, f := range found {
		if bytes.Equal(f.Value.Key(), key) {
			return f.Value, nil
		}
	}
	return v, nil
}

// Pointer is a reference from an entry.
type Pointer struct {
	Kind string
	Date int64 // the entry's date_added
}

// References visits the entries that refer to an object, by the property in which they do and the newest first, up to
// so many of each property; more says of which there are more.
func (r *Reader) References(id string, most int, visit func(Pointer) (bool, error)) (more []string, err error) {
	prefix := tableKey(store.TableReference, []byte(id), []byte{0})
	it := r.iterator(store.TableReference)
	kind, count := "", 0
	for it.Seek(prefix); it.Valid() && bytes.HasPrefix(it.Item().Key(), prefix); {
		rest := it.Item().Key()[len(prefix):]
		name, _, found := bytes.Cut(rest, []byte{0})
		if !found || len(rest) != len(name)+9 {
			return more, fmt.Errorf("%w: of a reference", errDamaged)
		}
		if string(name) != kind {
			kind, count = string(name), 0
		}
		block, err := readBlock(it.Item())
		if err != nil {
			return more, err
		}
		on := true
		for _, m := range slices.Backward(block) {
			if count++; count > most {
				break
			}
			if on, err = visit(Pointer{kind, m.date}); err != nil || !on {
				return more, err
			}
		}
		if count > most {
			more = append(more, kind)
			it.Seek(slices.Concat(prefix, name, []byte{1}))
			continue
		}
		it.Next()
	}
	return more, nil
}

// Word visits the date_added of the entries that have a word, the newest first, until visit returns false: those before
// one, if that is not 0.
func (r *Reader) Word(word string, before int64, visit func(date int64) (bool, error)) error {
	return visitName(r.iterator(store.TableWord), wordKey(word), before, func(m mark) (bool, error) { return visit(m.date) })
}

// Beginning visits the date_added of the entries that have a word with a beginning, by the word, until visit returns
// false. An entry may come several times.
func (r *Reader) Beginning(beginning string, visit func(date int64) (bool, error)) error {
	prefix := tableKey(store.TableWord, []byte(beginning))
	it := r.iterator(store.TableWord)
	for it.Seek(prefix); it.Valid() && bytes.HasPrefix(it.Item().Key(), prefix); it.Next() {
		block, err := readBlock(it.Item())
		if err != nil {
			return err
		}
		for _, m := range slices.Backward(block) {
			if on, err := visit(m.date); err != nil || !on {
				return err
			}
		}
	}
	return nil
}

// having tells which entries have a word.
type having struct {
	it    *kv.Iterator
	name  []byte
	block []mark // the first that is not all later than until; none if there is none
	until int64
}

func (h *having) has(date int64) (bool, error) {
	if h.until == 0 || date > h.until || len(h.block) > 0 && date < h.block[0].date {
		h.until, h.block = date, nil
		if h.it.Seek(blockKey(h.name, date)) && isBlock(h.it.Item().Key(), h.name) {
			var err error
			if h.block, err = readBlock(h.it.Item()); err != nil {
				return false, err
			}
		}
	}
	_, has := slices.BinarySearchFunc(h.block, date, func(m mark, date int64) int { return cmp.Compare(m.date, date) })
	return has, nil
}

// HasWord reports whether an entry has a word. It costs least if it is asked about the newest first.
func (r *Reader) HasWord(word string, date int64) (bool, error) {
	if r.having[word] == nil {
		r.having[word] = &having{it: r.txn.NewIterator(tableKey(store.TableWord)), name: wordKey(word)}
	}
	return r.having[word].has(date)
}

// Entry gives the entry with a date_added; nil if there is none.
func (r *Reader) Entry(date int64, withObject bool) (*view.Entry, error) {
	return r.view.EntryAt(r.txn, date, withObject)
}

// IsLast reports whether an entry is the last version in its member's line of its object.
func (r *Reader) IsLast(e *view.Entry) (bool, error) { return r.view.IsLast(r.txn, e) }

// Leads reports whether the line that an entry is of is the one that is served, among all collections.
func (r *Reader) Leads(e *view.Entry) (bool, error) { return r.view.Leads(r.txn, e) }
