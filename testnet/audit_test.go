package testnet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/proof"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// audit runs an audit, whatever it finds.
func (o *organisation) audit(options ...string) (a proof.Crosscheck, code int) {
	o.t.Helper()
	out, stderr, code := o.try(append([]string{"--json", "audit"}, options...)...)
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		o.t.Fatalf("the audit exits with %d and prints %q, %q", code, out, stderr)
	}
	return a, code
}

func TestAnAuditFindsNothingWhereTheIndexerIsHonest(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	n.members[0].post(n.collection, indicators(0, 40)...)
	n.members[1].post(n.collection, indicators(40, 5)...)
	auditor := n.members[1]
	auditor.shows(n.collection, indicators(0, 45)...)
	for _, options := range [][]string{nil, {"--every-round"}} {
		a, code := auditor.audit(options...)
		if code != 0 || !a.Passed || a.Events < 48 || a.Confirmed != a.Events || a.Unread.Events != 0 || len(a.Findings) > 0 || len(a.Missing) > 0 {
			t.Errorf("%v: exit code %d: %+v", options, code, a)
		}
	}
	auditor.stop()
	if out := auditor.cli("audit"); !strings.Contains(out, "exactly so in their blocks") {
		t.Errorf("without a daemon: %s", out)
	}
}

// The indexer leaves transactions out and goes on as if nothing was.
func TestAnAuditFindsWhatTheIndexerHides(t *testing.T) {
	t.Parallel()
	l := faulty(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	publisher.post(n.collection, indicator(0))
	reader.stop()
	hidden := publisher.post(n.collection, indicator(1)).Successes[0].TxID
	publisher.post(n.collection, indicators(2, 3)...)
	last := publisher.post(n.collection, indicator(9)).Successes[0].TxID
	l.fault(t, faults{indexer: only(gateway.Rule{Hide: []string{hidden, last}})})
	reader.start()
	reader.shows(n.collection, indicators(2, 3)...)

	publisher.post(n.collection, indicator(10))
	reader.shows(n.collection, indicator(10))

	// The hole in the publisher's numbers says where to look. What is found there is folded in.
	out, stderr, code := reader.try("audit")
	if code != 3 || !strings.Contains(out, "OMITTED") || !strings.Contains(out, hidden) || !strings.Contains(out, "alpha") || !strings.Contains(stderr, "differences") {
		t.Errorf("exit code %d: it prints %s%s", code, out, stderr)
	}
	reader.shows(n.collection, indicator(1), indicator(9), indicator(10))
	if s := reader.status().Late; s.Found != 2 || s.Unfolded != 0 {
		t.Errorf("%+v", s)
	}
	if a, code := reader.audit("--every-round"); code != 0 {
		t.Errorf("with all that was found: exit code %d: %+v", code, a)
	}
}

// The indexer lies about what no signature covers.
func TestAnAuditFindsWhatTheIndexerInvents(t *testing.T) {
	t.Parallel()
	l := faulty(t).byIndexer()
	n := newNetwork(t, l, "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	reader.stop()
	lied := publisher.post(n.collection, indicator(1)).Successes[0].TxID
	moved := publisher.post(n.collection, indicator(2)).Successes[0].TxID
	publisher.post(n.collection, indicator(3))
	round := l.event(t, moved).Round
	l.fault(t, faults{indexer: only(gateway.Rule{Forge: []gateway.Forgery{
		{TxID: lied, Field: "created-asset-index", Value: 77}, {TxID: moved, Field: "confirmed-round", Value: round + 1},
		{TxID: moved, Field: "intra-round-offset", Value: 5},
	}})})
	reader.start()
	reader.shows(n.collection, indicators(1, 3)...)
	a, code := reader.audit()
	problems := map[proof.Problem]string{}
	for _, f := range a.Findings {
		problems[f.Problem] = f.TxID
	}
	if code != 3 || problems[proof.Differs] != lied || problems[proof.NotInBlock] != moved {
		t.Errorf("exit code %d: %+v", code, a)
	}
}

func TestAnAuditSaysWhatAlgodCanNotShow(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	n.members[0].post(n.collection, indicator(1))
	l.advance(t, 20)
	n.members[0].post(n.collection, indicator(2))
	n.members[0].shows(n.collection, indicator(2)) // so that it is in the log
	l.fault(t, faults{algod: only(gateway.Rule{Keep: 18})})
	a, code := n.members[0].audit()
	if code != 0 || !a.Passed || a.Unread.Events < 3 || a.Confirmed == 0 || a.Confirmed+a.Unread.Events != a.Events {
		t.Errorf("exit code %d: %+v", code, a)
	}
	if out := n.members[0].cli("audit"); !strings.Contains(out, "NOT CHECKED") {
		t.Errorf("it prints %s", out)
	}
}

func TestAnAuditOutlastsABusyAlgod(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	n.members[0].post(n.collection, indicators(0, 3)...)
	l.fault(t, faults{algod: only(gateway.Rule{Status: 429, RetryAfter: gateway.Duration(time.Second), Count: 3})})
	if a, code := n.members[0].audit("--every-round"); code != 0 || a.Confirmed != a.Events || a.Unread.Rounds != 0 {
		t.Errorf("exit code %d: %+v", code, a)
	}
}
