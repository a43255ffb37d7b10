// Package node is a Service Ledger node: it wires the parts together and owns their lifetime. The two pipelines can be
// read one after the other:
//
//	publish:    publish.go (accept) -> seal.go (seal, store) -> mint.go (sign, announce) -> submit.go -> confirm.go
//	replicate:  replicate.go (fold the chain's events) -> fetch.go (blocks, open, view)
//
// Beside them: found.go (making and joining a consortium), owner.go and grant.go (collections and who has their keys),
// withdraw.go and show.go, serve.go, taxii.go and export.go (what clients see), feeds.go and feedsink.go (what is pulled
// from elsewhere), webhook.go (who is told of news), admin.go and client.go (what the command line talks to), verify.go,
// evidence.go and audit.go (what the chain proves), omission.go, backup.go and recover.go (a lost node and its successor),
// witness.go (algod as the second witness), status.go, trouble.go and metrics.go.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// Node is a node of an organisation that belongs to a consortium.
type Node struct {
	repo        *repo.Repo
	consortium  repo.Consortium
	host        *p2p.Host
	topic       *p2p.Topic
	fold        *fold
	fresh       *freshDirectories
	done        *signal // something of ours was confirmed, or withdrawn
	arrived     *signal // events wait for their blocks
	shown       *signal // objects came into the view, or left it
	exports     *semaphore.Weighted
	webhooks    []*webhook
	publisher   *publisher
	sealer      *sealer
	minter      *minter
	replicator  *replicator
	fetcher     *fetcher
	owner       *owner
	withdrawer  *withdrawer
	replacer    *replacer
	omissions   *omissions
	sole        *sole
	feeds       *feeds
	watcher     *chainwatch.Watcher
	ledger      *ledger.Ledger
	accounts    *accounts
	disk        *diskGuard
	clock       *clockGuard
	ourNetwork  atomic.Bool       // algod was seen to be of the consortium's
	certificate *acmeCertificate  // for TAXII clients; nil if it comes from elsewhere
	tlsFiles    *certificateFiles // … from files, or nil
	described   *ownRoot
	trail       *auditTrail
	rebuild     chan chan error
	remembered  []string                       // the members' addresses as they are written down; keepConnected's alone
	rotated     *signal                        // a change of our own keys was carried out, or came to nothing
	switching   atomic.Bool                    // … it was
	failed      atomic.Pointer[failedRotation] // … the last one that came to nothing
	log         *slog.Logger
	started     time.Time
}

// patience is how long a group that algod has taken may stay unconfirmed before it is looked after: some rounds of a
// real network.
const patience = 10 * time.Second

// collectEvery is how often disk space is given back.
const collectEvery = time.Hour

// ErrNoConsortium means that the repository belongs to no consortium yet.
var ErrNoConsortium = errors.New("this node belongs to no consortium yet: found one with \"slnode consortium create\", or ask to be admitted with \"slnode member request\"")

// Open brings up a node on an open repository: its IPFS part is started, nothing else runs before [Node.Run]. The
// caller closes the repository after the node.
func Open(ctx context.Context, r *repo.Repo, log *slog.Logger) (_ *Node, err error) {
	own, err := r.Consortium()
	if err != nil {
		return nil, err
	}
	if own == nil {
		return nil, ErrNoConsortium
	}
	invited, err := parsePeers(own.Peers)
	if err != nil {
		return nil, fmt.Errorf("the peers of the invite: %w", err)
	}
	n := &Node{
		repo: r, consortium: *own, log: log, started: time.Now(),
		done: &signal{}, arrived: &signal{}, shown: &signal{}, rotated: &signal{}, exports: semaphore.NewWeighted(exportsAtOnce), rebuild: make(chan chan error),
		fold: newFold(r.Keys.Address(), consortium.New(own.ID, own.Charter, r.Keys.Identity), ids(invited)),
	}
	if n.host, err = n.openHost(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.wire(); err != nil {
		return nil, err
	}
	if err := n.takeRestored(ctx); err != nil {
		return nil, err
	}
	if err := n.replicator.restore(ctx); err != nil {
		return nil, err
	}
	n.host.KeepConnected(invited...)
	return n, nil
}

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
		Listen: config.Listen, Announce: config.Announce, Members: n.fold, Logger: n.log,
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

// wire makes the parts and connects them, from the bottom up.
func (n *Node) wire() error {
	config := n.repo.Config.Algorand
	algod, err := algorand.NewAlgod(config.AlgodURL, config.AlgodToken, config.AlgodTokenHeader)
	if err != nil {
		return err
	}
	indexer, err := algorand.NewIndexer(config.IndexerURL, config.IndexerToken, config.IndexerTokenHeader)
	if err != nil {
		return err
	}
	leaseKey, err := n.repo.Keys.LeaseKey()
	if err != nil {
		return fmt.Errorf("deriving the lease key: %w", err)
	}
	outbox, view := n.repo.Outbox, n.repo.View
	n.trail = &auditTrail{n.repo.Audit, n.repo.Dir}
	n.repo.Audit.OnFailure(func(err error) { n.log.Error("the audit log can't be written", "error", err) })
	n.accounts = newAccounts(n.repo, n.trail)
	if n.described, err = openOwnRoot(outbox, n.repo.Config.Organisation.Title); err != nil {
		return err
	}
	publishing := &condition{what: "publishing", log: n.log}
	n.sole = &sole{outbox: outbox, self: n.fold.self, condition: publishing, log: n.log}
	if err := errors.Join(n.beginWithKeys(), n.sole.load()); err != nil {
		return err
	}
	n.disk = &diskGuard{
		folders: []string{n.repo.Dir, repo.BlocksPath(n.repo.Dir)}, least: uint64(n.repo.Config.Storage.MinFree), free: freeSpace,
		condition: &condition{what: "taking objects in", log: n.log},
	}
	n.sealer = &sealer{
		outbox: outbox, fold: n.fold, blocks: n.host, consortium: n.consortium.ID, memory: sealBytes, done: n.done,
		disk: n.disk, condition: &condition{what: "sealing", log: n.log}, log: n.log,
	}
	n.ledger = ledger.New(algod, n.repo.Keys.Account, config.MaxFee)
	n.fresh = &freshDirectories{blocks: n.host}
	n.minter = &minter{
		outbox: outbox, view: view, fold: n.fold, fresh: n.fresh, ledger: n.ledger, genesisHash: n.consortium.GenesisHash,
		genesisID: n.consortium.GenesisID, consortium: n.consortium.ID, leaseKey: leaseKey, announcer: n, finder: n, hint: n.hintWatcher,
		reopened: n.sealer.work.notify, confirmed: n.done, disk: n.disk, sole: n.sole, condition: publishing, log: n.log, patience: patience,
	}
	n.sealer.fresh, n.sealer.stored = n.fresh, n.minter.work.notify
	n.publisher = &publisher{
		outbox: outbox, view: view, fold: n.fold, wait: n.repo.Config.TAXII.PublishWait.Duration, wake: n.sealer.work.notify, done: n.done,
		delay: delay{sealing: n.sealer.condition, publishing: n.minter.condition}, disk: n.disk, shown: n.shown,
		watching: func() chainwatch.State { return n.watcher.State() },
	}
	n.replicator = &replicator{
		consortium: n.consortium, identity: n.repo.Keys.Identity, outbox: outbox, view: view, fold: n.fold, blocks: n.host,
		confirmed: n.minter.confirm, sole: n.sole, work: n.arrived, withdrawn: n.done, log: n.log,
	}
	n.fetcher = &fetcher{view: view, fold: n.fold, blocks: n.host, work: n.arrived, disk: n.disk, memory: openBytes, recordTime: recordTime, log: n.log}
	n.owner = &owner{
		turn: newTurn(), outbox: outbox, view: view, fold: n.fold, blocks: n.host, fresh: n.fresh, consortium: n.consortium.ID,
		recipient: n.repo.Keys.Identity.Recipient(), stored: n.minter.work.notify, params: n.ledger.Params, problem: n.publishingProblem, log: n.log,
	}
	n.publisher.owner = n.owner
	others, err := otherMarkings(n.repo.Config.TLP.Markings)
	if err != nil {
		return err
	}
	n.fold.otherMarkings = others
	n.withdrawer = &withdrawer{
		outbox: outbox, view: view, fold: n.fold, blocks: n.host, fresh: n.fresh, consortium: n.consortium.ID, peers: n.host, statuses: n.publisher, stored: n.minter.work.notify, done: n.done,
		problem: n.publishingProblem, log: n.log,
	}
	n.replacer = &replacer{outbox: outbox, end: n.withdrawer.end, stored: n.minter.work.notify, confirmed: n.done, log: n.log}
	n.omissions = &omissions{missing: n.missing, round: func() uint64 { return n.watcher.State().Cursor }, audit: n.Audit, log: n.log}
	view.OnChange(n.shown.notify)
	staleNow := rate.Sometimes{First: 10, Interval: time.Minute}
	view.OnStale(func(err error) {
		staleNow.Do(func() {
			n.log.Error("the view is damaged; the entry is passed over, \"slnode view rebuild\" makes the view anew", "error", err)
		})
	})
	for _, config := range n.repo.Config.Webhooks {
		config.Collection = webhookCollection(n.consortium, config.Collection)
		hook, err := newWebhook(config, view, outbox, n.shown, n.log)
		if err != nil {
			return err
		}
		n.webhooks = append(n.webhooks, hook)
	}
	if n.feeds, err = newFeeds(n); err != nil {
		return err
	}
	n.watcher = chainwatch.New(chainwatch.Config{
		Client: indexer, Consortium: n.consortium.ID, Charter: n.consortium.Charter, GenesisHash: [32]byte(n.consortium.GenesisHash),
		Sink: n.replicator, Witness: n.witness, Poll: config.Poll.Duration, Log: n.log,
	})
	n.clock = &clockGuard{ledger: n.ledger, condition: &condition{what: "the clock", log: n.log}}
	return nil
}

// Run runs the node until the context ends, or until something of its own fails; troubles of the network, of other
// members and of clients don't end it. Everything that it started has ended when it returns.
func (n *Node) Run(ctx context.Context) error {
	topic, err := n.host.Join(ctx, fmt.Sprint(n.consortium.ID), n)
	if err != nil {
		return fmt.Errorf("joining the announcements: %w", err)
	}
	n.topic = topic
	n.host.AnswerWithdrawn(n.withdrawer.isWithdrawn)
	if err := n.completeFounding(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(fmt.Errorf("completing the founding of the consortium: %w", err), topic.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, part := range map[string]func(context.Context) error{
		"sealing": n.sealer.run, "minting": n.minter.run, "looking after collections": n.owner.run, "replicating": n.replicate,
		"asking after withdrawals": n.withdrawer.run, "ending what is replaced": n.replacer.run, "changing keys": n.followRotation, "watching for omissions": n.omissions.run,
		"keeping connected": n.keepConnected, "collecting garbage": n.collect, "serving webhooks": n.serveWebhooks,
		"watching the disk": n.disk.run, "watching the clock": n.clock.run, "watching the keys of collections": n.watchKeys,
	} {
		group.Go(func() error {
			if err := part(ctx); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	err = group.Wait()
	return errors.Join(err, topic.Close())
}

// replicate runs the replicate pipeline. To rebuild the view it is stopped, everything that it made is deleted, and it
// begins again at the charter.
func (n *Node) replicate(ctx context.Context) error {
	for {
		group, runCtx := errgroup.WithContext(ctx)
		runCtx, stop := context.WithCancel(runCtx)
		group.Go(func() error { return n.watcher.Run(runCtx) })
		group.Go(func() error { return n.fetcher.run(runCtx) })
		var asked chan error
		group.Go(func() error {
			select {
			case <-runCtx.Done():
			case asked = <-n.rebuild:
				stop()
			}
			return nil
		})
		err := group.Wait()
		stop()
		if err != nil || asked == nil {
			return err
		}
		n.watcher.Reset()
		n.omissions.forget()
		err = n.repo.View.Reset()
		if err == nil {
			err = n.replicator.restore(ctx)
		}
		asked <- err
		if err != nil {
			return err
		}
	}
}

// Rebuild deletes the view and begins to derive it again from the chain and the peers. It returns when the old view is
// gone; [Node.Status] tells how far the new one is.
func (n *Node) Rebuild(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case n.rebuild <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done(): // or the replicate pipeline failed on its way
		return ctx.Err()
	}
}

// keepConnected lets the IPFS node know of every change of membership: newcomers are connected to at once, and the
// connection to a member that was removed is cut.
func (n *Node) keepConnected(ctx context.Context) error {
	ticker := time.NewTicker(rememberEvery)
	defer ticker.Stop()
	for {
		changed := n.fold.changed.changed()
		n.host.KeepConnected()
		for _, m := range n.fold.members() {
			id, err := peer.Decode(m.Peer)
			if err != nil || n.fold.IsMember(id) {
				continue
			}
			if err := n.host.Drop(ctx, id); err != nil && ctx.Err() == nil {
				n.log.Warn("the connection to a former member could not be cut", "member", m.Name, "error", err)
			}
		}
		if err := n.rememberPeers(); err != nil { // it is tried again
			n.log.Warn("the addresses of members' nodes could not be written down", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
	}
}

// rememberEvery is how often the addresses of the other members are written down.
const rememberEvery = 10 * time.Second

// rememberPeers keeps the members' addresses in the repository's consortium file. A node that lost everything else,
// the founder's too, finds the others by it, and believes them to be members until the chain has told who is.
func (n *Node) rememberPeers() error {
	members := map[string]bool{}
	for _, m := range n.fold.members() {
		members[m.Peer] = m.Removed == nil && m.Account != n.fold.self
	}
	var peers []string
	for _, p := range n.host.Peers() {
		if !members[p.ID.String()] {
			continue
		}
		addresses, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: p.ID, Addrs: p.Addrs})
		if err != nil {
			return fmt.Errorf("the addresses of peer %s: %w", p.ID, err)
		}
		for _, address := range addresses {
			peers = append(peers, address.String())
		}
	}
	slices.Sort(peers)
	if len(peers) == 0 || slices.Equal(peers, n.remembered) {
		return nil
	}
	own := n.consortium
	own.Peers = peers
	if err := n.repo.SetConsortium(own); err != nil {
		return err
	}
	n.remembered = peers
	return nil
}

func (n *Node) collect(ctx context.Context) error {
	ticker := time.NewTicker(collectEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := n.repo.Collect(); err != nil {
				n.log.Warn("disk space could not be given back", "error", err)
			}
		}
	}
}

// Close stops the IPFS node. Run must have returned.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := n.host.Close(ctx); err != nil {
		return fmt.Errorf("stopping IPFS: %w", err)
	}
	return nil
}

// Announce tells the other members of new directories.
func (n *Node) Announce(ctx context.Context, directories []p2p.Directory) error {
	return n.topic.Announce(ctx, directories)
}

// Hint tells the other members that a round has news.
func (n *Node) Hint(ctx context.Context, round uint64) error { return n.topic.Hint(ctx, round) }

// Find looks a transaction up in the indexer.
func (n *Node) Find(ctx context.Context, txid string) (chainwatch.Finding, error) {
	return n.watcher.Find(ctx, txid)
}

// Trace looks a transaction up in the indexer that is believed to be absent.
func (n *Node) Trace(ctx context.Context, txid, sender string, first, last uint64) (chainwatch.Finding, error) {
	return n.watcher.Trace(ctx, txid, sender, first, last)
}

// Announced is told what other members announce. The blocks wait in memory until the chain says that they count.
func (n *Node) Announced(peer.ID, []cid.Cid) {}

// Hinted is told by other members that a round has news.
func (n *Node) Hinted(from peer.ID, round uint64) { n.watcher.Hint(string(from), round) }

// hintWatcher tells that algod has confirmed something of ours in a round.
func (n *Node) hintWatcher(round uint64) { n.watcher.Confirmed(round) }

// addresses is how other members reach this node.
func (n *Node) addresses() ([]string, error) {
	info := n.host.AddrInfo()
	addresses, err := peer.AddrInfoToP2pAddrs(&info)
	if err != nil {
		return nil, fmt.Errorf("this node's addresses: %w", err)
	}
	list := make([]string, len(addresses))
	for i, address := range addresses {
		list[i] = address.String()
	}
	return list, nil
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
