package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/daybook"
)

func (a *app) walletCommand() *cobra.Command {
	var words bool
	c := &cobra.Command{
		Use:   "wallet",
		Short: "Show the Algorand account and its balance",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if words {
				return a.showWords(c)
			}
			config, keys, err := a.own(c)
			if err != nil {
				return err
			}
			client, err := algorand.NewAlgod(config.Algorand.AlgodURL, config.Algorand.AlgodToken, config.Algorand.AlgodTokenHeader)
			if err != nil {
				return err
			}
			account := ledger.New(client, keys.Account, config.Algorand.MaxFee)
			if err := a.checkNetwork(c.Context(), account); err != nil {
				return err
			}
			funds, err := account.Funds(c.Context())
			if err != nil {
				return err
			}
			former, err := formerAccounts(c.Context(), client, keys, config.Algorand.MaxFee)
			if err != nil {
				return err
			}
			returns, reserve := a.moneyOf(c, config.Publish.Reserve)
			result := struct {
				Account string          `json:"account"`
				Amount  uint64          `json:"microalgo"`
				Locked  uint64          `json:"locked_microalgo"`
				Free    uint64          `json:"free_microalgo"`
				Reserve uint64          `json:"reserve_microalgo"` // of what is free; without a daemon as it is set
				Objects uint64          `json:"objects"`
				Returns uint64          `json:"releasable_microalgo,omitzero"`
				Former  []formerAccount `json:"former,omitempty"`
			}{keys.Address(), funds.Amount, funds.Locked, funds.Free(), reserve, funds.Free() / ledger.Cost(1, 1000), returns, former}
			return a.print(c, result, func(w io.Writer) {
				fmt.Fprintf(w, "account  %s\nbalance  %s ALGO\nlocked   %s ALGO: 0.1 for the account and 0.1 for every NFT%s\nfree     %s ALGO, enough for %d NFTs\n",
					result.Account, algo(result.Amount), algo(result.Locked), deposits(result.Returns), algo(result.Free), result.Objects)
				if result.Reserve > 0 {
					fmt.Fprintf(w, "reserve  %s ALGO of that is kept back for records and withdrawals (publish.reserve)\n", algo(result.Reserve))
				}
				for _, one := range former {
					fmt.Fprintf(w, "former   %s: %s ALGO, %s of it locked by its NFTs, %s free%s\n", one.Account, one.Amount, one.Locked, one.Free, one.advice())
				}
			})
		},
	}
	c.AddCommand(a.walletHistoryCommand(), a.walletSweepCommand())
	c.Flags().BoolVar(&words, "mnemonic", false, "show the account's 25 words instead; on a terminal only")
	return c
}

// checkNetwork refuses an algod of another network than the consortium's: there the account has nothing, which is no
// reason to send it money.
func (a *app) checkNetwork(ctx context.Context, account *ledger.Ledger) error {
	own, err := repo.ReadConsortium(a.dir)
	if err != nil || own == nil {
		return err
	}
	params, err := account.Params(ctx)
	if err != nil {
		return err
	}
	if err := problem.CheckNetwork(params.GenesisID, params.GenesisHash[:], own.GenesisID, own.GenesisHash); err != nil {
		return problem.Input(fmt.Errorf("%w; correct algorand.algod_url in config.toml", err))
	}
	return nil
}

// showWords prints the account's secret for a person to write down, never into a file or a pipe.
func (a *app) showWords(c *cobra.Command) error {
	file, ok := c.OutOrStdout().(*os.File)
	if !ok || !isTerminal(file) || a.json {
		return fmt.Errorf("%w: the 25 words are shown on a terminal only, and not as JSON", errUsage)
	}
	keys, err := repo.ReadKeys(a.dir, a.passphrase(c))
	if err != nil {
		return err
	}
	words, err := keys.Mnemonic()
	if err != nil {
		return err
	}
	a.note(c, "show-mnemonic", keys.Address())
	_, err = fmt.Fprintf(file, "Whoever knows these words is the organisation:\n\n%s\n", words)
	return err
}

func (a *app) walletHistoryCommand() *cobra.Command {
	var since, until string
	var asCSV bool
	c := &cobra.Command{
		Use:   "history",
		Short: "Show what was spent, by days: what for, who caused it, fees, what was locked and freed",
		Long: `History lists what this organisation has spent on the chain: for each day (UTC), what for and who caused it. What
for: objects, records (memberships, collections, keys), withdrawals, releases, and former, which is what was destroyed and
paid back of accounts of before. By: an account, key:NAME for an API key, "feed NAME", operator for the command line, node for what the node does by itself. ACCEPTED counts objects that came in that day, which is
what limits count; everything else is what was confirmed that day. The node keeps the last 400 days on which it spent
something. What it spent before a backup was restored, and after that backup was made, is not in it.`,
		Example: `  slnode wallet history --since 2026-11-01
  slnode wallet history --csv > spent.csv`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if asCSV && a.json {
				return fmt.Errorf("%w: --csv or --json", errUsage)
			}
			var query money.Query
			for flag, day := range map[string]*daybook.Day{"since": &query.Since, "until": &query.Until} {
				if text := c.Flag(flag).Value.String(); text != "" {
					if *day, err = daybook.ParseDay(text); err != nil {
						return fmt.Errorf("%w: --%s: %w", errUsage, flag, err)
					}
				}
			}
			if query.Until != 0 && query.Until < query.Since {
				return fmt.Errorf("%w: --until is before --since", errUsage)
			}
			out := a.spentOutput(c.OutOrStdout(), asCSV)
			total, err := ask(a, c, func(client *control.Client) (money.Total, error) { return client.Spent(c.Context(), query, out.line) })
			if err = errors.Join(err, out.end()); err != nil {
				return err
			}
			text := fmt.Sprintf("in all: %d objects, %s ALGO in fees, %s locked, %s freed", total.Objects, total.Fees, total.Locked, total.Freed)
			if total.Began != 0 {
				text += fmt.Sprintf("; the day-book begins on %s", total.Began)
			}
			a.remark(c, text)
			return nil
		},
	}
	c.Flags().StringVar(&since, "since", "", "from a `date` on")
	c.Flags().StringVar(&until, "until", "", "up to the end of a `date`")
	c.Flags().BoolVar(&asCSV, "csv", false, "print CSV, for a spreadsheet")
	return c
}

// spentOutput writes lines of the day-book as they come.
type spentOutput struct {
	line func(daybook.Line) error
	end  func() error
}

func (a *app) spentOutput(w io.Writer, asCSV bool) spentOutput {
	switch {
	case a.json:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return spentOutput{func(l daybook.Line) error { return encoder.Encode(l) }, func() error { return nil }}
	case asCSV:
		out := csv.NewWriter(w)
		header := []string{"day", "for", "by", "accepted", "objects", "nfts", "destroyed", "fee_algo", "locked_algo", "freed_algo"}
		if err := out.Write(header); err != nil {
			return spentOutput{func(daybook.Line) error { return err }, func() error { return err }}
		}
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		return spentOutput{func(l daybook.Line) error {
			return out.Write(cells(l.Day.String(), l.For.String(), causeText(l.By), number(l.Taken), number(l.Objects), number(l.NFTs), number(l.Ended),
				l.Fees.Fixed(), l.Locked.Fixed(), l.Freed.Fixed()))
		}, func() error {
			out.Flush()
			return out.Error()
		}}
	}
	table := newRows(w, "DAY\tFOR\tBY\tACCEPTED\tOBJECTS\tNFTS\tFEE\tLOCKED\tFREED")
	return spentOutput{func(l daybook.Line) error {
		return table.row("%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s", l.Day, l.For, oneLine(printable(causeText(l.By))), l.Taken, l.Objects, l.NFTs, l.Fees.Fixed(), l.Locked.Fixed(), l.Freed.Fixed())
	}, table.end}
}

// causeText is who caused something, for people.
func causeText(by string) string {
	switch by {
	case "":
		return "node"
	case daybook.Others:
		return "all others"
	}
	return strings.TrimSuffix(by, ":")
}
