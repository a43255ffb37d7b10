package control

import (
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/node/problem"
)

// recentRounds is for how long a member's two nodes are trouble, after the last time that they showed: a day or so.
const recentRounds = 30_000

// Trouble lists what is wrong with a node, a line each; it is empty if nothing is. A line begins with the word under which
// `slnode status` shows more.
func (s Status) Trouble() (lines []string) {
	add := func(format string, values ...any) {
		lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf(format, values...)), " "))
	}
	waits := func(what string, c problem.Condition) {
		if c.Problem != "" {
			add("%s: %s: %s", what, c.Problem, c.Detail)
		}
	}
	if !s.Member {
		add("member: this organisation is not a member of the consortium")
	}
	waits("publishing", s.Publishing.Condition)
	for _, also := range s.Publishing.Also {
		waits("publishing", also)
	}
	if s.Publishing.Funds != "" {
		add("account: the balance is not known: %s", s.Publishing.Funds)
	}
	waits("chain", s.Watching.Condition)
	if s.Watching.Problem == "" && !s.Watching.CaughtUp {
		add("chain: it is not followed to its end yet: round %d of %d", s.Watching.Round, s.Watching.Tip)
	}
	if s.Watching.Forged > 0 {
		add("chain: the indexer gave %d transactions that nobody signed", s.Watching.Forged)
	}
	for _, account := range s.Watching.GivenUp {
		add("chain: the history of account %s is not read: it is long, and nothing in it is of the consortium", account)
	}
	if s.Disk.Problem != s.Publishing.Problem { // else it was said
		waits("disk", s.Disk.Condition)
	}
	waits("clock", s.Clock.Condition)
	waits("certificate", s.Certificate)
	for _, hook := range s.Webhooks {
		waits("webhook "+hook.Name, hook.Condition)
	}
	for _, f := range s.Feeds {
		add("feed %s: %s", f.Name, f.Problem)
	}
	for _, e := range s.Exposed {
		add("keys: %s", e.Detail())
	}
	for _, r := range s.Repeated {
		if r.Round+recentRounds > s.Watching.Round {
			add("repeated: %d sequence numbers of %s came twice, the last in round %d: it has two nodes, or has lost what its node remembers", r.Count, r.Member, r.Round)
		}
	}
	for _, m := range s.Missing {
		if m.Overdue {
			add("missing: sequence numbers %d to %d of %s, since round %d", m.Range.First, m.Range.Last, m.Member, m.Range.Since)
		}
	}
	for _, o := range s.Omitted {
		add("omitted: the indexer leaves out transaction %s of %s in round %d", o.TxID, o.Sender, o.Round)
	}
	connected := 0
	for _, p := range s.Peers {
		if p.Connected {
			connected++
		}
	}
	if len(s.Peers) > 0 && connected == 0 {
		add("peer: no other member's node is connected; the last attempt: %s", s.Peers[0].Problem)
	}
	return lines
}
