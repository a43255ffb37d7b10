package kv

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// largeRefs counts the values that are in files.
func largeRefs(db *DB) (n int) {
	_ = db.View(func(txn *Txn) error {
		return txn.Scan(nil, nil, func(item *Item) (bool, error) {
			if _, large, err := refOf(item.item); err != nil || large {
				n++
			}
			return true, nil
		})
	})
	return n
}

// Who began to read before a large value was deleted reads it; its file goes when he has ended.
func TestAReaderKeepsTheLargeValuesThatItMayRead(t *testing.T) {
	db := open(t, true)
	large := value(1, largeSize)
	must(t, put(db, "a", large))
	files := func() int {
		names, err := os.ReadDir(filepath.Join(db.dir, largeFolder))
		must(t, err)
		return len(names)
	}
	must(t, db.View(func(txn *Txn) error {
		must(t, remove(db, "a"))
		must(t, db.View(func(txn *Txn) error {
			if _, err := txn.Get([]byte("a")); !errors.Is(err, ErrNotFound) {
				t.Errorf("a transaction that began later finds %v", err)
			}
			return nil
		}))
		if got, err := txn.Get([]byte("a")); err != nil || !bytes.Equal(got, large) {
			t.Errorf("a transaction that began before finds %d bytes: %v", len(got), err)
		}
		if files() != 1 {
			t.Errorf("there are %d files", files())
		}
		return nil
	}))
	if files() != 0 {
		t.Errorf("%d files are left", files())
	}
}

// The head of a large value is read without its file.
func TestAHeadIsReadWithoutTheRest(t *testing.T) {
	db := open(t, true)
	must(t, db.Update(func(txn *Txn) error {
		return txn.Put(Entry{Key: []byte("a"), Head: []byte("head"), Body: value(1, largeSize)})
	}))
	must(t, os.RemoveAll(filepath.Join(db.dir, largeFolder)))
	must(t, db.View(func(txn *Txn) error {
		item, err := txn.Item([]byte("a"))
		must(t, err)
		must(t, item.ShowHead(func(head []byte) error {
			if string(head) != "head" {
				t.Errorf("the head is %q", head)
			}
			return nil
		}))
		if _, err := txn.Get([]byte("a")); !errors.Is(err, ErrDamaged) {
			t.Errorf("the whole is %v", err)
		}
		return nil
	}))
	must(t, remove(db, "a"))
}

// A large value whose key is set anew, or deleted by who doesn't know that it is large, goes when space is given back;
// so does the file of a transaction that failed, at once.
func TestLargeValuesThatNobodyNamesAreRemoved(t *testing.T) {
	db := open(t, true)
	set := func(key string, size int) {
		must(t, db.Update(func(txn *Txn) error { return txn.Set([]byte(key), value(size, size)) }))
	}
	files := func() int {
		refs, err := db.large.files()
		must(t, err)
		return len(refs)
	}
	set("a", largeSize)
	set("a", largeSize+1)
	set("b", largeSize)
	set("b", 1)
	set("c", largeSize)
	must(t, db.Update(func(txn *Txn) error { return txn.Delete([]byte("c")) }))
	err := db.Update(func(txn *Txn) error { return errors.Join(txn.Set([]byte("d"), value(1, largeSize)), errFails) })
	if !errors.Is(err, errFails) || files() != 4 {
		t.Errorf("there are %d files after %v, want 4", files(), err)
	}
	must(t, db.Reclaim())
	found, err := content(db)
	must(t, err)
	if files() != 1 || len(found) != 2 || len(found["a"]) != largeSize+1 {
		t.Errorf("%d files, and %s", files(), summary(found))
	}
	must(t, db.View(func(txn *Txn) error {
		named, unnamed, err := txn.namedFiles()
		if len(named) != 1 || len(unnamed) != 0 {
			t.Errorf("%d files are named, %d not", len(named), len(unnamed))
		}
		return err
	}))
}
