package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

func (a *app) hitsCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "hits FILE|-",
		Short: "Report what sensors have seen",
		Long: `Hits reports values or indicators that sensors have seen, from a file or, with -, from standard input: a value a line, or
JSON objects with value or indicator (a STIX id), time and count. They are counted on this node, by indicator and day: of a
value all indicators in force whose pattern is just that, and of an address also those of networks that it is in. What is of
no indicator here is not kept.

Others are told only if sightings.share says so in config.toml: of days that are over, by one STIX sighting for each
indicator, with a rounded count.`,
		Example: `  slnode hits - < values.txt
  echo '{"value":"203.0.113.7","time":"2026-11-03T12:00:00Z","count":3}' | slnode hits -
  slnode hits list`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := readInput(c, args[0])
			if err != nil {
				return err
			}
			all, err := a.reportHits(c, key, data)
			if err != nil {
				return err
			}
			if err := a.print(c, all, func(w io.Writer) { printHitsTaken(w, all) }); err != nil {
				return err
			}
			if all.Failed > 0 {
				return &noError{fmt.Sprintf("%d lines could not be read", all.Failed)}
			}
			return nil
		},
	}
	c.Flags().StringVar(&key, "key", "", "a `name` for this input: repeated under it within two days it counts nothing")
	c.AddCommand(a.hitsListCommand())
	return c
}

// reportHits reports lines, so many at a time.
func (a *app) reportHits(c *cobra.Command, key string, data []byte) (all taxii.HitsTaken, err error) {
	err = a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
		for part := 0; len(data) > 0; part++ {
			var lines []byte
			n := 0
			for ; n < taxii.MaxHits && len(data) > 0; n++ {
				line, rest, _ := bytes.Cut(data, []byte("\n"))
				data = rest
				lines = append(append(lines, hitLine(line)...), '\n')
			}
			name := key
			if key != "" && part > 0 {
				name = fmt.Sprintf("%s/%d", key, part)
			}
			taken, err := client.Report(ctx, org, name, lines)
			if err != nil {
				return err
			}
			for i := range taken.Failures {
				taken.Failures[i].Line += part * taxii.MaxHits
			}
			all.Failures = append(all.Failures, taken.Failures...)
			all.Counted, all.Unknown, all.Failed = all.Counted+taken.Counted, all.Unknown+taken.Unknown, all.Failed+taken.Failed
			all.Indicators, all.Again = all.Indicators+taken.Indicators, all.Again || taken.Again
		}
		return nil
	})
	return all, err
}

// hitLine is a line as it is reported: one that is no JSON object is a value.
func hitLine(line []byte) []byte {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '{' {
		return line
	}
	object, _ := json.Marshal(map[string]string{"value": string(line)}) // of a text nothing can fail
	return object
}

func printHitsTaken(w io.Writer, t taxii.HitsTaken) {
	fmt.Fprintf(w, "COUNTED\tOF NO INDICATOR\tNOT READ\tINDICATORS\n%d\t%d\t%d\t%d\n", t.Counted, t.Unknown, t.Failed, t.Indicators)
	if t.Again {
		fmt.Fprintf(w, "it was counted before, and counts nothing now\n")
	}
	for _, f := range t.Failures {
		fmt.Fprintf(w, "line %d: %s\n", f.Line, f.Message)
	}
}

func (a *app) hitsListCommand() *cobra.Command {
	var since string
	q := taxii.HitsQuery{Limit: 100}
	c := &cobra.Command{
		Use:   "list",
		Short: "List the indicators that hit here",
		Args:  cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if since != "" {
				if q.Since, err = time.Parse(time.DateOnly, since); err != nil {
					return fmt.Errorf("%w: --since takes a date such as 2026-11-30", errUsage)
				}
			}
			if q.Limit < 1 || q.Limit > taxii.MaxHitList {
				return fmt.Errorf("%w: --limit is 1 to %d", errUsage, taxii.MaxHitList)
			}
			var list taxii.HitList
			err = a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) (err error) {
				list, err = client.Hits(ctx, org, q)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(c, list, func(w io.Writer) {
				fmt.Fprintf(w, "INDICATOR\tSAYS\tMEMBER\tHITS\tFIRST\tLAST\tOTHERS ARE TOLD\n")
				for _, h := range list.Hits {
					told := "nothing"
					if h.Sighting != "" {
						told = fmt.Sprintf("%d up to %s", h.Told, h.Through)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", printable(h.Indicator), printable(h.Title), printable(h.Member), h.Count, h.First, h.Last, told)
				}
			})
		},
	}
	c.Flags().StringVar(&since, "since", "", "that hit on this `date` (UTC) or later")
	c.Flags().IntVar(&q.Limit, "limit", q.Limit, "how many")
	return c
}

// seenObject is what the node answers.
type seenObject struct {
	Object string            `json:"object"`
	Seen   search.Seen       `json:"seen"`
	Here   *taxii.HitCounter `json:"here,omitempty"`
}

func (a *app) sightingsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sightings STIX-ID",
		Short: "Tell how often an object was seen, by whom and when",
		Long: `Sightings tells how often an object was seen: what members say by STIX sightings, each once, by member and by month, and how
often it hit on this node ("slnode hits"). Who says it is proved by a signature on the chain, what is said is not.`,
		Example: `  slnode sightings indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var seen seenObject
			err := a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
				return client.Seen(ctx, org, args[0], &seen)
			})
			if err != nil {
				return err
			}
			return a.print(c, seen, func(w io.Writer) { printSeen(w, seen) })
		},
	}
}

func printSeen(w io.Writer, s seenObject) {
	row := func(what string, count uint64, first, last string) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", what, count, first, last)
	}
	day := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.DateOnly)
	}
	fmt.Fprintf(w, "SEEN\tTIMES\tFIRST\tLAST\n")
	if s.Here != nil {
		row("here, as reported", s.Here.Count, s.Here.First, s.Here.Last)
	}
	for _, b := range s.Seen.By {
		name := printable(b.Member)
		if b.Author != "" {
			name += " (by " + printable(b.Author) + ")"
		}
		row(name, b.Count, day(b.First), day(b.Last))
	}
	row("by sightings, together", s.Seen.Count, day(s.Seen.First), day(s.Seen.Last))
	for _, m := range s.Seen.Month {
		row("in "+m.Month, m.Count, "", "")
	}
}
