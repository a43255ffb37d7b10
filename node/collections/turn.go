package collections

import (
	"context"
	"sync"
)

// turn is a lock that nobody need wait for longer than they like.
type turn struct {
	once sync.Once
	held chan struct{}
}

func (t *turn) begin() { t.once.Do(func() { t.held = make(chan struct{}, 1) }) }

// take waits for the turn, or for the end of the context.
func (t *turn) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err // who has left takes no turn, though it is free
	}
	t.begin()
	select {
	case t.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give lets the next one have it.
func (t *turn) give() { <-t.held }
