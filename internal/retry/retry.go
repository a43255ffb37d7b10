// Package retry says how long to wait before what has failed is tried again.
package retry

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
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
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// Asked is how long a server asks to wait in Retry-After, at most so long, in either of its forms (RFC 9110, section
// 10.2.3): seconds, or a date, which is by the server's clock if its own Date tells that. It is 0 if the server names
// no time.
func Asked(header http.Header, now time.Time, most time.Duration) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return max(0, min(at.Sub(now), most))
}
