package p2p

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
)

// Offline reads the store of a host that does not run.
type Offline struct {
	repo  *repository
	store *store
}

// OpenOffline opens the store in dir. No host may use it meanwhile.
func OpenOffline(dir string) (*Offline, error) {
	repo, err := openRepository(vfs.Default, &Config{Dir: dir}, nil)
	if err != nil {
		return nil, fmt.Errorf("open the block store in %s: %w", dir, err)
	}
	blocks := blockstore.NewGCBlockstore(blockstore.NewBlockstore(repo.Datastore()), blockstore.NewGCLocker())
	return &Offline{repo: repo, store: &store{blocks: blocks}}, nil
}

// Read is [Host.Read].
func (o *Offline) Read(ctx context.Context, root cid.Cid) ([]File, error) {
	d, err := o.store.load(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", root, err)
	}
	// The host checks hashes beneath; here nobody did yet.
	for _, b := range d.blocks {
		if sum, err := b.Cid().Prefix().Sum(b.RawData()); err != nil || !sum.Equals(b.Cid()) {
			return nil, errors.Join(fmt.Errorf("block %s is damaged", b.Cid()), err)
		}
	}
	return d.Files()
}

// Close closes the store.
func (o *Offline) Close() error { return o.repo.Close() }
