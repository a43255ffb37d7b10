package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/scratch"
)

var testKey = bytes.Repeat([]byte{7}, 32)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// storeOptions are those of a node, with little memory: these tests open hundreds of stores.
func storeOptions(durable bool) Options {
	return Options{Key: testKey, Durable: durable, Create: true, buffer: 2 << 20}
}

// open opens a store that is closed at the end of the test.
func open(tb testing.TB, durable bool) *DB {
	tb.Helper()
	db, err := Open(filepath.Join(scratch.Dir(tb), "store"), storeOptions(durable))
	must(tb, err)
	tb.Cleanup(func() { must(tb, db.Close()) })
	return db
}

// put sets a key, whatever it had.
func put(db *DB, key string, value []byte) error {
	return db.Update(func(txn *Txn) error {
		return errors.Join(txn.DeleteLarge([]byte(key)), txn.Put(Entry{Key: []byte(key), Body: value}))
	})
}

func remove(db *DB, key string) error {
	return db.Update(func(txn *Txn) error { return txn.DeleteLarge([]byte(key)) })
}

// content reads everything.
func content(db *DB) (map[string]string, error) {
	found := map[string]string{}
	err := db.View(func(txn *Txn) error {
		return txn.Scan(nil, nil, func(item *Item) (bool, error) {
			if item.Key()[0] == 0 {
				return true, nil
			}
			value, err := item.Value()
			if err != nil {
				return false, err
			}
			if size, err := item.Size(); err != nil || size != len(value) {
				return false, fmt.Errorf("%q has %d bytes, it says %d: %w", item.Key(), len(value), size, err)
			}
			found[string(item.Key())] = string(value)
			again, err := txn.Get(item.Key())
			if err == nil && !bytes.Equal(again, value) {
				err = fmt.Errorf("%q is two things", item.Key())
			}
			return true, err
		})
	})
	return found, err
}

// summary keeps large values out of error messages.
func summary(content map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(content)) {
		fmt.Fprintf(&b, "%s:%d:%.8q ", k, len(content[k]), content[k])
	}
	return b.String()
}

// value is one of n bytes that does not compress.
func value(seed, n int) []byte {
	v := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(v)
	return v
}

// Nothing stands in the files in clear, nobody else can read them, and equal contents don't look equal.
func TestNothingIsOnTheDiskInClear(t *testing.T) {
	dir := filepath.Join(scratch.Dir(t), "store")
	db, err := Open(dir, storeOptions(true))
	must(t, err)
	const secret = "nobody must read this"
	must(t, put(db, secret+"1", []byte(strings.Repeat(secret, 10))))
	must(t, put(db, secret+"2", []byte(strings.Repeat(secret, largeSize/len(secret)+1))))
	must(t, put(db, secret+"3", []byte(strings.Repeat(secret, largeSize/len(secret)+1))))
	must(t, db.compact())
	must(t, put(db, secret+"4", []byte(secret)))
	files, seen := 0, map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		must(t, err)
		if entry.IsDir() {
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return nil
		}
		files++
		data, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(data, []byte("must read")) || bytes.Contains(data, []byte("nobody")) {
			t.Errorf("%s says it", path)
		}
		if len(data) > largeSize {
			if seen[string(data)] != "" {
				t.Errorf("%s is equal to %s", path, seen[string(data)])
			}
			seen[string(data)] = path
		}
		return nil
	}))
	if files < 6 {
		t.Errorf("there are %d files only", files)
	}
	must(t, db.Close())
	o := storeOptions(true)
	o.Key = bytes.Repeat([]byte{8}, 32)
	if _, err := Open(dir, o); !errors.Is(err, ErrKey) {
		t.Errorf("with another key: %v", err)
	}
}

// A transaction that ends when it is full is committed, whatever it writes, and has more than half of what fits.
func TestATransactionThatIsFullStillFits(t *testing.T) {
	for _, size := range []int{0, 1, 200, 2_000, 20_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			db := open(t, false)
			set := func(txn *Txn, n int) error {
				return txn.Set(binary.BigEndian.AppendUint32([]byte("k"), uint32(n)), make([]byte, size))
			}
			full, most := 0, 0
			must(t, db.Update(func(txn *Txn) (err error) {
				for ; err == nil && !txn.Full(); full++ {
					err = set(txn, full)
				}
				return err
			}))
			err := db.Update(func(txn *Txn) (err error) {
				for ; err == nil; most++ {
					err = set(txn, most)
				}
				return err
			})
			if !errors.Is(err, ErrTooBig) || full <= most/2 {
				t.Errorf("full with %d values of %d bytes, and %d are too many: %v", full, size, most, err)
			}
		})
	}
}
