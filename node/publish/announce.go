package publish

import (
	"context"

	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
)

// announce tells the other members of what was confirmed, with its blocks: they have it before their indexers show that
// it counts, and nobody has it before the chain says whose it is. It is a courtesy: who misses it looks, and fetches.
func (m *Minter) announce(ctx context.Context, confirmed []outbox.Item) {
	byRound := map[uint64][]outbox.Item{}
	for _, item := range confirmed {
		byRound[item.Round] = append(byRound[item.Round], item)
	}
	for round, items := range byRound {
		tell := m.Announcer.Hint
		if directories := m.directories(ctx, items); len(directories) > 0 {
			tell = func(ctx context.Context, round uint64) error { return m.Announcer.Announce(ctx, round, directories) }
		}
		if err := tell(ctx, round); err != nil && ctx.Err() == nil {
			m.Log.Warn("what is confirmed can't be announced; members will look, and fetch it", "items", len(items), "round", round, "error", err)
		}
	}
}

// directories are those of items, as far as they are here.
func (m *Minter) directories(ctx context.Context, items []outbox.Item) []unixfs.Directory {
	directories := make([]unixfs.Directory, 0, len(items))
	for _, item := range items {
		if isDestroy(item) {
			continue
		}
		directory, err := m.Fresh.take(ctx, item.Directory)
		if err != nil {
			m.Log.Warn("an object can't be announced", "item", item.Number, "error", err)
			continue
		}
		directories = append(directories, directory)
	}
	return directories
}
