package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/repo/config"
)

// limitCommand shows and changes what a day may bring by an account or an API key.
func (a *app) limitCommand(of config.Whose, argument, whose string) *cobra.Command {
	change := clients.DayLimitChange{Of: of}
	var objects int64
	var algo string
	c := &cobra.Command{
		Use:   "limit [" + argument + "]",
		Short: "Show or change what a day may bring by " + whose,
		Long: fmt.Sprintf(`Limit says how many objects %s may publish in a day (UTC), and how much ALGO in fees and deposits they may take; what is
more is refused until the next day. What is not given stays as it is, and 0 is no limit. "*" is everybody who has no limit
of their own. Without a flag it shows the limits, without %s all of them.

It changes [limits] in config.toml, where comments stay, and counts at once.`, whose, argument),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			asked := c.Flags().Changed("objects") || c.Flags().Changed("algo") || change.Drop
			if !asked {
				return a.showLimits(c, of, args)
			}
			if len(args) == 0 {
				return fmt.Errorf("%w: say whose limit: %s, or \"*\" for everybody else", errUsage, argument)
			}
			change.Name = args[0]
			if c.Flags().Changed("objects") {
				change.Objects = &objects
			}
			if c.Flags().Changed("algo") {
				amount, err := microalgo.Parse(algo)
				if err != nil {
					return fmt.Errorf("%w: --algo: %w", errUsage, err)
				}
				text := microalgo.Text(amount)
				change.ALGO = &text
			}
			now, err := onAccounts(a, c, func(client *control.Client) (clients.DayLimit, error) { return client.SetDayLimit(c.Context(), change) })
			if err != nil {
				return err
			}
			return a.print(c, now, func(w io.Writer) { printDayLimits(w, []clients.DayLimit{now}) })
		},
	}
	c.Flags().Int64Var(&objects, "objects", 0, "`objects` a day")
	c.Flags().StringVar(&algo, "algo", "", "ALGO a day in fees and deposits, such as \"2.5 ALGO\": an `amount`")
	c.Flags().BoolVar(&change.Drop, "drop", false, "drop the limit of its own: that of \"*\" counts")
	c.MarkFlagsMutuallyExclusive("drop", "objects")
	c.MarkFlagsMutuallyExclusive("drop", "algo")
	return c
}

// showLimits shows the limits of accounts or keys with this organisation's, or that of one of them.
func (a *app) showLimits(c *cobra.Command, of config.Whose, names []string) error {
	list, err := onAccounts(a, c, func(client *control.Client) ([]clients.DayLimit, error) { return client.DayLimits(c.Context()) })
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(l clients.DayLimit) bool { return l.Of != of && (l.Of != "" || len(names) > 0) })
	if len(names) > 0 {
		named := func(name string) int {
			return slices.IndexFunc(list, func(l clients.DayLimit) bool { return l.Name == name })
		}
		one := clients.DayLimit{Of: of, Name: names[0]}
		if i := named(names[0]); i >= 0 {
			one = list[i]
		} else if i := named(config.EverybodyElse); i >= 0 {
			one = list[i]
		}
		list = []clients.DayLimit{one}
	}
	return a.print(c, list, func(w io.Writer) { printDayLimits(w, list) })
}

func printDayLimits(w io.Writer, list []clients.DayLimit) {
	fmt.Fprintf(w, "LIMIT OF\tOBJECTS A DAY\tALGO A DAY\n")
	for _, l := range list {
		whose, objects, algo := l.Name, "no limit", "no limit"
		switch {
		case l.Of == "":
			whose = "this organisation"
		case l.Name == config.EverybodyElse:
			whose = "everybody else (*)"
		}
		if l.Objects > 0 {
			objects = strconv.FormatInt(l.Objects, 10)
		}
		if l.ALGO > 0 {
			algo = microalgo.Amount(l.ALGO).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", whose, objects, algo)
	}
}
