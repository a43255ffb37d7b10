// Package node is a Service Ledger node: it wires the parts together and owns their lifetime. Each part is a package
// below it.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/accept"
	"github.com/serviceledger/slnode/node/appraisal"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/feedback"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/node/scorecard"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/watch"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// Node is a node of an organisation that belongs to a consortium.
type Node struct {
	repo       *repo.Repo
	consortium repo.Consortium
	log        *slog.Logger

	host    *p2p.Host
	gossip  *gossip
	ledger  *ledger.Ledger
	watcher *chainwatch.Watcher
	witness *witness
	state   *state.Shared
	disk    *problem.Disk
	terms   *money.Terms
	clock   *problem.Clock
	trail   *auditlog.Trail

	stages     *stages.Stages
	outbox     *publish.Outbox
	sealer     *publish.Sealer
	minter     *publish.Minter
	sole       *sole.Sole
	replicator *replicate.Replicator
	fetcher    *replicate.Fetcher
	lines      *replicate.Lines
	refiller   *replicate.Refiller

	withdrawer *withdraw.Withdrawer
	replacer   *withdraw.Replacer
	releaser   *withdraw.Releaser
	retainer   *withdraw.Retainer
	owner      *collections.Owner
	publisher  *accept.Publisher
	members    *members.Registrar
	notary     *proof.Notary
	gaps       *proof.GapWatch
	late       *proof.Late
	feeds      *feeds.Feeds

	accounts    *clients.Accounts
	appraiser   *appraisal.Appraiser
	feedback    *feedback.Room
	sightings   *sightings.Room
	cards       *scorecard.Room
	watch       *watch.Room
	described   *clients.APIRoot
	webhooks    *clients.Webhooks
	exports     *semaphore.Weighted
	certificate *certs.ACME      // for TAXII clients; nil if it comes from elsewhere
	certified   *problem.Monitor // … what keeps an authority from giving it
	tlsFiles    *certs.Files     // … from files, or nil
	health      *health.Observer
	operator    *control.API

	arrived *signal.Signal // events wait for their blocks
	shown   *signal.Signal // objects came into the view, or left it
	rebuild chan chan error

	protocol *taxii.Handler // what TAXII clients see
	reloader *control.Reloader
}

// ErrNoConsortium means that the repository belongs to no consortium yet.
var ErrNoConsortium = errors.New("this node belongs to no consortium yet: found one with \"slnode consortium create\", or ask to be admitted with \"slnode member request\"")

// Open brings up a node on an open repository: its IPFS part is started, nothing else runs before [Node.Run]. The
// caller closes the repository after the node.
func Open(ctx context.Context, r *repo.Repo, log *slog.Logger) (_ *Node, err error) {
	for _, note := range r.Notes {
		log.Error("the repository was damaged", "what", note)
	}
	own, err := r.Consortium()
	if err != nil {
		return nil, err
	}
	if own == nil {
		return nil, ErrNoConsortium
	}
	invited, err := swarm.ParsePeers(own.Peers)
	if err != nil {
		return nil, fmt.Errorf("the peers of the invite: %w", err)
	}
	n := &Node{
		repo: r, consortium: *own, log: log, arrived: &signal.Signal{}, shown: &signal.Signal{}, rebuild: make(chan chan error),
		state: state.New(r.Keys.Address(), consortium.New(own.ID, own.Charter, r.Keys.Identity), ids(invited)),
	}
	if n.host, err = n.openHost(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.wire(ctx); err != nil {
		return nil, err
	}
	if err := n.takeRestored(ctx); err != nil {
		return nil, err
	}
	if err := n.refiller.Pending(ctx); err != nil {
		return nil, err
	}
	if err := n.restore(ctx); err != nil {
		return nil, n.again(ctx, err)
	}
	n.host.KeepConnected(invited...)
	return n, nil
}

// Run runs the node until the context ends, or until something of its own fails; troubles of the network, of other
// members and of clients don't end it. Everything that it started has ended when it returns. The error
// wraps [ErrAgain] if the node has to be opened again.
func (n *Node) Run(ctx context.Context) error {
	topic, err := n.host.Join(ctx, fmt.Sprint(n.consortium.ID), n.gossip)
	if err != nil {
		return fmt.Errorf("joining the announcements: %w", err)
	}
	n.gossip.topic = topic
	n.host.AnswerWithdrawn(n.withdrawer.IsWithdrawn)
	if err := n.members.CompleteFounding(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(fmt.Errorf("completing the founding of the consortium: %w", err), topic.Close())
	}
	group, running := errgroup.WithContext(ctx)
	for name, part := range map[string]func(context.Context) error{
		"sealing": n.sealer.Run, "minting": n.minter.Run, "looking after collections": n.owner.Run, "replicating": n.replicate,
		"asking after withdrawals": n.withdrawer.Run, "ending what is replaced": n.replacer.Run, "releasing deposits": n.releaser.Run, "changing keys": n.members.FollowRotation,
		"watching for gaps in the log": n.gaps.Run, "keeping connected": n.members.KeepConnected, "giving disk space back": problem.Reclaiming(n.repo.Config.Storage.Reclaim.Duration, n.repo.Reclaim, n.log),
		"serving webhooks": n.webhooks.Run, "watching the disk": n.disk.Run, "watching the clock": n.clock.Run,
		"watching the keys of collections": n.owner.WatchKeys, "watching the stores": n.watchStores, "filling the block store": n.refiller.Run,
		"looking after what is found late": n.late.Run, "telling what goes on": n.health.Tell,
		"making the indexes": n.repo.Find.Run, "taking back what has expired": n.retainer.Run, "telling what was seen": n.sightings.Run, "telling what is held of objects": n.feedback.Run, "watching what comes in": n.watch.Run, "freeing what former accounts keep locked": n.withdrawer.RunReclaim,
	} {
		group.Go(func() error {
			if err := part(running); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	err = group.Wait()
	return errors.Join(n.again(ctx, err), topic.Close())
}

// replicate runs the replicate pipeline. To rebuild the view it is stopped, everything that it made is deleted, and it
// begins again at the charter.
func (n *Node) replicate(ctx context.Context) error {
	for {
		group, runCtx := errgroup.WithContext(ctx)
		runCtx, stop := context.WithCancel(runCtx)
		group.Go(func() error { return n.watcher.Run(runCtx) })
		group.Go(func() error { return n.fetcher.Run(runCtx) })
		group.Go(func() error { return n.lines.Run(runCtx) })
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
		n.gaps.Forget()
		err = n.repo.View.Reset()
		if err == nil {
			err = n.restore(ctx)
		}
		asked <- err
		if err != nil {
			return err
		}
	}
}

// restore derives the state from the view. One that is empty begins with all that was found late.
func (n *Node) restore(ctx context.Context) error {
	if err := n.replicator.Restore(ctx); err != nil {
		return err
	}
	cursor, err := n.repo.View.Cursor()
	if err != nil || cursor > 0 {
		return err
	}
	return n.late.Began()
}

// Rebuild deletes the view and begins to derive it again from the chain and the peers. It returns when the old view is
// gone; the status tells how far the new one is.
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

// Close stops the IPFS node. Run must have returned.
func (n *Node) Close() error {
	if err := n.host.Close(context.Background()); err != nil {
		return fmt.Errorf("stopping IPFS: %w", err)
	}
	return nil
}
