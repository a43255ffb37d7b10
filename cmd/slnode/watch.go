package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/taxii"
)

func (a *app) watchCommand() *cobra.Command {
	c := group("watch", "Watch for what concerns this organisation", a.watchAddCommand(), a.watchRemoveCommand(), a.watchListCommand(), a.watchCheckCommand())
	c.Long = `Watch keeps a list of this organisation's own addresses, networks, domains, e-mail domains, hashes, products' CVEs and the like,
and tells which objects are about them: about just that, about something in it, such as a host below a domain, or about something
that it is in, such as a network. Values may be defanged. Up to 10,000 are watched for.

What comes in and matches is told to webhooks and streams (watch.matched), on the console's first page, and in metrics. The list
stays on this node: nothing of it is published, and no log has it.`
	return c
}

// changeAssets changes what is watched for.
func (a *app) changeAssets(c *cobra.Command, change taxii.AssetChange) (done taxii.AssetsChanged, err error) {
	err = a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) (err error) {
		done, err = client.ChangeAssets(ctx, org, change)
		return err
	})
	return done, err
}

// textsOf are the values that a command is given, as the node reads them.
func textsOf(c *cobra.Command, args []string) (texts []string, err error) {
	values, err := valuesOf(c, args)
	if err != nil {
		return nil, err
	}
	if len(values) > taxii.MaxAssets {
		return nil, fmt.Errorf("%w: %d values are more than %d", errUsage, len(values), taxii.MaxAssets)
	}
	for _, v := range values {
		texts = append(texts, v.Kind.String()+":"+v.Text)
	}
	return texts, nil
}

func (a *app) watchAddCommand() *cobra.Command {
	var note string
	c := &cobra.Command{
		Use:   "add VALUE...|-",
		Short: "Watch for values, and tell what is here already about them",
		Long: `Add watches for values from now on, and lists the objects that are here already and about them. With - the values are found in
what comes from standard input.`,
		Example: `  slnode watch add 203.0.113.0/24 acme.example CVE-2024-3094 --note offices
  slnode watch add - < assets.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			texts, err := textsOf(c, args)
			if err != nil {
				return err
			}
			done, err := a.changeAssets(c, taxii.AssetChange{Add: texts, Note: note})
			if err != nil {
				return err
			}
			return a.print(c, done, func(w io.Writer) {
				fmt.Fprintf(w, "%d added, %d were there; %d are watched for\n", done.Added, done.Known, done.Assets)
				printMatches(w, done.Matches)
			})
		},
	}
	c.Flags().StringVar(&note, "note", "", "a `text` for colleagues, up to 200 bytes")
	return c
}

func (a *app) watchRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove VALUE...|-",
		Short: "Watch for values no more",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			texts, err := textsOf(c, args)
			if err != nil {
				return err
			}
			done, err := a.changeAssets(c, taxii.AssetChange{Remove: texts})
			if err != nil {
				return err
			}
			if err := a.print(c, done, func(w io.Writer) { fmt.Fprintf(w, "%d removed; %d are watched for\n", done.Removed, done.Assets) }); err != nil {
				return err
			}
			if done.Removed == 0 {
				return &noError{"none of them was watched for"}
			}
			return nil
		},
	}
}

func (a *app) watchListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what is watched for",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			assets := []taxii.Asset{}
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) (err error) {
				assets, err = client.Assets(ctx, org)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(c, assets, func(w io.Writer) {
				fmt.Fprintf(w, "KIND\tVALUE\tNOTE\tADDED BY\tAT\n")
				for _, one := range assets {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", one.Kind, printable(one.Value), printable(one.Note), printable(one.By), one.At.Format(time.DateOnly))
				}
			})
		},
	}
}

func (a *app) watchCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "List the objects that are about what is watched for",
		Long: `Check lists which objects that are here now are about what is watched for, each once for each of these, the newest first; up to
1,000. What was withdrawn is not among them; what is revoked or has expired is, and says so.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			var found taxii.AssetMatches
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) (err error) {
				found, err = client.AssetMatches(ctx, org)
				return err
			})
			if err != nil {
				return err
			}
			if !found.Whole {
				a.remark(c, "older objects are still being put into the indexes: what is not found now may be there")
			}
			return a.print(c, found, func(w io.Writer) { printMatches(w, found) })
		},
	}
}

func printMatches(w io.Writer, found taxii.AssetMatches) {
	fmt.Fprintf(w, "WATCHED FOR\tFOUND\tOBJECT\tSAYS\tMEMBER\tSTATE\tCAME\n")
	for _, m := range found.Matches {
		how := "exactly"
		switch m.How {
		case taxii.ConcernIn:
			how = "in it " + m.Value
		case taxii.ConcernAround:
			how = "around it " + m.Value
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(m.Asset.Value), printable(how), printable(m.Object), printable(m.Title), printable(m.Member), m.Standing, m.Added.Format(time.DateOnly))
	}
	if found.More {
		fmt.Fprintf(w, "and more\t\t\t\t\t\t\n")
	}
}
