package replicate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// node is the node of somebody, which has nothing yet.
func (f *telling) node(of *nodetest.Org) {
	chain := f.chain
	f.given = nil
	chain.Self, chain.R, chain.Blocks = of, f.w.R, nodetest.NewMemStore()
	f.w.Chain = &chain
	f.must(f.w.R.View.Reset())
	f.w.Open()
}

// arrives gives the node blocks. What it deletes it can have again: the same may be published again.
func (f *telling) arrives(roots ...cid.Cid) {
	f.given = append(f.given, roots...)
	for _, root := range f.given {
		f.w.Blocks.Dirs[root] = f.chain.Blocks.Dirs[root]
	}
}

// settle lets the node do all that it can do with what it has.
func (f *telling) settle() {
	ctx := f.t.Context()
	for before := ""; ; {
		f.arrives()
		f.w.Drain()
		f.must(f.w.R.View.Hasten())
		due, _, err := f.w.R.View.Due(view.Retried, nil, time.Now(), 1000)
		f.must(err)
		if len(due) > 0 {
			f.must(f.w.Fetcher.Load(ctx, due))
		}
		f.must(f.w.R.View.Relead(ctx))
		waiting, undecided := f.w.R.View.CountEvents()
		now := fmt.Sprint(waiting, undecided, f.w.Shown())
		if now == before {
			return
		}
		before = now
	}
}

var everyVersions = []view.Versions{{All: true}, {First: true}, {Last: true}}

// pages are the collections that are looked at.
func (f *telling) pages() []string {
	return []string{f.chain.Collection, f.ring, view.Everything, view.Others}
}

// lists are the directories that an event lists, of a batch each of whose objects has a state of its own.
func (f *telling) lists(e consortium.Event, state view.State) []string {
	if e.Note.Kind != wire.KindBatch || state != view.Held {
		return nil
	}
	files, err := f.chain.Blocks.Read(f.t.Context(), cid.MustParse(e.Directory))
	f.must(err)
	record, _ := unixfs.Pick(files, wire.RecordName)
	batch, err := wire.ParseBatch(record)
	f.must(err)
	return batch.Objects
}

// dump is all of a node's view and state that follows from the chain, the contents and the own keys.
func (f *telling) dump() (lines []string) {
	for _, e := range f.events {
		logged, found, err := f.w.R.View.Event(e.TxID)
		f.must(err)
		lines = append(lines, eventLine(e.TxID, found, logged.State))
		for i := range f.lists(e, logged.State) {
			name := wire.Publication{TxID: e.TxID, Index: uint32(i + 1)}
			object, found, err := f.w.R.View.Published(name)
			f.must(err)
			lines = append(lines, eventLine(name.String(), found, object.State))
		}
	}
	for _, of := range f.pages() {
		for _, versions := range everyVersions {
			page, _, err := f.w.R.View.Page(view.Query{Collection: of, Versions: versions, Limit: 1000, WithObjects: true})
			f.must(err)
			var served []string
			for _, e := range page {
				served = append(served, objectLine(of, versions, e.Place().Name(), e.Collection, e.Publisher, e.Object))
			}
			slices.Sort(served)
			lines = append(lines, served...)
		}
	}
	for _, c := range f.w.State.Collections() {
		slices.Sort(c.Properties.Contributors.Named)
		c.Properties.Contributors.Named = slices.Compact(c.Properties.Contributors.Named)
		lines = append(lines, collectionLine(c.ID, c.Owner, c.Epoch, &c.Properties, c.Pending, c.Former))
	}
	for _, m := range f.w.State.Members() {
		says := wire.Member{Title: m.Title, Peer: m.Peer, Recipient: m.Recipient}
		lines = append(lines, memberLine(m.Name, says, append(slices.Clone(m.Former), m.Account), m.Removed != nil))
	}
	f.w.State.Read(func(s *consortium.State) { lines = append(lines, governorLine(s.Governor(), s.Charter())) })
	return lines
}

// records is what has become of records, which is the same whichever keys a node has.
func (f *telling) records() (lines []string) {
	for _, e := range f.events {
		if e.Note.Kind == wire.KindObject || e.Note.Kind == wire.KindBatch {
			continue
		}
		logged, found, err := f.w.R.View.Event(e.TxID)
		f.must(err)
		lines = append(lines, fmt.Sprintf("%s %s: %v %s", e.TxID, e.Note.Kind, found, logged.State))
	}
	return lines
}

func (f *telling) compare(what string, one, other []string) {
	for i := range max(len(one), len(other)) {
		if i >= len(one) || i >= len(other) || one[i] != other[i] {
			f.rt.Fatalf("%s, line %d is\n%q\nwant\n%q", what, i, one[min(i, len(one)):], other[min(i, len(other)):])
		}
	}
}

// View = F(E, C, K): what a node shows follows from the events, the contents that it has and its own keys. So it is the
// same for a node that was there from the first, in whatever order contents came and however often it was told, stopped
// and opened again, as for one that begins when all is there.
func TestTheViewFollowsFromEventsContentsAndKeysAlone(t *testing.T) {
	h := &histories{t: t, self: nodetest.NewOrg(t, "self"), founder: nodetest.NewOrg(t, "founder"), mallory: nodetest.NewOrg(t, "mallory"),
		spare: []*nodetest.Org{nodetest.NewOrg(t, "mallory"), nodetest.NewOrg(t, "mallory")}}
	h.w = newWorld(t, h.self)
	rapid.Check(t, func(rt *rapid.T) {
		f := h.begin(rt)
		for range rapid.IntRange(3, 25).Draw(rt, "events") {
			f.draw()
		}
		var comes, never []cid.Cid
		for _, root := range f.roots {
			if f.int(5, "never comes") == 0 && root.String() != f.events[0].Directory {
				never = append(never, root)
			} else {
				comes = append(comes, root)
			}
		}
		f.node(h.self)
		f.live(rapid.Permutation(comes).Draw(rt, "arrivals"))
		lived := f.dump()
		f.node(h.self)
		f.arrives(comes...)
		f.told()
		f.compare("what came in another order", lived, f.dump())
		f.arrives(never...)
		f.settle()
		f.follows("with what came late", f.events)
		f.node(h.self)
		f.arrives(f.roots...)
		f.told()
		selfs := f.records()
		f.node(h.mallory)
		f.arrives(f.roots...)
		f.told()
		f.compare("whether records are void, for one who has other keys", selfs, f.records())
	})
}

// told tells the node all that there is, at once.
func (f *telling) told() {
	f.must(f.w.Deliver(f.events...))
	f.settle()
	f.follows("told at once", f.events)
}

// follows compares the node with the model, where it was told these events.
func (f *telling) follows(when string, events []consortium.Event) {
	f.rt.Helper()
	m := &model{charter: f.events[0].TxID, events: events, contents: map[cid.Cid]unixfs.Directory{}, identity: f.w.Self.Identity, read: &f.read}
	for _, root := range f.given {
		m.contents[root] = f.chain.Blocks.Dirs[root]
	}
	m.fold()
	f.compare(when, f.dump(), m.dump(f))
}

// deliver tells the node some events.
func (f *telling) deliver(events ...consortium.Event) {
	if len(events) > 0 {
		f.must(f.w.Deliver(events...))
	}
}

// live tells the node what happens bit by bit, now and then twice, and gives it contents in between. Something may be
// left out, and found while it goes on: all is told anew then, with it.
func (f *telling) live(arrivals []cid.Cid) {
	omitted := f.int(2*len(f.events), "left out") // mostly nothing
	tell := func(events []consortium.Event) {
		for i, e := range events {
			if omitted < len(f.events) && e.TxID == f.events[omitted].TxID {
				f.deliver(events[:i]...)
				events = events[i+1:]
				break
			}
		}
		f.deliver(events...)
	}
	find := func(upTo int) {
		omitted = len(f.events)
		f.must(f.w.R.View.Reset())
		f.w.Open()
		half := f.whole(f.int(upTo, "told before it stops"))
		f.deliver(f.events[:half]...)
		if f.int(1, "stops within") == 0 {
			f.w.Open()
		}
		f.deliver(f.events[half:upTo]...)
	}
	for at := 0; at < len(f.events); {
		next := f.whole(min(len(f.events), at+1+f.int(3, "rounds")))
		tell(f.events[at:next])
		if f.int(4, "told again") == 0 {
			tell(f.events[at:next])
		}
		at = next
		n := min(len(arrivals), f.int(3, "arrive"))
		f.arrives(arrivals[:n]...)
		arrivals = arrivals[n:]
		if f.int(1, "settles") == 0 {
			f.settle()
			f.follows(fmt.Sprint("after event ", at-1), without(f.events[:at], omitted))
		}
		if f.int(5, "stops") == 0 {
			f.w.Open()
		}
		if omitted < at && f.int(3, "found") == 0 {
			find(at)
		}
	}
	if omitted < len(f.events) {
		find(len(f.events))
	}
	f.arrives(arrivals...)
	f.settle()
	f.follows("as it lived", f.events)
}

// whole is where the round ends that has the event before a place: nodes are told whole rounds.
func (f *telling) whole(at int) int {
	for at > 0 && at < len(f.events) && f.events[at].Round == f.events[at-1].Round {
		at++
	}
	return at
}

// without leaves out the event at a place, if there is one.
func without(events []consortium.Event, at int) []consortium.Event {
	if at >= len(events) {
		return events
	}
	return slices.Delete(slices.Clone(events), at, at+1)
}
