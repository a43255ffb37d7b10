// Package members founds and joins consortia, admits, removes and gives other keys, alone or with others who are the
// governor, and keeps this node connected to the members'.
package members

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Registrar keeps the register of members: it founds, admits and removes, gives members and this organisation other
// keys, and signs with others where the governor is several.
type Registrar struct {
	Repo        *repo.Repo
	Consortium  repo.Consortium
	State       *state.Shared
	Host        peers
	Ledger      algod
	Watcher     follower
	Announcer   publish.Announcer
	Records     *publish.Records
	Withdrawer  destroyer
	Collections founder
	Problem     func() error
	Outbox      *publish.Outbox
	Money       purse // nil: what is stored waits for it
	Log         *slog.Logger

	remembered repo.Consortium                // with the members' addresses and names as they are written down; keepConnected's alone
	excluded   string                         // why this organisation is no member, as the log has it; keepConnected's alone
	rotated    signal.Signal                  // a change of our own keys was carried out, or came to nothing
	switching  atomic.Bool                    // … it was
	failed     atomic.Pointer[failedRotation] // … the last one that came to nothing
}

// algod is the chain as one algod tells it, and the way to it.
type algod interface {
	Params(ctx context.Context) (ledger.Params, error)
	FundsOf(ctx context.Context, account string) (ledger.Funds, error)
	Round(ctx context.Context) (uint64, error)
	WaitAfter(ctx context.Context, round uint64) (uint64, error)
	Fate(ctx context.Context, txid string, firstValid, lastValid uint64) (ledger.Fate, consortium.Place, error)
	Submit(ctx context.Context, raw []byte) error
}

// follower follows the chain by an indexer.
type follower interface {
	state.Follower
	// Trace looks for a transaction of which it is not expected that it is there.
	Trace(ctx context.Context, txid, sender string, first, last uint64) (chainwatch.Finding, error)
	// Confirmed tells that something is on the chain in a round.
	Confirmed(round uint64)
}

// destroyer ends what an NFT stands for.
type destroyer interface {
	Destroy(ctx context.Context, asset uint64) (outbox.Item, error)
}

// founder makes the collection that a consortium is founded with.
type founder interface {
	Found(ctx context.Context, id string, properties wire.Collection) error
}

// peers is this node among the other members'.
type peers interface {
	AddrInfo() peer.AddrInfo
	Peers() []swarm.Peer
	KeepConnected(invited ...peer.AddrInfo)
	Drop(ctx context.Context, id peer.ID) error
	Put(ctx context.Context, directories []unixfs.Directory) error
}
