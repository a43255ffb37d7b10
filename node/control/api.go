// Package control is how an operator runs a node: the API that the command line talks to, its client, status and metrics.
package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// API is what a node answers its operator: the command line talks to it over HTTP, with the daemon's token.
type API struct {
	Repo        *repo.Repo
	Consortium  repo.Consortium
	State       *state.Shared
	Host        *p2p.Host
	Ledger      *ledger.Ledger
	Watcher     *chainwatch.Watcher
	Collections *collections.Owner
	Members     *members.Registrar
	Withdrawer  *withdraw.Withdrawer
	Notary      *proof.Notary
	Gaps        *proof.GapWatch
	Sole        *publish.Sole
	Feeds       *feeds.Feeds
	Accounts    *clients.Accounts
	Webhooks    []*clients.Webhook
	Trail       *auditlog.Trail
	Disk        *problem.Disk
	Clock       *problem.Clock
	Stages      *stages.Stages
	Sealing     *problem.Monitor
	Publishing  *problem.Monitor
	Certificate *problem.Monitor // of an ACME authority's certificate
	Taxii       func() (taxii.Config, error)
	Rebuild     func(ctx context.Context) error
	Log         *slog.Logger
	Started     time.Time
}
