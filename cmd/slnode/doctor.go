package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/doctor"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps the node from working, and say what to do",
		Long: `Doctor looks at the files, the configuration, the daemon, algod and the indexers, the network that they are of, the clock,
the ports, HTTPS, the disk, the money and the last backup, whether the daemon runs or not. It changes nothing. For each it
says whether it is well and, if not, what to do. It exits with 3 if something is wrong; a warning is not.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			findings, err := doctor.Examine(c.Context(), a.dir)
			if err != nil {
				return err
			}
			return a.printFindings(c, findings, &noError{fmt.Sprintf("wrong: %d", doctor.Count(findings, doctor.Wrong))})
		},
	}
}

func (a *app) configCommand() *cobra.Command {
	return group("config", "The configuration", a.configCheckCommand())
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Tell whether a node could start with the configuration",
		Long: `Check looks at config.toml of the repository, or at another file that is to take its place, with what the environment
overrides: every key, addresses, markings, certificates, the secrets of webhooks and feeds. It asks nobody, so that it works
before the first start and without a network; "slnode doctor" asks algod and the indexers. It exits with 2 if something is
wrong.`,
		Example: `  slnode config check
  slnode config check new.toml && mv new.toml /var/lib/slnode/config.toml && systemctl reload slnode`,
		Args: maximumArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := config.Path(a.dir)
			if len(args) == 1 {
				path = filepath.Clean(args[0])
			}
			findings := doctor.CheckConfig(path, a.dir)
			return a.printFindings(c, findings, fmt.Errorf("%w: the configuration can't be used", errUsage))
		},
	}
}

// maximumArgs is cobra's, as a usage error.
func maximumArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := cobra.MaximumNArgs(n)(c, args); err != nil {
			return fmt.Errorf("%w: %w; see %s --help", errUsage, err, c.CommandPath())
		}
		return nil
	}
}

// printFindings prints what was found, and gives the error if something is wrong.
func (a *app) printFindings(c *cobra.Command, list []doctor.Finding, wrong error) error {
	err := a.print(c, list, func(w io.Writer) {
		for _, f := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\n", f.Level, f.What, printable(oneLine(f.Says)))
			if f.Remedy != "" {
				fmt.Fprintf(w, "\t\t-> %s\n", printable(oneLine(f.Remedy)))
			}
		}
	})
	if err == nil && doctor.Count(list, doctor.Wrong) > 0 {
		return wrong
	}
	return err
}
