package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/node/problem"
)

// recentRounds is for how long a member's two nodes are trouble, after the last time that they showed: a day or so.
const recentRounds = 30_000

// Trouble lists what is wrong with a node, a line each; it is empty if nothing is. A line begins with the word under
// which `slnode status` shows more.
func (s Status) Trouble() []string {
	var t troubles
	if s.Daemon.Absent != "" {
		t.add("daemon: %s: %s", s.Daemon.Without(), s.Daemon.Absent)
		return t // nothing else is known
	}
	s.ownTrouble(&t)
	s.othersTrouble(&t)
	return t
}

// troubles is what was found.
type troubles []string

func (t *troubles) add(format string, values ...any) {
	*t = append(*t, strings.Join(strings.Fields(fmt.Sprintf(format, values...)), " "))
}

func (t *troubles) waits(what string, c problem.Condition) {
	if c.Problem != "" {
		t.add("%s: %s: %s", what, c.Problem, c.Detail)
	}
}

// ownTrouble is what is wrong here, and with what this node asks.
func (s Status) ownTrouble(t *troubles) {
	if !s.Member {
		t.add("member: %s", s.Excluded)
	}
	t.waits("publishing", s.Publishing.Condition)
	for _, also := range s.Publishing.Also {
		t.waits("publishing", also)
	}
	if s.Publishing.Funds != "" {
		t.add("account: the balance is not known: %s", s.Publishing.Funds)
	}
	if f := s.Money.Forecast; f.Low() {
		t.add("account: what objects can spend %s; send ALGO to %s", f, s.Publishing.Account)
	}
	if s.Retention != nil {
		t.waits("retention", s.Retention.Condition)
	}
	if s.Sightings != nil {
		t.waits("sightings", s.Sightings.Condition)
	}
	t.waits("chain", s.Watching.Condition)
	switch {
	case s.Watching.Problem != "": // it was said
	case !s.Watching.CaughtUp:
		t.add("chain: it is not followed to its end yet: round %d of %d", s.Watching.Round, s.Watching.Tip)
	case s.Watching.LagSeconds > readyLag.Seconds():
		t.add("chain: round %d of %d, %d rounds and %.0f s behind", s.Watching.Round, s.Watching.Tip, s.Watching.LagRounds, s.Watching.LagSeconds)
	}
	for _, one := range s.Watching.Sources {
		if one.Problem != "" && one.Problem != s.Watching.Problem { // else it was said
			t.add("source %s: %s: %s", one.Name, one.Problem, one.Detail)
		}
	}
	if n := s.Late.Unfolded; n > 0 {
		t.add("late: %d transactions were found that the view is without; it is folded anew with them by itself, or by \"slnode view rebuild\"", n)
	}
	if s.Watching.Forged > 0 {
		t.add("chain: the indexer gave %d transactions that nobody signed", s.Watching.Forged)
	}
	for _, account := range s.Watching.GivenUp {
		t.add("chain: the history of account %s is not read: it is long, and nothing in it is of the consortium", account)
	}
	if s.Disk.Problem != s.Publishing.Problem { // else it was said
		t.waits("disk", s.Disk.Condition)
	}
	t.waits("clock", s.Clock.Condition)
	t.waits("certificate", s.Certificate)
	for _, one := range s.Audit {
		t.waits("audit", one)
	}
	for _, hook := range s.Webhooks {
		t.waits("webhook "+hook.Name, hook.Condition)
	}
	for _, f := range s.Feeds {
		t.add("feed %s: %s", f.Name, f.Problem)
	}
}

// othersTrouble is what this node sees of the other members.
func (s Status) othersTrouble(t *troubles) {
	for _, e := range s.Exposed {
		t.add("keys: %s", e.Detail())
	}
	for _, r := range s.Repeated {
		if r.Round+recentRounds > s.Watching.Round {
			t.add("repeated: %d sequence numbers of %s came twice, the last in round %d: it has two nodes, or has lost what its node remembers", r.Count, r.Member, r.Round)
		}
	}
	for _, m := range s.Missing {
		if m.Overdue {
			t.add("missing: sequence numbers %d to %d of %s, since round %d", m.Range.First, m.Range.Last, m.Member, m.Range.Since)
		}
	}
	for _, o := range s.Omitted {
		t.add("omitted: the indexer leaves out transaction %s of %s in round %d", o.TxID, o.Sender, o.Round)
	}
	if len(s.Peers) > 0 && !slices.ContainsFunc(s.Peers, func(p PeerStatus) bool { return p.Connected }) {
		t.add("peer: none of %d other members' nodes is connected; the last attempt: %s", max(s.Members.Known, len(s.Peers)), s.Peers[0].Problem)
	}
}
