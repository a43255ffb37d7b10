package ledger

import (
	"context"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/crypto"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/microalgo"
)

// Former is an account that an organisation had before. It mints no more; what it has made can still be destroyed, and
// what is free be paid to the present account. Nothing that it sends has a note, so that it is nothing to the protocol.
type Former struct {
	*Ledger
	present *Ledger // pays the fee that a former account doesn't have
}

// Before gives the accounts that an organisation had before the one of this ledger.
func (l *Ledger) Before(accounts []crypto.Account) (list []*Former) {
	for _, account := range accounts {
		list = append(list, &Former{Ledger: New(l.algod, account, l.maxFee), present: l})
	}
	return list
}

// Made lists the assets that the account has made and that are not destroyed, by their ids. Algod tells it of accounts
// with up to 100,000.
func (f *Former) Made(ctx context.Context) (assets []uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := f.algod.AccountInformation(f.Address()).Do(ctx)
	if err == nil && info.Address != f.Address() {
		err = &algorand.ForeignError{Server: "algod", What: "an account of another address"}
	}
	if err != nil {
		return nil, fmt.Errorf("asking algod for the NFTs of %s: %w", f.Address(), err)
	}
	for _, made := range info.CreatedAssets {
		assets = append(assets, made.Index)
	}
	return assets, nil
}

// Destroyed is what was destroyed of a former account, and what the transactions for it cost.
type Destroyed struct {
	NFTs int
	Fees microalgo.Amount
}

// Destroy destroys assets that the account has made, in groups, and returns when the chain has it. It tells what is
// destroyed also with an error. What is destroyed already can't be destroyed once more: done again with what is left it
// goes on.
func (f *Former) Destroy(ctx context.Context, assets []uint64) (done Destroyed, err error) {
	for len(assets) > 0 {
		n := min(len(assets), MaxGroup)
		fees, err := f.destroyGroup(ctx, assets[:n])
		if done.Fees = done.Fees.Plus(fees); err != nil {
			return done, fmt.Errorf("destroying NFTs of %s: %w", f.Address(), err)
		}
		done.NFTs, assets = done.NFTs+n, assets[n:]
	}
	return done, nil
}

// destroyGroup gives the fees of what the chain has of it.
func (f *Former) destroyGroup(ctx context.Context, assets []uint64) (fees microalgo.Amount, err error) {
	params, err := f.Params(ctx)
	if err != nil {
		return 0, err
	}
	if fees, err = f.haveFees(ctx, params, len(assets)); err != nil {
		return fees, err
	}
	mints := make([]Mint, len(assets))
	for i, asset := range assets {
		mints[i] = Mint{Destroys: asset}
	}
	group, err := f.Sign(params, mints)
	if err != nil {
		return fees, err
	}
	if err := f.Submit(ctx, group.Raw); err != nil {
		return fees, err
	}
	if err := f.awaitPaid(ctx, group); err != nil {
		return fees, err
	}
	return fees.Plus(microalgo.Amount(group.Fee).Times(uint64(len(assets)))), nil
}

// haveFees has the present account pay what the former lacks for the fees of so many transactions, and gives the fee of
// that.
func (f *Former) haveFees(ctx context.Context, params Params, transactions int) (fee microalgo.Amount, err error) {
	needs := params.Fee() * uint64(transactions)
	funds, err := f.Funds(ctx)
	if err != nil || funds.Free() >= needs {
		return 0, err
	}
	if _, err := f.present.pay(ctx, params, f.Address(), microalgo.Amount(needs-funds.Free())); err != nil {
		return 0, fmt.Errorf("paying the fees for it: %w", err)
	}
	return microalgo.Amount(params.Fee()), nil
}

// GiveBack pays all that the account can spend to the present one, and returns when the chain has it. The error wraps
// [ErrNothingFree] where there is nothing.
func (f *Former) GiveBack(ctx context.Context) (Payment, error) {
	return f.SpendAll(ctx, f.present.Address())
}
