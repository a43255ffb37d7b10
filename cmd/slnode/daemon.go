package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/node"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/repo"
)

func (a *app) daemonCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "daemon",
		Short: "Run the node",
		Long: `Daemon runs the node until it gets SIGINT or SIGTERM: it serves TAXII, publishes what is posted, follows the chain and
keeps in touch with the other members' nodes. Logs go to standard error. SIGHUP makes it read the configuration and the
files of its certificate again; the log says what of the configuration counts from the next start only.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGPIPE) // who reads the log may go away
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			resting, awake := context.WithCancel(c.Context())
			var memory sync.WaitGroup
			defer memory.Wait()
			defer awake()
			memory.Go(func() { ofProcess().run(resting) })
			for {
				err := a.serve(c, hangups)
				switch {
				case errors.Is(err, members.ErrRotated):
				case c.Context().Err() != nil && errors.Is(err, context.Canceled):
					a.remark(c, "told to stop before the node was ready; nothing was lost")
					return nil
				case errors.Is(err, node.ErrAgain): // a disk that goes on like this must not keep the processor busy
					if err := pause(c.Context(), time.Second); err != nil {
						return err
					}
				default:
					return err
				}
			}
		},
	}
}

// serve runs the node once: until it is told to stop, or until its organisation has other keys.
func (a *app) serve(c *cobra.Command, hangups <-chan os.Signal) (err error) {
	if err := c.Context().Err(); err != nil {
		return err
	}
	r, err := repo.Open(a.dir, a.passphrase(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	level := new(slog.LevelVar)
	level.Set(levelOf(r.Config.Log.Level))
	log := newLogger(c.ErrOrStderr(), level, r.Config.Log.Format)
	program := version.Current()
	log.Info("the node starts", "version", program.Version, "commit", program.Commit, "wire", program.Wire, "go", program.Go)
	n, err := node.Open(c.Context(), r, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	ended := make(chan struct{})
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer close(ended)
	err = n.Serve(c.Context(), func(d control.Daemon) {
		log.Info("the node is ready", "organisation", r.Config.Organisation.Name, "taxii", d.URL, "gateway", d.Gateway, "pid", d.PID)
		reloads.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-hangups:
					if text := n.Reload(); text != "" {
						level.Set(levelOf(text))
					}
				}
			}
		})
	})
	if errors.Is(err, node.ErrAgain) {
		log.Error("the node begins again", "error", err)
	}
	return err
}

func (a *app) viewCommand() *cobra.Command {
	return group("view", "The view that TAXII clients see", a.viewRebuildCommand())
}

func (a *app) viewRebuildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild",
		Short: "Delete the view and derive it again from the chain and the peers",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			client, err := a.connect(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, client.Close()) }()
			a.remark(c, "the view is deleted and derived again from the chain and the peers: until that is done, clients see a part of it")
			if err := client.Rebuild(c.Context()); err != nil {
				return err
			}
			said, bar := "", newProgress(c, "rebuilding")
			for {
				status, err := client.Status(c.Context())
				if err != nil {
					return err
				}
				if said != status.Watching.Problem {
					if said = status.Watching.Problem; said != "" {
						a.remark(c, "rebuilding waits for the chain: "+oneLine(status.Watching.Detail))
					}
				}
				bar.set(int(status.View.Objects), int(status.View.Objects)+status.View.Waiting)
				if status.Watching.CaughtUp && status.Watching.Round >= status.Watching.Tip && status.View.Waiting == 0 {
					bar.done()
					return a.print(c, status.View, func(w io.Writer) {
						fmt.Fprintf(w, "%d objects are in the view, %d can't be decided about\n", status.View.Objects, status.View.Undecided)
					})
				}
				if err := pause(c.Context(), 100*time.Millisecond); err != nil {
					return err
				}
			}
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the program's version",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.print(c, version.Current(), func(w io.Writer) { fmt.Fprintln(w, "slnode", version.Current()) })
		},
	}
}
