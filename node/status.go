package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
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

// Missing is a hole in a member's sequence numbers. One that is overdue is no delay: the indexer leaves transactions
// out, or the member lost some before it submitted them.
type Missing struct {
	Member  string           `json:"member"`
	Range   consortium.Range `json:"range"`
	Overdue bool             `json:"overdue"`
}

// Status tells how the node is.
func (n *Node) Status(ctx context.Context) (s Status, err error) {
	s.Organisation, s.Consortium, s.ConsortiumID = n.repo.Config.Organisation.Name, n.fold.nameOf(n.consortium), n.consortium.ID
	s.Started, s.Member = n.started, n.fold.active()
	counts := n.repo.Outbox.Count()
	if s.Disk.Free, err = n.disk.space(); err != nil {
		return Status{}, err
	}
	s.Disk.Condition = n.disk.condition.get()
	for _, part := range []*condition{n.disk.condition, n.minter.condition, n.sealer.condition} {
		if s.Publishing.Problem == "" {
			s.Publishing.Condition = part.get()
		}
	}
	s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed = counts[repo.Accepted], counts[repo.Stored], counts[repo.Signed]
	s.Publishing.Account = n.fold.self
	fundsCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	funds, err := n.ledger.Funds(fundsCtx)
	if err != nil {
		s.Publishing.Funds = err.Error()
	}
	s.Publishing.Free, s.Publishing.Locked = funds.Free(), funds.Locked

	w := n.watcher.State()
	s.Watching.Condition = Condition{Problem: w.Problem, Detail: w.Detail, Since: w.Since}
	s.Watching.Round, s.Watching.Tip, s.Watching.Indexer, s.Watching.Algod = w.Cursor, w.Tip, w.Indexer, w.Algod
	s.Watching.CaughtUp, s.Watching.LastAnswer, s.Watching.GivenUp = w.CaughtUp, w.LastAnswer, w.GivenUp
	s.Watching.Forged, s.Watching.Malformed, s.Watching.Filtered = w.Forged, w.Malformed, w.Filtered
	s.Clock.Condition = n.clock.condition.get()
	if ahead, known := n.clock.ahead(); known {
		s.Clock.Known, s.Clock.Ahead = true, ahead.Seconds()
	}

	s.View.Objects = n.repo.View.CountObjects()
	s.View.Waiting, s.View.Undecided = n.repo.View.CountEvents()
	if n.certificate != nil {
		s.Certificate = n.certificate.condition.get()
	}
	for _, hook := range n.webhooks {
		s.Webhooks = append(s.Webhooks, hook.status())
	}
	if s.Exposed, err = n.exposedKeys(); err != nil {
		return Status{}, err
	}
	s.Publishing.Reserved = uint64(n.minter.fold.toRekey()) * ledger.Cost(1, usualFee)
	s.Peers, s.Missing, s.Repeated, s.Omitted = n.peerStatus(), n.missing(), n.repeated(), n.omissions.list()
	return s, nil
}

func (n *Node) peerStatus() []PeerStatus {
	names := map[string]string{}
	for _, m := range n.fold.members() {
		if m.Removed == nil {
			names[m.Peer] = m.Name
		}
	}
	list := []PeerStatus{}
	for _, p := range n.host.Peers() {
		if !n.fold.IsMember(p.ID) {
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

func (n *Node) missing() (list []Missing) {
	n.fold.read(func(s *consortium.State) { list = holes(s) })
	round := n.watcher.State().Cursor
	for i := range list {
		list[i].Overdue = list[i].Range.IsOverdue(round)
	}
	return n.fold.named(list)
}

// holes are the numbers that a state has not seen.
func holes(s *consortium.State) (list []Missing) {
	for account, q := range s.Sequences() {
		for _, hole := range q.Holes {
			list = append(list, Missing{Member: account, Range: hole})
		}
	}
	return list
}

// named puts the members' names in the place of their accounts, and the list in order.
func (f *fold) named(list []Missing) []Missing {
	names := map[string]string{}
	for i, m := range list {
		if _, known := names[m.Member]; !known {
			names[m.Member] = f.name(m.Member)
		}
		list[i].Member = names[m.Member]
	}
	slices.SortFunc(list, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Range.First, b.Range.First))
	})
	return list
}
