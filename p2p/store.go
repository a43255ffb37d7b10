package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// store keeps directories in the node's block store.
//
// Kubo keeps blocks by pins; here a key of our own says that a directory is kept, and of which blocks it is made (see
// kept.go). It is written in one batch with the blocks, so it is there if they are, and to look for a directory is to
// look for one key. Nothing is pinned: Kubo's garbage collector, which this node never runs, would find nothing to
// keep.
type store struct {
	data   datastore.Batching
	blocks blockstore.Blockstore // reads what is in data, and checks hashes
	recent *recent

	damaged  func(cid.Cid, error)        // is told of a damaged block
	announce func([]multihash.Multihash) // tells the public network of new roots; nil in a private swarm
	mu       sync.RWMutex                // held for writing by who takes blocks away, else for reading
}

func newStore(data datastore.Batching, blocks blockstore.Blockstore) *store {
	return &store{data: data, blocks: blocks, recent: newRecent(recentBytes), damaged: func(cid.Cid, error) {}}
}

// commit writes the directories, and returns when all of it is on the disk.
func (s *store) commit(ctx context.Context, dirs []unixfs.Directory) error {
	if len(dirs) == 0 {
		return nil
	}
	s.mu.RLock() // forget must not take a block that a directory of these uses
	defer s.mu.RUnlock()
	if err := s.write(ctx, dirs); err != nil {
		return fmt.Errorf("write %d directories: %w", len(dirs), err)
	}
	if err := s.data.Sync(ctx, keptPrefix); err != nil { // the one log
		return fmt.Errorf("sync %d directories: %w", len(dirs), err)
	}
	s.recent.add(dirs)
	if s.announce != nil {
		roots := make([]multihash.Multihash, len(dirs))
		for i, d := range dirs {
			roots[i] = d.Root().Hash()
		}
		s.announce(roots)
	}
	return nil
}

// write writes the directories in one batch, of which a crash leaves all or nothing. What is there already is just
// written again: where it was damaged, it is whole then.
func (s *store) write(ctx context.Context, dirs []unixfs.Directory) error {
	batch, err := s.data.Batch(ctx)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		for i, b := range d.Blocks() {
			if err := batch.Put(ctx, blockKey(b.Cid()), b.RawData()); err != nil {
				return err
			}
			if i == 0 {
				continue // the kept key of a root says that its directory uses it
			}
			if err := batch.Put(ctx, userKey(b.Cid(), d.Root()), nil); err != nil {
				return err
			}
		}
		if err := batch.Put(ctx, keptKey(d.Root()), keptAs(d).encode()); err != nil {
			return err
		}
	}
	return batch.Commit(ctx)
}

// source reads from this store.
func (s *store) source(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error) {
	got := make([]blocks.Block, len(want))
	for i, c := range want {
		b, err := s.blocks.Get(ctx, c) // checks the hash
		switch {
		case ipld.IsNotFound(err):
			return nil, fmt.Errorf("block %s: %w", c, unixfs.ErrNotFound)
		case isDamage(err):
			return nil, fmt.Errorf("block %s is damaged: %w: %w", c, unixfs.ErrNotFound, err)
		case err != nil:
			return nil, fmt.Errorf("read block %s: %w", c, err)
		}
		got[i] = b
	}
	return got, nil
}

// isDamage says whether a block can't be read for what it is. It is as good as one that is not here.
func isDamage(err error) bool {
	return errors.Is(err, blockstore.ErrHashMismatch) || pebble.IsCorruptionError(err)
}

func (s *store) load(ctx context.Context, root cid.Cid) (unixfs.Directory, error) {
	if d, ok := s.recent.get(root); ok {
		return d, nil
	}
	d, err := unixfs.Load(ctx, root, s.source)
	return d, s.checkAfter(ctx, root, err)
}

// errBrokenOff says that a directory was begun and can't be finished. It is not absent: a part of it is in the answer.
var errBrokenOff = errors.New("a directory breaks off")

// copy writes a directory to a CAR and says how many bytes it is: from memory if it was stored a moment ago. Whether it
// is kept is not looked for: one that was forgotten, and every block of which others have, could be had by bitswap,
// too.
func (s *store) copy(ctx context.Context, root cid.Cid, to *carWriter) (size int, err error) {
	if d, ok := s.recent.get(root); ok {
		return d.Size(), to.write(ctx, d.Blocks()...)
	}
	if !unixfs.IsNode(root) {
		return 0, fmt.Errorf("%s: %w", root, unixfs.ErrNotDirectory)
	}
	all, err := s.source(ctx, root)
	if err != nil {
		return 0, s.checkAfter(ctx, root, err)
	}
	files, err := unixfs.FilesOf(all[0])
	if err != nil {
		return 0, err
	}
	if !unixfs.IsRaw(files[0]) || !unixfs.IsRaw(files[1]) {
		return s.copyLarge(ctx, root, to)
	}
	got, err := s.source(ctx, slices.Compact(files[:])...)
	if err != nil {
		return 0, s.checkAfter(ctx, root, err)
	}
	all = append(all, got...) // who asked checks that it is a directory
	for _, b := range all {
		size += len(b.RawData())
	}
	return size, to.write(ctx, all...)
}

// copyLarge is copy for a directory with a file of several chunks, of which it holds one at a time. It goes by the
// directory's record: what is known not to be whole is not begun.
func (s *store) copyLarge(ctx context.Context, root cid.Cid, to *carWriter) (size int, err error) {
	r, err := s.record(ctx, root)
	if err != nil {
		return 0, err
	}
	if !r.whole {
		return 0, fmt.Errorf("directory %s lacks a block: %w", root, unixfs.ErrNotFound)
	}
	for _, c := range r.blocks {
		b, err := s.source(ctx, c)
		if err = s.checkAfter(ctx, root, err); err != nil && size > 0 { // deleted meanwhile, perhaps: the stream can't go on
			return size, fmt.Errorf("%w: %s: %v", errBrokenOff, root, err)
		}
		if err != nil {
			return 0, err
		}
		if err := to.write(ctx, b[0]); err != nil {
			return size, err
		}
		size += len(b[0].RawData())
	}
	return size, nil
}

// has says whether the directory is here.
func (s *store) has(ctx context.Context, root cid.Cid) (bool, error) {
	if _, ok := s.recent.get(root); ok {
		return true, nil
	}
	if !unixfs.IsNode(root) {
		return false, nil
	}
	r, err := s.data.Get(ctx, keptKey(root))
	if err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return false, fmt.Errorf("look for directory %s: %w", root, err)
	}
	return isWhole(r), nil
}

// checkAfter looks what is the matter with a directory of which a block could not be read.
func (s *store) checkAfter(ctx context.Context, root cid.Cid, err error) error {
	if !errors.Is(err, unixfs.ErrNotFound) {
		return err
	}
	if failed := s.check(ctx, root); failed != nil {
		return fmt.Errorf("%w; and it can't be noted: %w", err, failed)
	}
	return err
}

// check reads a kept directory, deletes what of it is damaged, and notes that it is not whole: so it is fetched anew.
func (s *store) check(ctx context.Context, root cid.Cid) error {
	s.mu.Lock() // what is written anew meanwhile must not be deleted
	defer s.mu.Unlock()
	r, err := s.record(ctx, root)
	if errors.Is(err, unixfs.ErrNotFound) || errors.Is(err, unixfs.ErrNotDirectory) {
		return nil
	}
	if err != nil {
		return err
	}
	batch, err := s.data.Batch(ctx)
	if err != nil {
		return err
	}
	for _, c := range r.blocks {
		switch _, err := s.blocks.Get(ctx, c); {
		case err == nil:
			continue
		case isDamage(err):
			s.damaged(c, err)
			if err := batch.Delete(ctx, blockKey(c)); err != nil {
				return fmt.Errorf("delete the damaged block %s: %w", c, err)
			}
		case !ipld.IsNotFound(err):
			return fmt.Errorf("read block %s: %w", c, err)
		}
		r.whole = false
	}
	if r.whole {
		return nil
	}
	if err := batch.Put(ctx, keptKey(root), r.encode()); err != nil {
		return err
	}
	return batch.Commit(ctx)
}

// forgetBatch is how many directories are forgotten in one batch.
const forgetBatch = 1024

// forget deletes the directories with their blocks, save those that another kept directory uses. Directories that are
// not here are no error.
func (s *store) forget(ctx context.Context, roots []cid.Cid) error {
	if len(roots) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent.drop(roots)
	for rest := roots; len(rest) > 0; {
		n := min(len(rest), forgetBatch)
		if err := s.erase(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := s.data.Sync(ctx, keptPrefix); err != nil {
		return fmt.Errorf("sync the removal of %d directories: %w", len(roots), err)
	}
	return nil
}

// erase deletes directories in one batch, of which a crash leaves all or nothing.
func (s *store) erase(ctx context.Context, roots []cid.Cid) error {
	batch, err := s.data.Batch(ctx)
	if err != nil {
		return fmt.Errorf("begin a batch: %w", err)
	}
	going := make(map[string]bool, len(roots)) // by digest
	records := make(map[cid.Cid]keptRecord, len(roots))
	for _, root := range roots {
		r, err := s.record(ctx, root)
		if errors.Is(err, unixfs.ErrNotFound) || errors.Is(err, unixfs.ErrNotDirectory) {
			continue
		}
		if err != nil {
			return err
		}
		records[root], going[digest(root)] = r, true
	}
	looked := map[string]bool{} // at blocks, by digest
	for root, r := range records {
		if err := batch.Delete(ctx, keptKey(root)); err != nil {
			return fmt.Errorf("delete directory %s: %w", root, err)
		}
		for i, c := range r.blocks {
			if i > 0 {
				if err := batch.Delete(ctx, userKey(c, root)); err != nil {
					return fmt.Errorf("strike %s off the users of %s: %w", root, c, err)
				}
			}
			if looked[digest(c)] {
				continue
			}
			looked[digest(c)] = true
			used, err := s.used(ctx, c, going)
			if err != nil {
				return err
			}
			if used {
				continue
			}
			if err := batch.Delete(ctx, blockKey(c)); err != nil {
				return fmt.Errorf("delete block %s: %w", c, err)
			}
		}
	}
	if err := batch.Commit(ctx); err != nil {
		return fmt.Errorf("delete %d directories: %w", len(records), err)
	}
	return nil
}
