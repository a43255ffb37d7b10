package replicate_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
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

// What was asked for without success so often that it rests for minutes is asked for again when a member is back,
// however short it was away.
func TestWhatAMemberDidNotGiveIsAskedForWhenItWasConnectedAnew(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	synctest.Test(t, func(t *testing.T) {
		w := newFoundedWorld(t, alpha, bravo)
		w.Drain()
		e, bring := w.withheld(alpha)
		nodetest.Must(t, w.Deliver(e))
		logged, _, err := w.R.View.Event(e.TxID)
		nodetest.Must(t, err)
		for range 20 {
			nodetest.Must(t, w.R.View.Settle([]view.Outcome{{Event: logged, State: view.Waiting, Due: time.Now().Add(time.Hour)}}))
		}
		began := time.Now()
		w.Blocks.Connect("bravo", began)
		asked := w.Blocks.Fetches()
		w.runFetcher()
		time.Sleep(time.Minute)
		if w.Blocks.Fetches() != asked+1 {
			t.Errorf("blocks are asked for %d times when a member comes, want once", w.Blocks.Fetches()-asked)
		}
		bring()
		time.Sleep(time.Minute)
		if w.Shown() != 0 {
			t.Error("they are asked for again though nothing has changed")
		}
		w.Blocks.Connect("bravo", began.Add(time.Millisecond))
		time.Sleep(2 * time.Second)
		if w.Shown() != 1 {
			t.Error("they are not asked for when it was away for a millisecond")
		}
	})
}

// Members come and go all the time, all of them: what is missing is asked for every few seconds, no oftener, and what
// is asked for at that moment goes on for a minute.
func TestMembersThatComeAndGoDisturbNobody(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	synctest.Test(t, func(t *testing.T) {
		w := newFoundedWorld(t, alpha, bravo)
		w.Drain()
		e, _ := w.withheld(alpha)
		nodetest.Must(t, w.Deliver(e))
		w.Blocks.Silent = true
		timed := &timedBlocks{Blocks: w.Fetcher.Blocks}
		w.Fetcher.Blocks = timed
		asked := w.Blocks.Fetches()
		w.runFetcher()
		for range 600 {
			w.Blocks.Connect("bravo", time.Now())
			time.Sleep(time.Second)
		}
		// A request takes 3 s if it is fresh; those that wait longer are cut off once a minute.
		if n := w.Blocks.Fetches() - asked; n < 60 || n > 130 {
			t.Errorf("blocks are asked for %d times in 10 minutes", n)
		}
		if longest := timed.longest.Load(); time.Duration(longest) < 40*time.Second {
			t.Errorf("what is asked for goes on for %s at most", time.Duration(longest))
		}
	})
}

// timedBlocks knows for how long the longest request went on.
type timedBlocks struct {
	replicate.Blocks
	longest atomic.Int64
}

func (b *timedBlocks) Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error) {
	began := time.Now()
	defer func() { b.longest.Store(max(b.longest.Load(), int64(time.Since(began)))) }()
	return b.Blocks.Fetch(ctx, roots)
}

// A newcomer is given nothing before its record is on the chain, and everything then.
func TestANewMemberAsksForEverythingAgain(t *testing.T) {
	self, alpha := nodetest.NewOrg(t, "self"), nodetest.NewOrg(t, "alpha")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, self)
		events := w.Found(alpha)
		w.Open()
		nodetest.Must(t, w.Deliver(events...))
		w.Drain()
		e, bring := w.withheld(alpha)
		nodetest.Must(t, w.Deliver(e))
		w.runFetcher()
		time.Sleep(time.Hour) // it rests for 5 to 10 minutes after each attempt now
		bring()
		asked := w.Blocks.Fetches()
		admission, err := consortium.DraftMember(w.ID, self.Document, time.Now())
		nodetest.Must(t, err)
		nodetest.Must(t, w.Deliver(w.Mint(alpha, admission)))
		time.Sleep(3 * time.Second)
		logged, _, err := w.R.View.Event(e.TxID)
		nodetest.Must(t, err)
		if logged.State == view.Waiting {
			t.Errorf("the object is %s after %d requests", logged.State, w.Blocks.Fetches()-asked)
		}
	})
}

// The pauses begin with a second and end with a day, those of a record with ten minutes.
func TestWhatNobodyGivesIsAskedForLessAndLessOften(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	synctest.Test(t, func(t *testing.T) {
		w := newFoundedWorld(t, alpha)
		w.Drain()
		e, bring := w.withheld(alpha)
		asked := w.Blocks.Fetches()
		w.runFetcher()
		nodetest.Must(t, w.Deliver(e))
		time.Sleep(2 * time.Second)
		if n := w.Blocks.Fetches() - asked; n < 2 || n > 4 {
			t.Errorf("%d requests in two seconds", n)
		}
		time.Sleep(time.Hour)
		if n := w.Blocks.Fetches() - asked; n < 10 || n > 16 {
			t.Errorf("%d requests in the first hour", n)
		}
		bring()
		time.Sleep(2 * time.Hour)
		if w.Shown() != 1 {
			t.Error("it is not asked for when it can be had")
		}
	})
	for kind, most := range map[wire.Kind]time.Duration{
		wire.KindObject: 24 * time.Hour, wire.KindBatch: 24 * time.Hour, wire.KindKeyring: 10 * time.Minute, wire.KindMember: 10 * time.Minute,
	} {
		e := view.Event{Event: consortium.Event{Note: wire.Note{Kind: kind}}, Tries: 100}
		if pause := time.Until(replicate.RetryAt(e)); pause > most || pause < most/2-time.Minute {
			t.Errorf("after a hundred times a %s is asked for again in %s, want %s or half of it", kind, pause, most)
		}
	}
}

// withheld mints an object whose blocks nobody has before bring is called.
func (w *world) withheld(sender *nodetest.Org) (e consortium.Event, bring func()) {
	w.T.Helper()
	object := nodetest.By(w.T, sender.Address(), w.Object(1))
	e = w.Mint(sender, object)
	d, err := unixfs.Build(unixfs.File{Name: wire.MetadataName, Data: object.Metadata}, unixfs.File{Name: object.PayloadName, Data: object.Payload})
	nodetest.Must(w.T, err)
	nodetest.Must(w.T, w.Blocks.Forget(w.T.Context(), []cid.Cid{d.Root()}))
	return e, func() { nodetest.Must(w.T, w.Blocks.Put(w.T.Context(), []unixfs.Directory{d})) }
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

// A silent member costs a fresh load three seconds; what waited for longer already is given five minutes.
func TestASilentMemberHoldsUpWhatIsFreshForSecondsOnly(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	synctest.Test(t, func(t *testing.T) {
		w := newFoundedWorld(t, alpha)
		w.Drain()
		nodetest.Must(t, w.Deliver(w.Mint(alpha, w.Object(1))))
		asked := w.Blocks.Fetches()
		w.Blocks.Silent = true
		began := time.Now()
		w.runFetcher()
		for _, step := range []struct {
			until time.Duration
			asked int
		}{{2900 * time.Millisecond, 1}, {5 * time.Second, 2}, {5 * time.Minute, 2}, {5*time.Minute + 10*time.Second, 3}} {
			time.Sleep(time.Until(began.Add(step.until)))
			if n := w.Blocks.Fetches() - asked; n != step.asked {
				t.Errorf("%d requests in the first %s, want %d", n, step.until, step.asked)
			}
		}
	})
}

func TestWhatANodeThatStopsDidNotGetIsAskedForFirstWhenItRunsAgain(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	synctest.Test(t, func(t *testing.T) {
		w := newFoundedWorld(t, alpha)
		w.Drain()
		e := w.Mint(alpha, w.Object(1))
		nodetest.Must(t, w.Deliver(e))
		w.Blocks.Silent = true
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Fetcher.Run(ctx) }()
		time.Sleep(time.Second)
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if logged, _, err := w.R.View.Event(e.TxID); err != nil || logged.Tries > 0 {
			t.Errorf("it counts as asked for without success %d times, %v", logged.Tries, err)
		}
		w.Blocks.Silent = false
		w.Drain()
		if n := w.Shown(); n != 1 {
			t.Errorf("%d objects are served, want 1", n)
		}
	})
}
