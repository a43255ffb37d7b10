package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// API is what a node answers its operator: the command line talks to it over HTTP, with the daemon's token.
type API struct {
	repo        *repo.Repo
	consortium  repo.Consortium
	fold        *fold
	host        *p2p.Host
	ledger      *ledger.Ledger
	watcher     *chainwatch.Watcher
	collections *owner
	members     *registrar
	withdrawer  *withdrawer
	notary      *notary
	omissions   *omissions
	sole        *sole
	feeds       *feeds
	accounts    *accounts
	webhooks    []*webhook
	trail       *auditTrail
	disk        *diskGuard
	clock       *clockGuard
	sealing     *monitor
	publishing  *monitor
	certificate func() Condition // of an ACME authority's certificate
	taxii       func() (taxii.Config, error)
	rebuild     func(ctx context.Context) error
	log         *slog.Logger
	started     time.Time
}
