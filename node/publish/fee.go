package publish

import (
	"context"

	"github.com/serviceledger/slnode/internal/ledger"
)

// MinFee is the least that a transaction costs now, as far as it can be found out.
func MinFee(ctx context.Context, l FeeSource) uint64 {
	params, err := l.Params(ctx)
	if err != nil {
		return ledger.LowestFee
	}
	return params.MinFee
}

// FeeSource tells what the network asks for.
type FeeSource interface {
	Params(ctx context.Context) (ledger.Params, error)
}
