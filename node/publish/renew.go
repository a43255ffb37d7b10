package publish

import (
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// ours gives items that this organisation's account can mint: what was stored for another one, which it had before,
// becomes a directory of its own. What is sealed in it stays as it is.
func (m *Minter) ours(ctx context.Context, items []outbox.Item) ([]outbox.Item, error) {
	var all, renewed []outbox.Item
	var directories []unixfs.Directory
	var former []cid.Cid
	for _, item := range items {
		if isDestroy(item) || item.Publisher == m.State.Self {
			all = append(all, item)
			continue
		}
		root, err := cid.Decode(item.Directory)
		if err != nil {
			return nil, fmt.Errorf("directory of item %d: %w", item.Number, err)
		}
		directory, err := m.renew(ctx, &item)
		if err != nil {
			return nil, fmt.Errorf("making what was stored by %s that of %s: item %d: %w", item.Publisher, m.State.Self, item.Number, err)
		}
		all, renewed = append(all, item), append(renewed, item)
		directories, former = append(directories, directory), append(former, root)
	}
	if len(renewed) == 0 {
		return all, nil
	}
	if err := m.Fresh.blocks.Put(ctx, directories); err != nil {
		return nil, fmt.Errorf("storing %d directories for another account: %w", len(directories), err)
	}
	if err := m.Outbox.Outbox.SetStored(renewed); err != nil {
		return nil, err
	}
	m.Fresh.add(directories)
	m.Log.Info("what was stored for the account before is this one's", "items", len(renewed), "account", m.State.Self)
	return all, m.Fresh.blocks.Forget(ctx, former)
}

// renew makes an item that of this organisation's account.
func (m *Minter) renew(ctx context.Context, item *outbox.Item) (directory unixfs.Directory, err error) {
	former, err := m.Fresh.take(ctx, item.Directory)
	if err != nil {
		return directory, err
	}
	files, err := former.Files()
	if err != nil {
		return directory, err
	}
	metadata, payload := unixfs.Pick(files, wire.MetadataName)
	draft, err := consortium.Redraft(item.Note, metadata, payload)
	if err != nil {
		return directory, err
	}
	return m.draftAs(draft, item)
}

// draftAs makes a draft what an item mints, with this organisation's account.
func (m *Minter) draftAs(draft consortium.Draft, item *outbox.Item) (directory unixfs.Directory, err error) {
	if draft, err = draft.By(m.State.Self); err != nil {
		return directory, err
	}
	if directory, err = DirectoryOf(draft); err != nil {
		return directory, err
	}
	hash := wire.MetadataHash(draft.Metadata)
	item.Publisher, item.Directory, item.MetadataHash = m.State.Self, directory.Root().String(), hash[:]
	return directory, nil
}

// recalled gives items in which a record takes the place of the destruction of an NFT that another account has minted,
// which this organisation had before: nobody else can destroy it, and what it published is to end all the same.
func (m *Minter) recalled(ctx context.Context, items []outbox.Item) ([]outbox.Item, error) {
	items = slices.Clone(items)
	for i, item := range items {
		if item.Note.Kind != wire.KindDestroy {
			continue
		}
		e, found, err := m.View.EventOf(item.Destroys)
		if err == nil && found && e.Sender != m.State.Self && e.State != view.Ended {
			items[i], err = m.recall(ctx, item, e)
		}
		if err != nil {
			return nil, fmt.Errorf("withdrawing what NFT %d has published: %w", item.Destroys, err)
		}
	}
	return items, nil
}

// recall makes the destruction of an NFT the record that ends what it published: an object or a batch, or a membership.
func (m *Minter) recall(ctx context.Context, item outbox.Item, e view.Event) (outbox.Item, error) {
	var draft consortium.Draft
	var err error
	if e.Note.Kind == wire.KindMember {
		draft, err = consortium.DraftRemoval(m.Consortium, e.Note.Account, item.StoredAt)
	} else {
		draft, err = consortium.DraftWithdrawal(m.Consortium, item.Destroys, 0, item.StoredAt)
	}
	if err != nil {
		return item, err
	}
	directory, err := m.draftAs(draft, &item)
	if err != nil {
		return item, err
	}
	draft.Note.Sequence = item.Note.Sequence
	item.Note, item.Destroys = draft.Note, draft.Note.Asset
	if err := m.Fresh.blocks.Put(ctx, []unixfs.Directory{directory}); err != nil {
		return item, err
	}
	if err := m.Outbox.Outbox.SetStored([]outbox.Item{item}); err != nil {
		return item, err
	}
	m.Fresh.add([]unixfs.Directory{directory})
	m.Log.Info("a record withdraws what this account can't destroy: the account before has minted it", "asset", e.Asset, "by", e.Sender)
	return item, nil
}
