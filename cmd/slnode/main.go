// Command slnode is a Service Ledger node and what its operator needs beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything that it touches as parameters.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	started := false
	noteStart(root, &started)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := withRemedy(root.ExecuteContext(ctx))
	code := exitCode(ctx, err, started)
	if code != exitOK {
		report(stderr, err, code, asksForJSON(args))
	}
	return code
}

// noteStart notes when a command begins to run: whatever goes wrong before that is cobra's judgement of its use.
func noteStart(c *cobra.Command, started *bool) {
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*started = true
			return run(c, args)
		}
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error { return wrongArgs(c, args, check(c, args)) }
	}
	for _, sub := range c.Commands() {
		noteStart(sub, started)
	}
}

// app is what all commands share.
type app struct {
	dir    string
	json   bool
	secret string // the keys' passphrase, once it was asked for
}

func newRootCommand() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "slnode",
		Short: "A Service Ledger node: share threat intelligence without a server in the middle",
		Long: `slnode is one organisation's node in a Service Ledger consortium. It takes STIX 2.1 objects over TAXII 2.1,
encrypts each for the members that may read it, stores the ciphertext on IPFS, mints an Algorand NFT for it, and
serves what all members published as a local TAXII server.

To found a consortium:     slnode init, fund the account, slnode consortium create, slnode daemon
To join one:               slnode init, slnode member request, send the request to the governor, fund the account,
                           slnode join with the invite that comes back, slnode daemon

Commands talk to the daemon that runs on the repository, or run the node themselves as long as they need it.

Exit codes: 0 success, 1 failure, 2 wrong usage or input, 3 the answer is no (a verification failed, objects were
refused), 4 what was named is not there; see "slnode help exit-codes". What can't be taken back is asked about first;
--yes answers. No file is overwritten without --force.`,
		Version:       version.Current().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("slnode {{.Version}}\n")
	directory := os.Getenv(config.DirectoryVariable)
	if directory == "" {
		directory = ".slnode"
	}
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if needsNoRepository(c) {
			return nil
		}
		return repo.CheckOwner(a.dir)
	}
	root.PersistentFlags().StringVar(&a.dir, "repo", directory, "the node's `directory` (SLNODE_REPO)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, for scripts")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, plainFlag(err)) })
	root.AddCommand(
		a.initCommand(), a.consortiumCommand(), a.memberCommand(), a.governorCommand(), a.joinCommand(), a.daemonCommand(),
		a.publishCommand(), a.listCommand(), a.lookupCommand(), a.watchCommand(), a.getCommand(), a.exportCommand(), a.showCommand(), a.sharedCommand(), a.withdrawCommand(),
		a.collectionCommand(), a.feedCommand(), a.webhookCommand(), a.warninglistsCommand(), a.feedbackCommand(), a.inboxCommand(), a.hitsCommand(), a.sightingsCommand(), a.verifyCommand(), a.evidenceCommand(), a.auditCommand(),
		a.auditLogCommand(), a.statusCommand(), a.doctorCommand(), a.consoleCommand(), a.configCommand(), a.walletCommand(),
		a.accountCommand(), a.apikeyCommand(), a.tokenCommand(), a.viewCommand(), a.keysCommand(), a.backupCommand(), a.restoreCommand(),
		a.versionCommand(), a.manpageCommand(), exitCodesTopic(),
	)
	a.completions().register(root)
	return root
}

// needsNoRepository reports whether a command leaves the repository alone, or makes one: what root makes is its
// owner's, then.
func needsNoRepository(c *cobra.Command) bool {
	switch path := strings.Fields(c.CommandPath()); {
	case len(path) < 2:
		return true
	case slices.Contains([]string{"init", "restore", "version", "help", "completion", "manpage", "exit-codes", cobra.ShellCompRequestCmd}, path[1]):
		return true
	default:
		return slices.Equal(path[1:], []string{"evidence", "check"})
	}
}

// group makes a command that only has others below it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return errors.Join(c.Help(), fmt.Errorf("%w: %s needs one of its commands", errUsage, use))
	}}
	c.AddCommand(commands...)
	return c
}

// connect talks to the node of the repository.
func (a *app) connect(c *cobra.Command) (*control.Client, error) {
	return node.Connect(c.Context(), a.dir, a.passphrase(c), a.log(c))
}

// note adds a line to the audit log about a command that needs no node. What was done is done if that fails.
func (a *app) note(c *cobra.Command, event, subject string) {
	if err := auditlog.NoteCommand(a.dir, event, subject); err != nil {
		a.remark(c, err.Error())
	}
}

// log is the log of a node that a command runs itself.
func (a *app) log(c *cobra.Command) *slog.Logger {
	format := "text"
	if a.json {
		format = "json"
	}
	return newLogger(c.ErrOrStderr(), slog.LevelWarn, format)
}

// levelOf reads a level of the log; what is none is that of information.
func levelOf(text string) (level slog.Level) {
	if level.UnmarshalText([]byte(text)) != nil {
		return slog.LevelInfo
	}
	return level
}

func newLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
