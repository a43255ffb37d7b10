package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/repo"
)

// granter gives newcomers the keys of the collections of ours that every member may read. It needs no order from
// anybody: whoever is a member and has no keyring gets one.
type granter struct {
	outbox     *repo.Outbox
	fold       *fold
	blocks     blockStore
	fresh      *freshDirectories
	consortium uint64
	stored     func() // tells the minter that there is work
	log        *slog.Logger
}

// run grants until the context ends.
func (g *granter) run(ctx context.Context) error {
	for {
		changed := g.fold.changed.changed()
		if err := g.grant(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// grant makes the keyrings that are missing.
func (g *granter) grant(ctx context.Context) error {
	charter := g.fold.charter()
	if charter == nil {
		return nil
	}
	for _, c := range g.fold.collections() {
		if c.Owner != g.fold.self || !c.Properties.Readers.Members {
			continue
		}
		keys := map[uint32]*seal.EpochKey{c.Epoch: c.Key}
		if charter.History {
			g.fold.read(func(s *consortium.State) { maps.Copy(keys, s.Keys(c.ID)) })
		}
		for _, m := range g.fold.members() {
			if m.Account == g.fold.self || m.Removed != nil || !m.Known {
				continue
			}
			if err := g.keyring(ctx, c, keys, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyringKey names the keyring of one reader: there is one for each epoch that was current when it was made.
func keyringKey(c consortium.Collection, account, recipient string) []byte {
	return hashOf("keyring", c.ID, strconv.FormatUint(uint64(c.Epoch), 10), account, recipient)
}

func (g *granter) keyring(ctx context.Context, c consortium.Collection, keys map[uint32]*seal.EpochKey, m consortium.Member) error {
	key := keyringKey(c, m.Account, m.Recipient)
	if _, found, err := g.outbox.Find(key); err != nil || found {
		return err
	}
	draft, err := consortium.DraftKeyring(g.consortium, c.ID, keys, []string{m.Recipient}, time.Now())
	if err != nil {
		return fmt.Errorf("making a keyring for %s: %w", m.Name, err)
	}
	if _, err := storeRecord(ctx, g.outbox, g.blocks, g.fresh, key, draft); err != nil {
		return fmt.Errorf("making a keyring for %s: %w", m.Name, err)
	}
	g.log.Info("a member is given the keys of a collection", "member", m.Name, "collection", c.ID, "epochs", len(keys))
	g.stored()
	return nil
}
