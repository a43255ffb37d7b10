// Package control is how an operator runs a node: the API that the command line talks to, and its client.
package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/taxii"
)

// API is what a node answers its operator: the command line talks to it over HTTP, with the daemon's token.
type API struct {
	Repo        *repo.Repo
	Consortium  repo.Consortium
	State       *state.Shared
	Host        host
	Health      statuser
	Watcher     state.Follower
	Collections owner
	Members     registrar
	Withdrawer  withdrawer
	Register    register
	Notary      notary
	Sole        settler
	Feeds       feeder
	Accounts    *clients.Accounts
	Webhooks    *clients.Webhooks
	Trail       *auditlog.Trail
	Taxii       func() (taxii.Config, error)
	Rebuild     func(ctx context.Context) error
	Log         *slog.Logger

	// Ticket lets whoever has it into the console, once; nil while nobody is served one.
	Ticket func() (string, error)
}

// host is this node among the other members'.
type host interface {
	directoryReader
	Connected() map[peer.ID]time.Time
}

// statuser says how the node is.
type statuser interface {
	Status(ctx context.Context) (health.Status, error)
}

// owner changes this organisation's collections.
type owner interface {
	Create(ctx context.Context, spec collections.Spec) (consortium.Collection, error)
	Grant(ctx context.Context, id string, g collections.Grant) (consortium.Collection, error)
	Revoke(ctx context.Context, id string, names []string) (consortium.Collection, error)
	Set(ctx context.Context, id string, change collections.Change) (consortium.Collection, error)
	Rotate(ctx context.Context, id string) (consortium.Collection, error)
}

// registrar changes who is a member, and with which keys.
type registrar interface {
	Admit(ctx context.Context, request []byte) (members.Admission, error)
	PriceOfAdmission(ctx context.Context, request []byte) (members.Price, error)
	Remove(ctx context.Context, name string) (members.Removal, error)
	RotateKeys(ctx context.Context, change keys.Change) (members.Rotated, error)
	ReplaceKeys(ctx context.Context, member string, request []byte) (members.Rotated, error)
	Governor(ctx context.Context) (members.GovernorInfo, error)
	SetGovernor(ctx context.Context, change members.GovernorChange) (members.GovernorInfo, error)
	SubmitProposal(ctx context.Context, files [][]byte) (members.Submitted, error)
	RenewProposal(ctx context.Context, file []byte) (members.ProposalInfo, error)
}

// withdrawer takes objects back.
type withdrawer interface {
	Show(ctx context.Context, what string) (withdraw.Shown, error)
	Publications(what string) ([]withdraw.Publication, error)
	// WithdrawAll gives what it has withdrawn also with an error.
	WithdrawMany(ctx context.Context, c withdraw.Choice, say func(withdraw.Progress) error) (withdraw.Progress, error)
	WithdrawAll(ctx context.Context, s withdraw.Selection) ([]withdraw.Withdrawal, error)
	// Reclaim says of each former account what came of it, also with an error.
	Reclaim(ctx context.Context, r withdraw.Reclaim) ([]withdraw.Reclaimed, error)
}

// register answers for what was shared with whom.
type register interface {
	Each(ctx context.Context, q disclosure.Query, visit func(disclosure.Object) error) (disclosure.Known, error)
	History(collection string) (disclosure.History, error)
}

// notary proves what the chain says.
type notary interface {
	Verify(ctx context.Context, what string) (proof.Verification, error)
	Evidence(ctx context.Context, what string, disclose bool) ([]byte, error)
	Crosscheck(ctx context.Context, o proof.CrosscheckOptions, progress func(done, total uint64)) (proof.Crosscheck, error)
}

// settler takes the operator's word that no other node has this one's keys.
type settler interface{ Settle() error }

// feeder has the feeds.
type feeder interface {
	Infos() []feeds.Info
	Add(f config.Feed) (feeds.Info, error)
	Remove(name string) error
	Pause(name string, paused bool) (feeds.Info, error)
	Test(ctx context.Context, name string) (feeds.Trial, error)
	Try(ctx context.Context, f config.Feed) (feeds.Trial, error)
	RunNow(ctx context.Context, name string, again bool) (*feeds.Report, error)
	RunSoon(name string) error
}
