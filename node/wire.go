package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/accept"
	"github.com/serviceledger/slnode/node/appraisal"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/disclosure"
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
	"github.com/serviceledger/slnode/node/statement"
	"github.com/serviceledger/slnode/node/watch"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

// wire makes the parts and connects them, from the bottom up.
func (n *Node) wire(ctx context.Context) error {
	if err := n.wirePipelines(); err != nil {
		return err
	}
	if err := n.wireChain(ctx); err != nil {
		return err
	}
	if err := n.wireTasks(); err != nil {
		return err
	}
	return n.wireDoors()
}

// wirePipelines makes what publishes and what replicates.
func (n *Node) wirePipelines() error {
	config := n.repo.Config
	algod, err := algorand.NewAlgod(config.Algorand.AlgodURL, config.Algorand.AlgodToken, config.Algorand.AlgodTokenHeader)
	if err != nil {
		return err
	}
	leaseKey, err := n.repo.Keys.LeaseKey()
	if err != nil {
		return fmt.Errorf("deriving the lease key: %w", err)
	}
	if n.state.OtherMarkings, err = state.ReadMarkings(config.TLP.Markings); err != nil {
		return err
	}
	n.outbox = publish.NewOutbox(n.repo.Outbox)
	n.stages = stages.New()
	n.outbox.Stages = n.stages
	if n.appraiser, err = appraisal.Open(n.repo.Dir, config, n.repo.Outbox, n.log); err != nil {
		return err
	}
	outbox, view := n.outbox, n.repo.View
	n.trail = auditlog.New(n.repo)
	n.trail.Watch(func(err error) { n.log.Error("the audit log can't be written", "error", err) })
	n.ledger = ledger.New(algod, n.repo.Keys.Account, config.Algorand.MaxFee)
	n.clock = problem.NewClock(n.ledger, n.log)
	n.disk = problem.NewDisk(uint64(config.Storage.MinFree), problem.FreeSpace, n.log, n.repo.Dir, repo.BlocksPath(n.repo.Dir))
	publishing := problem.NewMonitor("publishing", n.log)
	n.sole = &sole.Sole{Outbox: n.repo.Outbox, Self: n.state.Self, Condition: publishing, Log: n.log}
	if err := errors.Join(members.BeginWithKeys(n.repo, n.state.Self, n.sole), n.sole.Load()); err != nil {
		return err
	}
	fresh := publish.NewFresh(n.host)
	n.gossip, n.terms = &gossip{}, money.NewTerms(config)
	n.minter = publish.NewMinter(publish.Config{
		Outbox: outbox, View: view, State: n.state, Fresh: fresh, Ledger: n.ledger, GenesisHash: n.consortium.GenesisHash,
		GenesisID: n.consortium.GenesisID, Consortium: n.consortium.ID, LeaseKey: leaseKey, Announcer: n.gossip,
		Disk: n.disk, Sole: n.sole, Terms: n.terms, Condition: publishing, Log: n.log, Timeout: publish.Timeout,
	})
	own := replicate.NewOwn(n.log)
	n.sealer = &publish.Sealer{
		Outbox: outbox, State: n.state, Blocks: n.host, Fresh: fresh, Own: own, Consortium: n.consortium.ID, Memory: publish.SealBytes,
		Disk: n.disk, Condition: problem.NewMonitor("sealing", n.log), Log: n.log,
	}
	n.replicator = &replicate.Replicator{
		Consortium: n.consortium, Identity: n.repo.Keys.Identity, Outbox: outbox, View: view, State: n.state, Blocks: n.host,
		Confirmed: n.minter.Confirm, Saw: n.sole.Saw, Work: n.arrived, Stages: n.stages, Log: n.log,
	}
	n.fetcher = &replicate.Fetcher{
		View: view, State: n.state, Blocks: n.host, Work: n.arrived, Gone: n.replicator, Own: own, Disk: n.disk, Memory: replicate.OpenBytes,
		RecordTime: replicate.RecordTime, Stages: n.stages, Log: n.log,
	}
	n.lines = &replicate.Lines{View: view, State: n.state, Mistrusts: config.View.Mistrust}
	n.refiller = &replicate.Refiller{
		View: view, Outbox: n.repo.Outbox, Blocks: n.host, Aside: p2p.AsidePath(repo.BlocksPath(n.repo.Dir)), Log: n.log,
		OpenAside: func(dir string) (replicate.AsideStore, error) { return p2p.OpenOffline(dir) },
	}
	return nil
}

// wireChain makes what follows the chain.
func (n *Node) wireChain(ctx context.Context) error {
	config := n.repo.Config
	list, err := indexers(config)
	if err != nil {
		return err
	}
	if err := n.followAll(list); err != nil {
		return err
	}
	n.late = &proof.Late{Found: n.repo.Found, Network: [32]byte(n.consortium.GenesisHash), Rebuild: n.Rebuild, Log: n.log}
	n.witness = &witness{ledger: n.ledger, consortium: n.consortium}
	n.watcher = chainwatch.New(chainwatch.Config{
		Indexers: list, Consortium: n.consortium.ID, Charter: n.consortium.Charter, GenesisHash: [32]byte(n.consortium.GenesisHash),
		Sink: n.replicator, Witness: n.witness.tip, Blocks: n.ledger, Follow: config.FollowsBlocks(ctx), Found: n.late.Events,
		Missed: n.late.Missed, Poll: config.Algorand.Poll.Duration, Log: n.log,
	})
	n.gossip.watcher, n.minter.Finder, n.minter.Hint = n.watcher, n.watcher, n.watcher.Confirmed
	return nil
}

// wireTasks makes what the node does beside its pipelines.
func (n *Node) wireTasks() error {
	outbox, view := n.outbox, n.repo.View
	records := publish.NewRecords(n.state.Self, outbox, n.host, n.minter.Fresh)
	account := money.Account{Ledger: n.ledger, Terms: n.terms, State: n.state}
	n.owner = &collections.Owner{
		Outbox: n.repo.Outbox, View: view, State: n.state, Records: records, Watcher: n.watcher, Consortium: n.consortium.ID,
		Network: n.consortium.Network, Recipient: n.repo.Keys.Identity.Recipient(), Money: account, Problem: n.minter.Problem, Log: n.log,
	}
	n.publisher = &accept.Publisher{
		Outbox: outbox, View: view, State: n.state, Recipients: n.owner, Fees: n.ledger, Terms: n.terms, Book: n.repo.Daybook, Anchor: accept.Anchor(n.repo.Config.Publish.Anchor, n.repo.Config.Publish), Wait: n.repo.Config.TAXII.PublishWait.Duration,
		Delay: accept.Delay{Sealing: n.sealer.Condition, Publishing: n.minter.Condition}, Disk: n.disk,
		Shown: n.shown, Watching: n.watcher.State, Warner: n.appraiser,
	}
	n.withdrawer = &withdraw.Withdrawer{
		Outbox: outbox, Done: &outbox.Done, View: view, State: n.state, Records: records, Watcher: n.watcher, Consortium: n.consortium.ID, Peers: n.host,
		Statuses: n.publisher, Register: &disclosure.Register{View: view, Outbox: n.repo.Outbox, State: n.state}, Problem: n.minter.Problem, Former: withdraw.Formers(n.ledger.Before(n.repo.Keys.Former)), Book: n.repo.Daybook, Log: n.log,
	}
	n.replacer = &withdraw.Replacer{Outbox: outbox, Done: &outbox.Done, End: n.withdrawer.End, Log: n.log}
	n.releaser = &withdraw.Releaser{
		Outbox: outbox, View: view, State: n.state, After: n.repo.Config.Publish.ReleaseAfter.Duration, Log: n.log,
	}
	n.retainer = withdraw.NewRetainer(n.withdrawer, n.repo.Config, account, n.clock.Condition, n.trail)
	n.members = &members.Registrar{
		Repo: n.repo, Consortium: n.consortium, State: n.state, Host: n.host, Ledger: n.ledger, Watcher: n.watcher, Announcer: n.gossip,
		Records: records, Withdrawer: n.withdrawer, Collections: n.owner, Money: account, Problem: n.minter.Problem, Outbox: outbox, Log: n.log,
	}
	n.notary = &proof.Notary{
		View: view, State: n.state, Blocks: n.host, Ledger: n.ledger, Watcher: n.watcher, Consortium: n.consortium,
		ExplorerURL: n.repo.Config.Algorand.Explorer, Keep: n.late.Keep, Log: n.log,
	}
	n.late.Sources = func() []chainwatch.SourceState { return n.watcher.State().Sources }
	n.late.Reread, n.late.Recheck = n.notary.Reread, n.notary.Recheck
	n.gaps = &proof.GapWatch{Missing: n.notary.Missing, Round: func() uint64 { return n.watcher.State().Cursor }, Crosscheck: n.notary.Crosscheck, Log: n.log}
	n.feeds = &feeds.Feeds{
		Repo: n.repo, State: n.state, Publisher: n.publisher, Watcher: n.watcher, Fetcher: n.fetcher, Ledger: n.ledger, Trail: n.trail, Stages: n.stages,
		Anchor: accept.Anchor(n.repo.Config.Publish.Feeds, n.repo.Config.Publish), Problem: n.minter.Problem, Log: n.log,
	}
	author := statement.New(n.repo, n.consortium.ID, n.state, n.publisher, n.owner)
	n.feedback = &feedback.Room{View: view, Index: n.repo.Find, State: n.state, Outbox: n.repo.Outbox, Author: author, Log: n.log}
	cards, err := scorecard.New(n.repo, n.state, n.feedback)
	n.cards = cards
	watched, watchErr := watch.New(n.finder(), n.repo.Outbox, n.shown, n.log)
	n.watch = watched
	n.sightings = sightings.New(n.repo, n.finder(), author, n.feedback, n.withdrawer, account, n.clock.Condition, n.trail, n.log)
	n.appraiser.Judge, n.appraiser.Sighted, n.appraiser.Consortium, n.appraiser.Raters = n.feedback, n.sightings, n.finder(), n.cards
	return errors.Join(err, watchErr, n.feedback.Load(n.repo.Config), n.feeds.Load())
}

// wireDoors makes what clients and the operator see.
func (n *Node) wireDoors() (err error) {
	outbox, view := n.repo.Outbox, n.repo.View
	n.exports = semaphore.NewWeighted(clients.ExportsAtOnce)
	n.accounts = clients.NewAccounts(n.repo, n.trail)
	if n.described, err = clients.OpenAPIRoot(outbox, n.repo.Config.Organisation.Title); err != nil {
		return err
	}
	view.OnChange(n.shown.Notify)
	staleNow := rate.Sometimes{First: 10, Interval: time.Minute}
	view.OnStale(func(err error) {
		staleNow.Do(func() {
			n.log.Error("the view is damaged; the entry is skipped, \"slnode view rebuild\" makes the view again", "error", err)
		})
	})
	n.webhooks = clients.NewWebhooks(func(c config.Webhook) (*clients.Webhook, error) {
		c.Collection = clients.WebhookCollection(n.consortium, c.Collection)
		return clients.NewWebhook(c, view, outbox, n.shown, n.log)
	})
	n.webhooks.Feedback, n.webhooks.Watch = n.feedback, n.watch
	if err := n.webhooks.Reload(n.repo.Config.Webhooks); err != nil {
		return err
	}
	n.reloader = n.newReloader()
	n.accounts.Limited = func() error { return n.reloader.ReloadPart("limits") }
	n.certified = problem.NewMonitor("the certificate for TAXII clients", n.log)
	n.health = &health.Observer{
		Repo: n.repo, Consortium: n.consortium, State: n.state, Host: n.host, Ledger: n.ledger, Watcher: n.watcher, Collections: n.owner,
		Notary: n.notary, Gaps: n.gaps, Late: n.late.Status, Feeds: n.feeds, Webhooks: n.webhooks, Disk: n.disk, Clock: n.clock, Stages: n.stages,
		Sealing: n.sealer.Condition, Publishing: n.minter.Condition, Terms: n.terms, Retention: n.retainer.Status, Sightings: n.sightings.Status, Watch: n.watch.Status, Certificate: n.certified, Audit: n.trail.Troubles, Requests: health.NewRequests(), Log: n.log, Started: time.Now(),
	}
	n.operator = &control.API{
		Repo: n.repo, Consortium: n.consortium, State: n.state, Host: n.host, Health: n.health, Watcher: n.watcher, Collections: n.owner,
		Members: n.members, Withdrawer: n.withdrawer, Register: &disclosure.Register{View: view, Outbox: outbox, State: n.state}, Notary: n.notary,
		Sole: n.sole, Feeds: n.feeds, Webhooks: n.webhooks, Accounts: n.accounts, Trail: n.trail, Taxii: n.taxiiConfig, Rebuild: n.Rebuild, Log: n.log,
	}
	return nil
}
