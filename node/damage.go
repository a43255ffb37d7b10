package node

import (
	"context"
	"errors"
	"fmt"
)

// ErrAgain means that the node ended because something that can be derived again was found damaged while it ran: to
// open it again is to derive it.
var ErrAgain = errors.New("a store is damaged, and is derived again")

// watchStores ends the node when a store is found damaged. What else is in a damaged one can't be trusted, and every
// part of the node reads them. If it is the view or the block store, the node is opened again, in the same process.
func (n *Node) watchStores(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.repo.Damaged():
		return fmt.Errorf("the state: %w", n.repo.Damage())
	case <-n.repo.View.Damaged():
		return fmt.Errorf("the view: %w", n.repo.View.Damage())
	case <-n.host.Damaged():
		return fmt.Errorf("the block store: %w", n.host.Damage())
	}
}

// again makes an error of a node that ran an [ErrAgain], if what it comes from is damage that another start mends.
func (n *Node) again(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrAgain) || n.repo.View.Damage() == nil && n.host.Damage() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAgain, errors.Join(n.repo.View.Damage(), n.host.Damage()))
}
