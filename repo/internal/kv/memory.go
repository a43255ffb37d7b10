package kv

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Memory is where a store is that is not on a disk, for tests: what was committed is there for the next [DB], as after
// the power has gone. Large values have no place in it.
type Memory struct{ badger *badger.DB }

// NewMemory makes an empty one, for small transactions.
func NewMemory() (*Memory, error) { return NewMemoryOf(1 << 20) }

// NewMemoryOf makes an empty one, for transactions of a seventh of so many bytes.
func NewMemoryOf(bytes int64) (*Memory, error) {
	db, err := badger.Open(badger.DefaultOptions("").
		WithInMemory(true).
		WithMemTableSize(bytes).
		WithValueThreshold(64 << 10).
		WithNumCompactors(0).
		WithNumLevelZeroTables(1000).
		WithNumLevelZeroTablesStall(2000).
		WithBaseTableSize(64 << 10).
		WithBloomFalsePositive(0).
		WithBlockCacheSize(0).
		WithCompression(options.None).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithLogger(nil))
	if err != nil {
		return nil, fmt.Errorf("making a store in memory: %w", err)
	}
	return &Memory{db}, nil
}

// Hooks let a test decide what a store does.
type Hooks struct {
	Read   func() error                    // is called before everything that only reads, and may fail in its place
	Touch  func() error                    // is called before each key that a transaction reads or writes, and may fail in its place
	Commit func(commit func() error) error // is called in the place of every commit, and decides whether, and when, it commits
}

// DB is a store over what is in memory, which need not be closed. A hook may be nil.
func (m *Memory) DB(hooks Hooks) *DB {
	return &DB{badger: m.badger, inMemory: true, hooks: hooks, damaged: make(chan struct{})}
}

// Pair is a key and its value.
type Pair struct{ key, value []byte }

// Copy gives everything that is in it.
func (m *Memory) Copy() (pairs []Pair, err error) {
	err = m.badger.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			value, err := it.Item().ValueCopy(nil)
			if err != nil {
				return err
			}
			pairs = append(pairs, Pair{bytes.Clone(it.Item().Key()), value})
		}
		return nil
	})
	return pairs, err
}

// Put puts a copy in the place of everything that is in it.
func (m *Memory) Put(pairs []Pair) error {
	if err := m.badger.DropAll(); err != nil {
		return err
	}
	return m.badger.Update(func(txn *badger.Txn) error {
		for _, p := range pairs {
			if err := txn.Set(p.key, p.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close ends it.
func (m *Memory) Close() error { return m.badger.Close() }
