package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	bsclient "github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/provider"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/core"
	kubonode "github.com/ipfs/kubo/core/node"
	kubolibp2p "github.com/ipfs/kubo/core/node/libp2p"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	corenet "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"go.uber.org/fx"
)

// node is the running Kubo node.
type node struct {
	core.IpfsNode
	app     *fx.App
	release context.CancelFunc
	repo    *repository
}

// IPFS is the node as Kubo knows it: coreapi.NewCoreAPI makes Kubo's own interface of it. (To link that package costs 4
// MB and ten modules, of which nothing here would run.) It ends with the host, not before: its Close is not to be
// called. Neither is Kubo's garbage collector: it deletes what is not pinned, and the directories of this node are kept
// without pins.
func (h *Host) IPFS() *core.IpfsNode { return &h.node.IpfsNode }

// startNode assembles Kubo's own node with this node's additions and starts it. It does by hand what core.NewNode
// does, for two reasons: NewNode takes additions (here the bitswap options) only through a process-wide
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
		announceKept(c, repo),
		n.fill(),
	)
	assembling.Unlock()
	if err := n.app.Err(); err != nil {
		release()
		return nil, err
	}
	// Some parts go on with the context that they are started with, so it must be the one that lasts.
	if err := n.begin(life); err != nil {
		release()
		return nil, err
	}
	n.IsOnline, n.IsDaemon = true, true
	return n, nil
}

// fill takes the parts of the node out of what fx assembles, each by its type and, where there are several, by its
// name. A part that this configuration leaves out stays nil.
func (n *node) fill() fx.Option {
	options := []fx.Option{fx.Populate(
		&n.Identity, &n.Repo, &n.Pinning, &n.Peerstore, &n.Blockstore, &n.BaseBlocks, &n.GCLocker, &n.Blocks, &n.DAG, &n.FilesRoot,
		&n.RecordValidator, &n.PeerHost, &n.DNSResolver, &n.Exchange, &n.Bitswap, &n.Namesys, &n.ResourceManager, &n.Routing, &n.Provider,
	)}
	for tags, parts := range map[string][]any{
		`name:"ipldFetcher"`:               {&n.IPLDFetcherFactory},
		`name:"unixfsFetcher"`:             {&n.UnixFSFetcherFactory},
		`name:"offlineIpldFetcher"`:        {&n.OfflineIPLDFetcherFactory},
		`name:"offlineUnixfsFetcher"`:      {&n.OfflineUnixFSFetcherFactory},
		`name:"ipldPathResolver"`:          {&n.IPLDPathResolver},
		`name:"unixFSPathResolver"`:        {&n.UnixFSPathResolver},
		`name:"offlineIpldPathResolver"`:   {&n.OfflineIPLDPathResolver},
		`name:"offlineUnixFSPathResolver"`: {&n.OfflineUnixFSPathResolver},
		`name:"dhtc" optional:"true"`:      {&n.DHTClient},
		`optional:"true"`: {
			&n.PrivateKey, &n.PNetFingerprint, &n.Reporter, &n.Peering, &n.ContentDiscovery, &n.ProvidingStrategy,
			&n.ProvidingKeyChanFunc, &n.IpnsRepub, &n.DHT, &n.P2P,
		},
	} {
		for _, part := range parts {
			options = append(options, fx.Populate(fx.Annotate(part, fx.ParamTags(tags))))
		}
	}
	return fx.Options(options...)
}

// begin starts the parts; where one can't be, those before it are stopped again.
func (n *node) begin(ctx context.Context) error {
	assembling.RLock()
	defer assembling.RUnlock()
	return n.app.Start(ctx)
}

// assembling is held while Kubo assembles a node: it then sets variables of its libraries (the same for every node of
// ours), which another node of this process that is assembled, starts or stops at the same time sets or reads.
var assembling sync.RWMutex

// stop ends the node, its store last.
func (n *node) stop(ctx context.Context) error {
	defer n.release()
	assembling.RLock()
	defer assembling.RUnlock()
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

// announceKept makes Kubo's provider, which the public network has, announce the kept directories again and again. Of
// its own it would announce what is pinned, and nothing is.
func announceKept(c *Config, repo *repository) fx.Option {
	if !c.Public {
		return fx.Options()
	}
	return fx.Decorate(func(provider.KeyChanFunc) provider.KeyChanFunc {
		return func(ctx context.Context) (<-chan cid.Cid, error) { return keptRoots(ctx, repo.data) }
	})
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
