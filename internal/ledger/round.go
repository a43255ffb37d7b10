package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"

	"github.com/serviceledger/slnode/internal/algorand"
)

// Round asks algod for the last round.
func (l *Ledger) Round(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ask := func() (uint64, error) { return l.lastRound(ctx) }
	round, err := ask()
	if err != nil {
		return 0, err
	}
	return l.clock.check(round, ask)
}

// ErrCatchingUp means that algod knows itself that it is behind the chain.
var ErrCatchingUp = errors.New("algod is catching up with the chain, or can't follow it any further")

// Tip is Round of an algod that can tell: its error wraps [ErrCatchingUp] if algod is behind by its own account.
func (l *Ledger) Tip(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, err := l.status(ctx)
	if err != nil {
		return 0, err
	}
	if status.CatchupTime > 0 || status.Catchpoint != "" || status.StoppedAtUnsupportedRound {
		return 0, fmt.Errorf("round %d: %w", status.LastRound, ErrCatchingUp)
	}
	return l.clock.check(status.LastRound, func() (uint64, error) { return l.lastRound(ctx) })
}

// WaitAfter returns the last round as soon as it is greater than the given one, or after about a minute in any case.
func (l *Ledger) WaitAfter(ctx context.Context, round uint64) (uint64, error) {
	return l.waits.do(ctx, round, func(ctx context.Context) (uint64, error) { return l.waitAfter(ctx, round) })
}

func (l *Ledger) waitAfter(ctx context.Context, round uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	status, err := l.checked(l.algod.StatusAfterBlock(round).Do(ctx))
	if err != nil {
		return 0, fmt.Errorf("waiting for round %d: %w", round+1, err)
	}
	return l.clock.check(status.LastRound, func() (uint64, error) { return l.lastRound(ctx) })
}

// patience is for how long a round is waited for by who looks again then: a chain without transactions may stand still.
const patience = 5 * time.Second

// AwaitRound returns as soon as there is a round after the given one, or after some seconds in any case: who waits for
// a transaction looks for it then.
func AwaitRound(ctx context.Context, l interface {
	WaitAfter(ctx context.Context, round uint64) (uint64, error)
}, round uint64) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := l.WaitAfter(waiting, round)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// waitTimeout bounds one call of algod for a round that is to come: algod itself answers after a minute at the latest.
const waitTimeout = 90 * time.Second

func (l *Ledger) status(ctx context.Context) (models.NodeStatus, error) {
	status, err := l.checked(l.algod.Status().Do(ctx))
	if err != nil {
		return models.NodeStatus{}, fmt.Errorf("asking algod for the last round: %w", err)
	}
	return status, nil
}

// checked is a status that is algod's own.
func (l *Ledger) checked(status models.NodeStatus, err error) (models.NodeStatus, error) {
	if err == nil && status.LastRound == 0 && status.LastVersion == "" {
		err = &algorand.ForeignError{Server: "algod", What: "a status without a round"}
	}
	return status, err
}

func (l *Ledger) lastRound(ctx context.Context) (uint64, error) {
	status, err := l.status(ctx)
	return status.LastRound, err
}

// apart is by how many rounds two answers of one algod may differ: behind the address of a provider there are many,
// and one that is behind does not have the block yet in which another has confirmed the transaction.
const apart = 10

// jump is by how many rounds an answer may differ from the one before, beside one a second, until it is asked for
// again.
const jump = 100

// clock remembers algod's last round. One wrong answer must not decide for which rounds something is signed, or that
// they are over.
type clock struct {
	mu    sync.Mutex
	round uint64
	at    time.Time
}

// check gives the last round, after an answer. One that is far from those before is asked for again; then the second
// counts, if it is near to one of them.
func (c *clock) check(said uint64, again func() (uint64, error)) (uint64, error) {
	if c.near(said) {
		return c.set(said), nil
	}
	second, err := again()
	if err != nil {
		return 0, err
	}
	if c.near(second) || distance(said, second) <= jump {
		return c.set(second), nil
	}
	return 0, fmt.Errorf("algod says that the last round is %d, and a moment later that it is %d", said, second)
}

func (c *clock) near(round uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero() && round+jump >= c.round && round <= c.round+jump+uint64(time.Since(c.at)/time.Second)
}

func (c *clock) set(round uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round, c.at = round, time.Now()
	return round
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// Clock gives the last round, its block's time, that of the block before, and how long ago algod got it.
func (l *Ledger) Clock(ctx context.Context) (round uint64, at, before time.Time, ago time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, err := l.status(ctx)
	if err != nil {
		return 0, at, before, 0, err
	}
	for _, one := range []struct {
		round uint64
		at    *time.Time
	}{{status.LastRound - min(status.LastRound, 1), &before}, {status.LastRound, &at}} {
		header, err := l.algod.Block(one.round).HeaderOnly(true).Do(ctx)
		if err == nil && uint64(header.Round) != one.round {
			err = fmt.Errorf("algod gave block %d", header.Round)
		}
		if err != nil {
			return 0, at, before, 0, fmt.Errorf("reading the time of block %d: %w", one.round, err)
		}
		*one.at = time.Unix(header.TimeStamp, 0)
	}
	return status.LastRound, at, before, time.Duration(status.TimeSinceLastRound), nil
}
