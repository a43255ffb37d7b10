package health

import (
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/feeds"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/withdraw"
)

func TestEachThingThatIsWrongHasALineOfItsOwn(t *testing.T) {
	s, want := Status{Member: true}, 0
	s.Watching.CaughtUp = true
	s.Peers = []PeerStatus{{ID: "A", Connected: true}, {ID: "B", Problem: "gone"}}
	s.Missing = []proof.Missing{{Member: "bravo"}} // it may still come
	if lines := s.Trouble(); len(lines) != 0 {
		t.Fatalf("nothing is wrong, and it says %q", lines)
	}
	s.Watching.CaughtUp = false
	if lines := s.Trouble(); len(lines) != 1 || !strings.HasPrefix(lines[0], "chain: it is not followed to its end") {
		t.Errorf("while it catches up it says %q", lines)
	}
	s.Watching.CaughtUp = true
	for name, change := range map[string]func(*Status){
		"member:":              func(s *Status) { s.Member = false },
		"publishing:":          func(s *Status) { s.Publishing.Condition = problem.Condition{Problem: "funds", Detail: "no\nmoney"} },
		"account: the balance": func(s *Status) { s.Publishing.Funds = "algod is away" },
		"account: what objects can spend lasts 9 days at last week's rate, 1 ALGO a day; send ALGO to": func(s *Status) {
			s.Money.Forecast = money.Forecast{Over: 7, Rate: microalgo.ALGO, Lasts: new(9.0)}
		},
		"retention: funds": func(s *Status) { s.Retention = &withdraw.Retention{Condition: problem.Condition{Problem: "funds"}} },
		"chain: behind:":   func(s *Status) { s.Watching.Problem, s.Watching.CaughtUp = "behind", false },
		"source I: lies: it hides": func(s *Status) {
			s.Watching.Sources = []state.Source{{Name: "J"}, {Name: "I", Problem: "lies", Detail: "it hides"}}
		},
		"late: 2 transactions":      func(s *Status) { s.Late.Found, s.Late.Unfolded = 3, 2 },
		"chain: the indexer gave 3": func(s *Status) { s.Watching.Forged = 3 },
		"chain: the history of":     func(s *Status) { s.Watching.GivenUp = []string{"X"} },
		"disk:":                     func(s *Status) { s.Disk.Condition = problem.Condition{Problem: "disk"} },
		"clock:":                    func(s *Status) { s.Clock.Problem = "clock" },
		"certificate:":              func(s *Status) { s.Certificate.Problem = "refused" },
		"webhook siem:": func(s *Status) {
			s.Webhooks = []clients.WebhookStatus{{Name: "siem", Condition: problem.Condition{Problem: "refused"}}}
		},
		"publishing: permission": func(s *Status) { s.Publishing.Also = []problem.Condition{{Problem: "permission"}} },
		"feed misp: ":            func(s *Status) { s.Feeds = []feeds.Problem{{Name: "misp", Problem: "the server answered 502"}} },
		"keys: a removed member": func(s *Status) { s.Exposed = []collections.ExposedKey{{Removed: []string{"mallory"}}} },
		"repeated: 2": func(s *Status) {
			s.Watching.Round = 100_000
			s.Repeated = []proof.RepeatedNumbers{{Member: "long ago", Repeated: consortium.Repeated{Count: 1, Round: 1000}}, {Member: "bravo", Repeated: consortium.Repeated{Count: 2, Round: 99_000}}}
		},
		"missing:": func(s *Status) { s.Missing[0].Overdue = true },
		"omitted:": func(s *Status) { s.Omitted = []proof.Finding{{TxID: "T"}} },
		"peer:":    func(s *Status) { s.Peers[0].Connected = false },
	} {
		change(&s)
		want++
		lines := s.Trouble()
		found := false
		for _, line := range lines {
			found = found || strings.HasPrefix(line, name)
			if strings.Contains(line, "\n") {
				t.Errorf("a line is two: %q", line)
			}
		}
		if !found || len(lines) != want {
			t.Errorf("%s: %d lines, want %d: %q", name, len(lines), want, lines)
		}
	}
}

func TestANodeThatFallsBehindOrDoesNotRunSaysSo(t *testing.T) {
	s := Status{Member: true}
	s.Watching.CaughtUp, s.Watching.Tip, s.Watching.LagRounds, s.Watching.LagSeconds = true, 42, 42, 121
	if lines := s.Trouble(); len(lines) != 1 || lines[0] != "chain: round 0 of 42, 42 rounds and 121 s behind" {
		t.Errorf("when it falls behind it says %q", lines)
	}
	hangs := Status{Daemon: Daemon{Absent: "its process is there", Hangs: true}}
	if lines := hangs.Trouble(); len(lines) != 1 || lines[0] != "daemon: it does not answer: its process is there" {
		t.Errorf("with a daemon that hangs it says %q", lines)
	}
	absent := Status{Daemon: Daemon{Absent: "it was killed"}}
	if lines := absent.Trouble(); len(lines) != 1 || lines[0] != "daemon: it does not run: it was killed" {
		t.Errorf("without a daemon it says %q", lines)
	}
}

func TestAnAuditLogThatIsNotWrittenOrForwardedIsTrouble(t *testing.T) {
	t.Parallel()
	s := Status{Member: true, Audit: []problem.Condition{{Problem: "writing", Detail: "the disk is full"}, {Problem: "forwarding", Detail: "it is away"}}}
	s.Watching.CaughtUp = true
	if lines := s.Trouble(); len(lines) != 2 || lines[0] != "audit: writing: the disk is full" || lines[1] != "audit: forwarding: it is away" {
		t.Errorf("it says %q", lines)
	}
}
