package node

import (
	"context"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/p2p/unixfs"
)

// gossip is what this node tells the other members' and hears from them. It is nothing before the topic is joined.
type gossip struct {
	topic   *p2p.Topic
	watcher *chainwatch.Watcher
}

// Announce tells the other members of directories that were confirmed in a round.
func (g *gossip) Announce(ctx context.Context, round uint64, directories []unixfs.Directory) error {
	return g.topic.Announce(ctx, round, directories)
}

// Hint tells the other members that a round has news.
func (g *gossip) Hint(ctx context.Context, round uint64) error { return g.topic.Hint(ctx, round) }

// Announced is told what other members announce. The blocks wait in memory until the chain says that they count.
func (g *gossip) Announced(from peer.ID, round uint64, _ []cid.Cid) { g.Hinted(from, round) }

// Hinted is told by other members that a round has news.
func (g *gossip) Hinted(from peer.ID, round uint64) { g.watcher.Hint(string(from), round) }
