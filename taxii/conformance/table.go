package conformance

import (
	"fmt"
	"io"
	"strings"
)

// Column is what one server made of the checks.
type Column struct {
	Name    string
	Results []Result
}

// WriteTable writes a table in Markdown with a row for each check and a column
// for each server. All of the columns are of the same checks.
func WriteTable(w io.Writer, columns []Column) error {
	if len(columns) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("| § | level | a server that |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.Name)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for i, check := range columns[0].Results {
		fmt.Fprintf(&b, "| %s | %s | %s |", check.Section, check.Level, check.Title)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", c.Results[i].Outcome)
		}
		b.WriteByte('\n')
	}
	b.WriteString("| | | **passes of those that could be tried** |")
	for _, c := range columns {
		passed, tried := 0, 0
		for _, r := range c.Results {
			if r.Outcome != Skipped {
				tried++
			}
			if r.Outcome == Passed {
				passed++
			}
		}
		fmt.Fprintf(&b, " **%d/%d** |", passed, tried)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
