package p2p

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/ipfs/boxo/blockstore"
	pin "github.com/ipfs/boxo/pinning/pinner"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/multiformats/go-multihash"
)

// store keeps directories in the node's block store, each pinned.
//
// Beside Kubo's own records it keeps, for each block of a directory, the key
// /slnode/users/<block>/<root>: a block can be part of several directories (anybody may mint a directory around
// somebody else's ciphertext), and may only go with the last of them. Kubo's pinner can tell that only by
// walking every pin.
type store struct {
	data   datastore.Batching
	blocks blockstore.GCBlockstore
	pins   pin.Pinner

	damaged func(cid.Cid, error) // is told of a damaged block, if it is set
}

// autosyncer is what Kubo's pinner has beyond its interface.
type autosyncer interface{ SetAutosync(bool) bool }

func newStore(data datastore.Batching, blocks blockstore.GCBlockstore, pins pin.Pinner) *store {
	if p, ok := pins.(autosyncer); ok {
		p.SetAutosync(false) // commit and forget sync once for all their pins
	}
	return &store{data: data, blocks: blocks, pins: pins}
}

// commit writes the directories, pins them, and returns when all of it is on the disk.
func (s *store) commit(ctx context.Context, dirs []Directory) error {
	if len(dirs) == 0 {
		return nil
	}
	unlock := s.blocks.PinLock(ctx) // forget must not take a block between its writing and its pin
	defer unlock.Unlock(ctx)

	// First who uses the blocks, then the blocks, then the pins, then one sync. All goes through one log, of which
	// a crash leaves a prefix: no pin without its blocks, no block without its user. (The pinner means to sync the
	// blocks before it pins, but never does: it looks for a Sync method of another signature than Kubo's.)
	batch, err := s.data.Batch(ctx)
	if err != nil {
		return fmt.Errorf("begin a batch: %w", err)
	}
	var all []blocks.Block
	var unpinned []cid.Cid
	for _, d := range dirs {
		pinned, err := s.committed(ctx, d.root)
		if err != nil {
			return err
		}
		if !pinned {
			unpinned = append(unpinned, d.root)
		}
		for _, b := range d.blocks {
			if err := batch.Put(ctx, userKey(b.Cid(), d.root), nil); err != nil {
				return fmt.Errorf("note that %s uses %s: %w", d.root, b.Cid(), err)
			}
		}
		all = append(all, d.blocks...)
	}
	if err := batch.Commit(ctx); err != nil {
		return fmt.Errorf("note the users of blocks: %w", err)
	}
	if err := s.blocks.PutMany(ctx, all); err != nil {
		return fmt.Errorf("write %d blocks: %w", len(all), err)
	}
	for _, root := range unpinned {
		if err := s.pins.PinWithMode(ctx, root, pin.Recursive, ""); err != nil {
			return fmt.Errorf("pin %s: %w", root, err)
		}
	}
	if err := s.pins.Flush(ctx); err != nil { // syncs the log
		return fmt.Errorf("sync %d directories: %w", len(dirs), err)
	}
	return nil
}

// committed says whether the directory was pinned by an earlier commit. Its pin must then be let alone: the pinner
// renews a pin by removing it first, and a crash between the two would lose what was acknowledged long ago.
func (s *store) committed(ctx context.Context, root cid.Cid) (bool, error) {
	// A directory is the first user of its root, and to look for that one key is far cheaper than to look for a pin.
	known, err := s.data.Has(ctx, userKey(root, root))
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", root, err)
	}
	if !known {
		return false, nil
	}
	return s.pinned(ctx, root)
}

// source reads from this store.
func (s *store) source(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error) {
	got := make([]blocks.Block, len(want))
	for i, c := range want {
		b, err := s.blocks.Get(ctx, c) // checks the hash
		switch {
		case ipld.IsNotFound(err):
			return nil, fmt.Errorf("block %s: %w", c, ErrNotFound)
		case errors.Is(err, blockstore.ErrHashMismatch), pebble.IsCorruptionError(err):
			return nil, s.dropDamaged(ctx, c, err)
		case err != nil:
			return nil, fmt.Errorf("read block %s: %w", c, err)
		}
		got[i] = b
	}
	return got, nil
}

// dropDamaged deletes a damaged block: it is as good as one that is not here, and is fetched like one. As long as it was
// here it would be in the way of the one that is good.
func (s *store) dropDamaged(ctx context.Context, c cid.Cid, damage error) error {
	if s.damaged == nil {
		return fmt.Errorf("block %s is damaged: %w: %w", c, ErrNotFound, damage)
	}
	s.damaged(c, damage)
	if err := s.blocks.DeleteBlock(ctx, c); err != nil {
		return fmt.Errorf("delete the damaged block %s: %w", c, err)
	}
	return fmt.Errorf("block %s was damaged: %w", c, ErrNotFound)
}

func (s *store) load(ctx context.Context, root cid.Cid) (Directory, error) {
	return loadDirectory(ctx, root, s.source)
}

// copy writes a directory to a CAR and says how many bytes it is. Of a large file it holds one chunk at a time.
func (s *store) copy(ctx context.Context, root cid.Cid, to *carWriter) (size int, err error) {
	if !isNodeCID(root) {
		return 0, fmt.Errorf("%s: %w", root, ErrNotDirectory)
	}
	first, err := s.source(ctx, root)
	if err != nil {
		return 0, err
	}
	entries, err := decodeRoot(first[0])
	if err != nil {
		return 0, err
	}
	if isRawCID(entries[0].cid) && isRawCID(entries[1].cid) {
		d, err := loadDirectory(ctx, root, func(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error) {
			if want[0] == root {
				return first, nil
			}
			return s.source(ctx, want...)
		})
		if err != nil {
			return 0, err
		}
		return d.Size(), to.write(ctx, d)
	}
	tree, err := s.tree(ctx, root)
	if err != nil {
		return 0, err
	}
	for _, c := range tree { // what is not whole is not begun
		here, err := s.blocks.Has(ctx, c)
		if err == nil && !here {
			err = ErrNotFound
		}
		if err != nil {
			return 0, fmt.Errorf("look for block %s: %w", c, err)
		}
	}
	seen := cid.NewSet()
	for _, c := range tree {
		if !seen.Visit(c) {
			continue
		}
		b, err := s.blocks.Get(ctx, c)
		if err != nil { // deleted meanwhile, perhaps: the stream can't go on
			return size, fmt.Errorf("read block %s: %w", c, err)
		}
		if err := to.block(ctx, b); err != nil {
			return size, err
		}
		size += len(b.RawData())
	}
	return size, nil
}

// has says whether the whole directory is here, and whether it is pinned too. It reads the nodes but not the files.
func (s *store) has(ctx context.Context, root cid.Cid) (whole, pinned bool, err error) {
	tree, err := s.tree(ctx, root)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrNotDirectory):
		return false, false, nil
	case err != nil:
		return false, false, err
	}
	for _, c := range tree {
		ok, err := s.blocks.Has(ctx, c)
		if err != nil {
			return false, false, fmt.Errorf("look for block %s: %w", c, err)
		}
		if !ok {
			return false, false, nil
		}
	}
	pinned, err = s.pinned(ctx, root)
	return true, pinned, err
}

func (s *store) pinned(ctx context.Context, root cid.Cid) (bool, error) {
	_, ok, err := s.pins.IsPinnedWithType(ctx, root, pin.Recursive)
	if err != nil {
		return false, fmt.Errorf("look for the pin of %s: %w", root, err)
	}
	return ok, nil
}

// tree lists the CIDs of a directory's blocks, the root first. It needs the nodes but not the files' bytes; if only the
// node of a file is missing, the list without that file's chunks comes with the error.
func (s *store) tree(ctx context.Context, root cid.Cid) ([]cid.Cid, error) {
	if !isNodeCID(root) {
		return nil, fmt.Errorf("%s: %w", root, ErrNotDirectory)
	}
	b, err := s.source(ctx, root)
	if err != nil {
		return nil, err
	}
	entries, err := decodeRoot(b[0])
	if err != nil {
		return nil, err
	}
	tree := []cid.Cid{root, entries[0].cid, entries[1].cid}
	for _, e := range entries {
		if e.cid.Type() == cid.Raw {
			continue
		}
		b, err := s.source(ctx, e.cid)
		if err != nil {
			return tree, err
		}
		chunks, err := decodeFile(b[0])
		if err != nil {
			return nil, err
		}
		tree = append(tree, chunks...)
	}
	return tree, nil
}

// forget unpins the directories and deletes their blocks, save those that another pinned directory uses. It may be
// repeated after a crash, and directories that are not here are no error.
func (s *store) forget(ctx context.Context, roots []cid.Cid) error {
	if len(roots) == 0 {
		return nil
	}
	unlock := s.blocks.GCLock(ctx)
	defer unlock.Unlock(ctx)

	for _, root := range roots {
		if err := s.pins.Unpin(ctx, root, true); err != nil && !errors.Is(err, pin.ErrNotPinned) {
			return fmt.Errorf("unpin %s: %w", root, err)
		}
	}
	for _, root := range roots {
		tree, err := s.tree(ctx, root)
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotDirectory) {
			return err
		}
		// Chunks go before their node and the root goes last, so that a repetition after a crash finds the rest.
		for i := len(tree) - 1; i >= 0; i-- {
			if err := s.release(ctx, tree[i], root); err != nil {
				return err
			}
		}
	}
	if err := s.pins.Flush(ctx); err != nil { // syncs the one log, and with it all of the above
		return fmt.Errorf("sync the removal of %d directories: %w", len(roots), err)
	}
	return nil
}

// release strikes root off the block's users and deletes the block if that was the last.
func (s *store) release(ctx context.Context, block, root cid.Cid) error {
	if err := s.data.Delete(ctx, userKey(block, root)); err != nil {
		return fmt.Errorf("strike %s off the users of %s: %w", root, block, err)
	}
	used, err := s.used(ctx, block)
	if err != nil || used {
		return err
	}
	if err := s.blocks.DeleteBlock(ctx, block); err != nil {
		return fmt.Errorf("delete block %s: %w", block, err)
	}
	return nil
}

// used says whether a pinned directory uses the block. A user that is not pinned is what a crash in commit left behind.
func (s *store) used(ctx context.Context, block cid.Cid) (bool, error) {
	results, err := s.data.Query(ctx, query.Query{Prefix: usersKey(block).String(), KeysOnly: true})
	if err != nil {
		return false, fmt.Errorf("list the users of %s: %w", block, err)
	}
	defer results.Close()
	for r := range results.Next() {
		if r.Error != nil {
			return false, fmt.Errorf("list the users of %s: %w", block, r.Error)
		}
		root, err := userRoot(datastore.RawKey(r.Key))
		if err != nil {
			return false, fmt.Errorf("users of %s: %w", block, err)
		}
		if pinned, err := s.pinned(ctx, root); err != nil || pinned {
			return pinned, err
		}
	}
	return false, nil
}

// usersPrefix is where the users of blocks are noted. Blocks go by digest alone, as in the block store: the same bytes
// may be a chunk here and a root there.
var usersPrefix = datastore.NewKey("/slnode/users")

func usersKey(block cid.Cid) datastore.Key { return usersPrefix.ChildString(digest(block)) }

func userKey(block, root cid.Cid) datastore.Key { return usersKey(block).ChildString(digest(root)) }

// digest writes the CID's SHA-256 as 43 characters.
func digest(c cid.Cid) string {
	hash := c.Hash()
	return base64.RawURLEncoding.EncodeToString(hash[len(hash)-nodePrefix.MhLength:])
}

func userRoot(key datastore.Key) (cid.Cid, error) {
	sum, err := base64.RawURLEncoding.DecodeString(key.BaseNamespace())
	if err != nil {
		return cid.Undef, fmt.Errorf("key %s: %w", key, err)
	}
	hash, err := multihash.Encode(sum, nodePrefix.MhType)
	if err != nil {
		return cid.Undef, fmt.Errorf("key %s: %w", key, err)
	}
	return cid.NewCidV1(nodePrefix.Codec, hash), nil
}
