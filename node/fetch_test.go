package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

func TestObjectsAreReconsideredWhenTheNodeStoppedRightAfterTheirRecord(t *testing.T) {
	alpha, bravo := newOrg(t, "alpha"), newOrg(t, "bravo")
	w := newWorld(t, bravo)
	events := w.found(alpha)
	d, err := consortium.DraftMember(w.id, bravo.document, events[0].Time)
	must(t, err)
	events = append(events, w.mint(alpha, d), w.mint(alpha, w.object(1)))
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	if _, undecided := w.r.View.CountEvents(); undecided != 1 {
		t.Fatalf("%d objects are undecided without a key, want 1", undecided)
	}
	keyring := w.keyring(alpha, bravo)
	must(t, w.deliver(keyring))
	logged, _, err := w.r.View.Event(keyring.TxID)
	must(t, err)
	must(t, w.r.View.Settle([]repo.Outcome{{Event: logged, State: repo.Held}})) // and here the node is killed
	w.open()
	w.drain()
	if n := w.shown(); n != 1 {
		t.Errorf("%d objects are served, want 1", n)
	}
}

// Large objects are opened some at a time: what was opened is in the view before the last is read.
func TestALoadOfLargeObjectsIsNotHeldInMemoryAtOnce(t *testing.T) {
	alpha := newOrg(t, "alpha")
	w := newWorld(t, alpha)
	events := w.found(alpha)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	const size, count = 4 << 10, 20 // more than twice the fetcher's memory
	for n := range count {
		must(t, w.deliver(w.mint(alpha, w.objectOf(n, strings.Repeat("x", size)))))
	}
	most, read := int64(0), 0
	w.blocks.reading = func() {
		if read++; read == count {
			most = w.shown()
		}
	}
	w.drain()
	if w.shown() != count || most == 0 {
		t.Errorf("%d objects are served, want %d; %d were when the last was read, want some", w.shown(), count, most)
	}
}

// What was asked for in vain so often that it rests for minutes is asked for again when a member is back, however short
// it was away.
func TestWhatAMemberDidNotGiveIsAskedForWhenItWasConnectedAnew(t *testing.T) {
	t.Parallel()
	alpha, bravo := newOrg(t, "alpha"), newOrg(t, "bravo")
	w := newWorld(t, alpha)
	events := w.found(alpha, bravo)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	e, bring := w.withheld(alpha)
	must(t, w.deliver(e))
	logged, _, err := w.r.View.Event(e.TxID)
	must(t, err)
	for range 20 {
		must(t, w.r.View.Settle([]repo.Outcome{{Event: logged, State: repo.Waiting, Due: time.Now().Add(time.Hour)}}))
	}

	w.blocks.asked = 0
	began := time.Now()
	w.blocks.connect("bravo", began)
	w.runFetcher()
	eventually(t, func() bool { return w.blocks.fetches() > 0 })
	bring()
	w.blocks.connect("bravo", began.Add(time.Millisecond))
	eventually(t, func() bool { return w.shown() == 1 })
}

func TestWhatNobodyGaveIsAskedForAgainThoughNothingElseHappens(t *testing.T) {
	t.Parallel()
	alpha := newOrg(t, "alpha")
	w := newWorld(t, alpha)
	events := w.found(alpha)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	e, bring := w.withheld(alpha)
	w.blocks.asked = 0
	w.runFetcher()
	must(t, w.deliver(e))
	eventually(t, func() bool { return w.blocks.fetches() > 0 })
	bring()
	eventually(t, func() bool { return w.shown() == 1 })
}

// withheld mints an object whose blocks nobody has before bring is called.
func (w *world) withheld(sender *org) (e consortium.Event, bring func()) {
	w.t.Helper()
	object := w.object(1)
	e = w.mint(sender, object)
	d, err := p2p.BuildDirectory(p2p.File{Name: wire.MetadataName, Data: object.Metadata}, p2p.File{Name: object.PayloadName, Data: object.Payload})
	must(w.t, err)
	must(w.t, w.blocks.Forget(w.t.Context(), []cid.Cid{d.Root()}))
	return e, func() { must(w.t, w.blocks.Put(w.t.Context(), []p2p.Directory{d})) }
}

// runFetcher runs the fetcher until the test ends.
func (w *world) runFetcher() {
	ctx, stop := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.fetcher.run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
	})
}

func TestWhatANodeThatStopsDidNotGetIsAskedForFirstWhenItRunsAgain(t *testing.T) {
	t.Parallel()
	alpha := newOrg(t, "alpha")
	w := newWorld(t, alpha)
	events := w.found(alpha)
	w.open()
	must(t, w.deliver(events...))
	w.drain()
	must(t, w.deliver(w.mint(alpha, w.object(1))))
	w.blocks.asked, w.blocks.silent = 0, true
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.fetcher.run(ctx) }()
	eventually(t, func() bool { return w.blocks.fetches() > 0 })
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.blocks.silent = false
	w.drain()
	if n := w.shown(); n != 1 {
		t.Errorf("%d objects are served, want 1", n)
	}
}
