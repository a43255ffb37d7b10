package p2p

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	dshelp "github.com/ipfs/boxo/datastore/dshelp"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore/namespace"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// A block that is damaged is as good as one that is not here: who reads it learns that, and it is fetched like one.
func TestADamagedBlockIsFetchedAnew(t *testing.T) {
	w := newWorld(t)
	a, b := w.member(), w.member()
	connect(t, a, b)
	whole, damaged := directory(t, "whole"), directoryOf(t, 3*unixfs.ChunkSize, "damaged")
	put(t, a, whole, damaged)
	fetchAll(t, b, whole, damaged)
	b.store.recent.drop(roots([]unixfs.Directory{whole, damaged}))
	for _, block := range damaged.Blocks() {
		raw := namespace.Wrap(b.store.data, blockstore.BlockPrefix)
		if err := raw.Put(t.Context(), dshelp.MultihashToDsKey(block.Cid().Hash()), []byte("not what was written")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := b.Read(t.Context(), damaged.Root()); !errors.Is(err, unixfs.ErrNotFound) {
				t.Fatalf("reading a damaged directory: %v", err)
			}
		}
		fetchAll(t, b, damaged)
		mustHold(t, b, whole, damaged)
	}
	if b.Damage() != nil {
		t.Errorf("the store is said to be damaged: %v", b.Damage())
	}
}

// flip damages what the pattern names, in place.
func flip(t *testing.T, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no %s: %v", pattern, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := len(data) / 2; at < len(data); at += 50 {
			data[at] ^= 1
		}
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A store that is found damaged, at the start or while it is used, is set aside and never taken for a whole one; what
// can be read in it can still be read.
func TestADamagedStoreIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, h *Host, dir string){
		"a log": func(t *testing.T, h *Host, dir string) {
			closeHost(t, h)
			flip(t, filepath.Join(dir, "*.log"))
		},
		"a manifest": func(t *testing.T, h *Host, dir string) {
			closeHost(t, h)
			flip(t, filepath.Join(dir, "MANIFEST-*"))
		},
		"a table, while it runs": func(t *testing.T, h *Host, dir string) {
			if err := h.node.repo.data.DB.Flush(); err != nil {
				t.Fatal(err)
			}
			flip(t, filepath.Join(dir, "*.sst"))
			for _, d := range directories(t, 50) { // who reads it, and not memory, finds it damaged
				h.store.recent.drop([]cid.Cid{d.Root()})
				_, _ = h.Read(t.Context(), d.Root())
			}
			<-h.Damaged()
			closeHost(t, h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.config()
			h := startOn(t, c, vfs.Default)
			dirs := directories(t, 50)
			put(t, h, dirs...)
			damage(t, h, c.Dir)

			h = startOn(t, c, vfs.Default)
			defer closeHost(t, h)
			mustLack(t, h, dirs...)
			if h.Damage() != nil {
				t.Errorf("the new store is damaged: %v", h.Damage())
			}
			put(t, h, dirs...)
			mustHold(t, h, dirs...)
			if _, err := os.Stat(AsidePath(c.Dir)); err != nil {
				t.Errorf("what was damaged is gone: %v", err)
			}
			aside, err := OpenOffline(AsidePath(c.Dir))
			if err != nil {
				return // so damaged that nothing can be read
			}
			defer aside.Close()
			for _, d := range dirs {
				if files, err := aside.Read(t.Context(), d.Root()); err == nil {
					if again, err := unixfs.Build(files...); err != nil || again.Root() != d.Root() {
						t.Errorf("another directory is read than was asked for: %v", err)
					}
				}
			}
		})
	}
}
