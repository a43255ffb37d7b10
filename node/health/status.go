package health

import (
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/watch"
	"github.com/serviceledger/slnode/node/withdraw"
)

// Status is how a node is, for its operator.
type Status struct {
	Daemon       Daemon    `json:"daemon"`
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
		Reserved uint64              `json:"reserved_microalgo"`    // of what can be spent, for other keys of collections, withdrawals and records; no object gets it
		Funds    string              `json:"funds_error,omitempty"` // why that is not known
	} `json:"publishing"`

	// Money is what the account can pay for, and for how long.
	Money money.Report `json:"money"`

	// Retention is how the taking back of what has expired goes; absent where it is off.
	Retention *withdraw.Retention `json:"retention,omitempty"`

	// Sightings is how the telling of others what was seen goes; absent where nobody is told.
	Sightings *sightings.Sharing `json:"sightings,omitempty"`
	// Watch is how much is watched for; absent where nothing is.
	Watch *watch.Status `json:"watch,omitempty"`

	// Watching's problem is one of chainwatch's Problem constants.
	Watching struct {
		problem.Condition
		Round      uint64    `json:"round"`         // applied up to here
		Tip        uint64    `json:"tip"`           // the chain's last round: algod's or, while it doesn't answer, the furthest that is known
		LagRounds  uint64    `json:"lag_rounds"`    // by how many it is behind that, and
		LagSeconds float64   `json:"lag_seconds"`   // … for how long there has been one that it lacks
		Indexer    uint64    `json:"indexer_round"` // … as the indexer says; 0 if it didn't since the start
		Algod      uint64    `json:"algod_round"`   // … as algod says
		CaughtUp   bool      `json:"caught_up"`     // the end of the chain was reached since the start, and nothing is wrong
		LastAnswer time.Time `json:"last_answer,omitzero"`
		// AlgodAnswer is when algod last answered; an indexer's is in Sources.
		AlgodAnswer time.Time `json:"algod_answer,omitzero"`
		Forged      int       `json:"forged"`
		Malformed   int       `json:"malformed"`
		Filtered    bool      `json:"indexer_takes_filters"`
		ByBlocks    bool      `json:"by_blocks"` // the end of the chain is followed by algod's blocks
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
	// Certificate is what keeps an ACME authority's certificate from TAXII clients, or that the one that they are shown
	// ends soon, or has ended.
	Certificate problem.Condition `json:"certificate,omitzero"`

	// Audit is what keeps the audit log from being written, or forwarded.
	Audit []problem.Condition `json:"audit,omitempty"`

	Members     Members      `json:"members"`
	Collections []Collection `json:"collections"`
	Peers       []PeerStatus `json:"peers"`
	// Webhooks are those of the config.
	Webhooks []clients.WebhookStatus `json:"webhooks,omitempty"`
	// Feeds are those whose last run ended early, and why.
	Feeds []feeds.Problem `json:"feeds,omitempty"`
	// Pulled is when each feed was last pulled without a problem.
	Pulled []Pulled `json:"feeds_pulled,omitempty"`
	Backup Backup   `json:"backup"`
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
	Inbound   bool     `json:"inbound,omitempty"` // it has connected to this node, which can be reached, then
	Addresses []string `json:"addresses,omitempty"`
	Problem   string   `json:"problem,omitempty"`
}

// Daemon is the process that was asked, and where it is reached.
type Daemon struct {
	Running bool   `json:"running"`          // it is a daemon; else a node in the process of a command
	Absent  string `json:"absent,omitempty"` // why none was asked
	Hangs   bool   `json:"hangs,omitempty"`  // there is one, and it does not answer
	PID     int    `json:"pid,omitempty"`
	version.Info
	TAXII   string `json:"taxii_url,omitempty"`
	Gateway string `json:"gateway,omitempty"` // host:port
	Metrics string `json:"metrics,omitempty"` // host:port
	// Fingerprint is the SHA-256 of the certificate that TAXII clients are shown, in hexadecimal.
	Fingerprint      string    `json:"certificate_sha256,omitempty"`
	CertificateUntil time.Time `json:"certificate_until,omitzero"`
}

// Without says in what way there is none.
func (d Daemon) Without() string {
	if d.Hangs {
		return "it does not answer"
	}
	return "it does not run"
}

// HTTPS reports whether TAXII clients are served with a certificate of the node's own.
func (d Daemon) HTTPS() bool { return strings.HasPrefix(d.TAXII, "https:") }

// Members counts the other members.
type Members struct {
	Known     int `json:"known"`
	Connected int `json:"connected"`
}

// Collection is one that TAXII clients see.
type Collection struct {
	ID    string `json:"id"`
	Alias string `json:"alias,omitempty"`
	Title string `json:"title"`
	Owner string `json:"owner,omitempty"` // none: it is made of several
	Write bool   `json:"can_write"`
}

// Pulled is when a feed was last pulled without a problem.
type Pulled struct {
	Feed string    `json:"feed"`
	At   time.Time `json:"at,omitzero"` // zero if it was not since the start
}

// Backup is the last backup that was made on this machine.
type Backup struct {
	At      time.Time `json:"at,omitzero"` // of which moment it is; zero if there is none
	Bytes   int64     `json:"bytes,omitzero"`
	Unknown string    `json:"unknown,omitempty"` // why nothing is known
}
