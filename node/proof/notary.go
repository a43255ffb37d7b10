// Package proof holds what is believed against the chain, by both algod and the indexer: one publication (verify.go),
// for somebody without a node (evidence.go), all of the log (crosscheck.go), and what is missing in it (gaps.go,
// gapwatch.go); and looks after what is found late (reread.go, late.go).
package proof

import (
	"context"
	"log/slog"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
)

// Notary proves what the chain says of this consortium, asking both algod and the indexer.
type Notary struct {
	View        *view.View
	State       *state.Shared
	Blocks      fileSource
	Ledger      algod
	Watcher     indexer
	Consortium  repo.Consortium
	ExplorerURL string // where people can look a transaction up, with {network} and {txid}
	// Keep is given the transactions that count and were not in the log; nil if nobody keeps them.
	Keep func([]onchain.Confirmed) error
	Log  *slog.Logger
}

// algod is what the blocks are read from.
type algod interface {
	// Block's error wraps [ledger.ErrNoBlock] if algod doesn't have it.
	Block(ctx context.Context, round uint64) (types.Block, error)
	Read(ctx context.Context, round uint64) (r onchain.Reading, found bool, err error)
	CheckedHeader(ctx context.Context, block *types.Block) ([]byte, error)
	InclusionProof(ctx context.Context, round uint64, txid string) (models.TransactionProof, error)
	StateProof(ctx context.Context, round uint64) (proof ledger.StateProof, found bool, err error)
	// Included's error wraps [ledger.ErrNoBlock], or [ledger.ErrNotIncluded] if the block doesn't hold the transaction.
	Included(ctx context.Context, round uint64, txid string, genesisHash []byte) (at time.Time, err error)
}

// indexer is what the log comes from.
type indexer interface {
	state.Follower
	// Find's error is a [chainwatch.InvalidError] if what the indexer gives is not what its id says, or nobody signed it.
	Find(ctx context.Context, txid string) (chainwatch.Finding, error)
	// Reread gives the events of some rounds that one of the indexers has.
	Reread(ctx context.Context, source string, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher, take func([]consortium.Event) error) error
}

// fileSource is where the files of publications come from: this node's store, or other members'.
type fileSource interface {
	Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error)
	Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error)
}
