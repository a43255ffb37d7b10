package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/taxii"
)

func (a *app) memberCardCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "card [MEMBER]",
		Short: "Tell how reliable members are as sources, by what is counted here",
		Long: `Card counts, of what each member published in the last 180 days, how much an independent member published later, how long
after it in the median, how much was known before, what is called wrong, and how soon the member itself revoked. It proposes
a letter of the Admiralty system, A to F, with its reason; "slnode member rate" sets one.

What counts is when something was on the chain, and not what an object says of itself. That an object is wrong is said by this
organisation, or by two other members. Nothing of it leaves the node.`,
		Example: `  slnode member card
  slnode member card bravo --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			member := ""
			if len(args) > 0 {
				member = args[0]
			}
			cards, err := a.memberCards(c, member)
			if err != nil {
				return err
			}
			return a.print(c, cards.Cards, func(w io.Writer) { printCards(w, cards.Cards) })
		},
	}
}

// memberCards asks until all is counted.
func (a *app) memberCards(c *cobra.Command, member string) (cards taxii.MemberCards, err error) {
	err = a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
		for told := false; ; told = true {
			if cards, err = client.Cards(ctx, org, member); err != nil || !cards.Partial {
				return err
			}
			if !told {
				a.remark(c, "what members published is being counted; that takes the longer the more there is")
			}
		}
	})
	return cards, err
}

func (a *app) memberRateCommand() *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "rate MEMBER A|B|C|D|E|F|none",
		Short: "Say how reliable a member is as a source",
		Long: `Rate keeps a letter of the Admiralty system for a member: A completely reliable, B usually, C fairly, D not usually, E
unreliable, F cannot be judged; none takes it back. It is this organisation's own judgement: nobody else is told. It is kept in
the repository and its backups, and the audit log says who set it.

Lists that ask for a least score ("slnode export --score") begin with a share of the score of the member's indicators: A all, B
0.85, C and F 0.7, D 0.5, E 0.2. They say how many indicators they leave out for that.`,
		Example: `  slnode member card bravo
  slnode member rate bravo B --why 'right for years'`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			letter := args[1]
			if letter == "none" {
				letter = ""
			}
			var cards taxii.MemberCards
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) (err error) {
				cards, err = client.Rate(ctx, org, args[0], taxii.Rating{Reliability: letter, Why: why})
				return err
			})
			if err != nil {
				return err
			}
			return a.print(c, cards.Cards, func(w io.Writer) {
				for _, card := range cards.Cards {
					if card.Reliability == "" {
						fmt.Fprintf(w, "nothing is said any more of how reliable %s is\n", printable(card.Member))
						continue
					}
					fmt.Fprintf(w, "%s is %s: %s\n", printable(card.Member), card.Reliability, card.Means)
				}
			})
		},
	}
	c.Flags().StringVar(&why, "why", "", "a `reason`, for colleagues; it stays here")
	return c
}

func printCards(w io.Writer, cards []taxii.MemberCard) {
	fmt.Fprintf(w, "MEMBER\tSET\tPROPOSED\tOBJECTS\tLOOKED AT\tCONFIRMED LATER\tLEAD\tKNOWN BEFORE\tCALLED WRONG\tREVOKED\tAFTER\n")
	for _, c := range cards {
		set := cmp.Or(c.Reliability, "-")
		if c.Own {
			set = "own"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%d\t%d\t%s\n", printable(c.Member), set, cmp.Or(c.Proposal, "-"), c.Objects, c.LookedAt, share(c.Corroborated, c.LookedAt), seconds(c.Lead),
			share(c.Known, c.LookedAt), c.Disputed, c.Revoked, seconds(c.RevokedAfter))
	}
	for _, c := range cards {
		if c.Reason != "" {
			fmt.Fprintf(w, "\n%s: %s proposed, as %s\n", printable(c.Member), c.Proposal, c.Reason)
		}
	}
}

// share writes how many of some there are.
func share(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%d %%)", n, n*100/of)
}

func seconds(s float64) string {
	if s == 0 {
		return "-"
	}
	d := time.Duration(s * float64(time.Second))
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Second).String()
}
