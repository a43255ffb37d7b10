package replicate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo/view"
)

func TestObjectsAreReconsideredWhenTheNodeStoppedRightAfterTheirRecord(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newWorld(t, bravo)
	events := w.Found(alpha)
	d, err := consortium.DraftMember(w.ID, bravo.Document, events[0].Time)
	nodetest.Must(t, err)
	events = append(events, w.Mint(alpha, d), w.Mint(alpha, w.Object(1)))
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	if _, undecided := w.R.View.CountEvents(); undecided != 1 {
		t.Fatalf("%d objects are undecided without a key, want 1", undecided)
	}
	keyring := w.keyring(alpha, bravo)
	nodetest.Must(t, w.Deliver(keyring))
	logged, _, err := w.R.View.Event(keyring.TxID)
	nodetest.Must(t, err)
	nodetest.Must(t, w.R.View.Settle([]view.Outcome{{Event: logged, State: view.Held}})) // and here the node is killed
	w.Open()
	w.Drain()
	if n := w.Shown(); n != 1 {
		t.Errorf("%d objects are served, want 1", n)
	}
}

// Large objects are opened some at a time: what was opened is in the view before the last is read.
func TestALoadOfLargeObjectsIsNotHeldInMemoryAtOnce(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	w.Drain()
	const size, count = 4 << 10, 20 // more than twice the fetcher's memory
	for n := range count {
		nodetest.Must(t, w.Deliver(w.Mint(alpha, w.ObjectOf(n, strings.Repeat("x", size)))))
	}
	most, read := int64(0), 0
	w.Blocks.Reading = func() {
		if read++; read == count {
			most = w.Shown()
		}
	}
	w.Drain()
	if w.Shown() != count || most == 0 {
		t.Errorf("%d objects are served, want %d; %d were when the last was read, want some", w.Shown(), count, most)
	}
}

// What was asked for without success so often that it rests for minutes is asked for again when a member is back, however short
// it was away.
func TestWhatAMemberDidNotGiveIsAskedForWhenItWasConnectedAnew(t *testing.T) {
	t.Parallel()
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newFoundedWorld(t, alpha, bravo)
	w.Drain()
	e, bring := w.withheld(alpha)
	nodetest.Must(t, w.Deliver(e))
	logged, _, err := w.R.View.Event(e.TxID)
	nodetest.Must(t, err)
	for range 20 {
		nodetest.Must(t, w.R.View.Settle([]view.Outcome{{Event: logged, State: view.Waiting, Due: time.Now().Add(time.Hour)}}))
	}

	w.Blocks.Asked = 0
	began := time.Now()
	w.Blocks.Connect("bravo", began)
	w.runFetcher()
	waiting.Until(t, "blocks are asked for", func() bool { return w.Blocks.Fetches() > 0 })
	bring()
	w.Blocks.Connect("bravo", began.Add(time.Millisecond))
	waiting.Until(t, "the object is shown", func() bool { return w.Shown() == 1 })
}

func TestWhatNobodyGaveIsAskedForAgainThoughNothingElseHappens(t *testing.T) {
	t.Parallel()
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	w.Drain()
	e, bring := w.withheld(alpha)
	w.Blocks.Asked = 0
	w.runFetcher()
	nodetest.Must(t, w.Deliver(e))
	waiting.Until(t, "blocks are asked for", func() bool { return w.Blocks.Fetches() > 0 })
	bring()
	waiting.Until(t, "the object is shown", func() bool { return w.Shown() == 1 })
}

// withheld mints an object whose blocks nobody has before bring is called.
func (w *world) withheld(sender *nodetest.Org) (e consortium.Event, bring func()) {
	w.T.Helper()
	object := w.Object(1)
	e = w.Mint(sender, object)
	d, err := p2p.BuildDirectory(p2p.File{Name: wire.MetadataName, Data: object.Metadata}, p2p.File{Name: object.PayloadName, Data: object.Payload})
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, w.Blocks.Forget(w.T.Context(), []cid.Cid{d.Root()}))
	return e, func() { nodetest.Must(w.T, w.Blocks.Put(w.T.Context(), []p2p.Directory{d})) }
}

// runFetcher runs the fetcher until the test ends.
func (w *world) runFetcher() {
	ctx, stop := context.WithCancel(w.T.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Fetcher.Run(ctx) }()
	w.T.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			w.T.Error(err)
		}
	})
}

func TestWhatANodeThatStopsDidNotGetIsAskedForFirstWhenItRunsAgain(t *testing.T) {
	t.Parallel()
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	w.Drain()
	nodetest.Must(t, w.Deliver(w.Mint(alpha, w.Object(1))))
	w.Blocks.Asked, w.Blocks.Silent = 0, true
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Fetcher.Run(ctx) }()
	waiting.Until(t, "blocks are asked for", func() bool { return w.Blocks.Fetches() > 0 })
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.Blocks.Silent = false
	w.Drain()
	if n := w.Shown(); n != 1 {
		t.Errorf("%d objects are served, want 1", n)
	}
}
