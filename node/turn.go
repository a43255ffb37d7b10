package node

import "context"

// turn is a lock that nobody need wait for longer than they like.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn, or for the end of the context.
func (t turn) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err // though it may be free: a select takes either
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give lets the next one have it.
func (t turn) give() { <-t }
