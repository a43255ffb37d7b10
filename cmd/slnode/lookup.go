package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

// lookedUp is what the node answers.
type lookedUp struct {
	Answers []search.Answer `json:"answers"`
	Whole   bool            `json:"whole"`
	Indexed int64           `json:"indexed"`
	Of      int64           `json:"of"`
}

func (a *app) lookupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lookup VALUE...|-",
		Short: "Tell what is known of addresses, names, hashes and the like",
		Long: `Tell what is known of values: which objects are about them, by whom, and about what contains them, such as networks
and parent domains, or is in them. Values may be defanged, as 203.0.113[.]7 and hxxp://evil[.]example/ are. With - they
are found in what comes from standard input, whatever stands around them. Of what can't be told by its looks the kind is
written before it: file-name:, mutex:, registry-key:, user-agent:, x509-serial:.

It asks nobody but this organisation's own node, and no log says which values were looked up. It exits with 3 if none of
them is known.`,
		Example: `  slnode lookup 203.0.113.7 evil[.]example
  slnode lookup - < report.txt
  slnode lookup --json 203.0.113.0/24`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			values, err := valuesOf(c, args)
			if err != nil {
				return err
			}
			found, err := a.lookUp(c, values)
			if err != nil {
				return err
			}
			if !found.Whole {
				a.remark(c, fmt.Sprintf("older objects are still being put into the indexes, %d of about %d are: what is not found now may be there", found.Indexed, found.Of))
			}
			if err := a.print(c, found.Answers, func(w io.Writer) { printAnswers(w, found.Answers) }); err != nil {
				return err
			}
			if !slices.ContainsFunc(found.Answers, search.Answer.Known) {
				return &noError{fmt.Sprintf("nothing is known here of what was looked up (%d)", len(values))}
			}
			return nil
		},
	}
}

// valuesOf are the values that a command is given.
func valuesOf(c *cobra.Command, args []string) (values []observable.Value, err error) {
	for _, arg := range args {
		text := arg
		if arg == "-" {
			data, err := io.ReadAll(io.LimitReader(c.InOrStdin(), observable.MaxText+1))
			if err != nil {
				return nil, err
			}
			if len(data) > observable.MaxText {
				return nil, fmt.Errorf("%w: standard input has more than %d bytes; ask in parts", errUsage, observable.MaxText)
			}
			text = string(data)
		}
		some := observable.Parse(text)
		if len(some) == 0 && arg != "-" {
			return nil, fmt.Errorf("%w: %q is no address, domain, URL, hash or other value that is known here; see slnode lookup --help", errUsage, arg)
		}
		values = append(values, some...)
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: there is no value in standard input", errUsage)
	}
	return values, nil
}

// lookUp asks the node, so many values at a time.
func (a *app) lookUp(c *cobra.Command, values []observable.Value) (all lookedUp, err error) {
	err = a.plainly(c, false, func(ctx context.Context, client *taxii.Client, org string) error {
		for some := range slices.Chunk(values, taxii.MaxLookup) {
			var texts []string
			for _, v := range some {
				texts = append(texts, v.Kind.String()+":"+v.Text)
			}
			var found lookedUp
			if err := client.LookUp(ctx, org, texts, &found); err != nil {
				return err
			}
			found.Answers = append(all.Answers, found.Answers...)
			all = found
		}
		return nil
	})
	return all, err
}

// rated is who published an object and, in parentheses, how reliable that member is held to be and how credible the
// object, in the Admiralty system, as far as that is known.
func rated(o search.Summary) string {
	code := o.Reliability
	if o.Credibility > 0 && code != "" {
		code += fmt.Sprint(o.Credibility)
	}
	if code == "" {
		return o.Member
	}
	return o.Member + " (" + code + ")"
}

func printAnswers(w io.Writer, answers []search.Answer) {
	fmt.Fprintf(w, "VALUE\tFOUND\tOBJECT\tSAYS\tMEMBER\tLEVEL\tSTATE\n")
	for _, a := range answers {
		row := func(hits []search.Hit, how string) {
			for _, h := range hits {
				found := how
				if how != "exactly" {
					found = how + " " + h.Value.Text
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(a.Value.Text), printable(found), printable(h.Object.ID), printable(h.Object.Sentence),
					printable(rated(h.Object)), h.Object.Level, h.Object.Standing)
			}
		}
		row(a.Exact, "exactly")
		row(a.Wider, "in")
		row(a.Narrower, "contains")
		if len(a.Exact)+len(a.Wider)+len(a.Narrower) == 0 {
			fmt.Fprintf(w, "%s\tnot found\t\t\t\t\t\n", printable(a.Value.Text))
		}
		if a.Seen != nil && a.Seen.Count > 0 {
			var by []string
			for _, b := range a.Seen.By {
				if !slices.Contains(by, b.Member) {
					by = append(by, b.Member)
				}
			}
			fmt.Fprintf(w, "%s\tseen\t\t%d times, last on %s\t%s\t\t\n", printable(a.Value.Text), a.Seen.Count, a.Seen.Last.Format(time.DateOnly), printable(strings.Join(by, ", ")))
		}
		for _, on := range a.Warned {
			fmt.Fprintf(w, "%s\tlisted\t\ton the warning list %s (%s, %s)\t\t\t\n", printable(a.Value.Text), printable(on.Name), on.Class, on.Date)
		}
		if a.More {
			fmt.Fprintf(w, "%s\tand more\t\t\t\t\t\n", printable(a.Value.Text))
		}
	}
}
