package publish

import (
	"context"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// What the pipeline needs of the chain and of the other members.

// Ledger is the chain as it is written to, by way of algod: a [ledger.Ledger].
type Ledger interface {
	FeeSource
	Address() string
	Funds(ctx context.Context) (ledger.Funds, error)
	Sign(p ledger.Params, mints []ledger.Mint) (ledger.Group, error)
	Raise(p ledger.Params, raw []byte) (ledger.Group, error)
	Submit(ctx context.Context, raw []byte) error
	Fate(ctx context.Context, txid string, firstValid, lastValid uint64) (ledger.Fate, consortium.Place, error)
	Minted(ctx context.Context, round uint64) ([]consortium.Place, error)
	Round(ctx context.Context) (uint64, error)
	Tip(ctx context.Context) (uint64, error)
	WaitAfter(ctx context.Context, round uint64) (uint64, error)
}

// Finder looks a transaction up in the indexer: a [chainwatch.Watcher].
type Finder interface {
	Find(ctx context.Context, txid string) (chainwatch.Finding, error)
	// Trace is Find for one that is not expected to be there: what it doesn't find is absent up to the round it tells.
	Trace(ctx context.Context, txid, sender string, first, last uint64) (chainwatch.Finding, error)
}

// View is what the chain has shown so far: a [view.View].
type View interface {
	published
	Cursor() (uint64, error)
	EventOf(asset uint64) (view.Event, bool, error)
	Leased(lease [32]byte) (view.Event, bool, error)
	// Event gives the event of a transaction, Objects those of a batch's objects of which something has become, and Log
	// some events after a position.
	Event(txid string) (view.Event, bool, error)
	Objects(batch view.Event) ([]view.Event, error)
	Log(after consortium.Position, limit int) ([]view.Event, error)
}

// published is where what is published is found.
type published interface {
	Same(*view.Entry) (*view.Entry, error)
}

// Announcer tells the other members.
type Announcer interface {
	// Announce tells of directories that were confirmed in a round, Hint of a round in which something else was.
	Announce(ctx context.Context, round uint64, directories []unixfs.Directory) error
	Hint(ctx context.Context, round uint64) error
}
