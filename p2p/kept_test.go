package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore/query"
	pebbleds "github.com/ipfs/go-ds-pebble"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// bareStore is a store without a node around it, on a file system of the test's.
type bareStore struct {
	*store
	pebble *pebbleds.Datastore
}

const bareDir = "/store"

func openBare(t testing.TB, fs vfs.FS) bareStore {
	t.Helper()
	data, err := openPebble(bareDir, &pebble.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return bareStore{newStore(data, &blockstore.ValidatingBlockstore{Blockstore: blockstore.NewBlockstore(data)}), data}
}

// keys lists what is in the store.
func (s bareStore) keys(t testing.TB) []string {
	t.Helper()
	results, err := s.data.Query(context.Background(), query.Query{KeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := results.Rest()
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, e := range entries {
		found = append(found, e.Key)
	}
	slices.Sort(found)
	return found
}

// keysOf lists what must be in a store that keeps the directories: nothing else.
func keysOf(kept map[cid.Cid]unixfs.Directory) []string {
	all := map[string]bool{}
	for root, d := range kept {
		all["/slnode/kept/"+digest(root)] = true
		for i, b := range d.Blocks() {
			all[blockKey(b.Cid()).String()] = true
			if i > 0 {
				all["/slnode/users/"+digest(b.Cid())+"/"+digest(root)] = true
			}
		}
	}
	sorted := slices.AppendSeq([]string{}, maps.Keys(all))
	slices.Sort(sorted)
	return sorted
}

// entangled are directories that share blocks in every way that there is.
func entangled(tb testing.TB) []unixfs.Directory {
	plain := directoryOf(tb, 6_000, "plain")
	payload := mustFiles(tb, plain)[1].Data
	metadata := mustFiles(tb, plain)[0].Data
	large := directoryOf(tb, 2*unixfs.ChunkSize+1, "large")
	build := func(files ...unixfs.File) unixfs.Directory { return mustBuild(tb, files...) }
	return []unixfs.Directory{
		plain, large, directory(tb, "another"),
		build(unixfs.File{Name: unixfs.MetadataName, Data: []byte(`{"by":"another"}`)}, unixfs.File{Name: "object.json", Data: payload}),
		build(unixfs.File{Name: unixfs.MetadataName, Data: metadata}, unixfs.File{Name: "object.json", Data: []byte("other")}),
		build(unixfs.File{Name: unixfs.MetadataName, Data: []byte(`{"of":"a root"}`)}, unixfs.File{Name: "object.json", Data: plain.Blocks()[0].RawData()}),
		build(unixfs.File{Name: unixfs.MetadataName, Data: []byte(`{"of":"a chunk"}`)}, unixfs.File{Name: "object.json", Data: large.Blocks()[len(large.Blocks())-1].RawData()}),
		build(unixfs.File{Name: unixfs.MetadataName, Data: payload}, unixfs.File{Name: "object.json", Data: payload}),
	}
}

// Whatever is put, forgotten, found damaged, and cut off by a power loss in the middle: in the store are the blocks of
// the kept directories, and nothing else.
func TestAfterAnySequenceTheStoreHasTheBlocksOfKeptDirectoriesAlone(t *testing.T) {
	pool := slices.DeleteFunc(entangled(t), unixfs.Directory.IsLarge) // to write megabytes thousands of times takes minutes
	rapid.Check(t, func(r *rapid.T) {
		ctx := context.Background()
		fs := vfs.NewCrashableMem()
		s := openBare(t, fs)
		defer func() { _ = s.pebble.Close() }()
		kept := map[cid.Cid]unixfs.Directory{}
		some := func() []unixfs.Directory {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 1, 5, unixfs.Directory.Root).Draw(r, "directories")
		}
		with := func(dirs []unixfs.Directory) map[cid.Cid]unixfs.Directory {
			after := maps.Clone(kept)
			for _, d := range dirs {
				after[d.Root()] = d
			}
			return after
		}
		without := func(dirs []unixfs.Directory) map[cid.Cid]unixfs.Directory {
			after := maps.Clone(kept)
			for _, d := range dirs {
				delete(after, d.Root())
			}
			return after
		}
		must := func(err error) {
			if err != nil {
				r.Fatal(err)
			}
		}
		// crash goes on with what a power loss leaves that comes while something is written: the state before, or that after.
		crash := func(write func() error, after map[cid.Cid]unixfs.Directory) {
			name, before := logOf(t, fs), len(readLog(t, fs))
			must(write())
			must(s.data.Sync(ctx, keptPrefix))
			crashed := fs.CrashClone(vfs.CrashCloneCfg{})
			must(s.pebble.Close())
			if logOf(t, crashed) != name {
				before = 0 // it went on in another
			}
			log := readLog(t, crashed)
			writeLog(t, crashed, log[:rapid.IntRange(before, len(log)).Draw(r, "end of the log")])
			fs, s = crashed, openBare(t, crashed)
			if got := s.keys(t); slices.Equal(got, keysOf(after)) {
				kept = after
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"put":    func(*rapid.T) { d := some(); must(s.commit(ctx, d)); kept = with(d) },
			"forget": func(*rapid.T) { d := some(); must(s.forget(ctx, roots(d))); kept = without(d) },
			"power loss while putting": func(*rapid.T) {
				d := some()
				crash(func() error { return s.write(ctx, d) }, with(d))
			},
			"power loss while forgetting": func(*rapid.T) {
				d := some()
				crash(func() error { return s.erase(ctx, roots(d)) }, without(d))
			},
			"damage": func(*rapid.T) {
				d := some()[0]
				if _, ok := kept[d.Root()]; !ok {
					r.Skip()
				}
				s.recent.drop([]cid.Cid{d.Root()})
				must(s.data.Put(ctx, blockKey(rapid.SampledFrom(d.Blocks()).Draw(r, "block").Cid()), []byte("torn")))
				if _, err := s.load(ctx, d.Root()); !errors.Is(err, unixfs.ErrNotFound) {
					r.Fatalf("a damaged directory is read: %v", err)
				}
				if has, err := s.has(ctx, d.Root()); has || err != nil {
					r.Fatalf("a damaged directory is had: %v, %v", has, err)
				}
				if rapid.Bool().Draw(r, "fetched anew") {
					must(s.commit(ctx, []unixfs.Directory{d}))
					return
				}
				must(s.forget(ctx, []cid.Cid{d.Root()}))
				for _, other := range without([]unixfs.Directory{d}) { // what shares the block has to be fetched anew, too
					must(s.commit(ctx, []unixfs.Directory{other}))
				}
				kept = without([]unixfs.Directory{d})
			},
			"": func(*rapid.T) {
				if got, want := s.keys(t), keysOf(kept); !slices.Equal(got, want) {
					r.Fatalf("%d keys, want %d:\n%q\n%q", len(got), len(want), got, want)
				}
				for _, d := range pool {
					_, want := kept[d.Root()]
					if got, err := s.has(ctx, d.Root()); err != nil || got != want {
						r.Fatalf("%s: had %v, want %v, error %v", d.Root(), got, want, err)
					}
				}
			},
		})
	})
}

// What a power loss leaves is a prefix of the log, and it may end anywhere: what of it counts is a state that there
// was.
func TestAPrefixOfTheLogIsAStateThatThereWas(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	s := openBare(t, fs)
	pool := slices.DeleteFunc(entangled(t), unixfs.Directory.IsLarge)
	kept := map[cid.Cid]unixfs.Directory{}
	states := [][]string{keysOf(kept)}
	for i := range 12 {
		chosen := []unixfs.Directory{pool[i%len(pool)], pool[(i*3+1)%len(pool)]}
		var err error
		if i%3 == 2 {
			err = s.forget(ctx, roots(chosen))
			for _, d := range chosen {
				delete(kept, d.Root())
			}
		} else {
			err = s.commit(ctx, chosen)
			for _, d := range chosen {
				kept[d.Root()] = d
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, keysOf(kept))
	}
	log := readLog(t, fs)
	defer func() { _ = s.pebble.Close() }()

	reached := map[int]bool{}
	for end := 0; end <= len(log)+200; end += 211 {
		cut := fs.CrashClone(vfs.CrashCloneCfg{})
		writeLog(t, cut, log[:min(end, len(log))])
		after := openBare(t, cut)
		got := after.keys(t)
		if err := after.pebble.Close(); err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(states, func(want []string) bool { return slices.Equal(got, want) })
		if at < 0 {
			t.Fatalf("after %d of %d bytes of the log the store is in a state that there never was: %q", end, len(log), got)
		}
		reached[at] = true
	}
	if len(reached) < len(states)/2 || !reached[len(states)-1] {
		t.Errorf("of %d states %d were seen", len(states), len(reached))
	}
}

// logOf is the newest log of a store.
func logOf(t *testing.T, fs vfs.FS) string {
	t.Helper()
	names, err := fs.List(bareDir)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return filepath.Ext(name) != ".log" })
	if len(names) == 0 {
		t.Fatal("there is no log")
	}
	return filepath.Join(bareDir, slices.Max(names))
}

func readLog(t *testing.T, fs vfs.FS) []byte {
	t.Helper()
	file, err := fs.Open(logOf(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func writeLog(t *testing.T, fs vfs.FS, log []byte) {
	t.Helper()
	file, err := fs.Create(logOf(t, fs), vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write(bytes.Clone(log)) // a vfs.File may change what it is given, and does in a race build
	}
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for i, d := range entangled(t) {
		want := keptAs(d)
		for _, whole := range []bool{true, false} {
			want.whole = whole
			b := want.encode()
			got, err := decodeRecord(d.Root(), b)
			if err != nil || got.whole != whole || !slices.Equal(got.blocks, want.blocks) {
				t.Errorf("directory %d is read as %v, want %v; error %v", i, got, want, err)
			}
			for _, broken := range [][]byte{nil, b[:len(b)-1], append(slices.Clone(b), 0), append([]byte{2}, b[1:]...)} {
				if _, err := decodeRecord(d.Root(), broken); err == nil {
					t.Errorf("%x is read as a record", broken)
				}
			}
		}
	}
}

// A store that an earlier version wrote has no records: it is set aside like a damaged one, and its directories are
// there to be put into the new one.
func TestAStoreOfAnotherLayoutIsSetAside(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	d := directory(t)
	for name, change := range map[string]func(*pebbleds.Datastore) error{
		"none":    func(data *pebbleds.Datastore) error { return data.Delete(t.Context(), layoutKey) },
		"another": func(data *pebbleds.Datastore) error { return data.Put(t.Context(), layoutKey, []byte("0")) },
	} {
		h := startOn(t, c, vfs.Default)
		put(t, h, d)
		if err := change(h.node.repo.data); err != nil {
			t.Fatal(err)
		}
		closeHost(t, h)

		h = startOn(t, c, vfs.Default)
		mustLack(t, h, d)
		aside, err := OpenOffline(AsidePath(c.Dir))
		if err != nil {
			t.Fatal(err)
		}
		files, err := aside.Read(t.Context(), d.Root())
		if err := errors.Join(err, aside.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		put(t, h, mustBuild(t, files...))
		mustHold(t, h, d)
		closeHost(t, h)
		again := startOn(t, c, vfs.Default)
		mustHold(t, again, d)
		closeHost(t, again)
	}
}

// What many directories share goes with the last of them, in however many batches they go.
func TestABlockThatManyShareGoesWithTheLastOfThem(t *testing.T) {
	s := openBare(t, vfs.NewMem())
	defer func() { _ = s.pebble.Close() }()
	var dirs []unixfs.Directory
	for i := range 2 * forgetBatch {
		dirs = append(dirs, mustBuild(t, files(fmt.Sprintf(`{"n":%d}`, i), "object.json", "shared")...))
	}
	ctx := t.Context()
	if err := s.commit(ctx, dirs); err != nil {
		t.Fatal(err)
	}
	if err := s.forget(ctx, roots(dirs[1:])); err != nil {
		t.Fatal(err)
	}
	s.recent.drop(roots(dirs))
	if _, err := s.load(ctx, dirs[0].Root()); err != nil {
		t.Error(err)
	}
	if err := s.forget(ctx, roots(dirs)); err != nil {
		t.Fatal(err)
	}
	if left := s.keys(t); len(left) > 0 {
		t.Errorf("%d keys are left", len(left))
	}
}
