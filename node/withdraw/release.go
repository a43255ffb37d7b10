package withdraw

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Releaser destroys the NFTs of objects and batches some time after they were confirmed: their deposits are free again,
// and what they have published stays. Each is released once: what decides is the outbox, which has either the release
// of an NFT or its withdrawal. It is in no hurry: a few are released at a time, in turn with what is published.
type Releaser struct {
	Outbox interface {
		items
		Accept(submissions []outbox.Submission) ([]outbox.Item, error)
		// Deposits gives some NFTs that were confirmed before a time, the earliest first, until they are decided about.
		Deposits(before time.Time, limit int) ([]outbox.Deposit, error)
		Decided(d outbox.Deposit) error
	}
	View interface {
		EventOf(asset uint64) (e view.Event, found bool, err error)
		Cursor() (round uint64, err error)
	}
	State *state.Shared
	After time.Duration // 0: nothing is released
	Log   *slog.Logger

	waiting []uint64 // items that are on their way
}

const (
	releaseEvery   = time.Minute
	releasesAtOnce = 4 * ledger.MaxGroup
)

// Run releases until the context ends.
func (r *Releaser) Run(ctx context.Context) error {
	if r.After == 0 {
		return nil
	}
	ticker := time.NewTicker(releaseEvery)
	defer ticker.Stop()
	for {
		if err := r.releaseSome(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// releaseSome takes releases into the outbox, unless some are on their way.
func (r *Releaser) releaseSome() error {
	for len(r.waiting) > 0 {
		item, found, err := r.Outbox.Item(r.waiting[0])
		if err != nil || found && item.State < outbox.Confirmed {
			return err
		}
		r.waiting = r.waiting[1:]
	}
	due, err := r.Outbox.Deposits(state.Now().Add(-r.After), releasesAtOnce)
	if err != nil {
		return err
	}
	for _, d := range due {
		if err := r.release(d); err != nil {
			return fmt.Errorf("releasing NFT %d: %w", d.Item.Asset, err)
		}
	}
	if len(r.waiting) > 0 {
		r.Log.Info("NFTs are released: their deposits come back, what they published stays", "nfts", len(r.waiting))
	}
	return nil
}

// release takes the release of an NFT into the outbox, if it has one. That it is decided about is noted afterwards: who
// is killed in between does it again, and it is there already.
func (r *Releaser) release(d outbox.Deposit) error {
	asset := d.Item.Asset
	event, found, err := r.View.EventOf(asset)
	switch {
	case err != nil:
		return err
	case d.Item.State != outbox.Confirmed || found && (event.State == view.Ended || event.Sender != r.State.Self):
		return r.Outbox.Decided(d) // it is withdrawn, or another account's now
	case !found:
		followed, err := r.View.Cursor()
		if err != nil || followed < d.Item.Round {
			return err // it will be there
		}
		return r.Outbox.Decided(d) // it counts for nothing
	case event.Note.Kind != wire.KindObject && event.Note.Kind != wire.KindBatch:
		return r.Outbox.Decided(d)
	}
	items, err := r.Outbox.Accept([]outbox.Submission{{Unless: destroyKey(asset), Item: outbox.Item{
		Key: releaseKey(asset), Note: wire.Note{Kind: wire.KindRelease}, Destroys: asset, StoredAt: state.Now(), User: releases, Bulk: true,
	}}})
	if err != nil {
		return err
	}
	if items[0].Note.Kind == wire.KindRelease {
		r.waiting = append(r.waiting, items[0].Number)
	}
	return r.Outbox.Decided(d)
}

// releases is who all releases are for: so they take turns with everything else.
const releases = "releases:" // which is nobody's name

func releaseKey(asset uint64) []byte { return publish.KeyOf("release", strconv.FormatUint(asset, 10)) }
