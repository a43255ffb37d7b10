package hostile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// maxFee is what one transaction may cost, in microalgo.
const maxFee = 100_000

// Note writes a note of this consortium. Without a sequence number it has the member's next one.
func (m *Member) Note(note wire.Note) ([]byte, error) {
	m.mu.Lock()
	if note.Sequence == 0 {
		m.sequence++
		note.Sequence = m.sequence
	}
	m.mu.Unlock()
	return note.Encode(m.Consortium.ID)
}

// NFT is the mint of an NFT about a directory, with a note of this consortium. The directory need not be the member's,
// nor one that the note fits.
func (m *Member) NFT(note wire.Note, d unixfs.Directory) (ledger.Mint, error) {
	files, err := d.Files()
	if err != nil {
		return ledger.Mint{}, err
	}
	encoded, err := m.Note(note)
	if err != nil {
		return ledger.Mint{}, err
	}
	at := slices.IndexFunc(files, func(f unixfs.File) bool { return f.Name == unixfs.MetadataName })
	return ledger.Mint{URL: wire.URL(d.Root()), MetadataHash: wire.MetadataHash(files[at].Data), Note: encoded}, nil
}

// NFTs is n times the NFT about one directory, each with a sequence number of its own.
func (m *Member) NFTs(n int, note wire.Note, d unixfs.Directory) ([]ledger.Mint, error) {
	mints := make([]ledger.Mint, n)
	for i := range mints {
		var err error
		if mints[i], err = m.NFT(note, d); err != nil {
			return nil, err
		}
	}
	return mints, nil
}

// Destroys is the transactions that destroy NFTs.
func (m *Member) Destroys(minted ...consortium.Place) ([]ledger.Mint, error) {
	mints := make([]ledger.Mint, len(minted))
	for i, one := range minted {
		note, err := m.Note(wire.Note{Kind: wire.KindDestroy})
		if err != nil {
			return nil, err
		}
		mints[i] = ledger.Mint{Destroys: one.Asset, Note: note}
	}
	return mints, nil
}

// Mint signs whatever it is given and returns when all of it is confirmed, with the asset ids, in the same order. They
// go in groups of 16, one group right after the other.
func (m *Member) Mint(ctx context.Context, mints ...ledger.Mint) ([]consortium.Place, error) {
	params, err := m.Ledger.Params(ctx)
	if err != nil {
		return nil, err
	}
	var groups []ledger.Group
	for some := range slices.Chunk(mints, ledger.MaxGroup) {
		group, err := m.Ledger.Sign(params, some)
		if err != nil {
			return nil, err
		}
		if err := m.Ledger.Submit(ctx, group.Raw); err != nil {
			return nil, fmt.Errorf("group %d: %w", len(groups), err)
		}
		groups = append(groups, group)
	}
	assets := map[string]consortium.Place{}
	minted := make([]consortium.Place, 0, len(mints))
	for _, group := range groups {
		round, err := m.confirmed(ctx, group)
		if err != nil {
			return nil, err
		}
		if _, known := assets[group.TxIDs[0]]; !known {
			list, err := m.Ledger.Minted(ctx, round)
			if err != nil {
				return nil, err
			}
			for _, one := range list {
				assets[one.TxID] = one
			}
		}
		for _, txid := range group.TxIDs {
			minted = append(minted, assets[txid])
		}
	}
	return minted, nil
}

// confirmed waits until a group is in a block.
func (m *Member) confirmed(ctx context.Context, group ledger.Group) (round uint64, err error) {
	for {
		fate, minted, err := m.Ledger.Fate(ctx, group.TxIDs[0], group.FirstValid, group.LastValid)
		switch {
		case err != nil:
			return 0, err
		case fate == ledger.Confirmed:
			return minted.Round, nil
		case fate == ledger.Absent:
			return 0, fmt.Errorf("transaction %s was never confirmed", group.TxIDs[0])
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// Publish does what a good member does with drafts: it serves their directories, and mints an NFT about each.
func (m *Member) Publish(ctx context.Context, drafts ...consortium.Draft) ([]consortium.Place, error) {
	mints := make([]ledger.Mint, len(drafts))
	for i, draft := range drafts {
		d, err := m.DirectoryOf(draft)
		if err != nil {
			return nil, err
		}
		m.Serve(d)
		if mints[i], err = m.NFT(draft.Note, d); err != nil {
			return nil, err
		}
	}
	return m.Mint(ctx, mints...)
}
