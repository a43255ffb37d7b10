package kv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/scratch"
	"github.com/serviceledger/slnode/internal/waiting"
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

// A store behaves like a map, over restarts, with values small and large, and heads.
func TestAStoreIsAMap(t *testing.T) {
	t.Parallel()
	root, stores := scratch.Dir(t), 0
	rapid.Check(t, func(t *rapid.T) {
		dir := filepath.Join(root, fmt.Sprint(stores))
		stores++
		durable := rapid.Bool().Draw(t, "durable")
		db, err := Open(dir, storeOptions(durable))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		model := map[string]string{}
		key := rapid.StringMatching(`[a-c]{1,3}`)
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				next := maps.Clone(model)
				fails := rapid.IntRange(0, 4).Draw(t, "fails") == 0
				err := db.Update(func(txn *Txn) error {
					for range rapid.IntRange(1, 4).Draw(t, "changes") {
						k := key.Draw(t, "key")
						if err := txn.DeleteLarge([]byte(k)); err != nil {
							return err
						}
						delete(next, k)
						if rapid.Bool().Draw(t, "deletes") {
							continue
						}
						n++
						head, body := value(n, rapid.IntRange(0, 3).Draw(t, "head")), value(n, rapid.SampledFrom([]int{0, 1, 100, largeSize - 1, largeSize, largeSize + 1}).Draw(t, "size"))
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
					model = next
				}
			},
			"reopen": func(t *rapid.T) {
				seldom(t)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				again, err := Open(dir, storeOptions(durable))
				if err != nil {
					t.Fatal(err)
				}
				db = again
			},
			"reclaim": func(t *rapid.T) {
				seldom(t)
				db.freed.Add(worthwhile)
				if err := db.Reclaim(); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				found, err := content(db)
				if err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(found, model) {
					t.Fatalf("the store holds %s, it should %s", summary(found), summary(model))
				}
				names, err := os.ReadDir(filepath.Join(dir, largeFolder))
				if named := largeRefs(db); err != nil || len(names) != named {
					t.Fatalf("%d files of large values, %d are named: %v", len(names), named, err)
				}
			},
		})
	})
}

// seldom leaves most of what is slow out.
func seldom(t *rapid.T) {
	if rapid.IntRange(0, 5).Draw(t, "seldom") > 0 {
		t.SkipNow()
	}
}

var errFails = errors.New("so be it")

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

// What has expired isn't there, and its space is given back.
func TestWhatHasExpiredIsGone(t *testing.T) {
	db := open(t, true)
	past, future := uint64(time.Now().Add(-time.Second).Unix()), uint64(time.Now().Add(time.Hour).Unix())
	for key, expires := range map[string]uint64{"past": past, "future": future, "never": 0, "again": past} {
		must(t, db.Update(func(txn *Txn) error {
			return txn.Put(Entry{Key: []byte(key), Body: value(1, largeSize), Expires: expires})
		}))
	}
	must(t, put(db, "again", []byte("and for good")))
	for _, reclaimed := range []bool{false, true} {
		if reclaimed {
			must(t, db.Reclaim())
		}
		found, err := content(db)
		must(t, err)
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, []string{"again", "future", "never"}) {
			t.Errorf("reclaimed=%v: there are %q", reclaimed, got)
		}
	}
	names, err := os.ReadDir(filepath.Join(db.dir, largeFolder))
	must(t, err)
	if len(names) != 2 {
		t.Errorf("%d files of large values, want 2", len(names))
	}
	must(t, db.View(func(txn *Txn) error {
		return txn.Scan(nil, nil, func(item *Item) (bool, error) {
			expires := item.Expires()
			if want := map[string]uint64{"future": future}[string(item.Key())]; expires != want {
				t.Errorf("%q expires at %d, want %d", item.Key(), expires, want)
			}
			return true, nil
		})
	}))
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

// The space of what was deleted is given back, that of values of any size, and also if the store was closed in between.
func TestTheSpaceOfWhatWasDeletedIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, size := range []int{20 << 10, 200 << 10} {
		for _, reopened := range []bool{false, true} {
			dir := filepath.Join(scratch.Dir(t), "store")
			db, err := Open(dir, storeOptions(false))
			must(t, err)
			before, all := use(t, dir), int64(48<<20/size*size)
			for i := range int(all) / size {
				must(t, put(db, fmt.Sprintf("a%d", i), value(i, size)))
			}
			if use(t, dir) < all {
				t.Errorf("%d bytes take %d", all, use(t, dir))
			}
			for i := range int(all) / size {
				must(t, remove(db, fmt.Sprintf("a%d", i)))
			}
			if reopened {
				must(t, db.Close())
				db, err = Open(dir, storeOptions(false))
				must(t, err)
			}
			must(t, db.Reclaim())
			waiting.See(t, func() (bool, string) { // the files of tables go a moment after the compaction
				now := use(t, dir)
				return now <= before+worthwhile, fmt.Sprintf("values of %d bytes, reopened=%v: nothing is left, and takes %d bytes, before there were %d", size, reopened, now, before)
			})
			must(t, db.Close())
		}
	}
}

// use is what a folder takes on the disk: Badger's logs are files with holes.
func use(t *testing.T, dir string) (n int64) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // the store removes files
			return nil
		}
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	}))
	return n
}

// The value log holds nothing, whatever is written: its space would never be given back.
func TestTheValueLogHoldsNothing(t *testing.T) {
	db := open(t, true)
	for _, size := range []int{largeSize - 1, largeSize, 1 << 20, 5 << 20} {
		must(t, put(db, fmt.Sprint("large", size), value(size, size)))
		must(t, db.Update(func(txn *Txn) error { return txn.Set([]byte(fmt.Sprint("set", size)), value(size, size)) }))
	}
	if _, inLog := db.badger.EstimateSize(nil); inLog != 0 {
		t.Errorf("%d bytes of values are in the log", inLog)
	}
	logs, err := filepath.Glob(filepath.Join(db.dir, "*.vlog"))
	must(t, err)
	for _, log := range logs {
		data, err := os.ReadFile(log)
		must(t, err)
		if len(bytes.TrimRight(data[logHeader:], "\x00")) > 0 {
			t.Errorf("there is something in %s", log)
		}
	}
	if err := db.Update(func(txn *Txn) error { return txn.Put(Entry{Key: []byte("a"), Head: value(1, valueThreshold)}) }); err == nil {
		t.Error("a head that would go into the value log is taken")
	}
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
