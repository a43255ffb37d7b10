package p2p

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// hunt deals out wanted directories to those who ask members for them: every directory is with one asker at a
// time, and what one member did not have is asked of the next.
type hunt struct {
	mu      sync.Mutex
	changed sync.Cond
	order   []cid.Cid // as wanted; entries that are not in wants any more are skipped
	wants   map[cid.Cid]*want
}

type want struct {
	out   bool                 // with an asker now
	asked map[peer.ID]struct{} // who answered without it, or failed
}

func newHunt(roots []cid.Cid) *hunt {
	h := &hunt{order: roots, wants: make(map[cid.Cid]*want, len(roots))}
	h.changed.L = &h.mu
	for _, c := range roots {
		h.wants[c] = &want{asked: map[peer.ID]struct{}{}}
	}
	return h
}

// take gives up to n directories that the member was not asked for yet. While others' answers may still leave it some, it
// waits; nil means that there is nothing more for this member, or that ctx is done.
func (h *hunt) take(ctx context.Context, from peer.ID, n int) []cid.Cid {
	defer context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed.Broadcast()
	})()
	h.mu.Lock()
	defer h.mu.Unlock()
	for ctx.Err() == nil {
		var taken []cid.Cid
		pending := false
		for _, c := range h.order {
			w := h.wants[c]
			if w == nil {
				continue
			}
			if _, asked := w.asked[from]; asked {
				continue
			}
			if w.out {
				pending = true
				continue
			}
			if len(taken) < n {
				w.out = true
				taken = append(taken, c)
			}
		}
		if len(taken) > 0 || !pending {
			return taken
		}
		h.changed.Wait()
	}
	return nil
}

// got strikes off a directory that was obtained, or that needs no further asking.
func (h *hunt) got(root cid.Cid) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.wants, root)
	h.changed.Broadcast()
}

// giveBack returns what take gave and was not obtained. If again, the member can be asked once more.
func (h *hunt) giveBack(roots []cid.Cid, from peer.ID, again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range roots {
		w := h.wants[c]
		if w == nil {
			continue
		}
		w.out = false
		if !again {
			w.asked[from] = struct{}{}
		}
	}
	h.changed.Broadcast()
}

// missing lists what is still wanted, in the order it was.
func (h *hunt) missing() []cid.Cid {
	h.mu.Lock()
	defer h.mu.Unlock()
	var left []cid.Cid
	for _, c := range h.order {
		if h.wants[c] != nil {
			left = append(left, c)
		}
	}
	return left
}
