package replicate_test

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// listening is a log whose lines a test reads.
func listening() (*slog.Logger, func() string) {
	var said bytes.Buffer
	return slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})), func() string {
		defer said.Reset()
		return said.String()
	}
}

// What the chain shows and what is made of it stands in the log.
func TestTheLogSaysWhatTheChainBroughtAbout(t *testing.T) {
	self, other, stranger := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other"), nodetest.NewOrg(t, "stranger")
	w := founded(t, self, other)
	var said func() string
	w.Replicator.Log, said = listening()
	says := func(what string, parts ...string) {
		t.Helper()
		got := said()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s: the log says %q, want %q", what, got, part)
			}
		}
	}
	e := w.Mint(stranger, w.Object(1))
	nodetest.Must(t, w.Deliver(e))
	says("of nobody", "level=DEBUG", `msg="an event does not count"`, "txid="+e.TxID, "the sender was never a member")
	e = w.Mint(other, w.Object(1))
	nodetest.Must(t, w.Deliver(e))
	w.Drain()
	nodetest.Must(t, w.Deliver(w.Destroy(other, e.Asset)))
	says("an end", "level=DEBUG", `msg="an object was withdrawn"`, "txid="+e.TxID, "publisher="+other.Address())

	keyring := w.keyring(self, other)
	nodetest.Must(t, w.Deliver(keyring))
	w.Drain()
	clear(w.Blocks.Dirs)
	nodetest.Must(t, w.Replicator.Restore(t.Context()))
	says("blocks that are lost", "level=WARN", `msg="a record is not here any more; members are asked for it" txid=`+keyring.TxID)
}

// Whose events count, and from when on, is asked for before the events are read.
func TestThePublishersAreThoseOfTheState(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	var accounts []string
	for _, p := range w.Replicator.Publishers(nil) {
		accounts = append(accounts, p.Account)
	}
	for _, o := range []*nodetest.Org{self, other} {
		if !slices.Contains(accounts, o.Address()) {
			t.Errorf("%s is none of %v", o.Document.Organisation, accounts)
		}
	}
	if cursor, err := w.Replicator.Cursor(); err != nil || cursor != w.Round {
		t.Errorf("the last round is %d, want %d; %v", cursor, w.Round, err)
	}
}

// An object changes nothing that those look at who wait for the consortium to change; a record does.
func TestOnlyRecordsWakeThoseWhoWaitForTheConsortium(t *testing.T) {
	self := nodetest.NewOrg(t, "self")
	w := founded(t, self)
	for _, c := range []struct {
		what  string
		event consortium.Event
		wakes bool
	}{{"an object", w.Mint(self, w.Object(1)), false}, {"a record", w.keyring(self, self), true}} {
		changed := w.State.Changed.Changed()
		nodetest.Must(t, w.Deliver(c.event))
		woken := false
		select {
		case <-changed:
			woken = true
		default:
		}
		if woken != c.wakes {
			t.Errorf("%s: they are woken: %t", c.what, woken)
		}
	}
}

// Our leases are how a restored node knows its own transactions; others' would be taken for ours.
func TestOnlyOurOwnLeasesAreKept(t *testing.T) {
	self, other := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "other")
	w := founded(t, self, other)
	for n, o := range []*nodetest.Org{self, other} {
		e, lease := w.Mint(o, w.Object(n)), [32]byte{byte(n + 1)}
		e.Lease = lease[:]
		nodetest.Must(t, w.Deliver(e))
		if got, found, err := w.R.View.Leased(lease); err != nil || found != (o == self) || found && got.TxID != e.TxID {
			t.Errorf("%s's lease is found: %t, %v", o.Document.Organisation, found, err)
		}
	}
}

// Anybody can end as many NFTs in a window as it likes: they are taken out of the view together, up to the next other
// event.
func TestARunOfWithdrawalsIsOneStep(t *testing.T) {
	c := newCast(t)
	p := eventful(c)
	h := newHistory(p)
	calls := &failing{method: "Withdraw", nth: 1 << 20}
	h.fails = calls
	r, _ := h.parts()
	nodetest.Must(t, r.Restore(t.Context()))
	var window []consortium.Event
	for _, e := range p.events {
		window = append(window, e.Event)
	}
	var ends []consortium.Event
	chain, alpha := *c.chain, copyOf(c.alpha)
	chain.Round, alpha.Sequence = window[len(window)-1].Round, 1000
	for _, e := range window {
		if e.Note.Kind == wire.KindObject && e.Sender == alpha.Address() {
			ends = append(ends, chain.Destroy(alpha, e.Asset))
		}
	}
	nodetest.Must(t, r.Deliver(t.Context(), window[len(window)-1].Round, window))
	calls.calls = 0
	nodetest.Must(t, r.Deliver(t.Context(), chain.Round, ends))
	if len(ends) < 10 || calls.calls != 1 {
		t.Errorf("%d withdrawals take %d steps", len(ends), calls.calls)
	}
}

func TestTheLogSaysHowTheRefillingGoes(t *testing.T) {
	f := newRefilling(t)
	var said func() string
	f.Refiller.Log, said = listening()
	f.logs(f.directory(t, 1), view.InView)
	nodetest.Must(t, f.Run(t.Context()))
	if got := said(); !strings.Contains(got, "the block store holds again what it held before") {
		t.Errorf("when all is here the log says %q", got)
	}
	nodetest.Must(t, os.MkdirAll(f.Aside, 0o700))
	clear(f.aside)
	f.items = []outbox.Item{
		{Number: 1, State: outbox.Stored, Note: wire.Note{Kind: wire.KindObject}, ObjectID: "stored", Directory: f.events[0].Directory},
		{Number: 2, State: outbox.Signed, Note: wire.Note{Kind: wire.KindObject}, ObjectID: "signed", TxID: "TX", Directory: f.events[0].Directory},
	}
	clear(f.here)
	nodetest.Must(t, f.Pending(t.Context()))
	got := said()
	for _, part := range []string{"level=ERROR", `it has to be posted again" object=stored`, `withdraw it and post it again if no member has it" object=signed`, "txid=TX"} {
		if !strings.Contains(got, part) {
			t.Errorf("what is lost: the log says %q, want %q", got, part)
		}
	}
}
