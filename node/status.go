package node

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo"
)

// Status is how a node is, for its operator.
type Status struct {
	Organisation string    `json:"organisation"`
	Consortium   string    `json:"consortium"`
	ConsortiumID uint64    `json:"consortium_id"`
	Started      time.Time `json:"started"`
	Member       bool      `json:"member"` // this organisation is one now

	Publishing struct {
		Condition
		Accepted int    `json:"accepted"` // objects in each state before the chain
		Stored   int    `json:"stored"`
		Signed   int    `json:"signed"`
		Account  string `json:"account"`
		Free     uint64 `json:"free_microalgo"` // what can be spent
		Locked   uint64 `json:"locked_microalgo"`
		Reserved uint64 `json:"reserved_microalgo"`    // of what can be spent, for other keys of this organisation's collections; no object gets it
		Funds    string `json:"funds_error,omitempty"` // why that is not known
	} `json:"publishing"`

	// Watching's problem is one of chainwatch's Problem constants.
	Watching struct {
		Condition
		Round      uint64    `json:"round"`         // folded up to here
		Tip        uint64    `json:"tip"`           // the chain's last round, as far as it is known
		Indexer    uint64    `json:"indexer_round"` // … as the indexer says; 0 if it didn't since the start
		Algod      uint64    `json:"algod_round"`   // … as algod says
		CaughtUp   bool      `json:"caught_up"`     // the end of the chain was reached since the start, and nothing is wrong
		LastAnswer time.Time `json:"last_answer,omitzero"`
		Forged     int       `json:"forged"`
		Malformed  int       `json:"malformed"`
		Filtered   bool      `json:"indexer_takes_filters"`
		// GivenUp are accounts of members whose history is too long to be read for what it has of this consortium.
		GivenUp []string `json:"given_up,omitempty"`
	} `json:"watching"`

	View struct {
		Objects   int64 `json:"objects"`
		Waiting   int   `json:"waiting_for_blocks"`
		Undecided int   `json:"undecided"`
	} `json:"view"`

	// Disk is what is free where the repository is, and what keeps objects out if it is too little.
	Disk struct {
		Condition
		Free uint64 `json:"free_bytes"`
	} `json:"disk"`
	// Clock is how far this machine's clock is ahead of the chain's, and what is wrong with it.
	Clock struct {
		Condition
		Known bool    `json:"known"`
		Ahead float64 `json:"ahead_seconds"`
	} `json:"clock"`
	// Certificate is what keeps an ACME authority's certificate from TAXII clients.
	Certificate Condition `json:"certificate,omitzero"`

	Peers []PeerStatus `json:"peers"`
	// Webhooks are those of the config.
	Webhooks []WebhookStatus `json:"webhooks,omitempty"`
	// Missing are sequence numbers of members that the chain should have shown.
	Missing []Missing `json:"missing,omitempty"`
	// Exposed are collections, of this organisation's or that it publishes in, whose keys others have than their readers.
	Exposed []ExposedKey `json:"exposed,omitempty"`
	// Repeated are members that gave sequence numbers twice: each has more than one node, or has lost what its node remembers.
	Repeated []RepeatedNumbers `json:"repeated,omitempty"`
	// Omitted are transactions that algod has in its blocks and the indexer has not given.
	Omitted []Finding `json:"omitted,omitempty"`
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
	s.Organisation, s.Consortium, s.ConsortiumID = a.repo.Config.Organisation.Name, a.fold.nameOf(a.consortium), a.consortium.ID
	s.Started, s.Member = a.started, a.fold.active()
	counts := a.repo.Outbox.Count()
	if s.Disk.Free, err = a.disk.space(); err != nil {
		return Status{}, err
	}
	s.Disk.Condition = a.disk.condition.get()
	for _, part := range []*monitor{a.disk.condition, a.publishing, a.sealing} {
		if s.Publishing.Problem == "" {
			s.Publishing.Condition = part.get()
		}
	}
	s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed = counts[repo.Accepted], counts[repo.Stored], counts[repo.Signed]
	s.Publishing.Account = a.fold.self
	fundsCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	funds, err := a.ledger.Funds(fundsCtx)
	if err != nil {
		s.Publishing.Funds = err.Error()
	}
	s.Publishing.Free, s.Publishing.Locked = funds.Free(), funds.Locked

	w := a.watcher.State()
	s.Watching.Condition = Condition{Problem: w.Problem, Detail: w.Detail, Since: w.Since}
	s.Watching.Round, s.Watching.Tip, s.Watching.Indexer, s.Watching.Algod = w.Cursor, w.Tip, w.Indexer, w.Algod
	s.Watching.CaughtUp, s.Watching.LastAnswer, s.Watching.GivenUp = w.CaughtUp, w.LastAnswer, w.GivenUp
	s.Watching.Forged, s.Watching.Malformed, s.Watching.Filtered = w.Forged, w.Malformed, w.Filtered
	s.Clock.Condition = a.clock.condition.get()
	if ahead, known := a.clock.ahead(); known {
		s.Clock.Known, s.Clock.Ahead = true, ahead.Seconds()
	}

	s.View.Objects = a.repo.View.CountObjects()
	s.View.Waiting, s.View.Undecided = a.repo.View.CountEvents()
	s.Certificate = a.certificate()
	for _, hook := range a.webhooks {
		s.Webhooks = append(s.Webhooks, hook.status())
	}
	if s.Exposed, err = a.collections.exposedKeys(); err != nil {
		return Status{}, err
	}
	s.Publishing.Reserved = uint64(a.fold.toRekey()) * ledger.Cost(1, usualFee)
	s.Peers, s.Missing, s.Repeated, s.Omitted = a.peerStatus(), a.notary.missing(), a.notary.repeated(), a.omissions.list()
	return s, nil
}

func (a *API) peerStatus() []PeerStatus {
	names := map[string]string{}
	for _, m := range a.fold.members() {
		if m.Removed == nil {
			names[m.Peer] = m.Name
		}
	}
	list := []PeerStatus{}
	for _, p := range a.host.Peers() {
		if !a.fold.IsMember(p.ID) {
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
