package node

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// registrar keeps the register of members: it founds, admits and removes, gives members and this organisation other keys,
// and signs with others where the governor is several.
type registrar struct {
	repo        *repo.Repo
	consortium  repo.Consortium
	fold        *fold
	host        peers
	ledger      *ledger.Ledger
	watcher     *chainwatch.Watcher
	announcer   announcer
	records     *records
	withdrawer  *withdrawer
	collections *owner
	problem     func() error
	done        *signal // something of ours was confirmed, or withdrawn
	log         *slog.Logger

	remembered []string                       // the members' addresses as they are written down; keepConnected's alone
	rotated    signal                         // a change of our own keys was carried out, or came to nothing
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
