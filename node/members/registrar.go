// Package members founds and joins consortia, admits, removes and gives other keys, alone or with others who are the governor,
// and keeps this node connected to the members'.
package members

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// Registrar keeps the register of members: it founds, admits and removes, gives members and this organisation other keys,
// and signs with others where the governor is several.
type Registrar struct {
	Repo        *repo.Repo
	Consortium  repo.Consortium
	State       *state.Shared
	Host        peers
	Ledger      *ledger.Ledger
	Watcher     *chainwatch.Watcher
	Announcer   publish.Announcer
	Records     *publish.Records
	Withdrawer  *withdraw.Withdrawer
	Collections *collections.Owner
	Problem     func() error
	Outbox      *publish.Outbox
	Log         *slog.Logger

	remembered []string                       // the members' addresses as they are written down; keepConnected's alone
	rotated    signal.Signal                  // a change of our own keys was carried out, or came to nothing
	switching  atomic.Bool                    // … it was
	failed     atomic.Pointer[failedRotation] // … the last one that came to nothing
}

// peers is this node among the other members'.
type peers interface {
	AddrInfo() peer.AddrInfo
	Peers() []p2p.PeerState
	KeepConnected(invited ...peer.AddrInfo)
	Drop(ctx context.Context, id peer.ID) error
	Put(ctx context.Context, directories []p2p.Directory) error
}
