package node

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo"
)

// wire makes the parts and connects them, from the bottom up.
func (n *Node) wire() error {
	if err := n.wirePipelines(); err != nil {
		return err
	}
	if err := n.wireChain(); err != nil {
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
	if n.fold.otherMarkings, err = otherMarkings(config.TLP.Markings); err != nil {
		return err
	}
	outbox, view := n.repo.Outbox, n.repo.View
	n.trail = newTrail(n.repo)
	n.repo.Audit.OnFailure(func(err error) { n.log.Error("the audit log can't be written", "error", err) })
	n.ledger = ledger.New(algod, n.repo.Keys.Account, config.Algorand.MaxFee)
	n.clock = newClockGuard(n.ledger, n.log)
	n.disk = newDiskGuard(uint64(config.Storage.MinFree), freeSpace, n.log, n.repo.Dir, repo.BlocksPath(n.repo.Dir))
	publishing := newMonitor("publishing", n.log)
	n.sole = &sole{outbox: outbox, self: n.fold.self, condition: publishing, log: n.log}
	if err := errors.Join(beginWithKeys(n.repo, n.fold.self, n.sole), n.sole.load()); err != nil {
		return err
	}
	fresh := newFresh(n.host)
	n.gossip = &gossip{}
	n.minter = &minter{
		outbox: outbox, view: view, fold: n.fold, fresh: fresh, ledger: n.ledger, genesisHash: n.consortium.GenesisHash,
		genesisID: n.consortium.GenesisID, consortium: n.consortium.ID, leaseKey: leaseKey, announcer: n.gossip,
		confirmed: n.done, disk: n.disk, sole: n.sole, condition: publishing, log: n.log, timeout: Timeout,
	}
	n.sealer = &sealer{
		outbox: outbox, fold: n.fold, blocks: n.host, fresh: fresh, consortium: n.consortium.ID, memory: sealBytes, stored: n.minter.work.notify, done: n.done,
		disk: n.disk, condition: newMonitor("sealing", n.log), log: n.log,
	}
	n.minter.reopened = n.sealer.work.notify
	n.replicator = &replicator{
		consortium: n.consortium, identity: n.repo.Keys.Identity, outbox: outbox, view: view, fold: n.fold, blocks: n.host,
		confirmed: n.minter.confirm, saw: n.sole.saw, work: n.arrived, withdrawn: n.done, log: n.log,
	}
	n.fetcher = &fetcher{view: view, fold: n.fold, blocks: n.host, work: n.arrived, disk: n.disk, memory: openBytes, recordTime: recordTime, log: n.log}
	return nil
}

// wireChain makes what follows the chain.
func (n *Node) wireChain() error {
	config := n.repo.Config.Algorand
	indexer, err := algorand.NewIndexer(config.IndexerURL, config.IndexerToken, config.IndexerTokenHeader)
	if err != nil {
		return err
	}
	n.witness = &witness{ledger: n.ledger, consortium: n.consortium}
	n.watcher = chainwatch.New(chainwatch.Config{
		Client: indexer, Consortium: n.consortium.ID, Charter: n.consortium.Charter, GenesisHash: [32]byte(n.consortium.GenesisHash),
		Sink: n.replicator, Witness: n.witness.tip, Poll: config.Poll.Duration, Log: n.log,
	})
	n.gossip.watcher, n.minter.finder, n.minter.hint = n.watcher, n.watcher, n.watcher.Confirmed
	return nil
}

// wireTasks makes what the node does beside its pipelines.
func (n *Node) wireTasks() error {
	outbox, view := n.repo.Outbox, n.repo.View
	records := newRecords(outbox, n.host, n.minter.fresh, n.minter.work.notify)
	n.owner = &owner{
		outbox: outbox, view: view, fold: n.fold, records: records, watcher: n.watcher, consortium: n.consortium.ID,
		network: n.consortium.Network, recipient: n.repo.Keys.Identity.Recipient(), problem: n.minter.problem, log: n.log,
	}
	n.publisher = &publisher{
		outbox: outbox, view: view, fold: n.fold, recipients: n.owner, fees: n.ledger, wait: n.repo.Config.TAXII.PublishWait.Duration,
		wake: n.sealer.work.notify, done: n.done, delay: delay{sealing: n.sealer.condition, publishing: n.minter.condition}, disk: n.disk,
		shown: n.shown, watching: n.watcher.State,
	}
	n.withdrawer = &withdrawer{
		outbox: outbox, view: view, fold: n.fold, records: records, watcher: n.watcher, consortium: n.consortium.ID, peers: n.host,
		statuses: n.publisher, done: n.done, problem: n.minter.problem, log: n.log,
	}
	n.replacer = &replacer{outbox: outbox, end: n.withdrawer.end, wake: n.minter.work.notify, confirmed: n.done, log: n.log}
	n.members = &registrar{
		repo: n.repo, consortium: n.consortium, fold: n.fold, host: n.host, ledger: n.ledger, watcher: n.watcher, announcer: n.gossip,
		records: records, withdrawer: n.withdrawer, collections: n.owner, problem: n.minter.problem, done: n.done, log: n.log,
	}
	n.notary = &notary{
		view: view, fold: n.fold, blocks: n.host, ledger: n.ledger, watcher: n.watcher, consortium: n.consortium,
		explorerURL: n.repo.Config.Algorand.Explorer,
	}
	n.omissions = &omissions{missing: n.notary.missing, round: func() uint64 { return n.watcher.State().Cursor }, audit: n.notary.Audit, log: n.log}
	n.feeds = &feeds{
		repo: n.repo, fold: n.fold, publisher: n.publisher, watcher: n.watcher, ledger: n.ledger, trail: n.trail, problem: n.minter.problem, log: n.log,
	}
	return n.feeds.load()
}

// wireDoors makes what clients and the operator see.
func (n *Node) wireDoors() (err error) {
	outbox, view := n.repo.Outbox, n.repo.View
	n.exports = semaphore.NewWeighted(exportsAtOnce)
	n.accounts = newAccounts(n.repo, n.trail)
	if n.described, err = openOwnRoot(outbox, n.repo.Config.Organisation.Title); err != nil {
		return err
	}
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
	n.operator = &API{
		repo: n.repo, consortium: n.consortium, fold: n.fold, host: n.host, ledger: n.ledger, watcher: n.watcher, collections: n.owner,
		members: n.members, withdrawer: n.withdrawer, notary: n.notary, omissions: n.omissions, sole: n.sole, feeds: n.feeds, accounts: n.accounts,
		webhooks: n.webhooks, trail: n.trail, disk: n.disk, clock: n.clock, sealing: n.sealer.condition, publishing: n.minter.condition,
		certificate: n.certificateCondition, taxii: n.taxiiConfig, rebuild: n.Rebuild, log: n.log, started: time.Now(),
	}
	return nil
}

// certificateCondition is what keeps an ACME authority's certificate from TAXII clients.
func (n *Node) certificateCondition() Condition {
	if n.certificate == nil {
		return Condition{}
	}
	return n.certificate.condition.get()
}
