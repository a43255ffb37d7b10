package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/withdraw"
)

func (a *app) withdrawCommand() *cobra.Command {
	var s withdraw.Selection
	var agreed *agreement
	c := &cobra.Command{
		Use:   "withdraw STIX-ID|TRANSACTION[/INDEX]",
		Short: "Take an object of this organisation back",
		Long: `Withdraw destroys the NFTs of all versions of an object that this organisation published, or of the one that a
transaction published: each frees its 0.1 ALGO, for a fee of 0.001. One object of a batch, named TRANSACTION/INDEX, is
withdrawn by a record, since destroying the NFT would withdraw all of the batch; so is what was released, or published with
an account of before. A record costs 0.001 and locks 0.1. The object leaves the view of every member, and the members' nodes delete its blocks. Its trace
stays on the chain: that it was published and withdrawn, and when. What can't be recalled: copies that people or other
systems made, and a node that does not follow the protocol. "slnode show" tells which members have acknowledged.`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s.What = args[0]
			if err := agreed.confirm(c, fmt.Sprintf("Withdraw %s?", s.What), nil); err != nil {
				return err
			}
			list, err := ask(a, c, func(client *control.Client) ([]withdraw.Withdrawal, error) { return client.Withdraw(c.Context(), s) })
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) {
				fmt.Fprintf(w, "WITHDRAWN\tVERSION\tASSET\tTRANSACTION\n")
				for _, one := range list {
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", one.ID, one.Version, one.Asset, one.Destroyed)
				}
			})
		},
	}
	c.Flags().StringVar(&s.Collection, "collection", "", "only in the collection with this `id`")
	agreed = asks(c)
	c.Flags().BoolVar(&s.OnlyThis, "only-this-version", false, "what the transaction published alone, though another member's version is served as the object then")
	return c
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show STIX-ID|TRANSACTION[/INDEX]",
		Short: "Show where, when and by whom an object was published, who could read it then and can now, and who has acknowledged its withdrawal",
		Long: `Show tells what is known of the publications of an object: its TLP level, its name, and the members that could read it
when it was confirmed and that can now (see "slnode shared"), beside this organisation. Of what this organisation has
withdrawn it tells who could read it until then, and which members have acknowledged that.`,
		Args: exactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			shown, err := ask(a, c, func(client *control.Client) (withdraw.Shown, error) { return client.Show(c.Context(), args[0]) })
			if err != nil {
				return err
			}
			return a.print(c, shown, func(w io.Writer) { printShown(w, shown) })
		},
	}
}

func printShown(w io.Writer, s withdraw.Shown) {
	for _, p := range s.Publications {
		apart := ""
		if p.Apart {
			apart = "; another member's versions are served as the object"
		}
		fmt.Fprintf(w, "object\t%s\nversion\t%s\nname\t%s\nlevel\t%s\ncollection\t%s (%s)\npublisher\t%s%s\nstored\t%s\ntransaction\t%s\nNFT\t%d, round %d\nCID\t%s\nadded here\t%s\n",
			p.ID, p.Version, oneLine(printable(p.Description.Name)), p.Level, p.Title, p.Collection, p.Publisher, apart, p.StoredAt.Format(time.RFC3339), p.Name(), p.Asset, p.Round,
			p.CID, p.Added.Format(time.RFC3339))
		printReaders(w, p.Readers)
		if p.Note != "" {
			fmt.Fprintf(w, "note\t%s\n", p.Note)
		}
		fmt.Fprintln(w)
	}
	for _, t := range s.Withdrawals {
		fmt.Fprintf(w, "withdrawn\t%s, version %s\npublished by\t%s (NFT %d)\n", t.ID, t.Version, t.Name(), t.Asset)
		if !t.Withdrawn {
			fmt.Fprintf(w, "destroyed by\tnot on the chain yet\n\n")
			continue
		}
		fmt.Fprintf(w, "destroyed by\t%s\n", t.Destroyed)
		if t.Objects == 0 {
			printReaders(w, t.Readers)
		}
		for _, m := range t.Members {
			said := "has not acknowledged"
			if !m.At.IsZero() {
				said = "acknowledged at " + m.At.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\n", m.Member, said)
		}
		fmt.Fprintln(w)
	}
}

func printReaders(w io.Writer, r disclosure.Readers) {
	fmt.Fprintf(w, "readers then\t%s\nreaders now\t%s\n", readersText(r.Then, r.RemovedThen, r.Stated), readersText(r.Now, r.Removed, r.Stated))
}
