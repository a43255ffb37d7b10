package p2p

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// Put keeps the directories: when it returns nil, they survive a power loss. They go in one batch with one sync (in
// several if they are large), so some hundreds at a time are quickest. Of a batch a crash leaves all or nothing.
// Putting what is already there is harmless.
func (h *Host) Put(ctx context.Context, dirs []unixfs.Directory) error {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, d := range dirs {
		if !d.Root().Defined() {
			return fmt.Errorf("put: %w", unixfs.ErrNone)
		}
	}
	for rest := dirs; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && size < batchBytes {
			size += rest[n].Size()
			n++
		}
		if err := h.store.commit(ctx, rest[:n]); err != nil {
			return fmt.Errorf("put %d directories: %w", len(dirs), err)
		}
		rest = rest[n:]
	}
	return nil
}

// Read gives the two files of a directory in the order of their names. It looks in this node's store only, and checks
// every block that it reads against its hash. The files must not be changed. If something is missing the error wraps
// [unixfs.ErrNotFound]; if the CID stands for something else, [unixfs.ErrNotDirectory].
func (h *Host) Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error) {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	d, err := h.store.load(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", root, err)
	}
	return d.Files()
}

// Has says whether the directory is kept, and none of its blocks is known to be missing: what [Host.Read] finds damaged
// or gone is not had any more.
func (h *Host) Has(ctx context.Context, root cid.Cid) (bool, error) {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	return h.store.has(ctx, root)
}

// Forget deletes the directories with their blocks; when it returns nil, that is on the disk. A block that another kept
// directory shares stays with that one. What is not there is no error, so a Forget that was interrupted can be
// repeated. Other nodes are not told.
func (h *Host) Forget(ctx context.Context, roots []cid.Cid) error {
	ctx, done, err := h.lifetime.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	h.staged.drop(roots)
	if err := h.store.forget(ctx, roots); err != nil {
		return fmt.Errorf("forget %d directories: %w", len(roots), err)
	}
	return nil
}
