// Command gateway stands in front of an algod and an indexer, of the development chain or of a real network, and lies
// by rules: see package testnet/gateway.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/testnet/gateway"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	var algod, indexer, algodListen, indexerListen, control string
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "A proxy in front of an algod and an indexer that lies by rules",
		Long: `Gateway passes requests on to an algod and an indexer. Rules tell it what to answer in their place, and
what to change in what they say. They are read from the control address, as JSON:

  curl -X PUT  http://CONTROL/indexer/rules -d '[{"match": "/transactions", "status": 429, "retry_after": "20s", "share": 0.5}]'
  curl -X PUT  http://CONTROL/indexer/rules -d '[{"round": 1000000, "skip": 5, "count": 1}]'
  curl -X PUT  http://CONTROL/algod/rules   -d '[{"match": "POST /v2/transactions", "swallow": true, "count": 1}]'
  curl -X PUT  http://CONTROL/algod/rules   -d '[]'
  curl         http://CONTROL/indexer/requests        the requests since the start, or since the last DELETE

The fields of a rule are those of gateway.Rule.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), cmd.OutOrStdout(), control, map[string][2]string{"algod": {algod, algodListen}, "indexer": {indexer, indexerListen}})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&algod, "algod", "http://127.0.0.1:4001", "`URL` of algod")
	flags.StringVar(&indexer, "indexer", "http://127.0.0.1:8980", "`URL` of the indexer")
	flags.StringVar(&algodListen, "algod-listen", "127.0.0.1:0", "`address` for algod's clients")
	flags.StringVar(&indexerListen, "indexer-listen", "127.0.0.1:0", "`address` for the indexer's clients")
	flags.StringVar(&control, "control", "127.0.0.1:0", "`address` to be told rules at")
	return cmd
}

func serve(ctx context.Context, out io.Writer, control string, servers map[string][2]string) (err error) {
	mux := http.NewServeMux()
	for name, server := range servers {
		g, err := gateway.Start(server[0], server[1])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.Close()) }()
		handle(mux, name, g)
		fmt.Fprintf(out, "%s %s\n", name, g.URL())
	}
	listener, err := net.Listen("tcp", control)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "control http://%s\n", listener.Addr())
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handle lets one gateway be told its rules.
func handle(mux *http.ServeMux, name string, g *gateway.Gateway) {
	mux.HandleFunc("PUT /"+name+"/rules", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			var rules []gateway.Rule
			if rules, err = gateway.ParseRules(body); err == nil {
				err = g.Set(rules...)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /"+name+"/requests", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(g.Requests("")) // who asked may have gone
	})
	mux.HandleFunc("DELETE /"+name+"/requests", func(http.ResponseWriter, *http.Request) { g.Forget() })
}
