// Command devchain runs an Algorand network of one process for development and tests, funds accounts on it or on any
// other network, and tells it what to do wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main for tests: it returns the exit code. SIGINT and SIGTERM end the context; a second one kills.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := &cobra.Command{
		Use:   "devchain",
		Short: "An Algorand network in one process, for development and tests",
		Long: `devchain serves algod's and the indexer's REST APIs over one in-memory ledger, on loopback.

Transaction ids, signatures, block hashes and proofs are genuine, and the rules for payments and
assets are those of the real network. It has no applications, no consensus and nothing at stake:
it is for development and tests only.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newFundCommand(), newFaultCommand(), newAdvanceCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "devchain:", err)
		return 1
	}
	return 0
}
