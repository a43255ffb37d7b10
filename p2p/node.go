package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	bsclient "github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/blockstore"
	pin "github.com/ipfs/boxo/pinning/pinner"
	"github.com/ipfs/go-cid"
	kubonode "github.com/ipfs/kubo/core/node"
	kubolibp2p "github.com/ipfs/kubo/core/node/libp2p"
	kuborouting "github.com/ipfs/kubo/routing"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"go.uber.org/fx"
)

// node is the running Kubo node: its parts that this package uses.
type node struct {
	nodeParts
	app     *fx.App
	release context.CancelFunc
	repo    *repository
}

// nodeParts is filled by fx, which demands exported fields.
type nodeParts struct {
	fx.In

	Host        host.Host
	Bitswap     *bitswap.Bitswap
	Blockstore  blockstore.GCBlockstore
	Pinner      pin.Pinner
	Routing     kuborouting.ProvideManyRouter
	Fingerprint kubolibp2p.PNetFingerprint
}

// startNode assembles Kubo's own parts list with this node's additions and starts it. It does by hand what
// core.NewNode does, for two reasons: NewNode takes additions (here the bitswap options) only through a process-wide
// registry, which two hosts in one process would share; and it starts a bootstrapper that a private swarm has
// no use for and that outlives the node.
func startNode(ctx context.Context, c *Config, repo *repository, dials *dialGate) (*node, error) {
	// What the parts start in the background lives until stop, not until the caller's ctx ends.
	life, release := context.WithCancel(context.WithoutCancel(ctx))
	routing := kubolibp2p.NilRouterOption
	if c.Public {
		routing = kubolibp2p.DHTClientOption
	}
	build := &kubonode.BuildCfg{
		Online:    true,
		Permanent: true,
		Repo:      repo,
		Routing:   routing,
		Host:      hostOption(repo, dials),
	}
	n := &node{release: release, repo: repo}
	assembling.Lock()
	n.app = fx.New(
		kubonode.IPFS(life, build),
		fx.NopLogger,
		fx.Provide(fx.Annotate(func() []bitswap.Option { return bitswapOptions(c) },
			fx.ResultTags(`group:"bitswap-options,flatten"`))),
		fx.Invoke(func(parts nodeParts) { n.nodeParts = parts }),
	)
	assembling.Unlock()
	if err := n.app.Err(); err != nil {
		release()
		return nil, err
	}
	// Some parts go on with the context that they are started with, so it must be the one that lasts.
	if err := n.app.Start(life); err != nil {
		release()
		return nil, err
	}
	return n, nil
}

// assembling is held while Kubo assembles a node: it then sets variables of its libraries (the same for every node of
// ours), which two nodes that start at the same time would do in a race.
var assembling sync.Mutex

// stop ends the node, its store last.
func (n *node) stop(ctx context.Context) error {
	defer n.release()
	return n.app.Stop(ctx)
}

// bitswapOptions makes bitswap serve members only, and patient: its default turns 50 ms without an answer into
// "does not have it", and sixteen of those make a session drop its only peer for good.
func bitswapOptions(c *Config) []bitswap.Option {
	patience := bsclient.DefaultDontHaveTimeoutConfig()
	patience.MinTimeout, patience.MaxTimeout = 5*time.Second, 30*time.Second
	opts := []bitswap.Option{bitswap.WithClientOption(bsclient.WithDontHaveTimeoutConfig(patience))}
	if !c.ServeAnyone {
		members := c.Members
		opts = append(opts, bitswap.WithPeerBlockRequestFilter(func(id peer.ID, _ cid.Cid) bool {
			return members.IsMember(id)
		}))
	}
	return opts
}

// hostOption makes the libp2p host as Kubo does, but with the dial gate and with more connections allowed
// from one address.
func hostOption(repo *repository, dials *dialGate) kubolibp2p.HostOption {
	return func(id peer.ID, ps peerstore.Peerstore, opts ...libp2p.Option) (host.Host, error) {
		limits, _, err := kubolibp2p.LimitConfig(repo.config.Swarm, rcmgr.PartialLimitConfig{})
		if err != nil {
			return nil, fmt.Errorf("compute the resource limits: %w", err)
		}
		manager, err := newResourceManager(limits)
		if err != nil {
			return nil, fmt.Errorf("make the resource manager: %w", err)
		}
		return kubolibp2p.DefaultHostOption(id, ps, append(opts, func(c *libp2p.Config) error {
			// libp2p.ConnectionGater and libp2p.ResourceManager refuse to replace what Kubo's options set.
			dials.ConnectionGater, c.ConnectionGater = c.ConnectionGater, dials
			c.ResourceManager = manager
			return nil
		})...)
	}
}

// newResourceManager allows 64 connections from one IPv4 address or IPv6 /56, where libp2p allows 8 from an
// address: the ninth organisation behind one NAT would be refused. Refusals are counted in libp2p's metrics.
func newResourceManager(limits rcmgr.ConcreteLimitConfig) (corenet.ResourceManager, error) {
	stats, err := rcmgr.NewStatsTraceReporter()
	if err != nil {
		return nil, err
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithTraceReporter(stats),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 64}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 64}, {PrefixLength: 48, ConnCount: 8 * 64}},
		))
}
