package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serviceledger/slnode/internal/version"
)

func (a *app) manpageCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "manpage DIRECTORY",
		Short:  "Write the manual pages of all commands",
		Long:   "Manpage writes a page for each command, slnode.1, slnode-init.1 and so on, into a directory. It is for packages.",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writeManpages(c.Root(), args[0])
		},
	}
}

func writeManpages(c *cobra.Command, dir string) error {
	path := filepath.Join(dir, pageName(c)+".1")
	if err := os.WriteFile(path, manpage(c), 0o644); err != nil {
		return err
	}
	for _, sub := range subcommands(c) {
		if err := writeManpages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// subcommands are those that have a page: cobra's own ones explain themselves.
func subcommands(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return !sub.IsAvailableCommand() || sub.Name() == "help" || sub.Name() == "completion"
	})
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manpage is a command's page. Cobra's own pages go through Markdown, which takes <id> for a tag, and tables and
// programs in the help texts for prose.
func manpage(c *cobra.Command) []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, ".TH %s 1 \"\" \"slnode %s\" \"Service Ledger\"\n", roff(strings.ToUpper(pageName(c))), roff(version.Current().Version))
	fmt.Fprintf(&w, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(&w, ".SH SYNOPSIS\n\\fB%s\\fP%s\n", roff(c.CommandPath()), roff(strings.TrimPrefix(c.UseLine(), c.CommandPath())))
	if c.Long != "" {
		w.WriteString(".SH DESCRIPTION\n")
		writeProse(&w, c.Long)
	}
	writeFlags(&w, "OPTIONS", c.NonInheritedFlags())
	writeFlags(&w, "OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if subs := subcommands(c); len(subs) > 0 {
		w.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&w, ".TP\n\\fB%s\\fP(1)\n%s\n", roff(pageName(sub)), roff(sub.Short))
		}
	}
	if c.Example != "" {
		w.WriteString(".SH EXAMPLES\n")
		writeProse(&w, c.Example)
	}
	if c.HasParent() {
		fmt.Fprintf(&w, ".SH SEE ALSO\n\\fB%s\\fP(1)\n", roff(pageName(c.Parent())))
	}
	return w.Bytes()
}

func writeFlags(w *bytes.Buffer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		w.WriteString(".TP\n")
		if f.Shorthand != "" && f.ShorthandDeprecated == "" {
			fmt.Fprintf(w, "\\fB%s\\fP, ", roff("-"+f.Shorthand))
		}
		fmt.Fprintf(w, "\\fB%s\\fP", roff("--"+f.Name))
		if name != "" {
			fmt.Fprintf(w, " \\fI%s\\fP", roff(name))
			if f.NoOptDefVal != "" { // as the help has it
				fmt.Fprintf(w, "[=%s]", roff(f.NoOptDefVal))
			}
		}
		fmt.Fprintf(w, "\n%s", roff(usage))
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
			fmt.Fprintf(w, " (default %s)", roff(f.DefValue))
		}
		w.WriteString("\n")
	})
}

// writeProse sets paragraphs. One with an indented line, or with columns, is a table or a program, and stays as it is.
func writeProse(w *bytes.Buffer, text string) {
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		w.WriteString(".PP\n")
		if !strings.HasPrefix(paragraph, " ") && !strings.Contains(paragraph, "\n ") && !strings.Contains(paragraph, "   ") {
			w.WriteString(roff(paragraph) + "\n")
			continue
		}
		w.WriteString(".nf\n" + roff(paragraph) + "\n.fi\n")
	}
}

// roff makes a text safe: a line that begins like a request is none, and what is copied from the page is what it was.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
