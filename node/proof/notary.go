// Package proof holds what is believed against the chain, by both algod and the indexer: one publication (verify.go), for
// somebody without a node (evidence.go), all of the log (crosscheck.go), and what is missing in it (gaps.go, gapwatch.go).
package proof

import (
	"context"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
)

// Notary proves what the chain says of this consortium, asking both algod and the indexer.
type Notary struct {
	View        *view.View
	State       *state.Shared
	Blocks      fileSource
	Ledger      *ledger.Ledger
	Watcher     *chainwatch.Watcher
	Consortium  repo.Consortium
	ExplorerURL string // where people can look a transaction up, with {network} and {txid}
}

// fileSource is where the files of publications come from: this node's store, or other members'.
type fileSource interface {
	Fetch(ctx context.Context, roots []cid.Cid) (p2p.Fetched, error)
	Read(ctx context.Context, root cid.Cid) ([]p2p.File, error)
}
