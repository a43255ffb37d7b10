package problem

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Clock compares this machine's clock with that of the chain: with a wrong one, members' nodes and servers with
// certificates refuse each other for reasons that don't mention it.
type Clock struct {
	ledger    blockTimes
	Condition *Monitor

	mu    sync.Mutex
	by    time.Duration
	known bool
}

// NewClock compares this machine's clock with the chain's.
func NewClock(l blockTimes, log *slog.Logger) *Clock {
	return &Clock{ledger: l, Condition: NewMonitor("the clock", log)}
}

// blockTimes is algod as a clock.
type blockTimes interface {
	// Clock gives the last round, its block's time, that of the block before, and how long ago algod got it.
	Clock(ctx context.Context) (round uint64, at, before time.Time, ago time.Duration, err error)
}

const (
	firstClockLooks = 30 * time.Second
	clockLooks      = 10 * time.Minute
	// wrongClock is when a clock counts as wrong. From an hour on, members' nodes refuse each other.
	wrongClock = 5 * time.Minute
	// A block's time is at most slowestBlock after that of the one before: the time of a chain that rested is behind.
	slowestBlock = 25 * time.Second
	// freshBlock is how old a block may be to say what time it is.
	freshBlock = time.Minute
)

// Run compares until the context ends.
func (g *Clock) Run(ctx context.Context) error {
	seen := uint64(0)
	for look := 0; ; look++ {
		round, at, before, ago, err := g.ledger.Clock(ctx)
		if err == nil && seen > 0 && round > seen && at.Sub(before) < slowestBlock && ago < freshBlock {
			g.compare(time.Now().Add(-ago), at)
		}
		if err == nil {
			seen = round
		}
		pause := clockLooks
		if look < 3 {
			pause = firstClockLooks
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// compare notes what our clock and the chain's say of the same moment.
func (g *Clock) compare(ours, chains time.Time) {
	by := ours.Sub(chains)
	g.mu.Lock()
	g.by, g.known = by, true
	g.mu.Unlock()
	if by.Abs() < wrongClock {
		g.Condition.Clear()
		return
	}
	which := "ahead of"
	if by < 0 {
		which = "behind"
	}
	g.Condition.Set("clock", fmt.Sprintf("this machine's clock is %s %s the chain's: members' nodes and servers with certificates may refuse it",
		by.Abs().Round(time.Second), which))
}

// Ahead is by how much our clock is ahead of the chain's.
func (g *Clock) Ahead() (by time.Duration, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.by, g.known
}
