// Package store is an encrypted database as the rooms of a repository use it: store.go has transactions and JSON
// values, queue.go queues that are read from their heads, tables.go the letters of all tables.
package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Store is one encrypted database.
type Store struct {
	db    *kv.DB
	reset sync.RWMutex // held while the database is emptied; it must not be read meanwhile
}

// What one Badger transaction takes at most, well below its own limits.
const (
	ChunkItems = 256
	ChunkBytes = 256 << 10
)

// Read runs a read-only transaction.
func (s *Store) Read(transaction func(*kv.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.View(transaction)
}

// Write runs a transaction.
func (s *Store) Write(transaction func(*kv.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.Update(transaction)
}

// Empty deletes everything.
func (s *Store) Empty() error {
	s.reset.Lock()
	defer s.reset.Unlock()
	return s.db.Empty()
}

// IsEmpty reports whether there is nothing in the store.
func (s *Store) IsEmpty() (empty bool, err error) {
	err = s.Read(func(txn *kv.Txn) error {
		_, found := Last(txn, nil)
		empty = !found
		return nil
	})
	return empty, err
}

// New is a store over a database that is open.
func New(db *kv.DB) *Store { return &Store{db: db} }

// Open opens a database.
func Open(path string, options kv.Options) (*Store, error) {
	db, err := kv.Open(path, options)
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Reclaim gives the disk space of what was deleted back.
func (s *Store) Reclaim() error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.Reclaim()
}

// Damage is what was found damaged since the store was opened, or nil.
func (s *Store) Damage() error { return s.db.Damage() }

// Damaged is closed when something is found damaged.
func (s *Store) Damaged() <-chan struct{} { return s.db.Damaged() }

// Key joins a one-letter table name and the parts of a key.
func Key(table byte, parts ...[]byte) []byte {
	k := append(make([]byte, 0, 64), table, '/')
	for _, part := range parts {
		k = append(k, part...)
	}
	return k
}

// U64 is a number as part of a key: big-endian, so that keys sort as the numbers do.
func U64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Get reads one value; found is false if there is none.
func Get(txn *kv.Txn, k []byte) (value []byte, found bool, err error) {
	value, err = txn.Get(k)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// Drop deletes what a table has under a name, if it has anything.
func Drop(txn *kv.Txn, table byte, name string) error {
	if name == "" {
		return nil
	}
	if has, err := txn.Has(Key(table, []byte(name))); err != nil || !has {
		return err
	}
	return txn.Delete(Key(table, []byte(name)))
}

// GetJSON reads one JSON value into v; found is false if there is none.
func GetJSON(txn *kv.Txn, k []byte, v any) (found bool, err error) {
	item, err := txn.Item(k)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, ItemJSON(item, v)
}

// Has reports whether there is a value.
func Has(txn *kv.Txn, k []byte) (bool, error) { return txn.Has(k) }

// SetJSON writes one JSON value.
func SetJSON(txn *kv.Txn, k []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return txn.Set(k, data)
}

// Scan calls visit for the keys with a prefix, in order, from prefix+from on, until it returns false.
func Scan(txn *kv.Txn, prefix, from []byte, visit func(key []byte, item *kv.Item) (bool, error)) error {
	return txn.Scan(prefix, from, func(item *kv.Item) (bool, error) { return visit(item.Key(), item) })
}

// ScanJSON calls visit for every JSON value whose key has a prefix, in the order of the keys.
func ScanJSON[T any](txn *kv.Txn, prefix []byte, visit func(key []byte, value T) error) error {
	return Scan(txn, prefix, nil, func(k []byte, item *kv.Item) (bool, error) {
		var value T
		if err := ItemJSON(item, &value); err != nil {
			return false, err
		}
		return true, visit(k, value)
	})
}

// ItemJSON reads the JSON value at which an iterator stands.
func ItemJSON(item *kv.Item, v any) error {
	return item.Show(func(data []byte) error {
		if err := json.Unmarshal(data, v); err != nil {
			return fmt.Errorf("%w: the value of %q: %w", kv.ErrDamaged, item.Key(), err)
		}
		return nil
	})
}

// Last gives the greatest key with a prefix.
func Last(txn *kv.Txn, prefix []byte) (k []byte, found bool) {
	it := txn.NewReverse(prefix)
	defer it.Close()
	if !it.Valid() {
		return nil, false
	}
	return bytes.Clone(it.Item().Key()), true
}
