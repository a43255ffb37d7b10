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
		list = append(list, formerAccount{one.Address(), microalgo.Amount(funds.Amount), microalgo.Amount(funds.Locked), microalgo.Amount(funds.Free())})
	}
	return list, nil
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
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			former, present, err := a.formerOf(c)
			if err != nil {
				return err
			}
			list, err := a.sweep(c, former, order, agreed, present)
			if err != nil {
				return err
			}
			return errors.Join(problemsOf(list), a.print(c, list, func(w io.Writer) { printSwept(w, list, len(former)) }))
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

// sweep asks whether all is meant, destroys what keeps ALGO locked in former accounts, and has paid what is free there.
func (a *app) sweep(c *cobra.Command, former []formerAccount, order withdraw.Reclaim, agreed *agreement, present string) (list []withdraw.Reclaimed, err error) {
	reclaim := func(order withdraw.Reclaim) ([]withdraw.Reclaimed, error) {
		return ask(a, c, func(client *control.Client) ([]withdraw.Reclaimed, error) { return client.Reclaim(c.Context(), order) })
	}
	if len(former) == 0 {
		return []withdraw.Reclaimed{}, nil
	}
	plan := order
	plan.DryRun = true
	planned, err := reclaim(plan)
	if err == nil {
		err = problemsOf(planned)
	}
	if err != nil {
		return nil, err
	}
	var free microalgo.Amount
	for _, one := range former {
		if one.Free > microalgo.PerTransaction {
			free = free.Plus(one.Free)
		}
	}
	nfts := nftsOf(planned)
	if free == 0 && nfts == 0 {
		return []withdraw.Reclaimed{}, nil
	}
	destroying := ""
	if nfts > 0 {
		destroying = fmt.Sprintf("Destroy %d NFTs, which frees %s ALGO, and ", nfts, microalgo.PerAsset.Times(uint64(nfts)))
		free = free.Plus(microalgo.PerAsset.Times(uint64(nfts)))
	}
	question := fmt.Sprintf("%spay %s ALGO, but for fees, to %s?", destroying, free, present)
	if err := agreed.confirm(c, strings.ToUpper(question[:1])+question[1:], nil); err != nil {
		return nil, err
	}
	order.GiveBack = true
	return reclaim(order)
}

func nftsOf(list []withdraw.Reclaimed) (n int) {
	for _, one := range list {
		n += one.NFTs
	}
	return n
}

// problemsOf is what could not be done, account by account.
func problemsOf(list []withdraw.Reclaimed) (err error) {
	for _, one := range list {
		if one.Problem != "" {
			err = errors.Join(err, fmt.Errorf("former account %s: %s", one.Account, one.Problem))
		}
	}
	return err
}

func printSwept(w io.Writer, list []withdraw.Reclaimed, former int) {
	nfts, idle := nftsOf(list), true
	if nfts > 0 {
		fmt.Fprintf(w, "%d NFTs destroyed, which frees %s ALGO\n", nfts, microalgo.PerAsset.Times(uint64(nfts)))
	}
	for _, one := range list {
		if one.Paid > 0 {
			idle = false
			fmt.Fprintf(w, "%s ALGO\tfrom %s\t%s\n", one.Paid, one.Account, one.TxID)
		}
	}
	if idle {
		fmt.Fprintf(w, "nothing is free in %d former accounts\n", former)
	}
}
