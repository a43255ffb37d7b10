package publish

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo/outbox"
)

// ours gives items that this organisation's account can mint: what was stored for another one, which it had before,
// becomes a directory of its own. What is sealed in it stays as it is.
func (m *Minter) ours(ctx context.Context, items []outbox.Item) ([]outbox.Item, error) {
	var all, renewed []outbox.Item
	var directories []p2p.Directory
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
func (m *Minter) renew(ctx context.Context, item *outbox.Item) (directory p2p.Directory, err error) {
	former, err := m.Fresh.take(ctx, item.Directory)
	if err != nil {
		return directory, err
	}
	files, err := former.Files()
	if err != nil {
		return directory, err
	}
	metadata, payload := p2p.Pick(files, wire.MetadataName)
	draft, err := consortium.Redraft(item.Note, metadata, payload)
	if err != nil {
		return directory, err
	}
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
