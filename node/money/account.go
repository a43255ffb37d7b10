package money

import (
	"context"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
)

// Account is this organisation's, and what of it may be spent for what.
type Account struct {
	Ledger interface {
		Funds(ctx context.Context) (ledger.Funds, error)
	}
	Terms *Terms
	State interface{ ToRekey() int } // of how many collections another key may be needed
}

// Spendable is what objects can spend: what is free, without the reserve.
func (a Account) Spendable(ctx context.Context) (microalgo.Amount, error) {
	funds, err := a.Ledger.Funds(ctx)
	if err != nil {
		return 0, err
	}
	return microalgo.Amount(funds.Free()).Less(a.Terms.Kept(a.State.ToRekey(), ledger.LowestFee)), nil
}
