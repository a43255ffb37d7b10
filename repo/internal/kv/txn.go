package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Txn is a transaction. It sees the store as it was when it began and, if it writes, its own writes.
type Txn struct {
	db  *DB
	txn *badger.Txn

	made, dropped []ref // large values
	freed         int64 // bytes of small ones
	writes        bool  // it has changed something

	entries, bytes int64 // that it sets and deletes
}

// The keys that are the store's own begin with a zero byte.
var (
	// largeIndex says whose the large values are: largeIndex, ref -> key.
	largeIndex = []byte("\x00large/")
	// numberKey has the number of the last transaction.
	numberKey = []byte("\x00number")
	// flushKey is there to be dropped, with what else is in memory.
	flushKey = []byte("\x00flush")
)

// What kinds of values there are, in Badger's byte for the user.
const (
	isLarge  = 1 << iota // a ref, and the value's head
	isNumber             // of a transaction
)

// View runs a transaction that reads.
func (db *DB) View(transaction func(*Txn) error) (err error) {
	defer func() { db.note(err) }()
	if hook := db.hooks.Read; hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	generation := db.readers.enter()
	defer func() {
		_ = db.large.remove(db.readers.leave(generation)) // else the next start does it
	}()
	txn := &Txn{db: db, txn: db.badger.NewTransaction(false)}
	defer txn.txn.Discard()
	return recovering(func() error { return transaction(txn) })
}

// Update runs a transaction that writes, and commits it unless it returns an error.
func (db *DB) Update(transaction func(*Txn) error) (err error) {
	defer func() { db.note(err) }()
	db.writing.Lock()
	defer db.writing.Unlock()
	txn := &Txn{db: db, txn: db.badger.NewTransaction(true)}
	defer txn.txn.Discard()
	err = recovering(func() error { return transaction(txn) })
	if err == nil && txn.writes {
		if err = txn.prepare(); err == nil {
			if err = recovering(txn.commit); err != nil {
				return err // what it wrote may be there, or not: its files stay until the next start
			}
		}
	}
	if err != nil {
		return errors.Join(err, db.large.remove(txn.made))
	}
	if !txn.writes {
		return nil
	}
	db.number++
	db.freed.Add(txn.freed)
	if db.options.Durable {
		if err := db.setMark(); err != nil {
			return err
		}
	}
	return db.drop(txn.dropped)
}

// drop removes files that no key names any more, as soon as nobody can read them.
func (db *DB) drop(refs []ref) error {
	if len(refs) == 0 {
		return nil
	}
	if !db.options.Durable { // a file may only go when no start can find its key again
		if err := db.badger.Sync(); err != nil {
			return err
		}
	}
	_ = db.large.remove(db.readers.drop(refs)) // else the next start does it
	return nil
}

// touch lets a test decide that something can't be read or written.
func (t *Txn) touch() error {
	if hook := t.db.hooks.Touch; hook != nil {
		return hook()
	}
	return nil
}

func (t *Txn) commit() error {
	if hook := t.db.hooks.Commit; hook != nil {
		return hook(t.txn.Commit)
	}
	return t.txn.Commit()
}

// prepare does what comes before a commit.
func (t *Txn) prepare() error {
	if err := t.db.large.sync(t.made); err != nil {
		return err
	}
	e := badger.NewEntry(numberKey, binary.BigEndian.AppendUint64(nil, t.db.number+1)).WithMeta(isNumber)
	return t.txn.SetEntry(e)
}

// number is that of the last transaction.
func (t *Txn) number() (uint64, error) {
	value, err := t.Get(numberKey)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err == nil && len(value) != 8 {
		err = fmt.Errorf("%w: the number of the last transaction has %d bytes", ErrDamaged, len(value))
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// Item gives a key and its value. The error wraps [ErrNotFound] if there is none.
func (t *Txn) Item(key []byte) (*Item, error) {
	if err := t.touch(); err != nil {
		return nil, err
	}
	item, err := t.txn.Get(key)
	return &Item{t, item}, err
}

// Get gives the value of a key. The error wraps [ErrNotFound] if there is none.
func (t *Txn) Get(key []byte) ([]byte, error) {
	item, err := t.Item(key)
	if err != nil {
		return nil, err
	}
	return item.Value()
}

// Has reports whether there is a key.
func (t *Txn) Has(key []byte) (bool, error) {
	_, err := t.Item(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Set gives a key a value.
func (t *Txn) Set(key, value []byte) error { return t.Put(Entry{Key: key, Body: value}) }

// Entry is a key with a value that may be large, and may expire.
type Entry struct {
	Key     []byte
	Head    []byte // the value's beginning, which can be read without the rest
	Body    []byte // the rest; it goes into a file of its own if it is large
	Expires uint64 // the second (Unix) from which on there is no such key; 0 for never
}

// Put sets a key, which doesn't begin with a zero byte.
func (t *Txn) Put(e Entry) error {
	if len(e.Key) > 0 && e.Key[0] == 0 {
		return fmt.Errorf("the key %.80q is the store's own", e.Key)
	}
	if err := t.touch(); err != nil {
		return err
	}
	t.writes = true
	entry := &badger.Entry{Key: e.Key, Value: e.Body, ExpiresAt: e.Expires}
	switch {
	case len(e.Body) >= largeSize:
		r, err := t.db.large.write(e.Body)
		if err != nil {
			return err
		}
		t.made = append(t.made, r)
		entry.Value = slices.Concat(r[:], e.Head)
		entry.UserMeta = isLarge
		t.count(len(largeIndex) + len(r) + len(e.Key))
		if err := t.txn.Set(largeKey(r), e.Key); err != nil {
			return err
		}
	case len(e.Head) > 0:
		entry.Value = slices.Concat(e.Head, e.Body)
	}
	if len(entry.Value) >= valueThreshold {
		return fmt.Errorf("the head of a value has %d bytes", len(e.Head))
	}
	t.count(len(e.Key) + len(entry.Value))
	return t.txn.SetEntry(entry)
}

// Delete deletes a key. If its value is large, the space of it is given back when [DB.Reclaim] comes to it.
func (t *Txn) Delete(key []byte) error {
	if err := t.touch(); err != nil {
		return err
	}
	t.writes = true
	t.count(len(key))
	return t.txn.Delete(key)
}

// count counts a key that is set or deleted, with what Badger counts beside it.
func (t *Txn) count(bytes int) {
	const overhead = 16 // how it is marked, its version, and how long it is
	t.entries++
	t.bytes += int64(bytes) + overhead
}

// Full reports whether a transaction writes three quarters of what fits into one: time to commit it, and to go on in
// another one. One that goes on all the same ends with [ErrTooBig].
func (t *Txn) Full() bool {
	return 4*t.entries > 3*t.db.badger.MaxBatchCount() || 4*t.bytes > 3*t.db.badger.MaxBatchSize()
}

// DeleteLarge deletes a key whose value may be large. The space of it is given back at once.
func (t *Txn) DeleteLarge(key []byte) error {
	found, err := t.Item(key)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	item := found.item
	r, large, err := refOf(item)
	if err != nil {
		return err
	}
	t.freed += int64(len(key)) + item.ValueSize()
	if large {
		t.dropped = append(t.dropped, r)
		if err := t.Delete(largeKey(r)); err != nil {
			return err
		}
	}
	return t.Delete(key)
}

func largeKey(r ref) []byte { return slices.Concat(largeIndex, r[:]) }

// namedFiles are the files of large values that keys name, and those that none does any more.
func (t *Txn) namedFiles() (named map[ref]bool, unnamed []ref, err error) {
	named = map[ref]bool{}
	err = t.Scan(largeIndex, nil, func(index *Item) (bool, error) {
		if len(index.Key()) != len(largeIndex)+len(ref{}) {
			return false, fmt.Errorf("%w: a key of the large values", ErrDamaged)
		}
		of := ref(index.Key()[len(largeIndex):])
		owner, err := index.Value()
		if err != nil {
			return false, err
		}
		item, err := t.txn.Get(owner)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		if err == nil {
			r, large, err := refOf(item)
			if err != nil {
				return false, err
			}
			if large && r == of {
				named[of] = true
				return true, nil
			}
		}
		unnamed = append(unnamed, of)
		return true, nil
	})
	return named, unnamed, err
}

// refOf is the file in which a value is, if it is large.
func refOf(item *badger.Item) (r ref, large bool, err error) {
	if item.UserMeta()&isLarge == 0 {
		return ref{}, false, nil
	}
	err = item.Value(func(value []byte) error {
		if len(value) < len(r) {
			return fmt.Errorf("%w: where a large value is", ErrDamaged)
		}
		r = ref(value[:len(r)])
		return nil
	})
	return r, true, err
}

// Item is a key and its value.
type Item struct {
	txn  *Txn
	item *badger.Item
}

// Key is good until the iterator moves.
func (i *Item) Key() []byte { return i.item.Key() }

// Value is the caller's.
func (i *Item) Value() (value []byte, err error) {
	err = i.Show(func(v []byte) error {
		value = bytes.Clone(v)
		return nil
	})
	return value, err
}

// Show shows the value, which is good as long as show runs.
func (i *Item) Show(show func(value []byte) error) error {
	if err := i.txn.touch(); err != nil {
		return err
	}
	r, large, err := refOf(i.item)
	if err != nil {
		return err
	}
	if !large {
		return i.item.Value(show)
	}
	return i.ShowHead(func(head []byte) error {
		body, err := i.txn.db.large.read(r)
		if err != nil {
			return err
		}
		if len(head) > 0 {
			body = slices.Concat(head, body)
		}
		return show(body)
	})
}

// ShowHead shows the value or, if it is a large one, its head. It is good as long as show runs.
func (i *Item) ShowHead(show func(head []byte) error) error {
	if err := i.txn.touch(); err != nil {
		return err
	}
	return i.item.Value(func(value []byte) error {
		if i.item.UserMeta()&isLarge != 0 {
			value = value[min(len(value), len(ref{})):]
		}
		return show(value)
	})
}

// Size is how long the value is. The file of a large one isn't read.
func (i *Item) Size() (int, error) {
	r, large, err := refOf(i.item)
	if err != nil || !large {
		return int(i.item.ValueSize()), err
	}
	body, err := i.txn.db.large.size(r)
	return int(i.item.ValueSize()) - len(r) + body, err
}

// Expires is the second in which the key expires; 0 for never.
func (i *Item) Expires() uint64 { return i.item.ExpiresAt() }

// Iterator goes through the keys with a prefix. It must be closed.
type Iterator struct {
	it   *badger.Iterator
	item Item
}

// NewIterator goes through the keys with a prefix, in order. It stands nowhere yet.
func (t *Txn) NewIterator(prefix []byte) *Iterator { return t.iterator(prefix, false) }

// NewReverse goes through the keys with a prefix, from the last to the first. It stands at the last.
func (t *Txn) NewReverse(prefix []byte) *Iterator {
	i := t.iterator(prefix, true)
	i.Seek(slices.Concat(prefix, bytes.Repeat([]byte{0xff}, 32)))
	return i
}

func (t *Txn) iterator(prefix []byte, reverse bool) *Iterator {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.Reverse, o.PrefetchValues = prefix, reverse, false
	return &Iterator{it: t.txn.NewIterator(o), item: Item{txn: t}}
}

// Seek goes to the first key that is not less than one or, in reverse, not greater; and reports whether there is one.
func (i *Iterator) Seek(key []byte) bool {
	i.it.Seek(key)
	return i.it.Valid()
}

// Next goes to the next key.
func (i *Iterator) Next() bool {
	i.it.Next()
	return i.it.Valid()
}

// Valid reports whether the iterator stands at a key.
func (i *Iterator) Valid() bool { return i.it.Valid() }

// Item is where the iterator stands, until it moves.
func (i *Iterator) Item() *Item {
	i.item.item = i.it.Item()
	return &i.item
}

// Close ends the iterator.
func (i *Iterator) Close() { i.it.Close() }

// Scan calls visit for the keys with a prefix, in order, from prefix+from on, until it returns false.
func (t *Txn) Scan(prefix, from []byte, visit func(*Item) (bool, error)) error {
	if err := t.touch(); err != nil {
		return err
	}
	it := t.NewIterator(prefix)
	defer it.Close()
	for it.Seek(slices.Concat(prefix, from)); it.Valid(); it.Next() {
		if more, err := visit(it.Item()); err != nil || !more {
			return err
		}
	}
	return nil
}
