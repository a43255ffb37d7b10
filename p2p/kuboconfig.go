package p2p

import (
	"encoding/base64"
	"fmt"

	"github.com/ipfs/boxo/autoconf"
	"github.com/ipfs/kubo/config"
	"github.com/ipfs/kubo/core/node/libp2p/fd"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// leastFiles is how many connections the swarm may have however few files the process may.
const leastFiles = 64

// kuboConfig is the node's Kubo configuration. It is made in code and never read from a file of the user's:
// Kubo ends the process at some nonsensical combinations.
//
// In a private swarm nothing is contacted but the members: no bootstrap peers, no DHT, no delegated routing, no
// mDNS, no AutoTLS, no relays, no NAT port mapping, no version check, no HTTP retrieval.
func kuboConfig(c *Config) (*config.Config, error) {
	id, err := peer.IDFromPrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("derive the peer id from Key: %w", err)
	}
	key, err := crypto.MarshalPrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("encode Key: %w", err)
	}

	k := &config.Config{
		Identity:  config.Identity{PeerID: id.String(), PrivKey: base64.StdEncoding.EncodeToString(key)},
		Bootstrap: []string{},
		Addresses: config.Addresses{Swarm: c.Listen, Announce: c.Announce},
		AutoConf:  config.AutoConf{Enabled: config.False},
		DNS:       config.DNS{Resolvers: map[string]string{}},
		Routing:   config.Routing{Type: config.NewOptionalString("none")},
		Provide:   config.Provide{Enabled: config.False, Strategy: config.NewOptionalString("roots")},
		AutoNAT:   config.AutoNATConfig{ServiceMode: config.AutoNATServiceDisabled},
		AutoTLS:   config.AutoTLS{Enabled: config.False, AutoWSS: config.False},

		HTTPRetrieval: config.HTTPRetrieval{Enabled: config.False},
		Version:       config.Version{SwarmCheckEnabled: config.False},
		Internal: config.Internal{
			CGNATCheck:        config.False,
			DeadListenerCheck: config.False,
			// Members in one office reach each other by private addresses.
			NonPublicAddrPublishing: config.True,
			Bitswap: &config.InternalBitswap{
				// Kubo keeps 128 goroutines for reading blocks; bitswap is the second choice here.
				EngineBlockstoreWorkerCount: *config.NewOptionalInteger(16),
			},
		},
	}
	// A block is hashed when it is read: a torn one is an error, not served garbage. A few µs at 2 kB.
	k.Datastore.HashOnRead = true
	// Blocks are written past Kubo's block store (see store.go), so it must not remember which it has not.
	k.Datastore.BlockKeyCacheSize = *config.NewOptionalInteger(0)

	s := &k.Swarm
	s.DisableBandwidthMetrics = true
	s.DisableNatPortMap = true
	s.EnableHolePunching = config.False
	s.RelayClient.Enabled = config.False
	s.RelayService.Enabled = config.False
	s.ResourceMgr.Enabled = config.False // startNode sets its own, with another limit per address
	// Kubo's default is half of all, and HTTP and the stores want some, too.
	s.ResourceMgr.MaxFileDescriptors = config.NewOptionalInteger(max(int64(fd.GetNumFDs())/4, leastFiles))
	s.Transports.Network.TCP = config.True
	s.Transports.Network.QUIC = config.False // knows no swarm keys, like the next two
	s.Transports.Network.WebTransport = config.False
	s.Transports.Network.WebRTCDirect = config.False
	s.Transports.Network.Websocket = config.False
	s.Transports.Network.Relay = config.False

	if c.Public {
		k.Bootstrap = c.Bootstrap
		if c.Bootstrap == nil {
			k.Bootstrap = autoconf.FallbackBootstrapPeers
		}
		k.Routing.Type = config.NewOptionalString("dhtclient")
		k.Provide.Enabled = config.True
		k.Provide.DHT.SweepEnabled = config.True
		s.Transports.Network.QUIC = config.True
		s.ConnMgr.Type = config.NewOptionalString("basic")
		return k, nil
	}

	// Everybody here holds the swarm key: no connection is worth trimming, and the resource manager bounds their number.
	s.ConnMgr.Type = config.NewOptionalString("none")
	// Broadcast reduction asks remote peers only after they gave a block before, and leaves the first contact to
	// the DHT. Here there is none, so bitswap would never ask a member in another network for anything.
	k.Internal.Bitswap.BroadcastControl = &config.BitswapBroadcastControl{Enable: config.False}
	return k, nil
}
