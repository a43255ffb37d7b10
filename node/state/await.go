package state

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
)

// Follower follows the chain.
type Follower interface {
	AwaitTip(ctx context.Context) error
	State() chainwatch.State
}

// Source is how it goes with one source of the chain.
type Source = chainwatch.SourceState

// SourceAlgod is what algod is called among the sources.
const SourceAlgod = chainwatch.AlgodName

// AwaitTip waits until the state has reached the tip of the chain once.
func AwaitTip(ctx context.Context, f Follower) error {
	if err := f.AwaitTip(ctx); err != nil {
		return fmt.Errorf("the chain could not be followed to its tip (%s): %w", f.State().Detail, err)
	}
	return nil
}

// lookEvery is how often it is looked whether a round has come.
const lookEvery = 50 * time.Millisecond

// AwaitRound waits until the state has reached a round of the chain.
func AwaitRound(ctx context.Context, f Follower, round uint64) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		now := f.State()
		if now.Cursor >= round {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the chain is followed to round %d of %d only (%s): %w", now.Cursor, round, now.Detail, ctx.Err())
		case <-ticker.C:
		}
	}
}

// Now is the time as it is kept: UTC, in microseconds.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
