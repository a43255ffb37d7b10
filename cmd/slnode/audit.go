package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/proof"
)

func (a *app) auditCommand() *cobra.Command {
	var options proof.CrosscheckOptions
	c := &cobra.Command{
		Use:   "audit",
		Short: "Compare all that this node took from the indexer with algod's blocks",
		Long: `Audit reads from algod every block that holds a transaction of this node's event log, and the blocks in which the
transactions can be whose sequence numbers are missing. It checks that each block holds exactly those transactions, and
reports what the indexer left out of these rounds. With --every-round it reads all blocks since the founding: only that
finds a transaction that was left out with all that its publisher minted later.

An algod that is not archival has the last thousand blocks only; what it can't show is counted, not passed over. It
exits with 3 if something was found.`,
		Example: `  slnode audit
  slnode audit --every-round --from 41000000`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.connect(c)
			if err != nil {
				return err
			}
			bar := newProgress(c, "auditing rounds")
			audit, err := client.Crosscheck(c.Context(), options, func(done, total uint64) { bar.set(int(done), int(total)) })
			bar.done()
			if err = errors.Join(err, client.Close()); err != nil {
				return err
			}
			if err := a.print(c, audit, func(w io.Writer) { printAudit(w, audit) }); err != nil {
				return err
			}
			if !audit.Passed {
				return &noError{fmt.Sprintf("%d differences between the indexer and algod", len(audit.Findings)+audit.More)}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&options.EveryRound, "every-round", false, "read the blocks of all rounds, not only those of the log")
	c.Flags().Uint64Var(&options.From, "from", 0, "begin with the block of this `round` (default: the founding)")
	return c
}

func printAudit(w io.Writer, a proof.Crosscheck) {
	scope := "those of the event log"
	if a.EveryRound {
		scope = "every one"
	}
	fmt.Fprintf(w, "rounds\t%d to %d, %s: %d blocks read\n", a.First, a.Last, scope, a.Rounds)
	fmt.Fprintf(w, "events\t%d in the log, %d exactly so in their blocks\n", a.Events, a.Confirmed)
	if u := a.Unread; u.Rounds > 0 {
		fmt.Fprintf(w, "NOT CHECKED\t%d events: algod does not have %d of the blocks, between rounds %d and %d; ask an archival one\n",
			u.Events, u.Rounds, u.First, u.Last)
	}
	for _, f := range a.Findings {
		fmt.Fprintf(w, "%s\tround %d, transaction %s of %s\n", strings.ToUpper(string(f.Problem)), f.Round, f.TxID, printable(f.Sender))
		if f.Detail != "" {
			fmt.Fprintf(w, "\t%s\n", printable(f.Detail))
		}
	}
	if a.More > 0 {
		fmt.Fprintf(w, "\tand %d more\n", a.More)
	}
	for _, m := range a.Missing {
		fmt.Fprintf(w, "MISSING\tsequence numbers %d to %d of %s are in none of these blocks\n", m.Range.First, m.Range.Last, printable(m.Member))
	}
}
