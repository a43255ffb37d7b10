package node

import (
	"context"

	"github.com/serviceledger/slnode/internal/ledger"
)

// usualFee is the least that a transaction costs on Algorand's networks, in microalgo.
const usualFee = 1000

// minFee is the least that a transaction costs now, as far as it can be found out.
func minFee(ctx context.Context, l feeSource) uint64 {
	params, err := l.Params(ctx)
	if err != nil {
		return usualFee
	}
	return params.MinFee
}

// feeSource tells what the network asks for.
type feeSource interface {
	Params(ctx context.Context) (ledger.Params, error)
}
