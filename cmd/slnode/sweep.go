package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/repo/keys"
)

// formerAccount is one that this organisation had before. Amounts are in microalgo.
type formerAccount struct {
	Account string           `json:"account"`
	Amount  microalgo.Amount `json:"microalgo"`
	Locked  microalgo.Amount `json:"locked_microalgo"`
	Free    microalgo.Amount `json:"free_microalgo"`

	ledger *ledger.Ledger
}

func (f formerAccount) advice() string {
	if f.Free <= microalgo.PerTransaction {
		return ""
	}
	return "; \"slnode wallet sweep\" brings it back"
}

// formerAccounts asks algod for the balances of the accounts that this organisation had before.
func formerAccounts(ctx context.Context, client *algod.Client, k keys.Keys, maxFee uint64) (list []formerAccount, err error) {
	for _, account := range k.Former {
		one := ledger.New(client, account, maxFee)
		funds, err := one.Funds(ctx)
		if err != nil {
			return nil, fmt.Errorf("former account %s: %w", one.Address(), err)
		}
		list = append(list, formerAccount{one.Address(), microalgo.Amount(funds.Amount), microalgo.Amount(funds.Locked), microalgo.Amount(funds.Free()), one})
	}
	return list, nil
}

// swept is what was paid out of a former account.
type swept struct {
	Account string           `json:"account"`
	Paid    microalgo.Amount `json:"microalgo"`
	TxID    string           `json:"txid"`
}

func (a *app) walletSweepCommand() *cobra.Command {
	var agreed *agreement
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Bring what is free in the accounts that this organisation had before to the present one",
		Long: `Sweep pays what can be spent of each account that "member rotate --account" has left behind to this organisation's
present account, for a fee of 0.001 ALGO each. What the NFTs of a former account keep locked stays there.`,
		Args: exactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			config, k, err := a.own(c)
			if err != nil {
				return err
			}
			client, err := algorand.NewAlgod(config.Algorand.AlgodURL, config.Algorand.AlgodToken, config.Algorand.AlgodTokenHeader)
			if err != nil {
				return err
			}
			former, err := formerAccounts(c.Context(), client, k, config.Algorand.MaxFee)
			if err != nil {
				return err
			}
			var free microalgo.Amount
			for _, one := range former {
				if one.Free > microalgo.PerTransaction {
					free = free.Plus(one.Free)
				}
			}
			if free > 0 {
				if err := agreed.confirm(c, fmt.Sprintf("Pay %s ALGO, but for fees, to %s?", free, k.Address()), nil); err != nil {
					return err
				}
			}
			list, err := a.sweep(c, former, k.Address())
			return errors.Join(err, a.print(c, list, func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintf(w, "nothing is free in %d former accounts\n", len(former))
				}
				for _, one := range list {
					fmt.Fprintf(w, "%s ALGO\tfrom %s\t%s\n", one.Paid, one.Account, one.TxID)
				}
			}))
		},
	}
	agreed = asks(c)
	return c
}

// sweep pays out of each account what it can. What was paid is told also where another one failed.
func (a *app) sweep(c *cobra.Command, former []formerAccount, to string) (list []swept, err error) {
	for _, one := range former {
		txid, paid, err := one.ledger.SpendAll(c.Context(), to)
		if errors.Is(err, ledger.ErrNothingFree) {
			continue
		}
		if err != nil {
			return list, err
		}
		a.note(c, "sweep-wallet", one.Account)
		list = append(list, swept{one.Account, paid, txid})
	}
	return list, nil
}
