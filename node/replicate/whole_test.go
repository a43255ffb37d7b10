package replicate_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
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

// batch mints a batch of so many objects, whose blocks are here but for those of the withheld ones. It gives their
// directories.
func (w *world) batch(sender *nodetest.Org, size int, withheld ...int) (consortium.Event, []unixfs.Directory) {
	w.T.Helper()
	directories, roots := make([]unixfs.Directory, size), make([]cid.Cid, size)
	for i := range size {
		directories[i] = directoryOf(w.T, nodetest.By(w.T, sender.Address(), w.Object(i+1)))
		roots[i] = directories[i].Root()
	}
	nodetest.Must(w.T, w.Blocks.Put(w.T.Context(), directories))
	for _, i := range withheld {
		delete(w.Blocks.Dirs, roots[i-1])
	}
	d, err := consortium.DraftBatch(w.ID, w.Collection, 1, roots, time.Now())
	nodetest.Must(w.T, err)
	return w.Mint(sender, d), directories
}

func (w *world) stateOf(e consortium.Event, index uint32) view.State {
	w.T.Helper()
	o, _, err := w.R.View.Published(wire.Publication{TxID: e.TxID, Index: index})
	nodetest.Must(w.T, err)
	return o.State
}

func TestABatchOfAThousandIsServedWithoutTheOneThatIsWithheld(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	w.Drain()
	e, directories := w.batch(alpha, wire.MaxBatch, 17)
	nodetest.Must(t, w.Deliver(e))
	asked := w.Blocks.Fetches()
	w.Drain()
	if w.Shown() != wire.MaxBatch-1 || w.stateOf(e, 17) != view.Waiting || w.stateOf(e, 0) != view.Held {
		t.Fatalf("%d objects are served; the batch is %s, what is withheld %s", w.Shown(), w.stateOf(e, 0), w.stateOf(e, 17))
	}
	if n := w.Blocks.Fetches() - asked; n > 4 {
		t.Errorf("the objects are asked for in %d questions", n)
	}
	nodetest.Must(t, w.Blocks.Put(t.Context(), directories[16:17]))
	nodetest.Must(t, w.R.View.Hasten())
	w.Drain()
	if w.Shown() != wire.MaxBatch {
		t.Errorf("%d objects are served when all can be had", w.Shown())
	}
	entry, err := w.R.View.Latest(view.Everything, idOf(1000))
	nodetest.Must(t, err)
	if want := (wire.Publication{TxID: e.TxID, Index: 1000}); entry == nil || entry.Place().Name() != want || entry.Directory != directories[999].Root().String() {
		t.Errorf("the last one is %+v, want %s", entry, want)
	}
	nodetest.Must(t, w.Deliver(w.Destroy(alpha, e.Asset)))
	if w.Shown() != 0 || w.stateOf(e, 500) != view.Ended {
		t.Errorf("after its end %d objects are served", w.Shown())
	}
	for i, d := range directories {
		if _, here := w.Blocks.Dirs[d.Root()]; here {
			t.Fatalf("the blocks of object %d are kept", i+1)
		}
	}
}

// Whether the batch's record has arrived when one of its objects is withdrawn makes no difference.
func TestOneObjectOfABatchIsWithdrawnBeforeItsRecordArrivesOrAfter(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	for _, before := range []bool{true, false} {
		w := newFoundedWorld(t, alpha)
		w.Drain()
		e, _ := w.batch(alpha, 3)
		draft, err := consortium.DraftWithdrawal(w.ID, e.Asset, 2, time.Now())
		nodetest.Must(t, err)
		removal := w.Mint(alpha, draft)
		nodetest.Must(t, w.Deliver(e))
		if !before {
			w.Drain()
		}
		nodetest.Must(t, w.Deliver(removal))
		w.Drain()
		var states []view.State
		for index := range uint32(4) {
			states = append(states, w.stateOf(e, index))
		}
		want := []view.State{view.Held, view.InView, view.Ended, view.InView}
		if fmt.Sprint(states) != fmt.Sprint(want) || w.Shown() != 2 {
			t.Errorf("before its record %t: they are %v, want %v, and %d are served", before, states, want, w.Shown())
		}
	}
}

// A release frees the deposit and nothing else; what it published can be withdrawn afterwards.
func TestWhatWasReleasedStaysUntilItIsRemoved(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	w := newFoundedWorld(t, alpha)
	e, _ := w.batch(alpha, 3)
	nodetest.Must(t, w.Deliver(e))
	w.Drain()
	release := w.Destroy(alpha, e.Asset)
	release.Note.Kind = wire.KindRelease
	nodetest.Must(t, w.Deliver(release))
	if logged, found, err := w.R.View.Event(release.TxID); err != nil || !found || logged.State != view.Done || w.Shown() != 3 {
		t.Errorf("the release is %s (%t, %v), and %d objects are served", logged.State, found, err, w.Shown())
	}
	draft, err := consortium.DraftWithdrawal(w.ID, e.Asset, 0, time.Now())
	nodetest.Must(t, err)
	nodetest.Must(t, w.Deliver(w.Mint(alpha, draft)))
	if w.Shown() != 0 {
		t.Errorf("after the removal %d objects are served", w.Shown())
	}
}

// A node that stops before it has settled what came has blocks of objects of which nothing has become. Only the record
// of their batch tells which they are.
func TestWhatCameOfABatchBeforeTheNodeStoppedGoesWhenItIsWithdrawn(t *testing.T) {
	alpha := nodetest.NewOrg(t, "alpha")
	for _, index := range []uint32{0, 2} {
		w := newFoundedWorld(t, alpha)
		w.Drain()
		e, directories := w.batch(alpha, 4)
		files, err := directories[3].Files()
		nodetest.Must(t, err)
		metadata, _ := unixfs.Pick(files, wire.MetadataName)
		hash := wire.MetadataHash(metadata)
		also := w.MintDirectory(alpha, wire.Note{Kind: wire.KindObject}, directories[3].Root(), hash[:]) // which has the same blocks
		nodetest.Must(t, w.Deliver(e, also))
		w.Open()
		end := w.Destroy(alpha, e.Asset)
		if index > 0 {
			draft, err := consortium.DraftWithdrawal(w.ID, e.Asset, index, time.Now())
			nodetest.Must(t, err)
			end = w.Mint(alpha, draft)
		}
		nodetest.Must(t, w.Deliver(end))
		kept := ""
		for _, root := range []cid.Cid{mustRoot(e), directories[0].Root(), directories[1].Root(), directories[2].Root(), directories[3].Root()} {
			_, here := w.Blocks.Dirs[root]
			kept += fmt.Sprint(here, " ")
		}
		want, shown := "false false false false true ", int64(1)
		if index > 0 {
			want, shown = "true true false true true ", 3
		}
		if w.Drain(); kept != want || w.Shown() != shown {
			t.Errorf("when %d is withdrawn (0: all) the blocks of the batch and its objects are here: %s, want %s; %d objects are served", index, kept, want, w.Shown())
		}
	}
}

// newWorldWithoutKeys is that of a member which was given none.
func newWorldWithoutKeys(t *testing.T, founder, self *nodetest.Org) *world {
	t.Helper()
	w := newWorld(t, self)
	events := w.Found(founder)
	d, err := consortium.DraftMember(w.ID, self.Document, events[0].Time)
	nodetest.Must(t, err)
	events = append(events, w.Mint(founder, d))
	w.Open()
	nodetest.Must(t, w.Deliver(events...))
	w.Drain()
	return w
}

// askedBlocks remembers what was asked for, and lets a test do something at that moment.
type askedBlocks struct {
	replicate.Blocks
	asked map[cid.Cid]int
	while func(roots []cid.Cid)
}

func (b *askedBlocks) Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error) {
	for _, root := range roots {
		b.asked[root]++
	}
	b.while(roots)
	return b.Blocks.Fetch(ctx, roots)
}

// Who can't read it is who has the only other copy, where nobody else reads a collection. What isn't to be had is asked
// for twice; when the key comes, all of it is.
func TestTheObjectsOfABatchThatIsNotForUsAreKeptForOthers(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newWorldWithoutKeys(t, alpha, bravo)
	blocks := &askedBlocks{w.Fetcher.Blocks, map[cid.Cid]int{}, func([]cid.Cid) {}}
	w.Fetcher.Blocks = blocks
	whole, kept := w.batch(alpha, 3)
	partly, wanted := w.batch(alpha, 5, 5)
	nodetest.Must(t, w.Deliver(whole, partly))
	w.Drain()
	for _, d := range kept {
		if blocks.asked[d.Root()] != 1 {
			t.Errorf("a directory of the one that is whole is asked for %d times", blocks.asked[d.Root()])
		}
	}
	if w.stateOf(whole, 0) != view.Undecided || w.stateOf(partly, 0) != view.Waiting || w.Shown() != 0 {
		t.Errorf("they are %s and %s, and %d objects are served", w.stateOf(whole, 0), w.stateOf(partly, 0), w.Shown())
	}
	for range 3 {
		nodetest.Must(t, w.R.View.Hasten())
		w.Drain()
	}
	if n := blocks.asked[wanted[4].Root()]; n != 2 || w.stateOf(partly, 0) != view.Undecided {
		t.Errorf("what isn't to be had is asked for %d times, and its batch is %s", n, w.stateOf(partly, 0))
	}
	nodetest.Must(t, w.Deliver(w.keyring(alpha, bravo)))
	w.Drain()
	if w.Shown() != 4 || w.stateOf(partly, 5) != view.Waiting {
		t.Errorf("with the key %d objects are served, and the missing one is %s", w.Shown(), w.stateOf(partly, 5))
	}
}

// Whoever withdraws it finds nothing of it to delete while it is on its way.
func TestABatchThatIsNotForUsMayGoWhileItsObjectsComeIn(t *testing.T) {
	alpha, bravo := nodetest.NewOrg(t, "alpha"), nodetest.NewOrg(t, "bravo")
	w := newWorldWithoutKeys(t, alpha, bravo)
	e, directories := w.batch(alpha, 3)
	blocks := &askedBlocks{w.Fetcher.Blocks, map[cid.Cid]int{}, nil}
	blocks.while = func(roots []cid.Cid) {
		if slices.Contains(roots, directories[0].Root()) {
			nodetest.Must(t, w.Deliver(w.Destroy(alpha, e.Asset)))
			nodetest.Must(t, w.Blocks.Put(t.Context(), directories)) // and then they come
		}
	}
	w.Fetcher.Blocks = blocks
	nodetest.Must(t, w.Deliver(e))
	w.Drain()
	for _, d := range directories {
		if _, here := w.Blocks.Dirs[d.Root()]; here || blocks.asked[d.Root()] != 1 {
			t.Errorf("a directory of what is withdrawn is kept: %t; it was asked for %d times", here, blocks.asked[d.Root()])
		}
	}
}
