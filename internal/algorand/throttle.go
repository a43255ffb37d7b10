package algorand

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/retry"
)

// Throttled is a server's wish for fewer requests: answer 429, 503 or, from providers whose daily quota is used up,
// 403; and any other error with a Retry-After.
type Throttled struct {
	Status  int
	After   time.Duration // how long the server asks to wait; 0 if it doesn't say
	Message string        // the server's, shortened
}

func (t *Throttled) Error() string {
	text := fmt.Sprintf("the server answered %d", t.Status)
	if t.After > 0 {
		text += fmt.Sprintf(" and asks to wait %s", t.After.Round(100*time.Millisecond))
	}
	if t.Message != "" {
		text += ": " + t.Message
	}
	return text
}

// IsThrottled reports whether a call failed because the server wants fewer requests, and for how long it wants none.
func IsThrottled(err error) (after time.Duration, throttled bool) {
	var t *Throttled
	if errors.As(err, &t) {
		return t.After, true
	}
	return 0, false
}

// Pause is how long to wait after a failed call before the next: the given time, or longer if the server asks for it.
func Pause(err error, least time.Duration) time.Duration {
	after, _ := IsThrottled(err)
	return max(least, after)
}

// maxRetryAfter bounds what a server can ask for.
const maxRetryAfter = 10 * time.Minute

func retryAfter(header http.Header, now time.Time) time.Duration {
	return retry.Asked(header, now, maxRetryAfter)
}

// The gap that is kept between requests to a server that refused one without saying for how long. It doubles with every
// refusal and shrinks with every answer, so that it settles near the rate that the server allows.
const (
	firstGap   = 100 * time.Millisecond
	longestGap = time.Second
	noGap      = 20 * time.Millisecond
)

// callTime is what must be left of a call's time once its turn has come.
const callTime = 3 * time.Second

// gate is what stands before a server that asked for fewer requests.
type gate struct {
	mu     sync.Mutex
	closed time.Time // until then no request is made, since the server said so
	why    Throttled
	gap    time.Duration
	next   time.Time // of the next request, by the gap
}

// pass waits for a request's turn. If that comes later than the context allows, it says so at once.
func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	now := time.Now()
	turn := now
	if g.closed.After(turn) {
		turn = g.closed
	}
	if g.gap > 0 && g.next.After(turn) {
		turn = g.next
	}
	why := g.why
	if deadline, ok := ctx.Deadline(); ok && turn != now && turn.Add(callTime).After(deadline) {
		g.mu.Unlock()
		why.After = turn.Sub(now)
		return &why
	}
	g.next = turn.Add(g.gap)
	g.mu.Unlock()
	if turn == now {
		return nil
	}
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answered notes that the server took a request.
func (g *gate) answered() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gap = g.gap * 3 / 4; g.gap < noGap {
		g.gap = 0
	}
}

// refused notes that it wants fewer.
func (g *gate) refused(t *Throttled) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = *t
	if t.After > 0 {
		if until := time.Now().Add(t.After); until.After(g.closed) {
			g.closed = until
		}
		return
	}
	if t.Status == http.StatusTooManyRequests {
		g.gap = min(max(2*g.gap, firstGap), longestGap)
		g.next = time.Now().Add(g.gap)
	}
}
