package publish

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// What stands between a stored item and its signature: nothing is minted twice, and nothing as it should not be any
// more.

// unpublished takes out what the chain has already, and records it: because a transaction was confirmed whose journal
// was lost.
func (m *Minter) unpublished(ctx context.Context, items []outbox.Item) ([]outbox.Item, error) {
	rest := items[:0:0]
	for _, item := range items {
		done, by, failure, err := m.done(&item)
		if err != nil {
			return nil, err
		}
		if !done && item.Note.Kind == wire.KindBatch && !item.Reopening {
			whole, err := m.unpublishedBatch(ctx, item)
			if err != nil {
				return nil, err
			}
			if !whole {
				continue
			}
		}
		if !done {
			rest = append(rest, item)
			continue
		}
		if err := m.Outbox.Resolve(item, by, failure); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// done reports whether the chain has what an item is to bring about, by which transaction if that is known, and why it
// is not what the item wanted if it isn't.
func (m *Minter) done(item *outbox.Item) (done bool, by consortium.Place, failure string, err error) {
	if item.Destroys != 0 {
		e, found, err := m.View.EventOf(item.Destroys)
		if err != nil || found && (e.State == view.Ended || item.Note.Index > 0 && e.HasWithdrawn(item.Note.Index)) {
			return err == nil, by, "", err
		}
	}
	if item.Note.Kind == wire.KindRelease {
		e, found, err := m.View.EventOf(item.Destroys)
		if err != nil || found && e.Sender != m.State.Self {
			return err == nil, by, "the NFT was minted with an account that this organisation had before", err
		}
	}
	if item.Note.Kind == wire.KindObject {
		entry, err := PublishedAs(m.View, m.State.Own(), *item)
		if err != nil {
			return false, by, "", err
		}
		if entry != nil {
			replaced, err := m.replaces(*item, entry)
			if err != nil {
				return false, by, "", err
			}
			if !replaced {
				if string(entry.Hash) != string(item.Hash) {
					failure = Conflict
				}
				return true, entry.Place(), failure, nil
			}
		}
	}
	e, err := m.signedBefore(item)
	if err != nil || e == nil {
		return false, by, "", err
	}
	return true, e.Place(), "", nil
}

// signedBefore finds the transaction with an item's lease that is on the chain already: this node, or the one that it
// was restored from, signed it. If what it made was withdrawn since, the item is the next publication of its key.
func (m *Minter) signedBefore(item *outbox.Item) (*view.Event, error) {
	for {
		e, found, err := m.View.Leased(m.lease(*item))
		if err != nil || !found {
			return nil, err
		}
		if e.State != view.Ended && e.Asset != item.ReplacesAsset {
			return &e, nil
		}
		item.Publication++
	}
}

// upToDate takes out the objects that must not reach who reads their collection now, and those that were sealed to a
// key epoch that is over, and has the latter sealed again: to mint them as they are would show them to a reader who was
// removed meanwhile. Those of a collection that isn't known (after the view was deleted, say) stay where they are.
func (m *Minter) upToDate(ctx context.Context, items []outbox.Item) (rest []outbox.Item, problem *obstacle, err error) {
	collections := map[string]consortium.Collection{} // as they are now, for the whole batch
	for _, c := range m.State.Collections() {
		collections[c.ID] = c
	}
	again := recheck{state: m.State, outbox: m.Outbox.Outbox}
	for _, item := range items {
		isBatch := item.Note.Kind == wire.KindBatch
		if item.Note.Kind != wire.KindObject && !isBatch {
			rest = append(rest, item)
			continue
		}
		now, err := again.look(item.Collection)
		if err != nil {
			return nil, nil, err
		}
		why := now.withholds(item)
		if why != nil && !isBatch { // of a batch, some may be published
			if err := m.giveUp(ctx, item, why); err != nil {
				return nil, nil, err
			}
			continue
		}
		if waits := now.holds(); waits != nil {
			problem = waits
			continue
		}
		c := collections[item.Collection] // of one that isn't known, nobody publishes
		if c.Pending {
			problem = &obstacle{Problem: "permission", Detail: "a record of collection " + item.Collection + " has not arrived"}
			continue
		}
		foreign := isBatch && item.Publisher != m.State.Self // so are the directories that it lists
		if c.Epoch == item.Epoch && c.MayPublish(m.State.Self) && why == nil && !item.Reopening && !foreign {
			rest = append(rest, item)
			continue
		}
		key := m.keyOf(item)
		if key == nil {
			problem = &obstacle{Problem: "permission", Detail: "the records of collection " + item.Collection + " have not arrived"}
			continue
		}
		if err := m.reopen(ctx, item, key); err != nil {
			return nil, nil, fmt.Errorf("taking %s %s back to be sealed again: %w", item.Note.Kind, item.ObjectID, err)
		}
		m.Log.Info("what was sealed is sealed again: its collection has changed, or this organisation's account", "object", item.ObjectID, "objects", max(1, item.Objects),
			"collection", item.Collection, "epoch", item.Epoch)
	}
	return rest, problem, nil
}

// giveUp ends an item that must not be published, and deletes its blocks.
func (m *Minter) giveUp(ctx context.Context, item outbox.Item, why error) error {
	root, err := cid.Decode(item.Directory)
	if err != nil {
		return fmt.Errorf("directory of item %d: %w", item.Number, err)
	}
	if err := m.Outbox.GiveUp(item, why.Error()); err != nil {
		return err
	}
	m.Log.Warn("an object is not published", "object", item.ObjectID, "collection", item.Collection, "reason", why)
	return m.Fresh.blocks.Forget(ctx, []cid.Cid{root})
}

// reopen takes an object, or a batch, back to be sealed again, with the key that it was sealed with.
func (m *Minter) reopen(ctx context.Context, item outbox.Item, key *seal.EpochKey) error {
	if item.Note.Kind == wire.KindBatch {
		return m.reopenBatch(ctx, item, key)
	}
	directory, plaintext, err := m.unsealed(ctx, item, key)
	if err != nil {
		return err
	}
	if err := m.Outbox.Reopen(item, plaintext); err != nil {
		return err
	}
	return m.Fresh.blocks.Forget(ctx, []cid.Cid{directory.Root()})
}

// PublishedAs finds what is in the view of a member of the same version, or of the same content if there are no
// versions.
func PublishedAs(served published, member string, item outbox.Item) (*view.Entry, error) {
	probe := &view.Entry{Member: member, Collection: item.Collection, ID: item.ObjectID, Version: item.Version, Hash: item.Hash, Unversioned: item.Version == ""}
	if !probe.Unversioned {
		instant, err := stix.ParseTimestamp(item.Version)
		if err != nil {
			return nil, err
		}
		probe.Instant = instant
	}
	return served.Same(probe)
}

// replaces reports whether an entry of the view is what an item takes the place of.
func (m *Minter) replaces(item outbox.Item, entry *view.Entry) (bool, error) {
	for {
		if item.ReplacesAsset != 0 && item.ReplacesAsset == entry.Asset && item.ReplacesIndex == entry.Position.Index ||
			item.TxID != "" && item.TxID == entry.TxID && item.Index == entry.Position.Index {
			return true, nil
		}
		if item.Replaces == 0 {
			return false, nil
		}
		old, found, err := m.Outbox.Item(item.Replaces)
		if err != nil || !found {
			return false, err
		}
		item = old
	}
}

// Conflict is why an object is not published that another one of this organisation is in the way of.
const Conflict = "this version of the object is published already, with other content"
