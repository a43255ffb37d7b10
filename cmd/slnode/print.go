package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/proof"
)

// print writes a result: as JSON if it was asked for, else as people read it.
func (a *app) print(c *cobra.Command, result any, text func(io.Writer)) error {
	if a.json {
		if v := reflect.ValueOf(result); v.Kind() == reflect.Slice && v.IsNil() {
			result = []struct{}{} // scripts walk through a list, which null is not
		}
		encoder := json.NewEncoder(c.OutOrStdout())
		encoder.SetEscapeHTML(false)
		return encoder.Encode(result)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// readInput reads a file, or standard input for "-".
func readInput(c *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.InOrStdin())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, unreadable(err))
	}
	return data, nil
}

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// pause waits a while, or until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// progress shows how far long work has come, on a terminal only.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(c *cobra.Command, what string) *progress {
	file, ok := c.ErrOrStderr().(*os.File)
	if !ok || !isTerminal(file) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(-1, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))}
}

func (p *progress) set(now, total int) {
	if p.bar == nil {
		return
	}
	if total > 0 && p.bar.GetMax() != total {
		p.bar.ChangeMax(total)
	}
	_ = p.bar.Set(now) // drawing is not worth failing for
}

func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

func algo(micro uint64) string { return microalgo.Amount(micro).String() }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func printConsortium(w io.Writer, info control.ConsortiumInfo) {
	fmt.Fprintf(w, "consortium\t%s (%d)\ncharter\t%s\nnetwork\t%s, IPFS %s\ngovernor\t%s\nround\t%d\n\n",
		info.Name, info.ID, info.Charter, info.GenesisID, info.Network, info.Governor, info.Round)
	printMembers(w, info.Members)
	fmt.Fprintln(w)
	printCollections(w, info.Collections)
}

func printMembers(w io.Writer, members []members.Info) {
	fmt.Fprintf(w, "MEMBER\tTITLE\tACCOUNT\tROUND\tCONNECTED\n")
	for _, m := range members {
		name, connected := m.Name, yes(m.Connected)
		if !m.Known {
			name = "(its record has not arrived)"
		}
		if m.Self {
			connected = "this node"
		}
		if m.Removed > 0 {
			connected = fmt.Sprintf("removed in round %d", m.Removed)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", name, m.Title, m.Account, m.Admitted, connected)
	}
}

// oneLine makes one line of what others say, so that it fits into a table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func printPublished(w io.Writer, p published) {
	fmt.Fprintf(w, "OBJECT\tVERSION\tASSET\tTRANSACTION\n")
	for _, d := range p.Successes {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", d.ID, d.Version, d.AssetID, d.TxID)
	}
	for _, d := range p.Failures {
		fmt.Fprintf(w, "%s\t%s\tREFUSED\t%s\n", d.ID, d.Version, d.Message)
	}
	for _, d := range p.Successes {
		if d.Note != "" {
			fmt.Fprintf(w, "%s\t%s\tNOTE\t%s\n", d.ID, d.Version, d.Note)
		}
	}
}

func printObjects(w io.Writer, objects []jsontext.Value) {
	fmt.Fprintf(w, "OBJECT\tVERSION\tNAME\n")
	for _, object := range objects {
		var o struct {
			ID       string `json:"id"`
			Modified string `json:"modified"`
			Created  string `json:"created"`
			Name     string `json:"name"`
			Value    string `json:"value"`
		}
		if json.Unmarshal(object, &o) != nil {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", o.ID, firstOf(o.Modified, o.Created), printable(firstOf(o.Name, o.Value)))
	}
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// printable keeps a stranger's text from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '·'
		}
		return r
	}, text)
}

func printVerification(w io.Writer, v proof.Verification) {
	printReport(w, v.Report)
	if v.Explorer != "" {
		fmt.Fprintf(w, "\nlook it up: %s\n", v.Explorer)
	}
}

func printReport(w io.Writer, r evidence.Report) {
	for _, s := range r.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ToUpper(string(s.Outcome)), printable(s.Name), printable(s.Value))
		if s.Detail != "" {
			fmt.Fprintf(w, "\t\t%s\n", printable(s.Detail))
		}
	}
	if r.Conclusion != "" {
		fmt.Fprintf(w, "\nVerdict: %s\n", printable(strings.ToLower(r.Conclusion[:1])+r.Conclusion[1:]))
	}
}
