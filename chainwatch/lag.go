package chainwatch

import (
	"slices"
	"sync"
	"time"
)

// Lag is how far the log is behind the chain.
type Lag struct {
	Rounds uint64
	Time   time.Duration // since there has been a round that the log lacks
}

const (
	maxHeard = 256 // moments that are remembered; every second one is forgotten when there are more
	// usualRound is how long a round takes on Algorand's public networks, for what was before the start.
	usualRound = 2800 * time.Millisecond
	maxCounted = 1_000_000_000 // rounds; more is nonsense, and no time.Duration
)

// heard remembers when the chain was seen to have which round, from the cursor on.
type heard struct {
	mu   sync.Mutex
	list []moment // in the order of rounds
}

type moment struct {
	round uint64
	at    time.Time
}

// note takes down that the chain has a round now. Of what the cursor has passed the last moment stays: what is told
// next came after it.
func (h *heard) note(cursor, round uint64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = slices.DeleteFunc(h.list, func(m moment) bool { return m.round > round }) // it was wrong, perhaps
	for len(h.list) > 1 && h.list[1].round <= cursor {
		h.list = h.list[1:]
	}
	if n := len(h.list); n > 0 && h.list[n-1].round == round {
		if round <= cursor {
			h.list[n-1].at = now // nothing came since
		}
		return
	}
	if len(h.list) >= maxHeard {
		kept := h.list[:2] // the last that was passed, and the first that is lacking
		for i := 3; i < len(h.list); i += 2 {
			kept = append(kept, h.list[i])
		}
		h.list = kept
	}
	h.list = append(h.list, moment{round, now})
}

// behind says how far a cursor is behind the chain. What was before the first moment that is known is counted in
// rounds.
func (h *heard) behind(cursor, tip uint64, now time.Time) Lag {
	if tip <= cursor {
		return Lag{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	first, passed := moment{tip, now}, -1
	for i, m := range h.list {
		if m.round > cursor {
			first = m
			break
		}
		passed = i
	}
	before := time.Duration(min(first.round-cursor-1, maxCounted)) * usualRound
	if passed >= 0 {
		before = min(before, first.at.Sub(h.list[passed].at))
	}
	return Lag{Rounds: tip - cursor, Time: now.Sub(first.at) + before}
}

// listenToTime notes when the chain was seen to have which round.
func (w *Watcher) listenToTime() {
	chain, _, _ := w.last()
	w.heard.note(w.cursor(), chain, time.Now())
}
