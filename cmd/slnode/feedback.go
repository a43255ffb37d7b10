package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/taxii"
)

func (a *app) feedbackCommand() *cobra.Command {
	var g taxii.Judgement
	c := &cobra.Command{
		Use:   "feedback STIX-ID...",
		Short: "Say of others' objects that they are false positives",
		Long: `Feedback says of an object that another member published that it is a false positive, or what else you think of it. It counts
here at once: the indicator is in no list of this node any more (export) and, where the reason is ours, shared or benign-service, nor
is its value, whoever publishes it. A STIX opinion tells the others: in the object's collection, so that all its readers
see it, or its producer alone, where you may not publish there or say so. The producer finds it with "slnode inbox".
If the others can't be told now, the node goes on trying by itself; "feedback list" says why.

  ours            it is this organisation's own
  shared          many use it: shared infrastructure
  benign-service  a service that does no harm
  expired         it was right once
  wrong-type      the value is of another kind, or the pattern says something else
  other           what --text says

What others say of an object changes none of your lists, unless quality.disputed_by says how many members it takes. An
opinion costs what an object does: 0.001 ALGO, with 0.1 locked; the first one to a producer alone once more for the
collection that the two then have.`,
		Example: `  slnode feedback indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f --reason ours --text "our mail relay"
  slnode feedback indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f --reason shared --to producer
  slnode feedback indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f --undo
  slnode feedback list`,
		Args: atLeastOne("STIX ids"),
		RunE: func(c *cobra.Command, args []string) error {
			var list []taxii.Judged
			err := a.plainly(c, true, func(ctx context.Context, client *taxii.Client, org string) error {
				for _, id := range args {
					g.Object = id
					judged, err := client.Give(ctx, org, g)
					if err != nil {
						return err
					}
					list = append(list, judged)
				}
				return nil
			})
			return errors.Join(a.print(c, list, func(w io.Writer) { printJudged(w, list) }), err)
		},
	}
	f := c.Flags()
	f.StringVar(&g.Reason, "reason", "", "why it is a false positive: ours, shared, benign-service, expired, wrong-type or other")
	f.StringVar(&g.Text, "text", "", "a few words for whoever reads it")
	f.StringVar(&g.Opinion, "opinion", "", "strongly-disagree (if it is not given), disagree, neutral, agree or strongly-agree")
	f.StringVar(&g.To, "to", "", "collection, producer, or nobody: it is kept here, and costs nothing")
	f.StringVar(&g.Member, "member", "", "whose object, where several members published one under this id")
	f.BoolVar(&g.Undo, "undo", false, "take back what was said")
	c.AddCommand(a.feedbackListCommand())
	return c
}

func (a *app) feedbackListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List what this organisation says of others' objects",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			var list []taxii.Judged
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
				for q := (taxii.GivenQuery{Limit: 100}); ; {
					page, err := client.Given(ctx, org, q)
					if err != nil {
						return err
					}
					list = append(list, page.Given...)
					if q.Cursor = page.Next; q.Cursor == "" {
						return nil
					}
				}
			})
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) { printJudged(w, list) })
		},
	}
}

func printJudged(w io.Writer, list []taxii.Judged) {
	fmt.Fprintf(w, "OBJECT\tOF\tOPINION\tREASON\tTO\tIN NO LIST\tTEXT\n")
	for _, j := range list {
		to := j.To
		if j.Untold != "" {
			to += ", not told yet: " + j.Untold
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(j.Object), printable(j.Member), j.Opinion, j.Reason, printable(to), printable(strings.Join(j.Values, " ")), printable(j.Text))
	}
}

// plainly asks what is not TAXII, of the node's own organisation. Where something is published, it says what that waits
// for.
func (a *app) plainly(c *cobra.Command, publishes bool, ask func(ctx context.Context, client *taxii.Client, org string) error) (err error) {
	client, err := a.connect(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if publishes {
		defer a.explain(c, client)()
	}
	protocol, err := client.TAXII()
	if err != nil {
		return err
	}
	discovery, err := protocol.Discovery(c.Context())
	if err != nil {
		return err
	}
	return ask(c.Context(), protocol, strings.Trim(discovery.Default, "/"))
}

// atLeastOne is cobra's, as a usage error.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%w: it takes %s; see %s --help", errUsage, what, c.CommandPath())
		}
		return nil
	}
}

func (a *app) inboxCommand() *cobra.Command {
	var q taxii.InboxQuery
	c := &cobra.Command{
		Use:   "inbox",
		Short: "What other members say of this organisation's objects",
		Long: `Inbox lists what other members say of objects that this organisation published: the last word of each member about each
object, the newest first, of what waits for an answer. Who says it is proved by a signature on the chain; how many objects
a member disputes, and how often, changes nothing.

An answer revokes the object ("inbox revoke"), publishes a corrected version ("inbox correct"), or keeps it as it is
("inbox keep"). What is revoked or corrected by any other way is answered by that.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			var all taxii.Inbox
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
				for {
					page, err := client.Inbox(ctx, org, q)
					if err != nil {
						return err
					}
					all.Items, all.Open = append(all.Items, page.Items...), page.Open
					if q.Cursor = page.Next; q.Cursor == "" {
						return nil
					}
				}
			})
			if err != nil {
				return err
			}
			return a.print(c, all, func(w io.Writer) {
				fmt.Fprintf(w, "OBJECT\tVALUE\tMEMBER\tOPINION\tREASON\tSTATE\tTEXT\n")
				for _, i := range all.Items {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(i.Object), printable(i.Title), printable(i.Member), i.Opinion, i.Reason, i.State, printable(i.Text))
				}
			})
		},
	}
	c.Flags().BoolVar(&q.All, "all", false, "also what was answered, and what agrees")
	c.Flags().StringVar(&q.Object, "object", "", "of the object with this `id` alone")
	c.AddCommand(a.answerCommand("revoke STIX-ID", "Revoke an object that others dispute", taxii.AnswerRevoke,
		"Revoke publishes a version of the object with \"revoked\": true wherever it was published: it leaves the lists of every member.\nAn object of a type without versions is taken back with \"slnode withdraw\"."),
		a.answerCommand("keep STIX-ID", "Keep an object as it is", taxii.AnswerKeep,
			"Keep notes, on this node alone, that the object stays as it is. Who says something else of it later asks again."), a.correctCommand())
	return c
}

func (a *app) answerCommand(use, short, answer, long string) *cobra.Command {
	r := taxii.Response{Answer: answer}
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r.Object = args[0]
			return a.respond(c, r)
		},
	}
	if answer == taxii.AnswerKeep {
		c.Flags().StringVar(&r.Text, "text", "", "why; it stays on this node")
	}
	return c
}

func (a *app) correctCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "correct STIX-ID FILE",
		Short: "Publish a corrected version of an object",
		Long: `Correct publishes the object in a file, or in what comes from standard input with -, as the next version wherever the object
was published. It has the same id, and a later "modified".`,
		Example: `  slnode get indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f > next.json   # change it, and its "modified"
  slnode inbox correct indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f next.json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := readInput(c, args[1])
			if err != nil {
				return err
			}
			return a.respond(c, taxii.Response{Object: args[0], Answer: taxii.AnswerCorrect, Next: data})
		},
	}
}

func (a *app) respond(c *cobra.Command, r taxii.Response) error {
	var done taxii.Responded
	err := a.plainly(c, true, func(ctx context.Context, client *taxii.Client, org string) (err error) {
		done, err = client.Respond(ctx, org, r)
		return err
	})
	if err != nil {
		return err
	}
	return a.print(c, done, func(w io.Writer) {
		fmt.Fprintf(w, "OBJECT\tSTATE\tVERSION\n%s\t%s\t%s\n", printable(done.Object), done.State, printable(strings.Join(done.Versions, " ")))
	})
}
