package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/microalgo"
)

// ErrNothingFree means that an account has no more than it must keep, and a fee.
var ErrNothingFree = errors.New("the account has nothing to spend")

// Payment is one that the chain has.
type Payment struct {
	TxID      string
	Paid, Fee microalgo.Amount
}

// SpendAll pays all that the account can spend to another one, and returns when the chain has it. What its NFTs keep
// locked stays. The payment has no note, so that it is nothing to the protocol. The error wraps [ErrNothingFree] where
// there is nothing.
func (l *Ledger) SpendAll(ctx context.Context, to string) (Payment, error) {
	params, err := l.Params(ctx)
	if err != nil {
		return Payment{}, err
	}
	fee, err := l.feeFor(params)
	if err != nil {
		return Payment{}, err
	}
	before, err := l.Funds(ctx)
	if err != nil {
		return Payment{}, err
	}
	if before.Free() <= fee {
		return Payment{}, fmt.Errorf("%s: %w", l.Address(), ErrNothingFree)
	}
	p := Payment{Paid: microalgo.Amount(before.Free() - fee), Fee: microalgo.Amount(fee)}
	p.TxID, err = l.pay(ctx, params, to, p.Paid)
	return p, err
}

// pay pays an amount to another account, and returns when the chain has it.
func (l *Ledger) pay(ctx context.Context, params Params, to string, amount microalgo.Amount) (txid string, err error) {
	receiver, err := types.DecodeAddress(to)
	if err != nil {
		return "", fmt.Errorf("paying to %.60q: %w", to, err)
	}
	fee, err := l.feeFor(params)
	if err != nil {
		return "", err
	}
	payment := transaction(params, l.account.Address, Window, Mint{})
	payment.Type, payment.AssetParams, payment.Fee = types.PaymentTx, types.AssetParams{}, types.MicroAlgos(fee)
	payment.Receiver, payment.Amount = receiver, types.MicroAlgos(amount)
	signed, err := l.signed([]types.Transaction{payment})
	if err != nil {
		return "", err
	}
	if err := l.Submit(ctx, signed.Raw); err != nil {
		return "", err
	}
	return signed.TxIDs[0], l.awaitPaid(ctx, signed)
}

// awaitPaid waits until a payment is confirmed, or can't be any more.
func (l *Ledger) awaitPaid(ctx context.Context, signed Group) error {
	txid := signed.TxIDs[0]
	for {
		round, err := l.Round(ctx)
		if err != nil {
			return fmt.Errorf("transaction %s is submitted, and may be confirmed: %w", txid, err)
		}
		fate, _, err := l.Fate(ctx, txid, signed.FirstValid, signed.LastValid)
		switch {
		case err != nil:
			return fmt.Errorf("transaction %s is submitted, and may be confirmed: %w", txid, err)
		case fate == Confirmed:
			return nil
		case round > signed.LastValid:
			return fmt.Errorf("transaction %s was not confirmed in time; try again", txid)
		}
		if err := AwaitRound(ctx, l, round); err != nil {
			return fmt.Errorf("transaction %s is submitted, and not confirmed yet: %w", txid, err)
		}
	}
}
