// Package kv is an encrypted key-value store in a folder: Badger, and beside it a file for each large value. It
// promises:
//
//   - A transaction is atomic, large values and all. In a store that is [Options.Durable], it survives the loss of
//     power once [DB.Update] has returned; in another one, what survives is all up to some transaction.
//   - Nothing is in any file in clear.
//   - What was acknowledged, and isn't there any more or isn't as it was written, is an error that wraps [ErrDamaged]
//     when the store is opened. (In a store that isn't durable, acknowledged is what was there when it was closed.)
//   - The space of what was deleted is given back while the store is open.
package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/serviceledger/slnode/internal/disk"
)

var (
	// ErrNotFound means that there is no such key.
	ErrNotFound = badger.ErrKeyNotFound
	// ErrTooBig means that a transaction writes more than fits into one.
	ErrTooBig = badger.ErrTxnTooBig
	// ErrDamaged means that the store isn't as it was written.
	ErrDamaged = disk.ErrDamaged
	// ErrKey means that the store was made with another encryption key.
	ErrKey = errors.New("the store was made with another key")
	// ErrMissing means that there is no store in the folder.
	ErrMissing = errors.New("there is no store")
)

// Options are those of [Open].
type Options struct {
	Key     []byte // 32 bytes
	Durable bool   // a commit waits for the disk
	Create  bool   // make the store if there is none

	buffer int64 // what Badger gathers in memory before it makes a table of it; for tests, which open many stores
}

// DB is an open store. Transactions that write run one after the other.
type DB struct {
	dir     string
	options Options
	badger  *badger.DB
	large   *largeValues
	mark    *os.File // nil: it isn't open, or not whole
	readers readers
	hooks   Hooks // of a store in memory

	inMemory bool // see [Memory]

	writing sync.Mutex   // held by whoever changes the store
	number  uint64       // of the last transaction
	freed   atomic.Int64 // bytes of small values that were deleted and may still be in tables
	checked time.Time    // when the tables were read as a whole

	mu      sync.Mutex
	damage  error         // that was met first
	damaged chan struct{} // closed then
}

// Open opens the store in a folder. It reads all of it, to know that it is whole.
func Open(dir string, o Options) (*DB, error) {
	db := &DB{dir: dir, options: o, damaged: make(chan struct{})}
	if err := db.start(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, errors.Join(err, db.Close()))
	}
	return db, nil
}

func (db *DB) start() (err error) {
	if _, err := os.Stat(db.dir); errors.Is(err, os.ErrNotExist) && !db.options.Create {
		return ErrMissing
	}
	if err := os.MkdirAll(db.dir, 0o700); err != nil {
		return err
	}
	if err := checkFiles(db.dir, db.options); err != nil {
		return err
	}
	db.checked = time.Now()
	if err := removeValueLog(db.dir); err != nil {
		return err
	}
	err = recovering(func() (err error) {
		db.badger, err = badger.Open(badgerOptions(db.dir, db.options))
		return err
	})
	if err != nil {
		db.badger = nil
		return disk.AsDamage(err) // it was whole a moment ago, or what is wrong with it was not seen
	}
	marked, err := readMark(db.dir)
	if err != nil {
		return err
	}
	db.freed.Store(int64(marked.freed))
	if db.large, err = openLargeValues(db.dir, db.options.Key); err != nil {
		return err
	}
	var named map[ref]bool
	err = db.View(func(txn *Txn) (err error) {
		if db.number, err = txn.number(); err != nil {
			return err
		}
		named, _, err = txn.namedFiles()
		return err
	})
	if err != nil {
		return err
	}
	if err := db.large.sweep(named); err != nil {
		return err
	}
	if db.options.Durable {
		if err := db.large.verify(named); err != nil {
			return err
		}
	}
	db.mark, err = os.OpenFile(filepath.Join(db.dir, markFile), os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// valueThreshold is from where on Badger would write a value into its value log, whose space it gives back late or
// never. It is far above what is written into a file of its own here: the value log stays empty.
const valueThreshold = 512 << 10

// What Badger gathers in memory before it makes a table of it, in bytes. All of it counts as used from the start, and
// the garbage collector lets as much again lie about. A transaction may fill three twentieths of it; those of a durable
// store are large, since a thousand objects become one batch in one of them.
const (
	buffer        = 4 << 20
	durableBuffer = 8 << 20
)

// tableSize is how large Badger's tables are on the uppermost of the levels below the first, in bytes; on each further
// level they are twice as large. Whoever makes a table takes twice of it from the start, and Badger keeps the memory of
// eight of them for the next, grown to what the largest has needed.
const tableSize = 1 << 20

// indexCache is how much of the tables' indexes is held in memory, in bytes: it must be bounded where tables are
// encrypted. They are some two hundredths of a store, and one that is not held is decrypted as a whole for a single
// key: with 8 MiB most reads that are spread over a million objects did so. It is not taken before there is as much.
const indexCache = 32 << 20

// badgerOptions are buffers that suit a node which is idle most of the time: Badger's defaults are for servers that do
// nothing else.
func badgerOptions(dir string, o Options) badger.Options {
	memory, threshold := int64(buffer), int64(valueThreshold)
	if o.Durable {
		memory = durableBuffer
	}
	if o.buffer > 0 {
		memory, threshold = o.buffer, min(threshold, o.buffer/8)
	}
	return badger.DefaultOptions(dir).
		WithEncryptionKey(o.Key).
		WithSyncWrites(o.Durable).
		WithMemTableSize(memory).
		WithNumMemtables(3).
		WithBaseTableSize(tableSize).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(indexCache).
		WithValueThreshold(threshold).
		WithValueLogFileSize(1 << 20).
		WithCompression(options.Snappy).
		WithMetricsEnabled(false).
		WithDetectConflicts(false). // one transaction writes at a time
		WithLogger(nil)
}

// recovering runs something of Badger's, and makes an error of it if Badger panics, as it does of damage.
func recovering(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if !strings.Contains(string(debug.Stack()), "dgraph-io/badger") {
				panic(p)
			}
			err = fmt.Errorf("%w: %.500v", ErrDamaged, p)
		}
	}()
	return do()
}

// note keeps an error if it is of damage.
func (db *DB) note(err error) {
	if !errors.Is(err, ErrDamaged) {
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.damage == nil {
		db.damage = err
		close(db.damaged)
	}
}

// Damage is what was met first, by whoever read or in the background; nil if nothing was.
func (db *DB) Damage() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.damage
}

// Damaged is closed when damage is met.
func (db *DB) Damaged() <-chan struct{} {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.damaged
}

// Empty deletes everything. Nothing else may use the store meanwhile.
func (db *DB) Empty() error {
	if db.inMemory {
		return db.badger.DropAll()
	}
	if err := db.Close(); err != nil && !errors.Is(disk.AsDamage(err), ErrDamaged) {
		return err
	}
	if err := os.RemoveAll(db.dir); err != nil {
		return err
	}
	db.options.Create, db.number = true, 0
	db.freed.Store(0)
	if err := db.start(); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.damage != nil {
		db.damage, db.damaged = nil, make(chan struct{})
	}
	return nil
}

// setMark notes that everything up to the last transaction is on the disk.
func (db *DB) setMark() error {
	return mark{number: db.number, freed: uint64(db.freed.Load())}.write(db.mark)
}

// Close closes the store. What is in the logs is written into tables before: the next start has nothing to replay.
func (db *DB) Close() error {
	var errs []error
	if db.badger != nil {
		err := recovering(db.badger.Close)
		if err == nil && db.mark != nil {
			err = db.setMark() // all of it is durable now, whatever the store
		}
		errs = append(errs, err)
	}
	if db.mark != nil {
		errs = append(errs, db.mark.Close())
	}
	db.badger, db.large, db.mark = nil, nil, nil
	return errors.Join(errs...)
}
