package p2p

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// hunt deals out wanted directories to those who ask members for them. A directory is with one asker at a time, unless
// that one takes long: then others, who have nothing else to ask for, ask for it as well. What one member did not have
// is asked of the next.
type hunt struct {
	long time.Duration // after which others may ask too
	done func()        // called when nothing is wanted any more

	mu      sync.Mutex
	changed sync.Cond
	order   []cid.Cid // as wanted; entries that are not in wants any more are skipped
	wants   map[cid.Cid]*want
	beaten  map[peer.ID]bool // who took long over what others gave then
}

type want struct {
	with  []question           // who is asked now
	asked map[peer.ID]struct{} // who answered without it, or failed
}

type question struct {
	to    peer.ID
	since time.Time
}

func newHunt(roots []cid.Cid, long time.Duration) *hunt {
	h := &hunt{long: long, done: func() {}, order: roots, wants: make(map[cid.Cid]*want, len(roots))}
	h.changed.L = &h.mu
	for _, c := range roots {
		h.wants[c] = &want{}
	}
	return h
}

// take gives up to n directories that the member was not asked for yet. While others' answers may still leave it some,
// it waits; nil means that there is nothing more for this member, or that ctx is done.
func (h *hunt) take(ctx context.Context, from peer.ID, n int) []cid.Cid {
	defer context.AfterFunc(ctx, h.wake)()
	h.mu.Lock()
	defer h.mu.Unlock()
	for ctx.Err() == nil {
		free, held, soonest := h.survey(from, n)
		if len(free) == 0 {
			free = held
		}
		if len(free) > 0 {
			for _, c := range free {
				w := h.wants[c]
				w.with = append(w.with, question{from, time.Now()})
			}
			return free
		}
		if soonest.IsZero() {
			return nil
		}
		timer := time.AfterFunc(time.Until(soonest), h.wake)
		h.changed.Wait()
		timer.Stop()
	}
	return nil
}

func (h *hunt) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed.Broadcast()
}

// survey finds up to n directories for a member: those that nobody is asked for, and those that others have been asked
// for too long. Of the rest that it could be asked for, soonest is when the first will be so; zero if there is none.
func (h *hunt) survey(from peer.ID, n int) (free, held []cid.Cid, soonest time.Time) {
	now := time.Now()
	for _, c := range h.order {
		w := h.wants[c]
		if w == nil {
			continue
		}
		if _, asked := w.asked[from]; asked {
			continue
		}
		if len(w.with) == 0 {
			if free = append(free, c); len(free) == n {
				break
			}
			continue
		}
		if slices.ContainsFunc(w.with, func(q question) bool { return q.to == from }) { // in another stream
			soonest = sooner(soonest, now.Add(h.long))
		} else if at := w.with[len(w.with)-1].since.Add(h.long); at.After(now) {
			soonest = sooner(soonest, at)
		} else if len(held) < n {
			held = append(held, c)
		}
	}
	return free, held, soonest
}

// sooner is the earlier of two times; zero is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// whenDone sets what is called when nothing is wanted any more.
func (h *hunt) whenDone(call func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done = call; len(h.wants) == 0 {
		call()
	}
}

// lagged lists who took long over what others gave then.
func (h *hunt) lagged() []peer.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.beaten))
}

// wanted reports whether a directory still is.
func (h *hunt) wanted(root cid.Cid) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wants[root] != nil
}

// got strikes off a directory that was obtained from a member, or that needs no further asking.
func (h *hunt) got(root cid.Cid, from peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.wants[root]
	if w == nil {
		return
	}
	for _, q := range w.with {
		if from != "" && q.to != from && time.Since(q.since) > h.long {
			if h.beaten == nil {
				h.beaten = map[peer.ID]bool{}
			}
			h.beaten[q.to] = true
		}
	}
	delete(h.wants, root)
	if len(h.wants) == 0 {
		h.done()
	}
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
		w.with = slices.DeleteFunc(w.with, func(q question) bool { return q.to == from })
		if !again {
			if w.asked == nil {
				w.asked = map[peer.ID]struct{}{}
			}
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
