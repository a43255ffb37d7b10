package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/node/proof"
)

func (a *app) evidenceCommand() *cobra.Command {
	var out output
	var disclose bool
	c := &cobra.Command{
		Use:   "evidence STIX-ID|TRANSACTION[/INDEX] -o FILE",
		Short: "Write one file that proves a publication to somebody without a node",
		Long: `Evidence writes one file about an object (its latest version) or a transaction: the signed transaction with its block's
proof of inclusion, the charter and the publisher's admission with theirs, and the sealed files. Whoever has slnode can
check it, without a repository and without a network: slnode evidence check FILE.

The object stays sealed in it. With --disclose the file also holds the object in clear, and the key that opens this
one object and nothing else: give that only to who may read it.`,
		Example: `  slnode evidence indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f -o poison.evidence
  slnode evidence check poison.evidence --consortium 1002`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if out.name == "" {
				return fmt.Errorf("%w: name the file to write with -o", errUsage)
			}
			if err := out.check(); err != nil {
				return err
			}
			client, err := a.connect(c)
			if err != nil {
				return err
			}
			data, err := client.Evidence(c.Context(), args[0], disclose)
			if err = errors.Join(err, client.Close()); err != nil {
				return err
			}
			return out.write(c, data)
		},
	}
	out.flags(c, "", "the `file` to write, - for standard output")
	c.Flags().BoolVar(&disclose, "disclose", false, "put the object in clear into the file, with the key that opens it alone")
	c.AddCommand(a.evidenceCheckCommand())
	return c
}

func (a *app) evidenceCheckCommand() *cobra.Command {
	var consortium uint64
	var trust []string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a file of evidence, with no network, no repository and no node",
		Long: `Check walks along the evidence of a file and prints every step: PASS, FAIL, NOT THERE for what the file doesn't have,
and TRUSTED for what no file can prove, with what you have to believe or to compare elsewhere. What you compared
(a block's hash, a state proof's, the network's genesis hash) can be given with --trust. Its last line says in one
sentence what is proved, by whom, at what time, on which assumptions. It exits with 3 if a step fails.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := readEvidence(c, args[0])
			if err != nil {
				return err
			}
			if kind := kindOf(data); kind == aRequest || kind == aProposal || kind == ageFile || kind == aBackup || kind == stixData {
				return expect(args[0], data, someProof)
			}
			report := proof.CheckEvidence(data, consortium, trust)
			if err := a.print(c, report, func(w io.Writer) { printReport(w, report) }); err != nil {
				return err
			}
			if !report.Passed {
				return &noError{"the evidence does not stand"}
			}
			return nil
		},
	}
	c.Flags().Uint64Var(&consortium, "consortium", 0, "the `id` of the consortium that you mean")
	c.Flags().StringSliceVar(&trust, "trust", nil, "`hashes` that you have from elsewhere, as the report shows them")
	return c
}

// readEvidence reads a file, or standard input for "-", up to a bound: it comes from a stranger.
func readEvidence(c *cobra.Command, name string) ([]byte, error) {
	in := c.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, unreadable(err))
		}
		defer file.Close()
		in = file
	}
	return io.ReadAll(io.LimitReader(in, evidence.MaxSize+1))
}
