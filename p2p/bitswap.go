package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

const (
	bitswapParallel = 32 // more, and sessions stall
	bitswapLarge    = 2  // of them, files of more than one block: each up to 12 MiB of memory
	bitswapAttempts = 2
)

// askBitswap gets what is still wanted block by block from whoever has it: slowly, but from any IPFS node.
// A session can lose its peers for good, so a second attempt is made with a fresh one.
func (f *fetch) askBitswap(ctx context.Context) error {
	budget, cancel := context.WithTimeout(ctx, f.wait.bitswapTotal)
	defer cancel()
	for range bitswapAttempts {
		wanted := f.hunt.missing()
		if len(wanted) == 0 || budget.Err() != nil || len(f.host.Network().Peers()) == 0 {
			break
		}
		if err := f.bitswapSession(ctx, budget, wanted); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// bitswapSession tries each of the directories once. What it cannot get is no error.
// The budget bounds the asking, not the writing of what came.
func (f *fetch) bitswapSession(ctx, budget context.Context, wanted []cid.Cid) error {
	budget, cancel := context.WithCancel(budget) // a session ends with its context
	defer cancel()
	session := f.bitswap.NewSession(budget)
	large := make(chan struct{}, bitswapLarge)

	var mu sync.Mutex
	batch := f.newBatch("")
	var g errgroup.Group
	g.SetLimit(bitswapParallel)
	for _, root := range wanted {
		g.Go(func() error {
			deadline, cancel := context.WithTimeout(budget, f.wait.bitswap)
			defer cancel()
			d, release, err := loadBySession(deadline, session, root, large)
			defer release()
			if errors.Is(err, unixfs.ErrNotDirectory) {
				f.reject(root)
				return nil
			}
			if err != nil {
				f.log.Debug("bitswap did not get a directory", "cid", root, "error", err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			return batch.add(ctx, d)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return batch.commit(ctx)
}

// loadBySession loads one directory. A large one holds a place in large until release is called.
func loadBySession(ctx context.Context, session exchange.Fetcher, root cid.Cid, large chan struct{}) (d unixfs.Directory, release func(), err error) {
	release = func() {}
	level := 0
	d, err = unixfs.Load(ctx, root, func(ctx context.Context, want ...cid.Cid) ([]blocks.Block, error) {
		if level++; level == 3 { // the chunks of a large file
			select {
			case large <- struct{}{}:
				release = func() { <-large }
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return getBlocks(ctx, session, want)
	})
	return d, release, err
}

// getBlocks asks a session. Bitswap names a block by the hash that it computes, so no other check is needed.
func getBlocks(ctx context.Context, session exchange.Fetcher, want []cid.Cid) ([]blocks.Block, error) {
	in, err := session.GetBlocks(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("ask by bitswap: %w", err)
	}
	got := make(map[cid.Cid]blocks.Block, len(want))
	for b := range in {
		got[b.Cid()] = b
	}
	ordered := make([]blocks.Block, len(want))
	for i, c := range want {
		if ordered[i] = got[c]; ordered[i] == nil {
			return nil, fmt.Errorf("block %s by bitswap: %w", c, unixfs.ErrNotFound)
		}
	}
	return ordered, nil
}
