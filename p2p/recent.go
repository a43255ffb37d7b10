package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

const (
	recentBytes = 8 << 20          // of directories that were stored a moment ago
	recentFor   = 30 * time.Second // how long they are remembered at least, if there is room
)

// recent remembers directories that were stored a moment ago: members ask for them now, and the node itself reads them.
// So they need not be read from the disk. It is bounded in bytes, and empty again when nothing was stored for a while.
// What it has is in the store: it is told of both under the store's lock.
type recent struct {
	most int // bytes of a generation

	mu         sync.Mutex
	young, old map[cid.Cid]unixfs.Directory // two generations: the older one goes as a whole
	bytes      int                          // of the young one
	filled     chan struct{}                // has one when there is something to age
}

func newRecent(bytes int) *recent { return &recent{most: bytes / 2, filled: make(chan struct{}, 1)} }

// add remembers directories; large ones are read from the disk chunk by chunk anyway.
func (r *recent) add(dirs []unixfs.Directory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range dirs {
		size := d.Size() + stagedOverhead
		if d.IsLarge() || size > r.most {
			continue
		}
		if r.bytes+size > r.most {
			r.turn()
		}
		if r.young == nil {
			r.young = map[cid.Cid]unixfs.Directory{}
		}
		r.young[d.Root()] = d
		r.bytes += size
	}
	select {
	case r.filled <- struct{}{}:
	default:
	}
}

// turn makes the young generation the old one. The lock is held.
func (r *recent) turn() { r.young, r.old, r.bytes = nil, r.young, 0 }

func (r *recent) get(root cid.Cid) (unixfs.Directory, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, ok := r.young[root]
	if !ok {
		d, ok = r.old[root]
	}
	return d, ok
}

func (r *recent) drop(roots []cid.Cid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, root := range roots {
		delete(r.young, root) // its bytes count until the generation turns
		delete(r.old, root)
	}
}

// age forgets what is old, until ctx ends.
func (r *recent) age(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.filled:
		}
		for left := true; left; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(recentFor):
			}
			r.mu.Lock()
			r.turn()
			left = len(r.old) > 0
			r.mu.Unlock()
		}
	}
}
