package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/go-json-experiment/json"
)

// store is one encrypted Badger database.
type store struct {
	db    *badger.DB
	reset sync.RWMutex // held while the database is emptied; Badger must not be read meanwhile
}

// read runs a read-only transaction.
func (s *store) read(transaction func(*badger.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.View(transaction)
}

// write runs a transaction.
func (s *store) write(transaction func(*badger.Txn) error) error {
	s.reset.RLock()
	defer s.reset.RUnlock()
	return s.db.Update(transaction)
}

// empty deletes everything.
func (s *store) empty() error {
	s.reset.Lock()
	defer s.reset.Unlock()
	return s.db.DropAll()
}

// isEmpty reports whether there is nothing in the store, nor was.
func (s *store) isEmpty() bool { return s.db.MaxVersion() == 0 }

// Whether a commit waits for the disk.
const (
	durable = true  // for what only this node knows
	derived = false // for what can be had again from the chain and from IPFS
)

// openStore opens a database with buffers that suit a node which is idle most of the time: Badger's defaults are for
// servers that do nothing else.
func openStore(path string, key []byte, sync bool) (*store, error) {
	opts := badger.DefaultOptions(path).
		WithEncryptionKey(key).
		WithSyncWrites(sync).
		WithMemTableSize(16 << 20).
		WithNumMemtables(3).
		WithNumCompactors(2).
		WithBlockCacheSize(32 << 20).
		WithIndexCacheSize(16 << 20). // must be bounded where tables are encrypted
		WithValueThreshold(64 << 10).
		WithValueLogFileSize(64 << 20).
		WithCompression(options.Snappy).
		WithMetricsEnabled(false).
		WithDetectConflicts(false). // every store has one writer at a time
		WithLogger(nil)
	db, err := badger.Open(opts)
	if errors.Is(err, badger.ErrEncryptionKeyMismatch) {
		return nil, fmt.Errorf("opening %s: the store was made with another key than keys/%s", path, storeFile)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &store{db: db}, nil
}

func (s *store) close() error { return s.db.Close() }

// collect gives disk space of large values back. It ends when there is nothing to gain.
func (s *store) collect() error {
	for {
		err := s.db.RunValueLogGC(0.5)
		if errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

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
func get(txn *badger.Txn, k []byte) (value []byte, found bool, err error) {
	item, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err = item.ValueCopy(nil)
	return value, err == nil, err
}

// getJSON reads one JSON value into v; found is false if there is none.
func getJSON(txn *badger.Txn, k []byte, v any) (found bool, err error) {
	data, found, err := get(txn, k)
	if err != nil || !found {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("value of %q: %w", k, err)
	}
	return true, nil
}

func has(txn *badger.Txn, k []byte) (bool, error) {
	_, err := txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

func setJSON(txn *badger.Txn, k []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return txn.Set(k, data)
}

// setFor stores a value that disappears after a while.
func setFor(txn *badger.Txn, k, value []byte, ttl time.Duration) error {
	return txn.SetEntry(badger.NewEntry(k, value).WithTTL(ttl))
}

// scan calls visit for the keys with a prefix, in order, from prefix+from on, until it returns false.
func scan(txn *badger.Txn, prefix, from []byte, values bool, visit func(key []byte, item *badger.Item) (bool, error)) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = prefix
	opts.PrefetchValues = values
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Seek(append(append([]byte{}, prefix...), from...)); it.Valid(); it.Next() {
		more, err := visit(it.Item().Key(), it.Item())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// scanJSON calls visit for every JSON value whose key has a prefix, in the order of the keys.
func scanJSON[T any](txn *badger.Txn, prefix []byte, visit func(key []byte, value T) error) error {
	return scan(txn, prefix, nil, true, func(k []byte, item *badger.Item) (bool, error) {
		var value T
		err := item.Value(func(data []byte) error { return json.Unmarshal(data, &value) })
		if err != nil {
			return false, fmt.Errorf("value of %q: %w", k, err)
		}
		return true, visit(k, value)
	})
}

// last gives the greatest key with a prefix.
func last(txn *badger.Txn, prefix []byte) (k []byte, found bool) {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = prefix
	opts.PrefetchValues = false
	opts.Reverse = true
	it := txn.NewIterator(opts)
	defer it.Close()
	it.Seek(append(append([]byte{}, prefix...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
	if !it.Valid() {
		return nil, false
	}
	return it.Item().KeyCopy(nil), true
}
