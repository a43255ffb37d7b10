package node

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/keys"
)

// Connect finds the daemon of a repository, or runs the node in this process, for which sealed keys are opened.
func Connect(ctx context.Context, dir string, passphrase keys.Passphrase, log *slog.Logger) (*control.Client, error) {
	if client, err := control.FindDaemon(ctx, dir); client != nil || err != nil {
		return client, err
	}
	return runInProcess(ctx, dir, passphrase, log)
}

// runInProcess runs a node that serves nobody but this client.
func runInProcess(ctx context.Context, dir string, passphrase keys.Passphrase, log *slog.Logger) (_ *control.Client, err error) {
	r, err := repo.Open(dir, passphrase)
	if err != nil {
		return nil, err
	}
	n, err := Open(ctx, r, log)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s := control.NewServers(log, door.Hosts{})
	admin, err := s.ListenOperator(r.Dir, n.operator.Handler)
	if err != nil {
		return nil, errors.Join(err, n.Close(), r.Close())
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, runCtx := errgroup.WithContext(runCtx)
	group.Go(func() error { return n.Run(runCtx) })
	s.Serve(runCtx, group)
	n.awaitView(ctx)
	return control.NewOwnClient(admin, func() error {
		stop()
		err := group.Wait()
		if errors.Is(err, members.ErrRotated) { // who asked for it was told
			err = nil
		}
		return errors.Join(err, n.Close(), r.Close())
	}), nil
}

// awaitView waits until the state has reached the tip of the chain and what is new has been asked for once.
func (n *Node) awaitView(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, control.CatchUpTimeout)
	defer cancel()
	if err := state.AwaitTip(ctx, n.watcher); err != nil {
		n.log.Warn("the chain can't be followed; what is known is shown", "error", err)
		return
	}
	_ = n.fetcher.AwaitFetched(ctx) // if it takes too long, what is known is shown
}
