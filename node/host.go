package node

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

func (n *Node) openHost(ctx context.Context) (*p2p.Host, error) {
	config := n.repo.Config.IPFS
	for _, address := range config.Listen {
		if err := checkFree(address); err != nil {
			return nil, fmt.Errorf("listening for other members' nodes: %w", err)
		}
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

// checkFree reports an error if something else listens on a TCP multiaddress. libp2p shares ports, so that two nodes on
// one would both start, and each would get some of the other's connections.
func checkFree(text string) error {
	address, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return err
	}
	network, endpoint, err := manet.DialArgs(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return nil // not a TCP socket of this machine
	}
	listener, err := net.Listen(network, endpoint)
	if err != nil {
		return err
	}
	return listener.Close()
}

func parsePeers(texts []string) ([]peer.AddrInfo, error) {
	addresses := make([]multiaddr.Multiaddr, len(texts))
	for i, text := range texts {
		address, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		addresses[i] = address
	}
	return peer.AddrInfosFromP2pAddrs(addresses...)
}

func ids(infos []peer.AddrInfo) []peer.ID {
	list := make([]peer.ID, len(infos))
	for i, info := range infos {
		list[i] = info.ID
	}
	return list
}
