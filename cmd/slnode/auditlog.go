package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	trail "github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

func (a *app) auditLogCommand() *cobra.Command {
	var filter auditlog.Filter
	var since, until string
	c := &cobra.Command{
		Use:   "audit-log",
		Short: "Show who read, published and changed what on this node",
		Long: `Audit-log shows the audit log, the oldest first: who read which collection, published, withdrew, logged in or failed to,
made or changed accounts, collections, feeds, keys and memberships, when, and from where. With --json it is the lines as
they are written, which say more. It holds no secret. A publication names the first hundred of its objects; its status
names all. The command line is "operator"; behind it stands the Unix user whose command it was, and the one who had
logged in, where the kernel tells. It is read from the files in the folder audit, of a daemon that runs up to its last
second. --until with a date is up to the end of that day, in UTC. "slnode audit-log verify" finds what was changed
afterwards. "slnode audit" is something else: it checks the chain.`,
		Example: `  slnode audit-log --since 2026-01-31 --event publish
  slnode audit-log --user key:opencti --json > opencti.jsonl`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if _, err := config.Read(a.dir); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			if filter.Since, filter.Until, err = period(since, until); err != nil {
				return err
			}
			if err := checkEvent(filter.Event); err != nil {
				return err
			}
			line, end := a.auditOutput(c.OutOrStdout())
			return errors.Join(auditlog.Read(c.Context(), a.dir, filter, line), end())
		},
	}
	f := c.Flags()
	f.StringVar(&since, "since", "", "from a `date` or time on")
	f.StringVar(&until, "until", "", "up to the end of a `date`, or up to a time")
	f.StringVar(&filter.Event, "event", "", "events of one `name`, such as read, publish, login, refused")
	f.StringVar(&filter.User, "user", "", "what one `user` did; key:NAME for an API key")
	c.AddCommand(a.auditLogVerifyCommand())
	return c
}

// checkEvent refuses a name that no event has.
func checkEvent(name string) error {
	all := trail.Events()
	if name == "" || slices.Contains(all, name) {
		return nil
	}
	if near := similar(name, all); len(near) > 0 {
		return fmt.Errorf("%w: no event is called %q; did you mean %s?", errUsage, name, strings.Join(near, " or "))
	}
	return fmt.Errorf("%w: no event is called %q; there are %s", errUsage, name, strings.Join(all, ", "))
}

// similar gives those of some words that another one was probably meant to be, as cobra does for commands.
func similar(word string, words []string) []string {
	c := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, one := range words {
		c.AddCommand(&cobra.Command{Use: one, Run: func(*cobra.Command, []string) {}})
	}
	return c.SuggestionsFor(word)
}

// auditOutput writes lines of the audit log as they come: as they are, or as a table.
func (a *app) auditOutput(w io.Writer) (line func([]byte) error, end func() error) {
	if a.json {
		out := bufio.NewWriter(w)
		return func(line []byte) error {
			_, err := out.Write(line)
			return errors.Join(err, out.WriteByte('\n'))
		}, out.Flush
	}
	table := newRows(w, "TIME\tEVENT\tUSER\tFROM\tCOLLECTION\tWHAT")
	return func(line []byte) error {
		var e taxii.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return table.row("%s\t\t\t\t\t%s", "(can't be read)", printable(string(line[:min(len(line), 100)])))
		}
		return table.row("%-20s\t%-17s\t%s\t%s\t%s\t%s", e.Time.UTC().Format(time.RFC3339), printable(e.Name), userText(e), fromText(e), printable(e.Collection), whatText(e))
	}, table.end
}

// userText is who did it, by which account of the machine.
func userText(e taxii.Event) string {
	text := firstOf(e.User, "-")
	switch {
	case e.UnixUser != "" && e.LoginUser != "" && e.LoginUser != e.UnixUser:
		text += " (" + e.UnixUser + ", by " + e.LoginUser + ")"
	case e.UnixUser != "":
		text += " (" + e.UnixUser + ")"
	}
	return printable(text)
}

func fromText(e taxii.Event) string {
	if e.UnixUser != "" {
		return "this machine"
	}
	return printable(firstOf(e.Remote, "-"))
}

// whatText is what was done, or to what.
func whatText(e taxii.Event) string {
	var parts []string
	for _, part := range []string{e.Kind, e.Subject, e.Detail} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Count > 0 {
		parts = append(parts, fmt.Sprintf("%d objects", e.Count))
	}
	if e.Failures > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", e.Failures))
	}
	const shown = 3 // ids in a line: there can be a hundred
	parts = append(parts, e.Objects[:min(len(e.Objects), shown)]...)
	if more := e.Count - e.Failures - shown; more > 0 && len(e.Objects) > shown {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return oneLine(printable(strings.Join(parts, ", ")))
}

func (a *app) auditLogVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Find what was changed in the audit log after it was written",
		Long: `Verify walks along the chain of the audit log: each record carries its number and the hash of the line before it. It
finds and says where a byte was edited, a line taken away or put in, the end cut off, or a file removed. What a crash cut
off in the middle of a write is counted, and is no tampering. It prints the hash of the last record, which stands for
all before it: keep that elsewhere, and later you can tell whether this log is the same.

What it can't find is a log that was written anew as a whole: who can write the folder audit can make another chain. For
that, records are to be where that user can't write: see taxii.audit_forward. It exits with 3 if something was changed.`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := config.Read(a.dir); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			v, err := auditlog.Verify(c.Context(), a.dir)
			if err != nil {
				return err
			}
			if err := a.print(c, v, func(w io.Writer) { printChain(w, v) }); err != nil {
				return err
			}
			if !v.Passed {
				return &noError{"the audit log is not as it was written"}
			}
			return nil
		},
	}
}

func printChain(w io.Writer, v auditlog.Verification) {
	fmt.Fprintf(w, "files\t%d\nrecords\t%d\n", v.Files, v.Records)
	if v.Records > 0 {
		fmt.Fprintf(w, "numbers\t%d to %d\nfrom\t%s\nto\t%s\nhead\t%s\n", v.First, v.Last, v.From.UTC().Format(time.RFC3339), v.To.UTC().Format(time.RFC3339), v.Head)
	}
	if v.Cut > 0 {
		fmt.Fprintf(w, "cut off\t%d lines, in the middle of a write; that is no tampering\n", v.Cut)
	}
	for _, f := range v.Findings {
		where := ""
		if f.File != "" {
			where = fmt.Sprintf("%s, line %d: ", f.File, f.Line)
		}
		fmt.Fprintf(w, "CHANGED\t%s%s\n", where, f.What)
	}
	verdict := "the log is as it was written, as far as the chain can tell"
	if !v.Passed {
		verdict = "the log is not as it was written"
	}
	fmt.Fprintf(w, "\nVerdict: %s.\n", verdict)
}
