package devchain

import (
	"sync"

	"github.com/algorand/go-algorand-sdk/v2/types"
)

// follower is how far the indexer half has got. It trails the chain by as many rounds as it is told to and, as the
// real one, never goes back.
type follower struct {
	mu     sync.Mutex
	at     snapshot
	ahead  []snapshot // closed rounds that it doesn't show yet, oldest first
	lag    int
	frozen bool
}

// observe takes note of a closed round.
func (f *follower) observe(s snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = append(f.ahead, s)
	f.advance()
}

// trail sets how many rounds it stays behind, or stops it where it is.
func (f *follower) trail(rounds int, frozen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lag, f.frozen = rounds, frozen
	f.advance()
}

func (f *follower) advance() {
	if !f.frozen {
		for len(f.ahead) > f.lag {
			f.at, f.ahead = f.ahead[0], f.ahead[1:]
		}
		return
	}
	// What it will skip over once it moves again need not be kept.
	if skipped := len(f.ahead) - f.lag - 1; skipped > 0 {
		f.ahead = append([]snapshot(nil), f.ahead[skipped:]...)
	}
}

func (f *follower) snapshot() snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// round is the indexer's current round.
func (f *follower) round() types.Round { return f.snapshot().round }
