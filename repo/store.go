package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// store is one encrypted database.
type store struct {
	db    *kv.DB
	reset sync.RWMutex // held while the database is emptied; it must not be read meanwhile
}

// read runs a read-only transaction.
func (s *store) read(transaction func(*kv.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.View(transaction)
}

// write runs a transaction.
func (s *store) write(transaction func(*kv.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.Update(transaction)
}

// empty deletes everything.
func (s *store) empty() error {
	s.reset.Lock()
	defer s.reset.Unlock()
	return s.db.Empty()
}

// isEmpty reports whether there is nothing in the store.
func (s *store) isEmpty() (empty bool, err error) {
	err = s.read(func(txn *kv.Txn) error {
		_, found := last(txn, nil)
		empty = !found
		return nil
	})
	return empty, err
}

// stateOptions are those of the store of what only this node knows.
func stateOptions(key []byte, create bool) kv.Options {
	return kv.Options{Key: key, Durable: true, Create: create}
}

// openStore opens a database.
func openStore(path string, options kv.Options) (*store, error) {
	db, err := kv.Open(path, options)
	if errors.Is(err, kv.ErrKey) {
		return nil, fmt.Errorf("opening %s: %w than keys/%s; put it back from a backup", path, kv.ErrKey, storeFile)
	}
	if err != nil {
		return nil, err
	}
	return &store{db: db}, nil
}

func (s *store) close() error { return s.db.Close() }

// key joins a one-letter table name and the parts of a key.
func key(table byte, parts ...[]byte) []byte {
	k := append(make([]byte, 0, 64), table, '/')
	for _, part := range parts {
		k = append(k, part...)
	}
	return k
}

// u64 is a number as part of a key: big-endian, so that keys sort as the numbers do.
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// get reads one value; found is false if there is none.
func get(txn *kv.Txn, k []byte) (value []byte, found bool, err error) {
	value, err = txn.Get(k)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// getJSON reads one JSON value into v; found is false if there is none.
func getJSON(txn *kv.Txn, k []byte, v any) (found bool, err error) {
	item, err := txn.Item(k)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, itemJSON(item, v)
}

func has(txn *kv.Txn, k []byte) (bool, error) { return txn.Has(k) }

func setJSON(txn *kv.Txn, k []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return txn.Set(k, data)
}

// scan calls visit for the keys with a prefix, in order, from prefix+from on, until it returns false.
func scan(txn *kv.Txn, prefix, from []byte, visit func(key []byte, item *kv.Item) (bool, error)) error {
	return txn.Scan(prefix, from, func(item *kv.Item) (bool, error) { return visit(item.Key(), item) })
}

// scanJSON calls visit for every JSON value whose key has a prefix, in the order of the keys.
func scanJSON[T any](txn *kv.Txn, prefix []byte, visit func(key []byte, value T) error) error {
	return scan(txn, prefix, nil, func(k []byte, item *kv.Item) (bool, error) {
		var value T
		if err := itemJSON(item, &value); err != nil {
			return false, err
		}
		return true, visit(k, value)
	})
}

// itemJSON reads the JSON value at which an iterator stands.
func itemJSON(item *kv.Item, v any) error {
	return item.Show(func(data []byte) error {
		if err := json.Unmarshal(data, v); err != nil {
			return fmt.Errorf("%w: the value of %q: %w", kv.ErrDamaged, item.Key(), err)
		}
		return nil
	})
}

// last gives the greatest key with a prefix.
func last(txn *kv.Txn, prefix []byte) (k []byte, found bool) {
	it := txn.NewReverse(prefix)
	defer it.Close()
	if !it.Valid() {
		return nil, false
	}
	return bytes.Clone(it.Item().Key()), true
}
