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
		return nil, fmt.Errorf("%w: %w", errUsage, err)
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

func algo(micro uint64) string { return fmt.Sprintf("%d.%06d", micro/1e6, micro%1e6) }

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

func printStatus(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "organisation\t%s in %s (%d)\n", s.Organisation, s.Consortium, s.ConsortiumID)
	member := yes(s.Member)
	if s.Excluded != "" {
		member += ": " + s.Excluded
	}
	fmt.Fprintf(w, "member\t%s\n", member)
	publishing := fmt.Sprintf("%d accepted, %d stored, %d signed", s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed)
	if s.Publishing.Problem != "" {
		publishing += fmt.Sprintf("; WAITS since %s: %s", s.Publishing.Since.Format(time.RFC3339), oneLine(s.Publishing.Detail))
	}
	for _, also := range s.Publishing.Also {
		publishing += fmt.Sprintf("; and since %s: %s", also.Since.Format(time.RFC3339), oneLine(also.Detail))
	}
	fmt.Fprintf(w, "publishing\t%s\n", publishing)
	if s.Publishing.Funds != "" {
		fmt.Fprintf(w, "account\t%s (balance unknown: %s)\n", s.Publishing.Account, oneLine(s.Publishing.Funds))
	} else {
		fmt.Fprintf(w, "account\t%s, %s ALGO free, %s locked%s\n", s.Publishing.Account, algo(s.Publishing.Free), algo(s.Publishing.Locked),
			deposits(s.Publishing.Releases))
	}
	watching := fmt.Sprintf("round %d of %d", s.Watching.Round, s.Watching.Tip)
	if s.Watching.Indexer == 0 && s.Watching.Algod == 0 {
		watching = fmt.Sprintf("round %d; the chain's last is not known yet", s.Watching.Round)
	}
	if s.Watching.Problem != "" {
		watching += fmt.Sprintf("; WAITS since %s: %s", s.Watching.Since.Format(time.RFC3339), oneLine(s.Watching.Detail))
	}
	for _, account := range s.Watching.GivenUp {
		watching += fmt.Sprintf("; the history of %s is NOT READ: it is long, and nothing in it is of the consortium", account)
	}
	if s.Watching.Forged > 0 {
		watching += fmt.Sprintf("; %d FORGED transactions from the indexer", s.Watching.Forged)
	}
	fmt.Fprintf(w, "chain\t%s\n", watching)
	for _, one := range s.Watching.Sources {
		if one.Problem != "" && one.Problem != s.Watching.Problem {
			fmt.Fprintf(w, "source\t%s: %s since %s: %s\n", one.Name, strings.ToUpper(one.Problem), one.Since.Format(time.RFC3339), oneLine(one.Detail))
		}
	}
	if s.Late.Found > 0 {
		late := fmt.Sprintf("%d transactions were found that the indexer had left out", s.Late.Found)
		if s.Late.Unfolded > 0 {
			late += fmt.Sprintf("; the view is WITHOUT %d of them; \"slnode view rebuild\" takes them in at once", s.Late.Unfolded)
		}
		fmt.Fprintf(w, "late\t%s\n", late)
	}
	served := fmt.Sprintf("%d objects, %d wait for blocks, %d undecided", s.View.Objects, s.View.Waiting, s.View.Undecided)
	if len(s.View.Mistrusts) > 0 {
		served += "; never served as the object is what comes from " + strings.Join(s.View.Mistrusts, ", ")
	}
	if len(s.View.Unknown) > 0 {
		served += "; NO MEMBER is called " + strings.Join(s.View.Unknown, ", ")
	}
	fmt.Fprintf(w, "view\t%s\n", served)
	disk := fmt.Sprintf("%d MiB free", s.Disk.Free>>20)
	if s.Disk.Problem != "" {
		disk += fmt.Sprintf("; WAITS since %s: %s", s.Disk.Since.Format(time.RFC3339), oneLine(s.Disk.Detail))
	}
	fmt.Fprintf(w, "disk\t%s\n", disk)
	if s.Clock.Known {
		clock := fmt.Sprintf("%+.0f s against the chain's", s.Clock.Ahead)
		if s.Clock.Problem != "" {
			clock += "; WRONG: " + oneLine(s.Clock.Detail)
		}
		fmt.Fprintf(w, "clock\t%s\n", clock)
	}
	if s.Certificate.Problem != "" {
		fmt.Fprintf(w, "certificate\tWAITS since %s: %s\n", s.Certificate.Since.Format(time.RFC3339), oneLine(s.Certificate.Detail))
	}
	for _, hook := range s.Webhooks {
		state := "works"
		if hook.Problem != "" {
			state = fmt.Sprintf("WAITS since %s: %s", hook.Since.Format(time.RFC3339), oneLine(hook.Detail))
		}
		fmt.Fprintf(w, "webhook\t%s: %s\n", hook.Name, state)
	}
	for _, f := range s.Feeds {
		fmt.Fprintf(w, "feed\t%s: its last run ended early, at %s: %s\n", f.Name, f.Ended.Format(time.RFC3339), oneLine(f.Problem))
	}
	for _, m := range s.Missing {
		late := "may still come"
		if m.Overdue {
			late = "OVERDUE: the indexer leaves them out, or they were lost before they were submitted; try slnode audit"
		}
		fmt.Fprintf(w, "missing\tsequence numbers %d to %d of %s since round %d; %s\n", m.Range.First, m.Range.Last, m.Member, m.Range.Since, late)
	}
	for _, r := range s.Repeated {
		fmt.Fprintf(w, "repeated\t%d sequence numbers of %s came twice, the last is %d in round %d: it has two nodes, or has lost what its node remembers\n", r.Count, r.Member, r.Number, r.Round)
	}
	for _, e := range s.Exposed {
		fmt.Fprintf(w, "keys\t%s\n", oneLine(e.Detail()))
	}
	for _, o := range s.Omitted {
		fmt.Fprintf(w, "omitted\ttransaction %s of %s in round %d: algod has it, the indexer leaves it out; use another, and rebuild the view\n", o.TxID, o.Sender, o.Round)
	}
	for _, p := range s.Peers {
		state := "connected"
		if !p.Connected {
			state = oneLine("not connected " + p.Problem)
		}
		fmt.Fprintf(w, "peer\t%s %s: %s\n", p.Member, p.ID, state)
	}
}

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
		fmt.Fprintf(w, "\n%s\n", printable(r.Conclusion))
	}
}
