// Package p2p is the node's part in IPFS: an embedded Kubo node in the consortium's private swarm (or on the
// public network), which keeps directories of two files, gives them to members and gets them from members.
//
// # What it promises
//
//   - A [unixfs.Directory] is whole and canonical by construction: every block was checked against its hash and the
//     tree has the one shape that [unixfs.Build] makes, so equal content has one CID.
//   - What [Host.Put] and [Host.Fetch] acknowledged survives a power loss, and what [Host.Forget] did stays done.
//   - Blocks go to members only, over CAR streams and bitswap alike. [Members] is asked for every request, so
//     an admission or a removal counts from the next request on.
//   - Announcements are hints. Their blocks wait in bounded memory and reach the disk only when Fetch is called
//     for them: a spammer fills neither.
//
// # What it does not know
//
// The chain, encryption and STIX. It says which bytes a CID stands for, never whether they matter.
//
// # Logs
//
// Kubo and libp2p write through go-log and its slog shim, which out of the box print errors only, to standard
// error; GOLOG_LOG_LEVEL makes them talk. This package leaves those globals alone and writes its own few
// sentences to Config.Logger.
package p2p

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"
)

// ErrClosed is returned by every method of a [Host] after Close.
var ErrClosed = errors.New("p2p: host is closed")

// A Host is one IPFS node. Its methods may be called from many goroutines.
type Host struct {
	node    *node
	host    host.Host
	bitswap *bitswap.Bitswap
	store   *store
	damage  *damage
	staged  *staging
	keeper  *keeper
	cars    *carServer
	members Members
	limits  Limits
	wait    patience
	slow    slowPeers
	large   *semaphore.Weighted // chunks of large files that come in
	public  bool
	log     *slog.Logger
	gateway http.Handler

	lifetime lifetime

	topicMu sync.Mutex
	topic   *Topic // the one joined in this host's life, or nil
}

// Open starts a node on the store in cfg.Dir, which takes some 100 ms. Other nodes are dialled in the background; see
// [Host.KeepConnected]. A ctx that has ended keeps it from starting; later ctx does not matter.
func Open(ctx context.Context, cfg Config) (*Host, error) {
	return open(ctx, cfg, vfs.Default)
}

// open is Open on a file system of the caller's choice: a test crashes it.
func open(ctx context.Context, cfg Config, fs vfs.FS) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("p2p configuration: %w", err)
	}
	kubo, err := kuboConfig(&cfg)
	if err != nil {
		return nil, fmt.Errorf("p2p configuration: %w", err)
	}
	repo, err := openOrReplace(fs, &cfg, kubo, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("open the block store in %s: %w", cfg.Dir, err)
	}
	dials := newDialGate(!cfg.Public, reachOf(cfg.Listen), cfg.Members)
	node, err := startNode(ctx, &cfg, repo, dials)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the IPFS node: %w", err), repo.Close())
	}

	h := &Host{
		node:    node,
		host:    node.PeerHost,
		bitswap: node.Bitswap,
		store:   newStore(repo.data, node.Blockstore),
		damage:  repo.damage,
		staged:  newStaging(cfg.Limits.StagedBytes, cfg.Limits.StagedBytesPerAuthor),
		members: cfg.Members,
		limits:  cfg.Limits,
		wait:    cfg.patience,
		large:   semaphore.NewWeighted(largeChunks),
		public:  cfg.Public,
		log:     cfg.Logger,
	}
	h.lifetime.start()
	h.store.damaged = func(c cid.Cid, err error) {
		h.log.Warn("a block is damaged; it is fetched anew", "cid", c, "error", err)
	}
	h.lifetime.run(h.store.recent.age)
	fail := func(doing string, err error) (*Host, error) {
		return nil, errors.Join(fmt.Errorf("%s: %w", doing, err), h.Close(context.WithoutCancel(ctx)))
	}
	if h.gateway, err = newGateway(node.Blockstore); err != nil {
		return fail("build the gateway", err)
	}
	h.cars = newCARServer(&h.lifetime, h.store, cfg.Members, cfg.ServeAnyone, cfg.patience, cfg.Logger)
	h.host.SetStreamHandler(carProtocol, h.cars.handle)
	h.keeper, err = newKeeper(&h.lifetime, h.host, dials, newAddressBook(repo.Datastore()), cfg.Members, cfg.Logger)
	if err != nil {
		return fail("load the known members' addresses", err)
	}
	h.host.SetStreamHandler(peersProtocol, h.keeper.handle)
	if cfg.Public {
		first, err := kubo.BootstrapPeers()
		if err != nil {
			return fail("read the bootstrap peers", err)
		}
		h.store.announce = h.provide
		h.lifetime.run(func(ctx context.Context) { h.stayInPublicNetwork(ctx, first) })
	}
	return h, nil
}

// ID is the node's peer id.
func (h *Host) ID() peer.ID { return h.host.ID() }

// AddrInfo is how others reach this node: what goes into an invite.
func (h *Host) AddrInfo() peer.AddrInfo {
	return peer.AddrInfo{ID: h.host.ID(), Addrs: h.host.Addrs()}
}

// SwarmKeyFingerprint tells members whether they hold the same swarm key without showing it: 32 hex digits, the same
// that a Kubo daemon prints. It is empty on the public network.
func (h *Host) SwarmKeyFingerprint() string { return hex.EncodeToString(h.node.PNetFingerprint) }

// Connected gives the members this node has a connection to, and since when: so that a caller who looks now and then
// sees that one was gone in between.
func (h *Host) Connected() map[peer.ID]time.Time {
	members := map[peer.ID]time.Time{}
	for _, id := range h.host.Network().Peers() {
		if !h.members.IsMember(id) {
			continue
		}
		if since, connected := h.keeper.connectedSince(id); connected {
			members[id] = since
		}
	}
	return members
}

// Close stops the node: first what uses it (topic, streams, dials, running calls), then the node, which closes
// the store last. It returns when every goroutine of this package has ended or ctx is done; without a
// deadline in ctx it takes at most 30 s. Closing twice is harmless.
func (h *Host) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()

	h.lifetime.cancel()
	h.host.RemoveStreamHandler(carProtocol)
	h.host.RemoveStreamHandler(peersProtocol)
	h.host.RemoveStreamHandler(withdrawnProtocol)
	if err := h.lifetime.wait(ctx); err != nil {
		// Stopping the node under a running call would close the store beneath it, which pebble answers with a
		// panic: better to leave the node as it is. The process is about to end.
		return fmt.Errorf("close the IPFS node: calls are still running: %w", err)
	}
	h.topicMu.Lock()
	topic := h.topic
	h.topicMu.Unlock()
	var errs []error
	if topic != nil {
		errs = append(errs, topic.close(ctx))
	}
	if err := h.node.stop(ctx); err != nil {
		errs = append(errs, fmt.Errorf("stop the IPFS node: %w", err))
	}
	return errors.Join(errs...)
}

// closeTimeout bounds [Host.Close]. It takes some milliseconds, but on a busy machine: for that a node does not end
// badly.
const closeTimeout = 30 * time.Second
