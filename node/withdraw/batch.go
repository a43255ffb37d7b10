package withdraw

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/view"
)

// eventOf finds what published something.
func (w *Withdrawer) eventOf(of swarm.Published) (e view.Event, found bool, err error) {
	e, found, err = w.View.EventOf(of.Asset)
	if err != nil || !found || of.Index == 0 {
		return e, found, err
	}
	return w.View.Published(wire.Publication{TxID: e.TxID, Index: of.Index})
}

// batchNamed finds the batch that a transaction made.
func (w *Withdrawer) batchNamed(what string) (batch view.Event, is bool, err error) {
	batch, found, err := w.published(what)
	return batch, found && batch.Note.Kind == wire.KindBatch && batch.Index == 0, err
}

// beginBatch takes the withdrawal of all of a batch into the outbox.
func (w *Withdrawer) beginBatch(ctx context.Context, batch view.Event) (one Withdrawal, err error) {
	if !w.State.Ours(batch.Sender) {
		return one, problem.Input(errNotPublisher)
	}
	objects, err := w.View.Objects(batch)
	if err != nil {
		return one, err
	}
	one = Withdrawal{TxID: batch.TxID, Asset: batch.Asset}
	for _, object := range objects {
		entry, err := w.View.Entry(object)
		if err != nil {
			return one, err
		}
		if entry == nil {
			continue
		}
		one.Collection = entry.Collection
		one.Objects++
		if err := takeBack(w.Outbox, entry.Collection, entry.ID); err != nil { // before a feed can see it gone
			return one, err
		}
	}
	item, err := w.End(ctx, one.of())
	if err != nil {
		return one, fmt.Errorf("withdrawing batch %s: %w", batch.TxID, err)
	}
	one.Requested, one.Destroyed = item.StoredAt, item.TxID
	return one, w.remember(one)
}

// endEmpty destroys the NFTs of batches of which every object was withdrawn.
func (w *Withdrawer) endEmpty(ctx context.Context) error {
	open, err := w.unacknowledged()
	if err != nil {
		return err
	}
	seen := map[uint64]bool{}
	for _, of := range open {
		if of.Index == 0 || seen[of.Asset] {
			continue
		}
		seen[of.Asset] = true
		batch, found, err := w.View.EventOf(of.Asset)
		if err != nil {
			return err
		}
		// While it waits for something, some of it may not be known yet.
		if !found || batch.State != view.Held || batch.Sender != w.State.Self || !w.isNews(batch) {
			continue
		}
		empty, err := w.isEmpty(batch)
		if err != nil {
			return err
		}
		if empty {
			if _, err := w.Destroy(ctx, of.Asset); err != nil {
				return fmt.Errorf("destroying the NFT of a batch that is withdrawn: %w", err)
			}
		}
	}
	return nil
}

// isNews reports whether objects of a batch were withdrawn since it was looked at.
func (w *Withdrawer) isNews(batch view.Event) bool {
	n := 0
	for _, b := range batch.Withdrawn {
		n += bits.OnesCount8(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == nil || len(w.left) > maxOpen {
		w.left = map[uint64]int{}
	}
	before := w.left[batch.Asset]
	w.left[batch.Asset] = n
	return n > before
}

func (w *Withdrawer) isEmpty(batch view.Event) (bool, error) {
	objects, err := w.View.Objects(batch)
	if err != nil {
		return false, err
	}
	for _, object := range objects {
		if object.State != view.Ended && !batch.HasWithdrawn(object.Index) {
			return false, nil
		}
	}
	return true, nil
}
