package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/testnet/devchain"
)

func newServeCommand() *cobra.Command {
	var cfg devchain.Config
	var readyFile, funderFile string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a chain until interrupted",
		Long: `Serve runs a chain until it is interrupted (SIGINT or SIGTERM).

With --round-time 0 each accepted group closes a round at once and nothing else moves the chain.
With another a round closes every so often. A chain with a directory is continued where it was,
even after SIGKILL; whether it has a round time stays as it was made.

When everything answers, --ready-file is written with these lines:

  SL_ALGOD_URL=http://127.0.0.1:4001
  SL_ALGOD_TOKEN=aaaa...
  SL_INDEXER_URL=http://127.0.0.1:8980
  SL_CONTROL_URL=http://127.0.0.1:39041
  SL_FUNDER_FILE=D/funder.mnemonic

The funder file (readable by its owner only) holds the 25 words of the account that owns
everything; see "devchain fund".`,
		Example: `  devchain serve --dir ./chain --ready-file ./chain.env
  devchain serve --round-time 2.5s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := os.Remove(readyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing the ready file of an earlier run: %w", err)
			}
			cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			chain, err := devchain.Start(ctx, cfg)
			if err != nil {
				return err
			}
			if err := announce(cmd.OutOrStdout(), chain, readyFile, funderFile); err != nil {
				return errors.Join(err, chain.Close())
			}
			<-ctx.Done()
			return chain.Close()
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", "", "`directory` that keeps the chain (default: memory only)")
	f.StringVar(&cfg.AlgodAddr, "algod", "127.0.0.1:4001", "`address` for algod; port 0 takes any")
	f.StringVar(&cfg.IndexerAddr, "indexer", "127.0.0.1:8980", "`address` for the indexer; port 0 takes any")
	f.StringVar(&cfg.ControlAddr, "control", "127.0.0.1:0", "`address` where faults are switched; port 0 takes any")
	f.StringVar(&cfg.Token, "token", devchain.DefaultToken, "algod's API `token`")
	f.DurationVar(&cfg.RoundTime, "round-time", 0, "`time` from round to round; 0 closes one with every group")
	f.StringVar(&readyFile, "ready-file", "", "`file` to write when the chain answers")
	f.StringVar(&funderFile, "funder-file", "", "`file` to write the funder's mnemonic to (default: in --dir)")
	return cmd
}

// announce says where the chain is, to a person and to scripts.
func announce(w io.Writer, chain *devchain.Chain, readyFile, funderFile string) error {
	if funderFile == "" {
		funderFile = chain.FunderFile()
	} else if err := writePrivately(funderFile, chain.Funder()+"\n"); err != nil {
		return fmt.Errorf("writing the funder's mnemonic: %w", err)
	}
	if funderFile != "" {
		absolute, err := filepath.Abs(funderFile)
		if err != nil {
			return err
		}
		funderFile = absolute
	}
	lines := []string{
		"SL_ALGOD_URL=" + chain.AlgodURL(),
		"SL_ALGOD_TOKEN=" + chain.Token(),
		"SL_INDEXER_URL=" + chain.IndexerURL(),
		"SL_CONTROL_URL=" + chain.ControlURL(),
		"SL_FUNDER_FILE=" + funderFile,
	}
	if readyFile != "" {
		if err := writePrivately(readyFile, strings.Join(lines, "\n")+"\n"); err != nil {
			return fmt.Errorf("writing the ready file: %w", err)
		}
	}
	_, err := fmt.Fprintf(w, "network  %s at round %d\nalgod    %s\nindexer  %s\ncontrol  %s\n",
		chain.GenesisID(), chain.Round(), chain.AlgodURL(), chain.IndexerURL(), chain.ControlURL())
	return err
}

// writePrivately replaces a file that only its owner may read, so that nobody sees half of it.
func writePrivately(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
