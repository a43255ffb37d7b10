package publish

import (
	"context"
	"fmt"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// maxFresh bounds the directories that are kept in memory, in bytes.
const maxFresh = 32 << 20

// Fresh are the directories that were stored a moment ago and are to be announced when they are confirmed. They are
// kept so that they need not be read again; what doesn't fit is read from the disk.
type Fresh struct {
	blocks Blocks

	mu    sync.Mutex
	size  int
	byCID map[string]unixfs.Directory
}

// NewFresh keeps what is stored in blocks.
func NewFresh(blocks Blocks) *Fresh { return &Fresh{blocks: blocks} }

func (f *Fresh) add(directories []unixfs.Directory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byCID == nil {
		f.byCID = map[string]unixfs.Directory{}
	}
	for _, d := range directories {
		if f.size+d.Size() > maxFresh {
			return
		}
		f.size += d.Size()
		f.byCID[d.Root().String()] = d
	}
}

// take gives a directory, and forgets it.
func (f *Fresh) take(ctx context.Context, root string) (unixfs.Directory, error) {
	f.mu.Lock()
	d, found := f.byCID[root]
	if found {
		f.size -= d.Size()
		delete(f.byCID, root)
	}
	f.mu.Unlock()
	if found {
		return d, nil
	}
	c, err := cid.Decode(root)
	if err != nil {
		return unixfs.Directory{}, fmt.Errorf("directory %.80q: %w", root, err)
	}
	files, err := f.blocks.Read(ctx, c)
	if err != nil {
		return unixfs.Directory{}, err
	}
	return unixfs.Build(files...)
}
