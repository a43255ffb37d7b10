package replicate

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/view"
)

// Lines has the view serve, of what several members publish under one id, the line that leads.
type Lines struct {
	View      lined
	State     *state.Shared
	Mistrusts []string // members whose lines never lead here, by name
}

// lined is a view that keeps each member's line of an object apart.
type lined interface {
	// Unled gets something when there is work for Relead.
	Unled() <-chan struct{}
	// Relead serves the lines that lead now.
	Relead(ctx context.Context) error
	// Mistrust says which members' lines never lead, by their first accounts.
	Mistrust(ctx context.Context, members []string) error
}

var _ lined = (*view.View)(nil)

// Run works until the context ends.
func (l *Lines) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.lead(ctx) })
	group.Go(func() error { return l.passOver(ctx) })
	return group.Wait()
}

// lead has the view serve the lines that lead, where that takes more than a step. It does so a tenth of the time at
// most, since others can cause it.
func (l *Lines) lead(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.View.Unled():
		}
		begun := time.Now()
		if err := l.View.Relead(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		retry.Wait(ctx, 9*time.Since(begun))
	}
}

// passOver tells the view whose lines never lead here: of the members that the operator named, as soon as they are
// known.
func (l *Lines) passOver(ctx context.Context) error {
	return signal.Each(ctx, &l.State.Changed, 0, func() error {
		accounts, _ := l.State.MembersCalled(l.Mistrusts)
		return l.View.Mistrust(ctx, accounts)
	})
}
