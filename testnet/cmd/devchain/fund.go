package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/testnet/devchain"
)

func newFundCommand() *cobra.Command {
	var url, token, funderFile, to, amount string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "fund",
		Short: "Send ALGO from the funder to an account, on any network",
		Long: `Fund pays from the account whose 25 words are in --funder-file, waits until the payment is
confirmed, and prints its transaction id. It works with any algod, a development chain's or a
real network's.`,
		Example: `  devchain fund --algod http://127.0.0.1:4001 --funder-file ./chain/funder.mnemonic --to ADDRESS --algo 10`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			microalgos, err := devchain.ParseAlgo(amount)
			if err != nil {
				return err
			}
			words, err := os.ReadFile(funderFile)
			if err != nil {
				return fmt.Errorf("reading the funder's mnemonic: %w", err)
			}
			txid, err := devchain.Fund(ctx, url, token, string(words), to, microalgos)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), txid)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&url, "algod", os.Getenv("SL_ALGOD_URL"), "algod's `URL` (SL_ALGOD_URL)")
	f.StringVar(&token, "algod-token", os.Getenv("SL_ALGOD_TOKEN"), "algod's API `token` (SL_ALGOD_TOKEN)")
	f.StringVar(&funderFile, "funder-file", os.Getenv("SL_FUNDER_FILE"), "`file` with the funder's 25 words (SL_FUNDER_FILE)")
	f.StringVar(&to, "to", "", "`address` that gets the money")
	f.StringVar(&amount, "algo", "10", "`amount` in ALGO, with up to six decimals")
	f.DurationVar(&timeout, "timeout", time.Minute, "`time` to wait for the confirmation")
	_ = cmd.MarkFlagRequired("to") // fails only for a flag that does not exist
	return cmd
}
