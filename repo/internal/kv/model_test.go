package kv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/scratch"
)

// modelled is a store and what it should hold.
type modelled struct {
	dir     string
	options Options
	db      *DB
	holds   map[string]string
	values  int // that were made
}

// A store behaves like a map, over restarts, with values small and large, and heads.
func TestAStoreIsAMap(t *testing.T) {
	t.Parallel()
	root, stores := scratch.Dir(t), 0
	rapid.Check(t, func(t *rapid.T) {
		m := &modelled{dir: filepath.Join(root, fmt.Sprint(stores)), options: storeOptions(rapid.Bool().Draw(t, "durable")), holds: map[string]string{}}
		stores++
		m.open(t)
		defer func() { _ = m.db.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"change": m.change,
			"reopen": func(t *rapid.T) {
				seldom(t)
				if err := m.db.Close(); err != nil {
					t.Fatal(err)
				}
				m.open(t)
			},
			"reclaim": func(t *rapid.T) {
				seldom(t)
				m.db.freed.Add(worthwhile)
				if err := m.db.Reclaim(); err != nil {
					t.Fatal(err)
				}
			},
			"": m.check,
		})
	})
}

func (m *modelled) open(t *rapid.T) {
	db, err := Open(m.dir, m.options)
	if err != nil {
		t.Fatal(err)
	}
	m.db = db
}

var errFails = errors.New("so be it")

// change is a transaction, which may fail.
func (m *modelled) change(t *rapid.T) {
	next := maps.Clone(m.holds)
	fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
	err := m.db.Update(func(txn *Txn) error {
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			k := rapid.StringMatching(`[a-c]{1,3}`).Draw(t, "key")
			if err := txn.DeleteLarge([]byte(k)); err != nil {
				return err
			}
			delete(next, k)
			if rapid.Bool().Draw(t, "deletes") {
				continue
			}
			m.values++
			head := value(m.values, rapid.IntRange(0, 3).Draw(t, "head"))
			body := value(m.values, rapid.SampledFrom([]int{0, 1, 100, largeSize - 1, largeSize, largeSize + 1}).Draw(t, "size"))
			if err := txn.Put(Entry{Key: []byte(k), Head: head, Body: body}); err != nil {
				return err
			}
			next[k] = string(head) + string(body)
		}
		if fails {
			return errFails
		}
		return nil
	})
	if fails != errors.Is(err, errFails) || err != nil && !fails {
		t.Fatal(err)
	}
	if !fails {
		m.holds = next
	}
}

// check looks whether the store holds what it should, and no file more.
func (m *modelled) check(t *rapid.T) {
	found, err := content(m.db)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(found, m.holds) {
		t.Fatalf("the store holds %s, it should %s", summary(found), summary(m.holds))
	}
	names, err := os.ReadDir(filepath.Join(m.dir, largeFolder))
	if named := largeRefs(m.db); err != nil || len(names) != named {
		t.Fatalf("%d files of large values, %d are named: %v", len(names), named, err)
	}
}

// seldom leaves most of what is slow out.
func seldom(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "seldom") > 0 {
		t.SkipNow()
	}
}
