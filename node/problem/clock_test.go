package problem

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// blockClock is a chain that makes a round every three seconds, by a clock that is off by so much.
type blockClock struct {
	began time.Time
	off   time.Duration
	rests time.Duration // its blocks' time is behind by so much, and catches up
	idle  bool
	stuck bool // algod has got its last block again and again
}

func (b blockClock) Clock(context.Context) (round uint64, at, before time.Time, ago time.Duration, err error) {
	passed := time.Since(b.began)
	round = 1000 + uint64(passed/(3*time.Second))
	at = time.Now().Add(b.off - b.rests)
	before = at.Add(-3 * time.Second)
	if b.rests > 0 {
		before = at.Add(-slowestBlock)
	}
	if b.idle {
		round, ago = 1000, time.Hour
	}
	if b.stuck {
		round = 1000
	}
	return round, at, before, ago, nil
}

func TestAWrongClockIsSeenByTheBlocksTime(t *testing.T) {
	for name, c := range map[string]struct {
		chain blockClock
		known bool
		says  string
	}{
		"right":                {blockClock{}, true, ""},
		"some seconds off":     {blockClock{off: 20 * time.Second}, true, ""},
		"we are behind":        {blockClock{off: 2 * time.Hour}, true, "2h0m0s behind the chain's"},
		"we are ahead":         {blockClock{off: -40 * time.Minute}, true, "40m0s ahead of the chain's"},
		"the chain rested":     {blockClock{rests: 3 * time.Hour}, false, ""},
		"the chain is resting": {blockClock{off: -time.Hour, idle: true}, false, ""},
		"algod is stuck":       {blockClock{off: -time.Hour, stuck: true}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.chain.began = time.Now()
				g := &Clock{ledger: c.chain, Condition: NewMonitor("the clock", slog.New(slog.DiscardHandler))}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- g.Run(ctx) }()
				time.Sleep(firstClockLooks / 2)
				if _, known := g.Ahead(); known {
					t.Error("the first block that is seen, which may be an old one, is taken for the time")
				}
				time.Sleep(5 * time.Minute)
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if _, known := g.Ahead(); known != c.known {
					t.Errorf("known %t", known)
				}
				if detail := g.Condition.Get().Detail; (c.says == "") != (detail == "") || !strings.Contains(detail, c.says) {
					t.Errorf("it says %q, want %q", detail, c.says)
				}
			})
		})
	}
}
