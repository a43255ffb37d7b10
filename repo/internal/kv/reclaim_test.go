package kv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/scratch"
	"github.com/serviceledger/slnode/internal/waiting"
)

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
