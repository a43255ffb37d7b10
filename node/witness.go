package node

import (
	"context"
	"sync/atomic"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
)

// witness is algod as the second witness of how far the chain is.
type witness struct {
	ledger     *ledger.Ledger
	consortium repo.Consortium
	ours       atomic.Bool // algod was seen to be of the consortium's network
}

// tip tells the chain's last round as algod has it, to hold what the indexer says against it.
func (w *witness) tip(ctx context.Context) (uint64, error) {
	if !w.ours.Load() {
		params, err := w.ledger.Params(ctx)
		if err != nil {
			return 0, err
		}
		if err := problem.CheckNetwork(params.GenesisID, params.GenesisHash[:], w.consortium.GenesisID, w.consortium.GenesisHash); err != nil {
			return 0, err
		}
		w.ours.Store(true)
	}
	return w.ledger.Tip(ctx)
}
