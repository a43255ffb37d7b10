package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/withdraw"
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
	var order withdraw.Reclaim
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Bring what the accounts that this organisation had before have to the present one",
		Long: `Sweep is about the accounts that "member rotate --account" has left behind. With their keys it destroys the NFTs of what
is withdrawn, each of which keeps 0.1 ALGO locked, and pays what each account can spend to the present one. Every
transaction costs 0.001 ALGO. The node destroys such NFTs by itself, too, within some minutes.

With --release it destroys the NFTs of what is still published as well. That stays published, and proved by its
transaction. The NFTs of the charter, of members and of collections stay.`,
		Args: exactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			former, present, err := a.formerOf(c)
			if err != nil {
				return err
			}
			nfts, err := a.reclaimFormer(c, former, order, agreed, present)
			if err != nil {
				return err
			}
			if nfts > 0 {
				if former, _, err = a.formerOf(c); err != nil {
					return err
				}
			}
			list, err := a.sweep(c, former, present)
			return errors.Join(err, a.print(c, list, func(w io.Writer) {
				if nfts > 0 {
					fmt.Fprintf(w, "%d NFTs destroyed, which frees %s ALGO\n", nfts, microalgo.PerAsset.Times(uint64(nfts)))
				}
				if len(list) == 0 {
					fmt.Fprintf(w, "nothing is free in %d former accounts\n", len(former))
				}
				for _, one := range list {
					fmt.Fprintf(w, "%s ALGO\tfrom %s\t%s\n", one.Paid, one.Account, one.TxID)
				}
			}))
		},
	}
	c.Flags().BoolVar(&order.Published, "release", false, "destroy the NFTs of what is still published, too")
	agreed = asks(c)
	return c
}

// formerOf asks for the accounts that this organisation had before, and says which it has.
func (a *app) formerOf(c *cobra.Command) (list []formerAccount, present string, err error) {
	config, k, err := a.own(c)
	if err != nil {
		return nil, "", err
	}
	client, err := algorand.NewAlgod(config.Algorand.AlgodURL, config.Algorand.AlgodToken, config.Algorand.AlgodTokenHeader)
	if err != nil {
		return nil, "", err
	}
	list, err = formerAccounts(c.Context(), client, k, config.Algorand.MaxFee)
	return list, k.Address(), err
}

// reclaimFormer asks whether all is meant, and destroys what keeps ALGO locked in former accounts.
func (a *app) reclaimFormer(c *cobra.Command, former []formerAccount, order withdraw.Reclaim, agreed *agreement, present string) (nfts int, err error) {
	if len(former) == 0 {
		return 0, nil
	}
	count := func(order withdraw.Reclaim) (nfts int, err error) {
		list, err := ask(a, c, func(client *control.Client) ([]withdraw.Reclaimed, error) { return client.Reclaim(c.Context(), order) })
		for _, one := range list {
			nfts += one.NFTs
		}
		return nfts, err
	}
	plan := order
	plan.DryRun = true
	if nfts, err = count(plan); err != nil {
		return 0, err
	}
	var free microalgo.Amount
	for _, one := range former {
		if one.Free > microalgo.PerTransaction {
			free = free.Plus(one.Free)
		}
	}
	if free == 0 && nfts == 0 {
		return 0, nil
	}
	destroying := ""
	if nfts > 0 {
		destroying = fmt.Sprintf("Destroy %d NFTs, which frees %s ALGO, and ", nfts, microalgo.PerAsset.Times(uint64(nfts)))
		free = free.Plus(microalgo.PerAsset.Times(uint64(nfts)))
	}
	question := fmt.Sprintf("%spay %s ALGO, but for fees, to %s?", destroying, free, present)
	if err := agreed.confirm(c, strings.ToUpper(question[:1])+question[1:], nil); err != nil || nfts == 0 {
		return 0, err
	}
	return count(order)
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
