// Package retry says how long to wait before what has failed is tried again.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is a pause that is twice as long after each failure. Half of it is random, so that many who fail at one time
// don't come back at one time.
type Backoff struct {
	First, Most time.Duration
}

// After is the pause after a failure that so many others came before, in a row.
func (b Backoff) After(failures int) time.Duration {
	pause := b.First
	for range failures {
		if pause >= b.Most {
			break
		}
		pause *= 2
	}
	half := min(pause, b.Most) / 2
	return half + rand.N(half+1)
}

// Wait waits for so long, or until the context ends. It reports whether it does not end.
func Wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
