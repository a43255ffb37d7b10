package kv

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/scratch"
)

// A store that is damaged in any place is told to be damaged when it is opened, or the damage is where it does no harm.
// A durable one is never taken for a whole one with less in it, nor is another one that was closed.
func TestDamageIsNeverLossWithoutAWord(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{true, false} {
		for _, closed := range []bool{true, false} {
			t.Run(fmt.Sprintf("durable=%v closed=%v", durable, closed), func(t *testing.T) {
				image, held := filled(t, durable, closed)
				told, harmless := 0, map[string]int{}
				for _, d := range damages(image) {
					files := maps.Clone(image)
					d.do(files)
					dir := filepath.Join(scratch.Dir(t), "store")
					files.write(t, dir)
					err := holdsStill(dir, durable, held, !durable && !closed)
					switch {
					case err == nil:
						harmless[d.file]++
					case errors.Is(err, ErrDamaged), errors.Is(err, ErrKey):
						told++
					default:
						t.Errorf("%s: %v", d.what, err)
					}
					must(t, os.RemoveAll(dir))
				}
				t.Logf("%d damages are told; do no harm: %v", told, harmless)
				for file, n := range harmless {
					switch name := filepath.Base(file); {
					case name == "LOCK", name == "DISCARD", name == markFile, strings.HasSuffix(name, ".vlog"):
					case !durable && !closed && (strings.HasSuffix(name, logExtension) || name == "MANIFEST"): // it holds less, as after a loss of power
					default:
						t.Errorf("%d damages of %s are not told", n, file)
					}
				}
			})
		}
	}
}

// content of the files of a store, without the zeros at the end that Badger's logs have.
type files map[string]file

type file struct {
	data []byte
	size int64
}

// image is what the files of a store are now whose names match a pattern. If it is open, that is what they are when the
// process is killed.
func image(t *testing.T, dir, pattern string) files {
	t.Helper()
	list := files{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		must(t, err)
		if matches, err := filepath.Match(pattern, filepath.Base(name)); !matches {
			return err
		}
		data, err := os.ReadFile(path)
		must(t, err)
		list[name] = file{bytes.TrimRight(data, "\x00"), int64(len(data))}
		return nil
	}))
	return list
}

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, largeFolder), 0o700))
	for name, file := range f {
		must(t, os.WriteFile(filepath.Join(dir, name), file.data, 0o600))
		must(t, os.Truncate(filepath.Join(dir, name), file.size))
	}
}

// holding is what a store holds after each of its transactions.
type holding []map[string]string

// filled is a store that has tables, a log and large values, and what it holds. Unless it was closed it is as a process
// leaves it that was killed.
func filled(t *testing.T, durable, closed bool) (files, holding) {
	t.Helper()
	dir := filepath.Join(scratch.Dir(t), "store")
	db, err := Open(dir, storeOptions(durable))
	must(t, err)
	held := holding{{}}
	set := func(key string, n int) {
		v := value(len(held), n)
		next := maps.Clone(held[len(held)-1])
		next[key] = string(v)
		held = append(held, next)
		must(t, put(db, key, v))
	}
	for i := range 100 {
		set(fmt.Sprintf("a%d", i), 200)
	}
	must(t, db.compact())
	set("large", largeSize+100)
	for i := range 30 {
		set(fmt.Sprintf("b%d", i), 200)
	}
	must(t, db.compact())
	set("larger", 2*largeSize)
	for i := range 10 {
		set(fmt.Sprintf("c%d", i), 200)
	}
	killed := image(t, dir, "*")
	must(t, db.Close())
	if closed {
		return image(t, dir, "*"), held
	}
	return killed, held
}

// damage is something that happens to a file.
type damage struct {
	file, what string
	do         func(files)
}

// damages are many, of every file of the store.
func damages(image files) (list []damage) {
	for name, was := range image {
		replace := func(what string, data []byte, size int64) {
			list = append(list, damage{name, name + ": " + what, func(f files) { f[name] = file{data, size} }})
		}
		list = append(list, damage{name, name + " is missing", func(f files) { delete(f, name) }})
		if len(was.data) == 0 {
			continue
		}
		for i := range 24 { // many at the beginning, where headers are, and others all over
			at := min(i, len(was.data)-1)
			if i >= 12 {
				at = len(was.data) * (i - 12) / 12
			}
			flipped := bytes.Clone(was.data)
			flipped[at] ^= 1 << (i % 8)
			replace(fmt.Sprintf("bit %d of byte %d of %d", i%8, at, len(was.data)), flipped, was.size)
		}
		for _, n := range []int{0, 1, len(was.data) / 2, len(was.data) - 1} {
			replace(fmt.Sprintf("cut off at %d", n), was.data[:n], int64(n))
		}
		zeroed := bytes.Clone(was.data)
		clear(zeroed[len(was.data)/3 : 2*len(was.data)/3])
		replace("zeros in the middle", zeroed, was.size)
		replace("zeros", nil, was.size)
	}
	return list
}

// holdsStill opens a store, reads everything, and compares it. If it may hold less, it has to hold what it did once.
func holdsStill(dir string, durable bool, held holding, less bool) (err error) {
	o := storeOptions(durable)
	o.Create = false
	db, err := Open(dir, o)
	if err != nil {
		return err
	}
	defer func() {
		if closing := db.Close(); err == nil && !errors.Is(closing, ErrDamaged) {
			err = closing
		}
	}()
	found, err := content(db)
	if err != nil && durable {
		return fmt.Errorf("it is opened, though something in it can't be read: %v", err)
	}
	if err != nil {
		return err
	}
	for i := range held {
		if maps.Equal(found, held[len(held)-1-i]) && (i == 0 || less) {
			return nil
		}
	}
	return fmt.Errorf("it is opened, and holds %d of %d values", len(found), len(held)-1)
}

// Damage that is met while the store is open is an error for who reads, and known when it was met in the background.
// The process goes on.
func TestDamageThatIsMetWhileRunning(t *testing.T) {
	for _, pattern := range []string{"*.sst", largeFolder + "/*"} {
		dir := filepath.Join(scratch.Dir(t), "store")
		db, err := Open(dir, storeOptions(false))
		must(t, err)
		for i := range 300 {
			must(t, put(db, fmt.Sprintf("a%d", i), value(i, 200)))
		}
		must(t, put(db, "large", value(0, largeSize)))
		must(t, db.compact())
		db.checked = db.checked.Add(-checkEvery)
		must(t, db.Reclaim())
		if db.Damage() != nil {
			t.Fatal(db.Damage())
		}
		flip(t, filepath.Join(dir, pattern))
		db.checked = db.checked.Add(-checkEvery)
		if err := db.Reclaim(); pattern == "*.sst" && !errors.Is(err, ErrDamaged) {
			t.Errorf("looking for damage: %v", err)
		}
		if _, err := content(db); pattern != "*.sst" && !errors.Is(err, ErrDamaged) {
			t.Errorf("reading everything: %v", err)
		}
		must(t, db.Update(func(txn *Txn) error { return txn.Set([]byte("b"), nil) })) // to write goes on
		if !errors.Is(db.Damage(), ErrDamaged) {
			t.Errorf("what was met: %v", db.Damage())
		}
		must(t, db.Empty())
		must(t, put(db, "a1", []byte("new")))
		if found, err := content(db); err != nil || len(found) != 1 || db.Damage() != nil {
			t.Errorf("an emptied store holds %d values: %v, %v", len(found), err, db.Damage())
		}
		must(t, db.Close())
	}
}

// flip damages the files that match a pattern, in place: the store has them open.
func flip(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	must(t, err)
	if len(paths) == 0 {
		t.Fatalf("there is no %s", pattern)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		must(t, err)
		for i := 40; i < len(data)-100; i += 100 {
			data[i] ^= 1
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		_, err = file.Write(data)
		must(t, errors.Join(err, file.Close()))
	}
}
