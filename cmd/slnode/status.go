package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serviceledger/slnode/internal/certs"
	"github.com/serviceledger/slnode/node/control"
	"github.com/serviceledger/slnode/node/health"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/sightings"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell whether the daemon runs, and how the node is",
		Long: `Status asks the daemon how the node is. If none runs it says so, and exits with 3.

With --check it prints a line for each thing that is wrong and exits with 3, or prints nothing and exits with 0: for
Nagios, cron, and the health check of a container.`,
		Example: `  slnode status
  slnode status --check || mail -s 'slnode is ill' cert@acme.example
  slnode status --json | jq .publishing.free_microalgo`,
		Args: cobra.ExactArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := control.Look(c.Context(), a.dir)
			switch {
			case check && err != nil && exitCode(c.Context(), err, true) == exitFailed:
				return a.printTrouble(c, []string{"daemon: it does not say how it is: " + oneLine(err.Error())})
			case err != nil:
				return err
			case check:
				return a.printTrouble(c, s.Trouble())
			case s.Daemon.Running:
				return a.print(c, s, func(w io.Writer) { printStatus(w, s) })
			}
			absent := struct {
				Daemon       health.Daemon `json:"daemon"`
				Organisation string        `json:"organisation"`
			}{s.Daemon, s.Organisation}
			return errors.Join(a.print(c, absent, func(w io.Writer) { printAbsent(w, s) }), &noError{"the daemon " + strings.TrimPrefix(s.Daemon.Without(), "it ")})
		},
	}
	c.Flags().BoolVar(&check, "check", false, "print a line for each thing that is wrong, and exit with 3 if there is any")
	return c
}

// printTrouble says what is wrong, a line each, and that it is if there is anything.
func (a *app) printTrouble(c *cobra.Command, lines []string) error {
	err := a.print(c, lines, func(w io.Writer) {
		for _, line := range lines {
			fmt.Fprintln(w, printable(line))
		}
	})
	if err == nil && len(lines) > 0 {
		err = &noError{fmt.Sprintf("wrong: %d", len(lines))}
	}
	return err
}

// since says what a part waits for, and for how long; "" if it waits for nothing.
func since(c problem.Condition) string {
	if c.Problem == "" {
		return ""
	}
	return fmt.Sprintf("; WAITS since %s: %s", c.Since.Format(time.RFC3339), oneLine(c.Detail))
}

func printAbsent(w io.Writer, s health.Status) {
	fmt.Fprintf(w, "daemon\t%s: %s\n", strings.ToUpper(strings.TrimPrefix(s.Daemon.Without(), "it ")), oneLine(s.Daemon.Absent))
	fmt.Fprintf(w, "program\t%s\n", s.Daemon.Info)
	if s.Consortium != "" {
		fmt.Fprintf(w, "organisation\t%s in %s (%d)\n", s.Organisation, oneLine(s.Consortium), s.ConsortiumID)
	} else {
		fmt.Fprintf(w, "organisation\t%s\n", s.Organisation)
	}
}

func printStatus(w io.Writer, s health.Status) {
	printDaemon(w, s)
	printPublishing(w, s)
	printLimits(w, s)
	printRetention(w, s.Retention)
	printSharing(w, s.Sightings)
	printFollowing(w, s)
	printStores(w, s)
	printOutside(w, s)
	printOthers(w, s)
	for _, one := range s.Collections {
		rights := "read"
		if one.Write {
			rights = "read, write"
		}
		fmt.Fprintf(w, "collection\t%s %s (%s): %s\n", one.ID, one.Alias, rights, oneLine(strings.Join([]string{one.Title, one.Owner}, " ")))
	}
	for _, p := range s.Peers {
		state := "connected"
		if !p.Connected {
			state = oneLine("not connected " + p.Problem)
		}
		fmt.Fprintf(w, "peer\t%s %s: %s\n", p.Member, p.ID, state)
	}
}

// certificateText says what is wrong with a certificate; one that ends keeps nobody waiting.
func certificateText(c problem.Condition) string {
	switch c.Problem {
	case "ends", "ended":
		return strings.ToUpper(c.Problem) + ": " + oneLine(c.Detail)
	}
	return strings.TrimPrefix(since(c), "; ")
}

func printDaemon(w io.Writer, s health.Status) {
	d := s.Daemon
	fmt.Fprintf(w, "daemon\truns since %s as process %d\n", s.Started.Format(time.RFC3339), d.PID)
	fmt.Fprintf(w, "program\t%s\n", d.Info)
	fmt.Fprintf(w, "taxii\t%s/taxii2/\n", d.TAXII)
	if d.Fingerprint != "" {
		fmt.Fprintf(w, "fingerprint\tSHA-256 %s, until %s\n", certs.Colons(d.Fingerprint), d.CertificateUntil.Format(time.DateOnly))
	}
	if s.Certificate.Problem != "" {
		fmt.Fprintf(w, "certificate\t%s\n", certificateText(s.Certificate))
	}
	for _, one := range s.Audit {
		fmt.Fprintf(w, "audit\t%s since %s: %s\n", one.Problem, one.Since.Format(time.RFC3339), oneLine(one.Detail))
	}
	fmt.Fprintf(w, "organisation\t%s in %s (%d)\n", s.Organisation, oneLine(s.Consortium), s.ConsortiumID)
	member := yes(s.Member)
	if s.Excluded != "" {
		member += ": " + s.Excluded
	}
	fmt.Fprintf(w, "member\t%s\n", member)
	fmt.Fprintf(w, "members\t%d of %d others connected\n", s.Members.Connected, s.Members.Known)
}

func printPublishing(w io.Writer, s health.Status) {
	publishing := fmt.Sprintf("%d accepted, %d stored, %d signed", s.Publishing.Accepted, s.Publishing.Stored, s.Publishing.Signed) + since(s.Publishing.Condition)
	for _, also := range s.Publishing.Also {
		publishing += fmt.Sprintf("; and since %s: %s", also.Since.Format(time.RFC3339), oneLine(also.Detail))
	}
	fmt.Fprintf(w, "publishing\t%s\n", publishing)
	if s.Publishing.Funds != "" {
		fmt.Fprintf(w, "account\t%s (balance unknown: %s)\n", s.Publishing.Account, oneLine(s.Publishing.Funds))
	} else {
		fmt.Fprintf(w, "account\t%s, %s ALGO free, %s locked%s\n", s.Publishing.Account, algo(s.Publishing.Free), algo(s.Publishing.Locked),
			deposits(s.Publishing.Releases))
		if words := s.Money.Forecast.String(); words != "" {
			fmt.Fprintf(w, "money\twhat objects can spend, %s ALGO, %s\n", s.Money.Spendable, words)
		}
		fmt.Fprintf(w, "reserve\t%s ALGO of what is free is left by objects, for other keys, withdrawals and records of membership\n", s.Money.Reserve)
	}
}

func printLimits(w io.Writer, s health.Status) {
	for _, use := range s.Money.Limits {
		fmt.Fprintf(w, "limit\t%s\n", oneLine(printable(use.String())))
	}
}

func printRetention(w io.Writer, r *withdraw.Retention) {
	if r == nil {
		fmt.Fprintf(w, "retention\toff: what has expired stays until it is withdrawn\n")
		return
	}
	where, flag := "", ""
	if len(r.Collections) > 0 {
		where = " in " + strings.Join(r.Collections, ", ")
		flag = " --collection " + r.Collections[0]
	}
	if !r.Records {
		flag += " --no-records"
	}
	text := fmt.Sprintf("what expired more than %s ago is withdrawn%s; %d of %d objects today", r.After, where, r.Today, r.Most)
	if r.Rests {
		text += ", the rest another day"
	}
	fmt.Fprintf(w, "retention\t%s%s; \"slnode withdraw --expired=%s%s --dry-run\" shows what there is\n", oneLine(text), since(r.Condition), r.After, flag)
}

func printSharing(w io.Writer, s *sightings.Sharing) {
	if s == nil {
		return
	}
	whom := "the publisher of an indicator that hit"
	switch {
	case s.Via != "":
		whom = s.Via
	case s.Share == config.ShareCollection:
		whom = "who reads an indicator that hit"
	}
	text := fmt.Sprintf("%s is told; %d of %d today, for %s ALGO", whom, s.Today, s.Most, s.Spent)
	if s.MostOf > 0 {
		text += fmt.Sprintf(" of %s", s.MostOf)
	}
	fmt.Fprintf(w, "sightings\t%s%s\n", oneLine(printable(text)), since(s.Condition))
}

func printFollowing(w io.Writer, s health.Status) {
	c := s.Watching
	watching := fmt.Sprintf("round %d of %d", c.Round, c.Tip)
	switch {
	case c.Indexer == 0 && c.Algod == 0:
		watching = fmt.Sprintf("round %d; the chain's last is not known yet", c.Round)
	case c.LagRounds > 0:
		watching += fmt.Sprintf(", %d behind, for %s", c.LagRounds, time.Duration(c.LagSeconds*float64(time.Second)).Round(time.Second))
	}
	watching += since(c.Condition)
	for _, account := range c.GivenUp {
		watching += fmt.Sprintf("; the history of %s is NOT READ: it is long, and nothing in it is of the consortium", account)
	}
	if c.Forged > 0 {
		watching += fmt.Sprintf("; %d FORGED transactions from the indexer", c.Forged)
	}
	fmt.Fprintf(w, "chain\t%s\n", watching)
	for _, one := range c.Sources {
		if one.Problem != "" && one.Problem != c.Problem {
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
	if s.Clock.Known {
		clock := fmt.Sprintf("%+.0f s against the chain's", s.Clock.Ahead)
		if s.Clock.Problem != "" {
			clock += "; WRONG: " + oneLine(s.Clock.Detail)
		}
		fmt.Fprintf(w, "clock\t%s\n", clock)
	}
}

func printStores(w io.Writer, s health.Status) {
	served := fmt.Sprintf("%d objects, %d wait for blocks, %d undecided", s.View.Objects, s.View.Waiting, s.View.Undecided)
	if len(s.View.Mistrusts) > 0 {
		served += "; never served as the object is what comes from " + strings.Join(s.View.Mistrusts, ", ")
	}
	if len(s.View.Unknown) > 0 {
		served += "; NO MEMBER is called " + strings.Join(s.View.Unknown, ", ")
	}
	fmt.Fprintf(w, "view\t%s\n", served)
	fmt.Fprintf(w, "disk\t%d MiB free%s\n", s.Disk.Free>>20, since(s.Disk.Condition))
	if s.Backup.Unknown != "" {
		fmt.Fprintf(w, "backup\t%s\n", oneLine(s.Backup.Unknown))
	} else {
		fmt.Fprintf(w, "backup\tthe last one is of %s\n", s.Backup.At.Format(time.RFC3339))
	}
}

// printOutside is about what the node sends to and takes from servers.
func printOutside(w io.Writer, s health.Status) {
	for _, hook := range s.Webhooks {
		state := "works"
		if hook.Problem != "" {
			state = strings.TrimPrefix(since(hook.Condition), "; ")
		}
		if hook.Backlog > 0 {
			state += fmt.Sprintf("; %d objects are not sent yet, the first since %s", hook.Backlog, hook.Oldest.Format(time.RFC3339))
		}
		fmt.Fprintf(w, "webhook\t%s: %s\n", hook.Name, state)
	}
	for _, f := range s.Feeds {
		fmt.Fprintf(w, "feed\t%s: its last run ended early, at %s: %s\n", f.Name, f.Ended.Format(time.RFC3339), oneLine(f.Problem))
	}
}

// printOthers is what this node sees of other members.
func printOthers(w io.Writer, s health.Status) {
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
}
