package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// worthwhile is how much must have been deleted, in bytes, before the tables are written anew for it; and it must be a
// part of them that is worth it.
const (
	worthwhile     = 8 << 20
	worthRewriting = 4
)

// checkEvery is how often the tables are read as a whole, to know that they are not damaged: Badger takes a block that
// it can't read for one with nothing in it.
const checkEvery = 24 * time.Hour

// Reclaim gives the space of what was deleted or has expired back. It is worth doing now and then, by one goroutine at
// a time.
func (db *DB) Reclaim() (err error) {
	defer func() { db.note(err) }()
	if time.Since(db.checked) > checkEvery {
		db.checked = time.Now()
		if err := db.verify(); err != nil {
			return err
		}
	}
	if err := db.sweep(); err != nil {
		return fmt.Errorf("removing large values: %w", err)
	}
	size, _ := db.badger.Size()
	if freed := db.freed.Load(); freed < worthwhile || freed < size/worthRewriting {
		return nil
	}
	db.freed.Store(0)
	if err := recovering(db.compact); err != nil {
		return fmt.Errorf("giving disk space back: %w", err)
	}
	return nil
}

// sweep removes the files of large values that expired, or whose key was set anew or deleted by who didn't know that it
// was large.
func (db *DB) sweep() error {
	db.writing.Lock()
	files, err := db.large.files() // all are of transactions that have ended
	db.writing.Unlock()
	if err != nil || len(files) == 0 {
		return err
	}
	var orphans, unnamed []ref
	err = db.View(func(txn *Txn) error {
		var named map[ref]bool
		if named, unnamed, err = txn.namedFiles(); err != nil {
			return err
		}
		for _, r := range files {
			if !named[r] {
				orphans = append(orphans, r)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(unnamed) == 0 && len(orphans) == 0 {
		return nil
	}
	err = db.Update(func(txn *Txn) error {
		for _, r := range unnamed[:min(len(unnamed), 1000)] { // the rest next time
			if err := txn.Delete(largeKey(r)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	db.writing.Lock()
	defer db.writing.Unlock()
	return db.drop(orphans)
}

// compact writes the tables anew, without what was deleted. That there is nothing in memory any more is a side effect
// of dropping a key.
func (db *DB) compact() error {
	err := db.Update(func(txn *Txn) error {
		txn.writes = true
		return txn.txn.Set(flushKey, nil)
	})
	if err != nil {
		return err
	}
	db.writing.Lock()
	err = db.badger.DropPrefix(flushKey) // nobody can write meanwhile
	db.writing.Unlock()
	if err != nil {
		return err
	}
	return db.badger.Flatten(1)
}

// verify reads the tables that the store consists of now.
func (db *DB) verify() error {
	registry, manifest, err := readManifest(db.dir, db.options)
	if err != nil {
		return err
	}
	_, err = checkTables(db.dir, registry, manifest)
	if errors.Is(err, fs.ErrNotExist) { // a compaction has replaced it meanwhile; or else Badger has it open, and it is gone
		return nil
	}
	return err
}
