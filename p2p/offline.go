package p2p

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
	pebbleds "github.com/ipfs/go-ds-pebble"

	"github.com/serviceledger/slnode/p2p/unixfs"
)

// Offline reads the store of a host that does not run.
type Offline struct {
	data  *pebbleds.Datastore // nil: there is nothing in it
	store *store
}

// OpenOffline opens the store in dir, to be read. No host may use it meanwhile. It may be damaged: what is read is
// checked.
func OpenOffline(dir string) (*Offline, error) {
	data, err := openPebble(dir, &pebble.Options{
		FS: vfs.Default, ReadOnly: true, EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, pebble.ErrDBDoesNotExist) {
		return &Offline{}, nil // no host has run on it yet
	}
	if err != nil {
		return nil, fmt.Errorf("open the block store in %s: %w", dir, err)
	}
	return &Offline{data: data, store: newStore(data, blockstore.NewBlockstore(data))}, nil
}

// Read is [Host.Read].
func (o *Offline) Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error) {
	if o.data == nil {
		return nil, fmt.Errorf("read directory %s: %w", root, unixfs.ErrNotFound)
	}
	d, err := unixfs.Load(ctx, root, o.store.source) // of whatever layout it is
	if err != nil {
		return nil, fmt.Errorf("read directory %s: %w", root, err)
	}
	// The host checks hashes beneath; here nobody did yet.
	for _, b := range d.Blocks() {
		if sum, err := b.Cid().Prefix().Sum(b.RawData()); err != nil || !sum.Equals(b.Cid()) {
			return nil, errors.Join(fmt.Errorf("block %s is damaged", b.Cid()), err)
		}
	}
	return d.Files()
}

// Close closes the store.
func (o *Offline) Close() error {
	if o.data == nil {
		return nil
	}
	return o.data.Close()
}
