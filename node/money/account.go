package money

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/problem"
)

// Account is this organisation's, and what of it may be spent for what.
type Account struct {
	Ledger interface {
		Address() string
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

// affordTimeout bounds how long somebody who wants something done waits for algod before it is begun.
const affordTimeout = 3 * time.Second

// Afford refuses what takes so many NFTs, records that may spend the reserve, after so many were destroyed, if the
// account can't pay for all of it: before anything is done, with what is lacking. While the balance is not known it
// refuses nothing, as what is stored waits for the money.
func (a Account) Afford(ctx context.Context, nfts, ends int) error {
	ctx, cancel := context.WithTimeout(ctx, affordTimeout)
	defer cancel()
	funds, err := a.Ledger.Funds(ctx)
	if err != nil {
		return nil // publishing says what it waits for
	}
	locked := microalgo.PerAsset.Times(uint64(max(0, nfts-ends)))
	needs, free := locked.Plus(microalgo.Amount(ledger.LowestFee).Times(uint64(nfts+ends))), microalgo.Amount(funds.Free())
	if free >= needs {
		return nil
	}
	return problem.Input(fmt.Errorf("this takes %s ALGO, of which %s stay locked, and account %s has %s to spend: send it at least %s more, then repeat it",
		needs, locked, a.Ledger.Address(), free, needs.Less(free)))
}
