package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serviceledger/slnode/testnet/devchain"
)

func newFaultCommand() *cobra.Command {
	var control string
	var reset bool
	var f devchain.Faults
	var forgeries []string
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Switch what a running chain does wrong",
		Long: `Fault changes the faults that its flags name, leaves the others as they are, and prints all that
are then in force. Without flags it only prints them. --reset makes the chain healthy first.`,
		Example: `  devchain fault --control URL --indexer-lag 5
  devchain fault --control URL --algod-status 429 --algod-next 20 --algod-retry-after 1
  devchain fault --control URL --algod-down --indexer-down
  devchain fault --control URL --forge 'TXID:asset-config-transaction.params.url="ipfs://x"'
  devchain fault --control URL --reset`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client := controlClient{control}
			if reset {
				if _, err := client.call(cmd.Context(), http.MethodDelete, "/faults", nil); err != nil {
					return err
				}
			}
			for _, text := range forgeries {
				lie, err := parseForgery(text)
				if err != nil {
					return err
				}
				f.Forge = append(f.Forge, lie)
			}
			patch, err := changed(cmd.Flags(), f)
			if err != nil {
				return err
			}
			answer, err := client.call(cmd.Context(), http.MethodPatch, "/faults", patch)
			if err != nil {
				return err
			}
			return printIndented(cmd.OutOrStdout(), answer)
		},
	}
	flags := cmd.Flags()
	addControlFlag(flags, &control)
	flags.BoolVar(&reset, "reset", false, "make the chain healthy")
	addEndpointFlags(flags, "algod", "algod", &f.Algod)
	addEndpointFlags(flags, "indexer", "the indexer", &f.Indexer)
	flags.Uint64Var(&f.FeePerByte, "fee-per-byte", 0, "suggest and demand this fee, in `microalgos` per byte")
	flags.IntVar(&f.DropNext, "drop-next", 0, "accept and then forget the next `N` groups")
	flags.IntVar(&f.FailNext, "fail-next", 0, "accept and then evict the next `N` groups")
	flags.StringVar(&f.FailError, "fail-error", "", "the evicted groups' pool error")
	flags.IntVar(&f.IndexerLag, "indexer-lag", 0, "keep the indexer `N` rounds behind")
	flags.BoolVar(&f.IndexerFrozen, "indexer-frozen", false, "stop the indexer where it is")
	flags.BoolVar(&f.IndexerReleased, "indexer-released", false, "let the indexer refuse parameters as it does as shipped")
	flags.IntVar(&f.AlgodKeeps, "algod-keeps", 0, "let algod have only the latest `N` blocks")
	flags.StringSliceVar(&f.Hide, "hide", nil, "let the indexer leave out these `txids`")
	flags.StringArrayVar(&forgeries, "forge", nil, "let the indexer lie: `TXID:field=JSON`")
	return cmd
}

func addEndpointFlags(flags *pflag.FlagSet, name, called string, f *devchain.EndpointFaults) {
	flags.BoolVar(&f.Down, name+"-down", false, "let "+called+" vanish")
	flags.DurationVar((*time.Duration)(&f.Latency), name+"-latency", 0, "let each answer of "+called+" take this `time` longer")
	flags.IntVar(&f.Status, name+"-status", 0, "let "+called+" answer with this HTTP `status`")
	flags.IntVar(&f.RetryAfter, name+"-retry-after", 0, "send Retry-After with it, in `seconds`")
	flags.IntVar(&f.Next, name+"-next", 0, "to the next `N` requests only")
	flags.Float64Var(&f.Share, name+"-share", 0, "to this `part` of the requests only, between 0 and 1")
}

func addControlFlag(flags *pflag.FlagSet, control *string) {
	flags.StringVar(control, "control", os.Getenv("SL_CONTROL_URL"), "the chain's control `URL` (SL_CONTROL_URL)")
}

// changed is the JSON of those faults whose flags were given. A flag is named as its field, with dashes.
func changed(flags *pflag.FlagSet, f devchain.Faults) ([]byte, error) {
	all, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	endpoints := map[string]map[string]json.RawMessage{}
	if err := json.Unmarshal(all, &fields); err != nil {
		return nil, err
	}
	for _, name := range []string{"algod", "indexer"} {
		var endpoint map[string]json.RawMessage
		if err := json.Unmarshal(fields[name], &endpoint); err != nil {
			return nil, err
		}
		endpoints[name] = endpoint
	}
	patch := map[string]any{}
	flags.Visit(func(flag *pflag.Flag) {
		field := strings.ReplaceAll(flag.Name, "-", "_")
		if value, ok := fields[field]; ok {
			patch[field] = value
			return
		}
		endpoint, inner, _ := strings.Cut(field, "_")
		if value, ok := endpoints[endpoint][inner]; ok {
			some, _ := patch[endpoint].(map[string]any)
			if some == nil {
				some = map[string]any{}
				patch[endpoint] = some
			}
			some[inner] = value
		}
	})
	return json.Marshal(patch)
}

// parseForgery reads TXID:field=JSON.
func parseForgery(s string) (devchain.Forgery, error) {
	txid, rest, ok := strings.Cut(s, ":")
	field, value, ok2 := strings.Cut(rest, "=")
	if !ok || !ok2 {
		return devchain.Forgery{}, fmt.Errorf("%q is not TXID:field=JSON", s)
	}
	lie := devchain.Forgery{TxID: txid, Field: field}
	if err := json.Unmarshal([]byte(value), &lie.Value); err != nil {
		return devchain.Forgery{}, fmt.Errorf("the value in %q is not JSON: %w", s, err)
	}
	return lie, nil
}

func newAdvanceCommand() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "advance ROUNDS",
		Short: "Close rounds at once",
		Long: `Advance closes rounds without waiting, the first of them with what is in the pool, so that
validity windows and leases end.`,
		Example: `  devchain advance --control URL 1001`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil {
				return fmt.Errorf("%q is not a number of rounds", args[0])
			}
			client := controlClient{control}
			answer, err := client.call(cmd.Context(), http.MethodPost, fmt.Sprintf("/rounds?n=%d", n), nil)
			if err != nil {
				return err
			}
			return printIndented(cmd.OutOrStdout(), answer)
		},
	}
	addControlFlag(cmd.Flags(), &control)
	return cmd
}

// controlClient calls a chain's control address.
type controlClient struct{ url string }

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

func (c controlClient) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	if c.url == "" {
		return nil, errors.New("no control URL: give --control or set SL_CONTROL_URL (the chain's ready file has it)")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("calling the chain: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the chain's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the chain refused: %s", bytes.TrimSpace(answer))
	}
	return answer, nil
}

func printIndented(w io.Writer, answer []byte) error {
	var buf bytes.Buffer
	if err := json.Indent(&buf, answer, "", "  "); err != nil {
		return err
	}
	_, err := buf.WriteTo(w)
	return err
}
