package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/disclosure"
)

func (a *app) sharedCommand() *cobra.Command {
	var query disclosure.Query
	var since, until string
	var asCSV bool
	c := &cobra.Command{
		Use:   "shared",
		Short: "Show what this organisation has shared, when, and who could read it then and can now",
		Long: `Shared lists what this organisation has published, as the chain has it, in its order: also what was withdrawn (with
when), and what doesn't count (with why). The time is that of the block. READERS THEN are the members that had the key
of the epoch that the object is sealed to, in the round in which it was confirmed; READERS NOW are those that have it
now, with whoever was given it later, or that had it when the object was withdrawn. A key that was given can't be taken
back: a member that was removed since is among both, and marked. A * says that this node did not give the keys itself
(the collection is another member's, or it was restored): the readers are those whom the owner's records name. This
organisation itself is not listed.

--until with a date is up to the end of that day, in UTC. --with chooses what a member could read then, or can now; what
nothing is known of any more is shown, too, with why. The cost is the fee and the deposit that the transaction locked,
and how many objects it published. With --json it is a JSON object a line.`,
		Example: `  slnode shared --with borealis --since 2026-01-01 --until 2026-03-31
  slnode shared --collection ransomware --csv > ransomware.csv`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if asCSV && a.json {
				return fmt.Errorf("%w: --csv or --json", errUsage)
			}
			if query.Since, query.Until, err = period(since, until); err != nil {
				return err
			}
			out := a.sharedOutput(c.OutOrStdout(), asCSV)
			begun := false
			known, err := ask(a, c, func(client *control.Client) (disclosure.Known, error) {
				return client.Shared(c.Context(), query, func(o disclosure.Object) error { begun = true; return out.object(o) })
			})
			if err != nil && !begun {
				return err
			}
			if err = errors.Join(err, out.end()); err != nil {
				return err
			}
			a.remark(c, fmt.Sprintf("%d objects, as the chain stood in round %d", known.Objects, known.Round))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&since, "since", "", "from a `date` or time on")
	f.StringVar(&until, "until", "", "up to the end of a `date`, or up to a time")
	f.StringVar(&query.With, "with", "", "what one `organisation` could read then, or can now")
	f.StringVar(&query.Collection, "collection", "", "what is in one collection, by `id` or alias")
	f.BoolVar(&asCSV, "csv", false, "print CSV, for a spreadsheet")
	return c
}

// period reads two ends of a period. A date is, as its end, the end of that day.
func period(since, until string) (from, to time.Time, err error) {
	for _, one := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", since, &from}, {"until", until, &to}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = parseDate(one.text); err != nil {
			return from, to, fmt.Errorf("%w: --%s %q is neither a date nor a time such as 2026-01-31T08:00:00Z", errUsage, one.flag, one.text)
		}
	}
	if len(until) == len(time.DateOnly) {
		to = to.AddDate(0, 0, 1)
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, fmt.Errorf("%w: --until is not after --since", errUsage)
	}
	return from, to, nil
}

// sharedOutput writes objects as they come.
type sharedOutput struct {
	object func(disclosure.Object) error
	end    func() error
}

func (a *app) sharedOutput(w io.Writer, asCSV bool) sharedOutput {
	switch {
	case a.json:
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return sharedOutput{func(o disclosure.Object) error { return encoder.Encode(o) }, func() error { return nil }}
	case asCSV:
		return sharedCSV(csv.NewWriter(w))
	}
	table := newRows(w, "TIME\tTLP\tOBJECT\tCOLLECTION\tREADERS THEN\tREADERS NOW\tCOST\tTRANSACTION\tSTATE")
	return sharedOutput{func(o disclosure.Object) error {
		return table.row("%-20s\t%-16s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", o.Time.Format(time.RFC3339), o.Level, orUnknown(o.ID), orUnknown(oneLine(printable(o.Title))),
			readersText(o.Then, o.RemovedThen, o.Stated), readersText(o.Now, o.Removed, o.Stated), costText(o.Cost), o.Name(), stateText(o))
	}, table.end}
}

func sharedCSV(out *csv.Writer) sharedOutput {
	header := func() error {
		return out.Write([]string{"time", "id", "type", "version", "tlp", "collection", "collection_title", "collection_owner", "readers_then", "readers_now",
			"readers_stated", "state", "withdrawn", "user", "fee_algo", "deposit_algo", "objects_in_transaction", "transaction", "index", "asset_id", "round", "note"})
	}
	begun := false
	return sharedOutput{func(o disclosure.Object) error {
		if !begun {
			if err := header(); err != nil {
				return err
			}
		}
		begun = true
		withdrawn := ""
		if o.Withdrawn != nil && !o.Withdrawn.Time.IsZero() {
			withdrawn = o.Withdrawn.Time.Format(time.RFC3339)
		}
		return out.Write(cells(o.Time.Format(time.RFC3339), o.ID, o.Type, o.Version, o.Level, o.Collection, o.Title, o.Owner,
			strings.Join(marked(o.Then, o.RemovedThen), "; "), strings.Join(marked(o.Now, o.Removed), "; "), yes(o.Stated), o.State, withdrawn, o.User,
			algo(o.Cost.Fee), algo(o.Cost.Deposit), strconv.Itoa(o.Cost.Objects), o.TxID, strconv.FormatUint(uint64(o.Index), 10),
			strconv.FormatUint(o.Asset, 10), strconv.FormatUint(o.Round, 10), o.Note))
	}, func() error {
		if !begun {
			if err := header(); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}}
}

// cells keeps what others wrote from being a formula in a spreadsheet.
func cells(texts ...string) []string {
	for i, text := range texts {
		if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
			texts[i] = "'" + text
		}
	}
	return texts
}

// marked marks those of a list that are no members any more.
func marked(names, removed []string) []string {
	gone := map[string]bool{}
	for _, name := range removed {
		gone[name] = true
	}
	list := make([]string, len(names))
	for i, name := range names {
		if list[i] = name; gone[name] {
			list[i] += " (removed)"
		}
	}
	return list
}

func readersText(names, removed []string, stated bool) string {
	text := strings.Join(marked(names, removed), ", ")
	if text == "" {
		text = "nobody else"
	}
	if stated {
		text += " *"
	}
	return text
}

func costText(c disclosure.Cost) string {
	text := algo(c.Fee) + "+" + algo(c.Deposit)
	if c.Objects > 1 {
		text += fmt.Sprintf("/%d", c.Objects)
	}
	return text
}

func stateText(o disclosure.Object) string {
	text := o.State
	if o.Withdrawn != nil {
		text += " " + whenText(*o.Withdrawn)
	}
	if o.Note != "" {
		text += "; " + o.Note
	}
	return oneLine(printable(text))
}

func whenText(w disclosure.Withdrawn) string {
	if w.Time.IsZero() {
		return "at a time that is not known"
	}
	return w.Time.Format(time.RFC3339)
}

func orUnknown(text string) string {
	if text == "" {
		return "(not known)"
	}
	return text
}

// rows is a table of any length. Its columns are aligned a piece at a time, so that it is never held as a whole.
type rows struct {
	out   *tabwriter.Writer
	lines int
}

// piece is how many lines of a table are aligned together.
const piece = 200

func newRows(w io.Writer, header string) *rows {
	r := &rows{out: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(r.out, header) // what fails is seen with the first piece
	return r
}

func (r *rows) row(format string, cells ...any) error {
	if _, err := fmt.Fprintf(r.out, format+"\n", cells...); err != nil {
		return err
	}
	if r.lines++; r.lines%piece == 0 {
		return r.out.Flush()
	}
	return nil
}

func (r *rows) end() error { return r.out.Flush() }
