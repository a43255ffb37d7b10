package health

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/p2p/swarm"
)

func peerOf(t *testing.T, org *nodetest.Org) peer.ID {
	t.Helper()
	id, err := peer.Decode(org.Document.Peer)
	nodetest.Must(t, err)
	return id
}

func TestTheLogTellsWhoComesAndGoes(t *testing.T) {
	o := newObserved(t)
	told := teller{log: o.Log}
	var before int
	says := func(what string, lines ...string) {
		t.Helper()
		told.look(o.Observer)
		got := strings.TrimSpace(o.said.String()[before:])
		before = len(o.said.String())
		if strings.Count(got, "level=") != len(lines) {
			t.Errorf("%s: the log says %q, want %d lines", what, got, len(lines))
		}
		for _, line := range lines {
			if !strings.Contains(got, line) {
				t.Errorf("%s: the log says %q, want %s", what, got, line)
			}
		}
	}
	says("while it catches up")
	o.parts.chain.CaughtUp = true
	says("at the end of the chain", `level=INFO msg="the chain is followed" member=true other_members=2 connected=0`)
	says("nothing is new")
	o.parts.peers = []swarm.Peer{{ID: peerOf(t, o.Mallory), Connected: true}, {ID: peerOf(t, o.Founder)}}
	says("one comes", `level=INFO msg="a member's node is connected" member=mallory`)
	o.parts.chain.CaughtUp = false // a source fails: who is there is known all the same
	o.parts.peers[0].Connected, o.parts.peers[1].Connected = false, true
	says("one goes, one comes", `msg="a member's node is gone" member=mallory connected=1`, `msg="a member's node is connected" member=founder`)
	o.Removes(o.Mallory)
	says("a member is removed", `level=INFO msg="an organisation is not a member any more, or has another account" member=mallory account=`+o.Mallory.Address())
	o.Removes(o.Self)
	says("we are", `level=WARN msg="this organisation is not a member of the consortium any more"`)
}

// However many objects there are, they have a line a minute.
func TestWhatBecomesOfObjectsHasALineAMinute(t *testing.T) {
	o := newObserved(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- o.Tell(ctx) }()
		synctest.Wait()
		for range 10_000 {
			o.Stages.Passed(stages.Confirmed, stages.Own, time.Now())
			o.Stages.Passed(stages.Visible, stages.Member, time.Now())
		}
		o.Stages.Withdrawn(2)
		time.Sleep(10*time.Minute + time.Second)
		o.Stages.Refused(stages.Own, 1)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	got := o.said.String()
	if strings.Count(got, "level=") != 2 || !strings.Contains(got, "level=INFO msg=objects published=10000 received=10000 withdrawn=2\n") || !strings.Contains(got, "msg=objects refused=1\n") {
		t.Errorf("the log says %q", got)
	}
}
