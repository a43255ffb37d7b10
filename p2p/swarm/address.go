package swarm

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// CheckFree reports an error if something else listens on one of some TCP multiaddresses. libp2p shares ports, so that
// two nodes on one would both start, and each would get some of the other's connections.
func CheckFree(listen []string) error {
	for _, text := range listen {
		if err := checkFree(text); err != nil {
			return fmt.Errorf("listening for other members' nodes (ipfs.listen): %w", err)
		}
	}
	return nil
}

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

// CheckAddresses reports an error if a multiaddress can't be read.
func CheckAddresses(list []string) error {
	for _, text := range list {
		if _, err := multiaddr.NewMultiaddr(text); err != nil {
			return fmt.Errorf("%.100q: %w", text, err)
		}
	}
	return nil
}

// Dial connects to a TCP multiaddress, and says nothing.
func Dial(ctx context.Context, text string, timeout time.Duration) error {
	address, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer manet.Dialer
	conn, err := dialer.DialContext(ctx, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// ParsePeers reads multiaddresses that end with the ids of peers.
func ParsePeers(texts []string) ([]peer.AddrInfo, error) {
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
