package publish

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

func isOver(f *flight) bool { return isClosed(f.over) }

// Who waits for a group's end waits for it, whichever of its signings is confirmed, and is told once.
func TestAFlightEndsOnceForAllItsSignings(t *testing.T) {
	l := newFlights()
	woken := l.landed.Changed()
	first := l.begin(outbox.Group{Number: 1, Items: []uint64{1, 2}}, map[uint64]outbox.Item{1: {User: "a", Bulk: true}, 2: {User: "a", Bulk: true}})
	if !isClosed(woken) || !first.bulk || !slices.Equal(first.users, []string{"a"}) {
		t.Errorf("it begins for %v, bulk: %v", first.users, first.bulk)
	}
	raised := l.replace(outbox.Group{Number: 1, TxIDs: []string{"again"}})
	if l.now(first) != raised || l.now(raised) != raised || !raised.bulk || !slices.Equal(raised.users, []string{"a"}) {
		t.Errorf("the second signing is %+v", raised)
	}
	other := l.begin(outbox.Group{Number: 2, Items: []uint64{3}}, map[uint64]outbox.Item{3: {}})
	if list := l.list(); len(list) != 2 || list[0] != raised || list[1] != other || l.areEmpty() || len(other.users) != 0 || other.bulk {
		t.Errorf("on their way are %v", list)
	}
	woken = l.landed.Changed()
	l.end(1)
	if !isClosed(woken) || !isOver(first) || !isOver(raised) || isOver(other) || l.has(1) || !l.has(2) {
		t.Error("the first has not ended, or the other has")
	}
	woken = l.landed.Changed()
	l.end(1)
	if isClosed(woken) {
		t.Error("it ends twice")
	}
	if l.now(first) != first {
		t.Error("what has ended has another signing")
	}
	if late := l.replace(outbox.Group{Number: 7}); isOver(late) || late.bulk {
		t.Error("the signing of what isn't on its way is over")
	}
	l.end(2)
	l.end(7)
	if !l.areEmpty() {
		t.Error("something is on its way")
	}
}

// The node ends while groups queue up for their submission: they are in the outbox.
func TestFlightsDepartAsFarAsThereIsTime(t *testing.T) {
	l := newFlights()
	ctx, end := context.WithCancel(t.Context())
	items := itemsOf("a", false, 1, 2)
	l.depart(ctx, []outbox.Group{{Number: 1, Items: []uint64{1}}, {Number: 2, Items: []uint64{2}}}, items)
	if a, b := l.next(ctx), l.next(ctx); a.Number != 1 || b.Number != 2 || !slices.Equal(a.users, []string{"a"}) {
		t.Errorf("submitted are %d and %d", a.Number, b.Number)
	}
	for range maxFlights {
		l.first <- &flight{}
	}
	end()
	l.depart(ctx, []outbox.Group{{Number: 3, Items: []uint64{1}}, {Number: 4, Items: []uint64{2}}}, items)
	if !l.has(3) || l.has(4) {
		t.Error("it goes on at its end")
	}
	for range maxFlights {
		l.next(ctx)
	}
	if f := l.next(ctx); f != nil {
		t.Errorf("%d is submitted at the end", f.Number)
	}
}

// The next is waited for, bulk or not.
func TestTheNextFlightIsWaitedFor(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		l := newFlights()
		f := &flight{bulk: bulk}
		if got := len(l.bulk); got != 0 || !l.again(f) {
			t.Fatal("it does not queue up")
		}
		if got := l.next(t.Context()); got != f {
			t.Errorf("the next is %+v", got)
		}
	}
}

// The log says once of a group that algod refuses it.
func TestTheFirstRefusalIsTheFirst(t *testing.T) {
	f := &flight{}
	if !f.firstRefusal() || f.firstRefusal() || f.firstRefusal() {
		t.Error("the first refusal is not the first only")
	}
	at := time.Now()
	if f.setTaken(at); !f.takenAt().Equal(at) {
		t.Errorf("it was taken at %v", f.takenAt())
	}
}

// An object without versions is the same when its content is; one with a version that is none can't be looked up.
func TestWhatIsTheSameAsWhatIsPublished(t *testing.T) {
	var probe *view.Entry
	served := servedBy(func(e *view.Entry) { probe = e })
	_, err := PublishedAs(served, "m", outbox.Item{Collection: "c", ObjectID: "i", Hash: []byte("h")})
	if err != nil || !probe.Unversioned || !probe.Instant.IsZero() || probe.Collection != "c" || probe.ID != "i" || string(probe.Hash) != "h" {
		t.Errorf("%+v (%v)", probe, err)
	}
	_, err = PublishedAs(served, "m", outbox.Item{Version: version})
	if err != nil || probe.Unversioned || probe.Instant.UTC().Format(time.RFC3339Nano) != version {
		t.Errorf("%+v (%v)", probe, err)
	}
	probe = nil
	if _, err = PublishedAs(served, "m", outbox.Item{Version: "yesterday"}); err == nil || probe != nil {
		t.Errorf("%+v (%v)", probe, err)
	}
}

type servedBy func(e *view.Entry)

func (s servedBy) Same(e *view.Entry) (*view.Entry, error) {
	s(e)
	return nil, nil
}

// An object whose version is none, or whose directory is none, ends the node: such an outbox is broken.
func TestABrokenItemIsNotPassedOver(t *testing.T) {
	still(t, func(w *world, p *process) {
		p.storeOne(t, "ring")
		item := p.item(1, "ring")
		none := item
		none.Version = "yesterday"
		if _, _, _, err := p.minter.done(&none); err == nil {
			t.Error("it has no version, and nobody says so")
		}
		p.record(opening)
		item.Directory = "x"
		if rest, _, err := p.minter.upToDate(context.Background(), []outbox.Item{item}); err == nil || len(rest) > 0 || p.item(1, "ring").State != outbox.Stored {
			t.Errorf("it is given up, and its blocks are not (%v)", err)
		}
	})
	still(t, func(w *world, p *process) {
		check(p.outbox.SetMemo(RotationMemo, []byte("{")))
		if plan, err := ReadRotation(p.outbox.Outbox); err == nil {
			t.Errorf("%+v is read", plan)
		}
	})
}

// Before the chain is known nobody is a member, and that is nothing to report.
func TestBeforeTheChainIsKnownNobodyIsTold(t *testing.T) {
	still(t, func(w *world, p *process) {
		p.storeOne(t, "everybody")
		items, err := p.outbox.Queue(outbox.Stored, 0, 10)
		check(err)
		p.minter.State = state.New(p.org.Address(), consortium.New(w.fixture.id, "CHARTER", w.fixture.self.Identity), nil)
		if progress, problem, err := p.minter.signTheseNow(context.Background(), items); progress || problem != nil || err != nil {
			t.Errorf("%v, %+v (%v)", progress, problem, err)
		}
		p.minter.State = p.state
		p.record(expulsion)
		if progress, problem, err := p.minter.signTheseNow(context.Background(), items); progress || problem == nil || problem.Problem != notMember || err != nil {
			t.Errorf("%v, %+v (%v)", progress, problem, err)
		}
	})
}

// With as much on its way as may be, nothing more is signed; and of a batch that is wholly held back the next is looked
// at.
func TestOnlySoMuchIsSigned(t *testing.T) {
	still(t, func(w *world, p *process) {
		for n := range maxFlights {
			p.minter.flights.begin(outbox.Group{Number: uint64(100 + n)}, nil)
		}
		p.storeOne(t, "everybody")
		queue := p.outbox.Reader(outbox.Stored)
		if progress, problem, err := p.minter.signNext(context.Background(), queue); progress || problem != nil || err != nil || p.item(1, "everybody").State != outbox.Stored {
			t.Errorf("%v, %+v (%v)", progress, problem, err)
		}
		p.minter.flights.end(100)
		if progress, problem, err := p.minter.signNext(context.Background(), queue); !progress || problem != nil || err != nil || p.item(1, "everybody").State != outbox.Signed {
			t.Errorf("%v, %+v (%v)", progress, problem, err)
		}
	})
}

// Ends go apart from what is made, and bulk from what is not, each in its order.
func TestWhatIsSignedTogether(t *testing.T) {
	still(t, func(w *world, p *process) {
		var list []outbox.Submission
		for n := range 20 { // of which 4 are bulk
			list = append(list, w.fixture.submission(n, "everybody"))
		}
		items, err := p.outbox.Accept(list)
		check(err)
		_, err = p.sealer.seal(context.Background(), items)
		check(err)
		_, err = p.outbox.Accept([]outbox.Submission{{Item: outbox.Item{Key: []byte("end"), Note: wire.Note{Kind: wire.KindDestroy}, Destroys: 77}}})
		check(err)
		items, err = p.outbox.Queue(outbox.Stored, 0, 100)
		check(err)
		groups, problem, err := p.minter.signItems(context.Background(), items)
		if err != nil || problem != nil {
			t.Fatalf("%+v (%v)", problem, err)
		}
		var kinds []string
		for _, g := range groups {
			first, _, err := p.outbox.Item(g.Items[0])
			check(err)
			kinds = append(kinds, fmt.Sprint(len(g.Items), " ", first.Note.Kind, " ", first.Bulk))
			if len(g.Raw) == 0 || g.LastValid != g.FirstValid+ledger.Window || !slices.IsSorted(g.Items) {
				t.Errorf("group %d is of the rounds %d to %d", g.Number, g.FirstValid, g.LastValid)
			}
		}
		if got := fmt.Sprint(kinds); got != fmt.Sprint([]string{"16 object false", "4 object true", "1 destroy false"}) {
			t.Errorf("the groups are %s", got)
		}
	})
}

// Blocks that can't be stored or deleted end the node, before anything depends on them.
func TestNothingIsRecordedOfBlocksThatAreNotThere(t *testing.T) {
	still(t, func(w *world, p *process) {
		items, err := p.outbox.Accept([]outbox.Submission{w.fixture.submission(1, "everybody")})
		check(err)
		p.sealer.Blocks = noBlocks{}
		if n, err := p.sealer.seal(context.Background(), items); err == nil || n != 0 || p.item(1, "everybody").State != outbox.Accepted {
			t.Errorf("it is %s (%v)", p.item(1, "everybody").State, err)
		}
		records := NewRecords(p.state.Self, p.outbox, noBlocks{}, NewFresh(noBlocks{}))
		if _, err := records.Store(context.Background(), KeyOf("a"), w.fixture.records[rekeying]); err == nil {
			t.Error("a record is stored")
		}
		if _, found, err := p.outbox.Find(KeyOf("a")); err != nil || found {
			t.Errorf("it is in the outbox: %v (%v)", found, err)
		}
		if _, err := records.fresh.take(context.Background(), w.fixture.directories[rekeying].Root().String()); err == nil {
			t.Error("it is kept in memory")
		}
	})
}

// noBlocks is a full disk.
type noBlocks struct{}

func (noBlocks) Put(context.Context, []unixfs.Directory) error { return errDisk }

func (noBlocks) Read(context.Context, cid.Cid) ([]unixfs.File, error) { return nil, errDisk }

func (noBlocks) Forget(context.Context, []cid.Cid) error { return errDisk }

// One request too many is a problem when it is two in a row: any answer in between begins anew.
func TestAnAnswerBetweenTwoRefusalsOfTooManyRequestsCounts(t *testing.T) {
	for name, answers := range map[string]func(w *world, p *process, f *flight) error{
		"a group is taken": func(w *world, p *process, f *flight) error { return p.minter.submit(context.Background(), f) },
		"a group is refused": func(w *world, p *process, f *flight) error {
			w.congest(40, 9)
			ctx, end := context.WithTimeout(context.Background(), time.Second)
			defer end()
			return p.minter.submit(ctx, f)
		},
		"a group is confirmed": func(w *world, p *process, f *flight) error {
			return p.minter.Confirm(context.Background(), []consortium.Place{{TxID: f.TxIDs[0], Round: begins, Asset: 7}})
		},
		"something is signed": func(w *world, p *process, _ *flight) error {
			p.storeOther(t)
			return p.minter.signAll(context.Background(), p.outbox.Reader(outbox.Stored))
		},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, func(w *world, p *process) {
				f := p.signOne(t)
				p.minter.refusals.Store(1)
				if err := answers(w, p, f); err != nil || p.minter.refusals.Load() != 0 {
					t.Errorf("%d in a row (%v)", p.minter.refusals.Load(), err)
				}
			})
		})
	}
}

// That something can't be sealed is said until everything is.
func TestSealingWaitsForNothingWhenAllIsSealed(t *testing.T) {
	still(t, func(w *world, p *process) {
		f := w.fixture
		nobodys := f.submission(3, "ring")
		nobodys.Item.Collection = "nowhere"
		for n, c := range []struct {
			list []outbox.Submission
			want string
		}{
			{[]outbox.Submission{f.submission(1, "everybody"), nobodys}, "permission"},
			{[]outbox.Submission{f.submission(2, "everybody")}, ""},
		} {
			items, err := p.outbox.Accept(c.list)
			check(err)
			read, err := p.sealer.seal(context.Background(), items)
			if got := p.sealer.Condition.Get().Problem; err != nil || read != len(items) || got != c.want || p.item(n+1, "everybody").State != outbox.Stored {
				t.Errorf("of %d %d are looked at, and sealing waits for %q (%v)", len(items), read, got, err)
			}
		}
	})
}

// What replaces nothing replaces nothing, whatever is missing of an entry; a batch of one collection looks at it once.
func TestNothingIsTakenForWhatAnItemReplaces(t *testing.T) {
	still(t, func(w *world, p *process) {
		for name, c := range map[string]struct {
			item  outbox.Item
			entry view.Entry
			want  bool
		}{
			"nothing":              {outbox.Item{}, view.Entry{}, false},
			"another asset":        {outbox.Item{ReplacesAsset: 7}, view.Entry{Asset: 8, TxID: "A"}, false},
			"the asset":            {outbox.Item{ReplacesAsset: 7}, view.Entry{Asset: 7, TxID: "A"}, true},
			"its own transaction":  {outbox.Item{TxID: "A"}, view.Entry{Asset: 7, TxID: "A"}, true},
			"another transaction":  {outbox.Item{TxID: "A"}, view.Entry{Asset: 7, TxID: "B"}, false},
			"an item that is lost": {outbox.Item{Replaces: 99}, view.Entry{Asset: 7, TxID: "A"}, false},
		} {
			if got, err := p.minter.replaces(c.item, &c.entry); err != nil || got != c.want {
				t.Errorf("%s: %v (%v)", name, got, err)
			}
		}
		again := recheck{state: p.state, outbox: p.outbox.Outbox}
		first, err := again.look(w.fixture.own)
		check(err)
		reads := w.failing.seen
		second, err := again.look(w.fixture.own)
		if err != nil || w.failing.seen != reads || first.title != second.title || !first.known || len(again.seen) != 1 {
			t.Errorf("a collection is looked at twice: %+v, %+v (%v)", first, second, err)
		}
	})
}
