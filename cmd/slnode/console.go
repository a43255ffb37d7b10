package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) consoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "console",
		Short: "Print the address at which you enter the node's web page",
		Long: `Console asks the daemon for a ticket, and prints the address of the console with it. It lets whoever opens it in as
the operator: once, and within a minute. Accounts log in without one, at /-/ of the same address.

What wants the password of an account once more, such as a change of who may read, wants a ticket that is not older
than five minutes from an operator: then enter again.`,
		Example: `  slnode console
  xdg-open "$(slnode console)"`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := control.FindDaemon(c.Context(), a.dir)
			if err != nil {
				return err
			}
			if client == nil {
				return &noError{"the daemon does not run, or does not answer, and the console is its; \"slnode status\" says more"}
			}
			defer client.Close()
			daemon, err := control.ReadDaemon(a.dir)
			if err != nil {
				return err
			}
			settings, err := config.Read(a.dir)
			if err != nil {
				return err
			}
			address, err := client.Console(c.Context(), daemon, settings.TAXII.TLSNames)
			if err != nil {
				return err
			}
			return a.print(c, struct {
				Address string `json:"address"`
			}{address}, func(w io.Writer) { fmt.Fprintln(w, address) })
		},
	}
}
