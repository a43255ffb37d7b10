package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/repo"
)

// blockClock is a chain that makes a round every three seconds, by a clock that is off by so much.
type blockClock struct {
	began time.Time
	off   time.Duration
	rests time.Duration // its blocks' time is behind by so much, and catches up
	idle  bool
}

func (b blockClock) Clock(context.Context) (round uint64, at, before time.Time, ago time.Duration, err error) {
	passed := time.Since(b.began)
	round = 1000 + uint64(passed/(3*time.Second))
	at = time.Now().Add(b.off - b.rests)
	before = at.Add(-3 * time.Second)
	if b.rests > 0 {
		before = at.Add(-slowestBlock)
	}
	if b.idle {
		round, ago = 1000, time.Hour
	}
	return round, at, before, ago, nil
}

func TestAWrongClockIsSeenByTheBlocksTime(t *testing.T) {
	for name, c := range map[string]struct {
		chain blockClock
		known bool
		says  string
	}{
		"right":                {blockClock{}, true, ""},
		"some seconds off":     {blockClock{off: 20 * time.Second}, true, ""},
		"we are behind":        {blockClock{off: 2 * time.Hour}, true, "2h0m0s behind the chain's"},
		"we are ahead":         {blockClock{off: -40 * time.Minute}, true, "40m0s ahead of the chain's"},
		"the chain rested":     {blockClock{rests: 3 * time.Hour}, false, ""},
		"the chain is resting": {blockClock{off: -time.Hour, idle: true}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.chain.began = time.Now()
				g := &clockGuard{ledger: c.chain, condition: newMonitor("the clock", slog.New(slog.DiscardHandler))}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- g.run(ctx) }()
				time.Sleep(5 * time.Minute)
				cancel()
				must(t, <-done)
				if _, known := g.ahead(); known != c.known {
					t.Errorf("known %t", known)
				}
				if detail := g.condition.get().Detail; (c.says == "") != (detail == "") || !strings.Contains(detail, c.says) {
					t.Errorf("it says %q, want %q", detail, c.says)
				}
			})
		})
	}
}

func TestOneRefusalOfARequestTooManyIsNoProblem(t *testing.T) {
	m := &minter{condition: newMonitor("publishing", slog.New(slog.DiscardHandler))}
	once := &algorand.Throttled{Status: 429, After: 20 * time.Second}
	if m.algodFailed(once); m.condition.get().Problem != "" {
		t.Errorf("after one: %+v", m.condition.get())
	}
	if m.algodFailed(once); m.condition.get().Problem != "algod" {
		t.Errorf("after two: %+v", m.condition.get())
	}
	m.condition.clear()
	m.refusals.Store(0)
	if m.algodFailed(&algorand.Throttled{Status: 429, After: 5 * time.Minute}); m.condition.get().Problem != "algod" {
		t.Errorf("a long one: %+v", m.condition.get())
	}
	m.condition.clear()
	if m.algodFailed(errors.New("connection refused")); m.condition.get().Problem != "algod" {
		t.Errorf("another failure: %+v", m.condition.get())
	}
}

func TestEachThingThatIsWrongHasALineOfItsOwn(t *testing.T) {
	var s Status
	s.Member, s.Watching.CaughtUp = true, true
	s.Peers = []PeerStatus{{ID: "A", Connected: true}, {ID: "B", Problem: "gone"}}
	s.Missing = []Missing{{Member: "bravo"}} // it may still come
	if lines := s.Trouble(); len(lines) != 0 {
		t.Fatalf("nothing is wrong, and it says %q", lines)
	}
	want := 0
	for name, change := range map[string]func(*Status){
		"member:":                   func(s *Status) { s.Member = false },
		"publishing:":               func(s *Status) { s.Publishing.Condition = Condition{Problem: "funds", Detail: "no\nmoney"} },
		"account:":                  func(s *Status) { s.Publishing.Funds = "algod is away" },
		"chain: behind:":            func(s *Status) { s.Watching.Problem, s.Watching.CaughtUp = "behind", false },
		"chain: the indexer gave 3": func(s *Status) { s.Watching.Forged = 3 },
		"chain: the history of":     func(s *Status) { s.Watching.GivenUp = []string{"X"} },
		"disk:":                     func(s *Status) { s.Disk.Condition = Condition{Problem: "disk"} },
		"clock:":                    func(s *Status) { s.Clock.Problem = "clock" },
		"certificate:":              func(s *Status) { s.Certificate.Problem = "refused" },
		"webhook siem:": func(s *Status) {
			s.Webhooks = []WebhookStatus{{Name: "siem", Condition: Condition{Problem: "refused"}}}
		},
		"missing:": func(s *Status) { s.Missing[0].Overdue = true },
		"omitted:": func(s *Status) { s.Omitted = []Finding{{TxID: "T"}} },
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

func TestWhatIsSignedAndWaitsSaysWhy(t *testing.T) {
	publishing := newMonitor("publishing", slog.New(slog.DiscardHandler))
	d := delay{sealing: newMonitor("sealing", publishing.log), publishing: publishing}
	item := repo.Item{State: repo.Signed, TxID: "TX"}
	if got := d.of(item); got != "" {
		t.Errorf("without a problem it says %q", got)
	}
	publishing.set("congestion", "a detail that is the operator's")
	if got := d.of(item); !strings.Contains(got, "higher fee") || strings.Contains(got, "operator") {
		t.Errorf("it says %q", got)
	}
}
