package node

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
)

// follower follows the chain.
type follower interface {
	AwaitTip(ctx context.Context) error
	State() chainwatch.State
}

// awaitTip waits until the state has reached the tip of the chain once.
func awaitTip(ctx context.Context, f follower) error {
	if err := f.AwaitTip(ctx); err != nil {
		return fmt.Errorf("the indexer could not be followed to the tip of the chain (%s): %w", f.State().Detail, err)
	}
	return nil
}

// now is the time as it is kept: UTC, in microseconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
