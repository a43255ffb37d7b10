package withdraw

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Replacer ends what other publications of this organisation take the place of. Both are publications of the same
// version, of which the earlier on the chain counts: so the new one is minted first, and when that is certain the old
// one is withdrawn, and every member's view shows the new one in its place, without a gap.
type Replacer struct {
	Outbox interface {
		items
		// Replacing gives some items after a number that take the place of others, until they have.
		Replacing(after uint64, limit int) ([]outbox.Item, error)
		// Replaced records that an item has taken its place, or can't.
		Replaced(number uint64) error
	}
	Done *signal.Signal // something was confirmed, given up, or withdrawn
	End  func(ctx context.Context, of swarm.Published) (outbox.Item, error)
	Log  *slog.Logger
}

// Run ends what is replaced until the context ends.
func (r *Replacer) Run(ctx context.Context) error {
	return signal.Each(ctx, r.Done, 0, func() error { return r.endAll(ctx) })
}

// replacingBatch is how many replacements are looked at in one read.
const replacingBatch = 256

// endAll ends what is replaced and can be ended now.
func (r *Replacer) endAll(ctx context.Context) error {
	for after := uint64(0); ; {
		items, err := r.Outbox.Replacing(after, replacingBatch)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			after = item.Number
			if err := r.endOne(ctx, item); err != nil {
				return fmt.Errorf("ending what object %s takes the place of: %w", item.ObjectID, err)
			}
		}
	}
}

// endOne ends what an item replaces, if it is on the chain itself.
func (r *Replacer) endOne(ctx context.Context, item outbox.Item) error {
	switch {
	case item.State < outbox.Confirmed:
		return nil
	case item.Failure != "": // what was to be replaced stays
		return r.Outbox.Replaced(item.Number)
	}
	replaced, known, err := Replaced(r.Outbox, item)
	if err != nil || !known {
		return err
	}
	for _, of := range replaced {
		if _, err := r.End(ctx, of); err != nil {
			return err
		}
	}
	r.Log.Info("an object takes the place of what was published as the same version", "object", item.ObjectID, "version", item.Version, "txid", item.TxID)
	return r.Outbox.Replaced(item.Number)
}

// items finds items of the outbox by their numbers.
type items interface {
	Item(number uint64) (item outbox.Item, found bool, err error)
}

// Replaced gives what an item takes the place of. It is not known as long as some of it is on its way itself.
func Replaced(box items, item outbox.Item) (replaced []swarm.Published, known bool, err error) {
	first := swarm.Published{Asset: item.ReplacesAsset, Index: item.ReplacesIndex}
	if first.Asset != 0 {
		replaced = append(replaced, first)
	}
	if item.Replaces == 0 {
		return replaced, true, nil
	}
	old, found, err := box.Item(item.Replaces)
	switch {
	case err != nil:
		return nil, false, err
	case !found || old.Failure != "" || old.State == outbox.Withdrawn:
		return replaced, true, nil
	case old.State < outbox.Confirmed:
		return nil, false, nil
	}
	if second := (swarm.Published{Asset: old.Asset, Index: old.Index}); second.Asset != 0 && second != first {
		replaced = append(replaced, second)
	}
	return replaced, true, nil
}
