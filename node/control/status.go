package control

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Status is how a node is, for its operator.
type Status struct {
	Organisation string    `json:"organisation"`
	Consortium   string    `json:"consortium"`
	ConsortiumID uint64    `json:"consortium_id"`
	Started      time.Time `json:"started"`
	Member       bool      `json:"member"`             // this organisation is one now
	Excluded     string    `json:"excluded,omitempty"` // … and why it is none

	Publishing struct {
		problem.Condition
		Also     []problem.Condition `json:"also,omitempty"` // what else keeps objects from being published
		Accepted int                 `json:"accepted"`       // objects in each state before the chain
		Stored   int                 `json:"stored"`
		Signed   int                 `json:"signed"`
		Account  string              `json:"account"`
		Free     uint64              `json:"free_microalgo"` // what can be spent
		Locked   uint64              `json:"locked_microalgo"`
		Releases uint64              `json:"releasable_microalgo"`  // of what is locked, what the NFTs of objects and batches keep; counted once a minute
		Reserved uint64              `json:"reserved_microalgo"`    // of what can be spent, for other keys of this organisation's collections; no object gets it
		Funds    string              `json:"funds_error,omitempty"` // why that is not known
	} `json:"publishing"`

	// Watching's problem is one of chainwatch's Problem constants.
	Watching struct {
		problem.Condition
		Round      uint64    `json:"round"`         // applied up to here
		Tip        uint64    `json:"tip"`           // the chain's last round, as far as it is known
		Indexer    uint64    `json:"indexer_round"` // … as the indexer says; 0 if it didn't since the start
		Algod      uint64    `json:"algod_round"`   // … as algod says
		CaughtUp   bool      `json:"caught_up"`     // the end of the chain was reached since the start, and nothing is wrong
		LastAnswer time.Time `json:"last_answer,omitzero"`
		Forged     int       `json:"forged"`
		Malformed  int       `json:"malformed"`
		Filtered   bool      `json:"indexer_takes_filters"`
		ByBlocks   bool      `json:"by_blocks"` // the end of the chain is followed by algod's blocks
		// Sources are the indexers, and algod where its blocks are followed, with what is wrong with each.
		Sources []state.Source `json:"sources,omitempty"`
		// GivenUp are accounts of members whose history is too long to be read for what it has of this consortium.
		GivenUp []string `json:"given_up,omitempty"`
	} `json:"watching"`

	View struct {
		Objects   int64 `json:"objects"`
		Waiting   int   `json:"waiting_for_blocks"`
		Undecided int   `json:"undecided"`
		// Mistrusts are the members whose versions are never served as the object, Unknown those of them that no member is
		// called.
		Mistrusts []string `json:"mistrusts,omitempty"`
		Unknown   []string `json:"mistrusts_unknown,omitempty"`
	} `json:"view"`

	// Disk is what is free where the repository is, and what keeps objects out if it is too little.
	Disk struct {
		problem.Condition
		Free uint64 `json:"free_bytes"`
	} `json:"disk"`
	// Clock is how far this machine's clock is ahead of the chain's, and what is wrong with it.
	Clock struct {
		problem.Condition
		Known bool    `json:"known"`
		Ahead float64 `json:"ahead_seconds"`
	} `json:"clock"`
	// Certificate is what keeps an ACME authority's certificate from TAXII clients.
	Certificate problem.Condition `json:"certificate,omitzero"`

	Peers []PeerStatus `json:"peers"`
	// Webhooks are those of the config.
	Webhooks []clients.WebhookStatus `json:"webhooks,omitempty"`
	// Feeds are those whose last run ended early, and why.
	Feeds []feeds.Problem `json:"feeds,omitempty"`
	// Missing are sequence numbers of members that the chain should have shown.
	Missing []proof.Missing `json:"missing,omitempty"`
	// Exposed are collections, of this organisation's or that it publishes in, whose keys others have than their readers.
	Exposed []collections.ExposedKey `json:"exposed,omitempty"`
	// Repeated are members that gave sequence numbers twice: each has more than one node, or has lost what its node
	// remembers.
	Repeated []proof.RepeatedNumbers `json:"repeated,omitempty"`
	// Late is what of the chain was found when it had been passed.
	Late proof.LateStatus `json:"late"`
	// Omitted are transactions that algod has in its blocks and the indexer has not given.
	Omitted []proof.Finding `json:"omitted,omitempty"`
}

// PeerStatus is the connection to one other member's node.
type PeerStatus struct {
	Member    string   `json:"member,omitempty"`
	ID        string   `json:"id"`
	Connected bool     `json:"connected"`
	Addresses []string `json:"addresses,omitempty"`
	Problem   string   `json:"problem,omitempty"`
}

// Status tells how the node is.
func (a *API) Status(ctx context.Context) (s Status, err error) {
	s.Organisation, s.Consortium, s.ConsortiumID = a.Repo.Config.Organisation.Name, a.State.NameOf(a.Consortium), a.Consortium.ID
	s.Started, s.Member, s.Excluded = a.Started, a.State.Active(), a.State.Excluded()
	counts := a.Repo.Outbox.Count()
	if s.Disk.Free, err = a.Disk.Space(); err != nil {
		return Status{}, err
	}
	s.Disk.Condition = a.Disk.Condition.Get()
	for _, part := range []*problem.Monitor{a.Disk.Condition, a.Publishing, a.Sealing} {
		switch now := part.Get(); {
		case now.Problem == "":
		case s.Publishing.Problem == "":
			s.Publishing.Condition = now
		default:
			s.Publishing.Also = append(s.Publishing.Also, now)
		}
	}
	s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed = counts[outbox.Accepted], counts[outbox.Stored], counts[outbox.Signed]
	s.Publishing.Account = a.State.Self
	fundsCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	funds, err := a.Ledger.Funds(fundsCtx)
	if err != nil {
		s.Publishing.Funds = err.Error()
	}
	s.Publishing.Free, s.Publishing.Locked = funds.Free(), funds.Locked
	if s.Publishing.Releases, err = a.releasable(); err != nil {
		return Status{}, err
	}

	w := a.Watcher.State()
	s.Watching.Condition = problem.Condition{Problem: w.Problem, Detail: w.Detail, Since: w.Since}
	s.Watching.Round, s.Watching.Tip, s.Watching.Indexer, s.Watching.Algod = w.Cursor, w.Tip, w.Indexer, w.Algod
	s.Watching.CaughtUp, s.Watching.LastAnswer, s.Watching.GivenUp = w.CaughtUp, w.LastAnswer, w.GivenUp
	s.Watching.Forged, s.Watching.Malformed, s.Watching.Filtered = w.Forged, w.Malformed, w.Filtered
	s.Watching.ByBlocks, s.Watching.Sources, s.Late = w.ByBlocks, w.Sources, a.Late()
	s.Clock.Condition = a.Clock.Condition.Get()
	if ahead, known := a.Clock.Ahead(); known {
		s.Clock.Known, s.Clock.Ahead = true, ahead.Seconds()
	}

	s.View.Objects = a.Repo.View.CountObjects()
	s.View.Waiting, s.View.Undecided = a.Repo.View.CountEvents()
	s.View.Mistrusts = a.Repo.Config.View.Mistrust
	_, s.View.Unknown = a.State.MembersCalled(s.View.Mistrusts)
	s.Certificate = a.Certificate.Get()
	for _, hook := range a.Webhooks {
		s.Webhooks = append(s.Webhooks, hook.Status())
	}
	s.Feeds = a.Feeds.Problems()
	if s.Exposed, err = a.Collections.ExposedKeys(); err != nil {
		return Status{}, err
	}
	s.Publishing.Reserved = uint64(a.State.ToRekey()) * ledger.Cost(1, ledger.LowestFee)
	s.Peers, s.Missing, s.Repeated, s.Omitted = a.peerStatus(), a.Notary.Missing(), a.Notary.Repeated(), a.Gaps.List()
	return s, nil
}

func (a *API) peerStatus() []PeerStatus {
	names := map[string]string{}
	for _, m := range a.State.Members() {
		if m.Removed == nil {
			names[m.Peer] = m.Name
		}
	}
	list := []PeerStatus{}
	for _, p := range a.Host.Peers() {
		if !a.State.IsMember(p.ID) {
			continue // one that a member had before it changed its keys
		}
		one := PeerStatus{Member: names[p.ID.String()], ID: p.ID.String(), Connected: p.Connected, Problem: p.LastError}
		for _, address := range p.Addrs {
			one.Addresses = append(one.Addresses, address.String())
		}
		list = append(list, one)
	}
	return list
}
