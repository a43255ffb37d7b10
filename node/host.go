package node

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo"
)

func (n *Node) openHost(ctx context.Context) (*p2p.Host, error) {
	config := n.repo.Config.IPFS
	if err := swarm.CheckFree(config.Listen); err != nil {
		return nil, problem.Listening(err)
	}
	public := n.consortium.Network == wire.NetworkPublic
	host, err := p2p.Open(ctx, p2p.Config{
		Dir: repo.BlocksPath(n.repo.Dir), Key: n.repo.Keys.Peer, SwarmKey: n.repo.Keys.SwarmKey(), Public: public, ServeAnyone: public,
		Listen: config.Listen, Announce: config.Announce, Members: n.state, Logger: n.log,
	})
	if err != nil {
		return nil, fmt.Errorf("starting IPFS: %w", err)
	}
	return host, nil
}

func ids(infos []peer.AddrInfo) []peer.ID {
	list := make([]peer.ID, len(infos))
	for i, info := range infos {
		list[i] = info.ID
	}
	return list
}
