package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/disclosure"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/withdraw"
)

func (a *app) withdrawCommand() *cobra.Command {
	var one withdraw.Selection
	var choice choiceFlags
	var agreed *agreement
	c := &cobra.Command{
		Use:   "withdraw [STIX-ID|TRANSACTION[/INDEX]]...",
		Short: "Take objects of this organisation back",
		Long: `Withdraw destroys the NFTs of all versions of an object that this organisation published, or of the one that a
transaction published: each frees its 0.1 ALGO, for a fee of 0.001. One object of a batch, named TRANSACTION/INDEX, is
withdrawn by a record, since destroying the NFT would withdraw all of the batch; so is what was released, or published with
an account of before. A record costs 0.001 and locks 0.1. The object leaves the view of every member, and the members' nodes delete its blocks. Its trace
stays on the chain: that it was published and withdrawn, and when. What can't be recalled: copies that people or other
systems made, and a node that does not follow the protocol. "slnode show" tells which members have acknowledged.

Many objects are withdrawn together: those that are named, or all that are of a --type, were published before --older-than,
whose valid_until is over (--expired, or --expired=30d for so long), or that are in a --collection; where several are said,
all of them apply. Of an object that has expired all versions go: the newest decides. A batch of which everything goes is
withdrawn by destroying its one NFT; --no-records leaves out what would take a record instead. They go in groups of 16, and it says how far it is; when it is
interrupted, what was begun is done by the daemon, and the same command goes on with the rest. --dry-run counts them, and
says what it costs and what comes back.`,
		Example: `  slnode withdraw --expired --type indicator --dry-run
  slnode withdraw --older-than 180d --collection ransomware --yes`,
		RunE: func(c *cobra.Command, args []string) error {
			many, err := choice.read(args, one.Collection, time.Now())
			if err != nil {
				return err
			}
			if len(args) == 1 && !many.DryRun && !choice.any() && !many.NoRecords {
				one.What = args[0]
				return a.withdrawOne(c, one, agreed)
			}
			if err := checkTypes(choice.types); err != nil {
				return err
			}
			if one.OnlyThis {
				return fmt.Errorf("%w: --only-this-version is for one transaction", errUsage)
			}
			return a.withdrawMany(c, many, agreed)
		},
	}
	f := c.Flags()
	f.StringVar(&one.Collection, "collection", "", "only in the collection with this `id` or alias")
	f.StringSliceVar(&choice.types, "type", nil, "all objects of a STIX `type`; may be repeated")
	f.StringVar(&choice.older, "older-than", "", "all that was published before a `date`, or longer ago than 90d or 36h")
	f.StringVar(&choice.expired, "expired", "", "all whose valid_until is over, or has been for a `time` such as 30d or 36h")
	f.Lookup("expired").NoOptDefVal = "0s"
	f.BoolVar(&choice.noRecords, "no-records", false, "leave out what takes a record to withdraw, which locks 0.1 ALGO")
	f.BoolVar(&choice.dry, "dry-run", false, "count them, and say what it costs and brings back")
	agreed = asks(c)
	f.BoolVar(&one.OnlyThis, "only-this-version", false, "what the transaction published alone, though another member's version is served as the object then")
	return c
}

func (a *app) withdrawOne(c *cobra.Command, s withdraw.Selection, agreed *agreement) error {
	if err := agreed.confirm(c, fmt.Sprintf("Withdraw %s?", s.What), nil); err != nil {
		return err
	}
	list, err := ask(a, c, func(client *control.Client) ([]withdraw.Withdrawal, error) {
		if err := collectionOf(c.Context(), client, &s.Collection); err != nil {
			return nil, err
		}
		return client.Withdraw(c.Context(), s)
	})
	if err != nil {
		return err
	}
	return a.print(c, list, func(w io.Writer) {
		fmt.Fprintf(w, "WITHDRAWN\tVERSION\tASSET\tTRANSACTION\n")
		for _, one := range list {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", one.ID, one.Version, one.Asset, one.Destroyed)
		}
	})
}

// collectionOf replaces a collection's alias by its id.
func collectionOf(ctx context.Context, client *control.Client, name *string) error {
	if *name == "" || uuid.Validate(*name) == nil {
		return nil
	}
	info, err := client.Consortium(ctx)
	if err != nil {
		return err
	}
	for _, one := range info.Collections {
		if one.Alias == *name {
			*name = one.ID
			return nil
		}
	}
	return problem.Missing(fmt.Errorf("there is no collection %.60q", *name))
}

// choiceFlags are what is said of many objects.
type choiceFlags struct {
	types     []string
	older     string
	expired   string
	noRecords bool
	dry       bool
}

func (f choiceFlags) any() bool { return len(f.types) > 0 || f.older != "" || f.expired != "" }

func (f choiceFlags) read(named []string, collection string, now time.Time) (choice withdraw.Choice, err error) {
	choice = withdraw.Choice{Named: named, Collection: collection, Types: f.types, DryRun: f.dry, NoRecords: f.noRecords}
	if len(named) == 0 && !f.any() && collection == "" {
		return choice, fmt.Errorf("%w: name objects, or say --type, --older-than, --expired or --collection", errUsage)
	}
	for _, one := range []struct {
		flag, text string
		at         *time.Time
	}{{"expired", f.expired, &choice.Expired}, {"older-than", f.older, &choice.Before}} {
		if one.text == "" {
			continue
		}
		if *one.at, err = longAgo(one.flag, one.text, now); err != nil {
			return choice, err
		}
	}
	return choice, nil
}

// longAgo reads a date or time, or how long ago it was: 90d, 36h.
func longAgo(flag, text string, now time.Time) (time.Time, error) {
	if at, err := parseDate(text); err == nil {
		return at, nil
	}
	if days, is := strings.CutSuffix(text, "d"); is {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)).UTC(), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%w: --%s: %q is neither a date nor a time such as 90d or 36h", errUsage, flag, text)
	}
	return now.Add(-d).UTC(), nil
}

func (a *app) withdrawMany(c *cobra.Command, choice withdraw.Choice, agreed *agreement) error {
	dry := choice
	dry.DryRun = true
	planned, err := a.askMany(c, dry, func(withdraw.Progress) {})
	if err != nil {
		return err
	}
	if choice.DryRun || planned.Transactions() == 0 {
		return a.print(c, planned, func(w io.Writer) { printMany(w, "would be withdrawn", planned) })
	}
	if err := agreed.confirm(c, fmt.Sprintf("Withdraw %d objects?", planned.Objects), func(w io.Writer) { printMany(w, "would be withdrawn", planned) }); err != nil {
		return err
	}
	bar := newProgress(c, "withdrawn")
	done, err := a.askMany(c, choice, func(p withdraw.Progress) { bar.set(p.Done, planned.Transactions()) })
	bar.done()
	if err != nil {
		return err
	}
	return a.print(c, done, func(w io.Writer) { printMany(w, "are withdrawn", done) })
}

func (a *app) askMany(c *cobra.Command, choice withdraw.Choice, say func(withdraw.Progress)) (withdraw.Progress, error) {
	return ask(a, c, func(client *control.Client) (withdraw.Progress, error) {
		if err := collectionOf(c.Context(), client, &choice.Collection); err != nil {
			return withdraw.Progress{}, err
		}
		return client.WithdrawMany(c.Context(), choice, func(p withdraw.Progress) error {
			say(p)
			return nil
		})
	})
}

func printMany(w io.Writer, what string, p withdraw.Progress) {
	fmt.Fprintf(w, "%d objects %s: %d NFTs destroyed, %d records made, in %d groups\n", p.Objects, what, p.NFTs, p.Records, (p.NFTs+p.Records+15)/16)
	fmt.Fprintf(w, "%s ALGO in fees, %s locked by records, %s come back\n", p.Fees, p.Locked, p.Freed)
	if p.Begun > 0 {
		fmt.Fprintf(w, "%d transactions were begun before, and are on their way\n", p.Begun)
	}
	if p.Skipped > 0 {
		fmt.Fprintf(w, "%d are being published once more: withdraw them when that is complete\n", p.Skipped)
	}
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show STIX-ID|TRANSACTION[/INDEX]",
		Short: "Show where, when and by whom an object was published, who could read it then and can now, and who has acknowledged its withdrawal",
		Long: `Show tells what is known of the publications of an object: its TLP level, its name, and the members that could read it
when it was confirmed and that can now (see "slnode shared"), beside this organisation. Of what this organisation has
withdrawn it tells who could read it until then, and which members have acknowledged that.`,
		Args: cobra.ExactArgs(1),
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
