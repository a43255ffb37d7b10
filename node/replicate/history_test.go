package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/replicate"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
)

// plan is how a history goes, drawn before it does.
type plan struct {
	script
	gives   map[cid.Cid]time.Duration // when somebody has blocks, since the beginning
	pages   []page                    // how the chain comes, over and over
	answers []answer                  // how members answer, over and over
	crashes []int                     // durable steps until the power fails
	rebuild int                       // after which of them the view is deleted, 0 for none
	lost    bool                      // … and the blocks are
	comes   time.Duration             // when a member is connected
}

type page struct {
	rounds  int
	overlap int // rounds that were delivered before and come again
	pause   time.Duration
}

type answer struct {
	after  time.Duration
	silent bool // they keep us waiting until we give up
	brings bool // what they give is not read again from the disk
}

func drawPlan(t *rapid.T, c *cast) *plan {
	p := &plan{script: script{cast: c, never: map[cid.Cid]bool{}}, gives: map[cid.Cid]time.Duration{}}
	for _, e := range c.founding {
		p.events = append(p.events, &minted{Event: e, draft: &draft{note: e.Note, root: mustRoot(e)}})
	}
	chain, senders := *c.chain, []*nodetest.Org{copyOf(c.self), copyOf(c.alpha), copyOf(c.mallory)}
	if rapid.IntRange(0, 9).Draw(t, "the private collection never comes") == 9 {
		p.never[mustRoot(c.private)] = true
	}
	for range rapid.IntRange(1, 14).Draw(t, "events") {
		p.draw(t, &chain, senders)
	}
	for _, d := range slices.Concat(c.objects, c.batches, []*draft{c.keyring, c.rekey, c.void, c.removal}) {
		switch rapid.IntRange(0, 5).Draw(t, "blocks of "+d.name) {
		case 4:
			p.gives[d.root] = time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second
		case 5:
			p.never[d.root] = true
		}
	}
	p.pages = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) page {
		return page{rapid.IntRange(1, 8).Draw(t, "rounds"), rapid.IntRange(0, 3).Draw(t, "again"), time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond}
	}), 1, 4).Draw(t, "pages")
	p.answers = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) answer {
		return answer{time.Duration(rapid.IntRange(0, 2000).Draw(t, "after")) * time.Millisecond, rapid.IntRange(0, 7).Draw(t, "silent") == 7, rapid.Bool().Draw(t, "brings")}
	}), 1, 4).Draw(t, "answers")
	p.crashes = rapid.SliceOfN(rapid.IntRange(1, 25), 0, 4).Draw(t, "crashes")
	p.rebuild = rapid.IntRange(0, 4).Draw(t, "rebuild")
	p.lost = rapid.Bool().Draw(t, "blocks are lost")
	p.comes = time.Duration(rapid.IntRange(0, 60).Draw(t, "a member comes")) * time.Second
	return p
}

func copyOf(o *nodetest.Org) *nodetest.Org {
	copied := *o
	return &copied
}

// draw draws one event.
func (p *plan) draw(t *rapid.T, chain *nodetest.Chain, senders []*nodetest.Org) {
	sender, alpha := rapid.SampledFrom(senders).Draw(t, "sender"), senders[1]
	mint := func(by *nodetest.Org, d *draft) {
		p.events = append(p.events, &minted{Event: chain.MintDirectory(by, d.note, d.root, d.hash), draft: d})
	}
	switch rapid.IntRange(0, 15).Draw(t, "kind") {
	case 0:
		mint(alpha, p.keyring)
	case 1:
		mint(alpha, p.rekey)
	case 2:
		mint(alpha, p.void)
	case 3:
		if !slices.ContainsFunc(p.events, func(e *minted) bool { return e.draft == p.removal }) {
			mint(alpha, p.removal)
		}
	case 4, 5, 6, 7: // anybody says that it takes back something, its own or not
		p.drawEnd(t, chain, senders)
	case 8, 9, 10:
		mint(sender, rapid.SampledFrom(p.batches).Draw(t, "batch"))
	default:
		object := rapid.SampledFrom(p.objects).Draw(t, "object")
		if rapid.IntRange(0, 3).Draw(t, "its own") > 0 {
			sender = senders[slices.IndexFunc(senders, func(o *nodetest.Org) bool { return o.Address() == object.by.Address() })]
		}
		mint(sender, object)
	}
}

// history is one node's, with what survives when it is killed.
type history struct {
	*plan
	*power
	view  *memory
	began time.Time
	swarm *fakeSwarm

	mu        sync.Mutex
	confirmed map[string]bool
	withdrawn map[string]bool
	spared    map[cid.Cid]bool
}

func newHistory(p *plan) *history {
	power := &power{}
	h := &history{plan: p, power: power, view: newMemory(power), confirmed: map[string]bool{}, withdrawn: map[string]bool{}, spared: map[cid.Cid]bool{}, began: time.Now()}
	h.swarm = &fakeSwarm{power: power, plan: p, began: h.began, here: map[cid.Cid]unixfs.Directory{}, gifts: map[cid.Cid]unixfs.Directory{}}
	maps.Copy(h.swarm.gifts, p.chain.Blocks.Dirs)
	for _, d := range slices.Concat(p.objects, p.batches, []*draft{p.keyring, p.rekey, p.void, p.removal}) {
		if !d.malformed {
			h.swarm.gifts[d.root] = d.directory
		}
	}
	maps.DeleteFunc(h.swarm.gifts, func(root cid.Cid, _ unixfs.Directory) bool { return p.never[root] })
	return h
}

// run lives the history, and says what is wrong in the end.
func (h *history) run(ctx context.Context) error {
	crashes := h.crashes
	for n := 1; ; n++ {
		next := 0
		if len(crashes) > 0 {
			next, crashes = crashes[0], crashes[1:]
		}
		h.back(next)
		err := h.live(ctx)
		if !errors.Is(err, errPower) {
			return err
		}
		h.spare()
		if n == h.rebuild {
			h.view.reset()
			if h.lost {
				clear(h.swarm.here)
			}
		}
	}
}

// spare excuses blocks that came for what was withdrawn while they were on their way, if the power failed before
// anybody noticed.
func (h *history) spare() {
	for _, i := range h.items() {
		if i.draft == nil || i.draft.root == cid.Undef {
			continue
		}
		whole, alone := h.takenBack(i)
		if !whole && !alone {
			continue
		}
		root := i.draft.root
		if _, here := h.swarm.here[root]; here && !slices.ContainsFunc(h.view.events, func(e *remembered) bool {
			return e.Directory == root.String() && e.State != view.Ended
		}) {
			h.spared[root] = true
		}
	}
}

// live runs the pipeline until the power fails, or everything is as it has to be.
func (h *history) live(ctx context.Context) error {
	r, f := h.parts()
	if err := r.Restore(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return f.Run(ctx) })
	group.Go(func() error {
		defer stop()
		if err := h.follow(ctx, r); err != nil || ctx.Err() != nil {
			return err
		}
		if err := f.AwaitFetched(ctx); err != nil {
			return err
		}
		return h.settles(ctx, r.State)
	})
	return group.Wait()
}

// parts makes the pipeline, as node.Open does.
func (h *history) parts() (*replicate.Replicator, *replicate.Fetcher) {
	shared := state.New(h.self.Address(), consortium.New(h.chain.ID, h.events[0].TxID, h.self.Identity), nil)
	work := &signal.Signal{}
	r := &replicate.Replicator{
		Consortium: repo.Consortium{ID: h.chain.ID, Charter: h.events[0].TxID}, Identity: h.self.Identity, Outbox: h, View: h.view, State: shared, Blocks: h.swarm,
		Confirmed: h.confirm, Saw: func([]consortium.Event) error { return h.on("Saw") }, Work: work, Log: nodetest.Discard,
	}
	f := &replicate.Fetcher{View: h.view, State: shared, Blocks: h.swarm, Work: work, Gone: r, Memory: 16 << 10, RecordTime: time.Minute, Log: nodetest.Discard}
	return r, f
}

// follow delivers the chain, as the watcher does.
func (h *history) follow(ctx context.Context, r *replicate.Replicator) error {
	last := h.events[len(h.events)-1].Round
	for n := 0; ; n++ {
		cursor, err := r.Cursor()
		if err != nil || cursor >= last {
			return err
		}
		p := h.pages[n%len(h.pages)]
		var events []consortium.Event
		for _, e := range h.events {
			if e.Round+uint64(p.overlap) > cursor && e.Round <= cursor+uint64(p.rounds) {
				events = append(events, e.Event)
			}
		}
		if err := r.Deliver(ctx, min(last, cursor+uint64(p.rounds)), events); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.pause):
		}
	}
}

// settles waits until everything is as it has to be, and stays so.
func (h *history) settles(ctx context.Context, shared *state.Shared) error {
	limit, good := time.Now().Add(30*time.Minute), 0
	for {
		problem := errors.Join(h.compare(), h.compareRest(shared))
		switch good++; {
		case problem != nil && time.Now().After(limit):
			return problem
		case problem != nil:
			good = 0
		case good > 2:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Second):
		}
	}
}

// compare compares the events' states, and what is served, with what the chain alone says.
func (h *history) compare() error {
	h.view.mu.Lock()
	defer h.view.mu.Unlock()
	var problems []error
	want := h.want()
	for _, i := range h.items() {
		want := want[i.name().String()]
		got := h.view.find(func(r *remembered) bool { return r.Name() == i.name() })
		batch := h.view.find(func(r *remembered) bool { return r.Name() == wire.Publication{TxID: i.TxID} })
		switch {
		case want == 0 && got == nil:
		case got == nil && i.index > 0 && want == view.Ended && batch != nil && batch.Object(i.index, "", view.Listed{}).State == view.Ended:
		case got == nil || got.State != want:
			problems = append(problems, fmt.Errorf("%s, %s: it is %+v, want %s", i.name(), i.describe(), got, want))
		case got.State == view.InView && !h.isEntryOf(got.entry, i):
			problems = append(problems, fmt.Errorf("%s: the view has %+v", i.describe(), got.entry))
		}
	}
	return errors.Join(problems...)
}

func (i item) describe() string {
	if i.ends != nil {
		return fmt.Sprintf("the %s of %d of %s", i.Note.Kind, i.minted.index, i.ends.TxID)
	}
	return i.draft.name + " by " + i.Sender[:4]
}

func (h *history) isEntryOf(entry *view.Entry, e item) bool {
	return entry.TxID == e.TxID && entry.Publisher == e.Sender && entry.Asset == e.Asset && entry.Directory == e.draft.root.String() &&
		entry.Position == e.position() && e.draft.publishes == fmt.Sprintf("%s/%d", entry.Collection, numberOf(entry.ID)) && bytes.Contains(entry.Object, []byte(entry.ID))
}

func numberOf(id string) (n int) {
	_, _ = fmt.Sscanf(id, "indicator--%08x-", &n)
	return n
}

// compareRest compares what is told to others: the blocks that are kept, what this organisation sees confirmed and
// withdrawn, and what of the collections is known.
func (h *history) compareRest(shared *state.Shared) error {
	var problems []error
	needed, kept, unneeded := map[cid.Cid]bool{}, map[cid.Cid]bool{}, map[cid.Cid]bool{}
	for _, e := range h.items() {
		fate := h.fateOf(e)
		switch fate {
		case view.Ended:
			unneeded[e.draft.root] = true
		case view.InView, view.Held, view.Undecided, view.Waiting:
			needed[e.draft.root] = true
		case view.Refused: // it may be read again by who wants to know why
			kept[e.draft.root] = true
		case 0:
			if e.index > 0 { // what a batch lists that isn't for us is kept for others
				kept[e.draft.root] = true
			}
		}
		own := e.Sender == h.self.Address() && h.counts(e.minted)
		if e.index == 0 && h.confirmed[e.TxID] != own {
			problems = append(problems, fmt.Errorf("%s, %s: confirmed is %t", e.TxID, e.describe(), !own))
		}
		name := e.name().String()
		if whole, _ := h.takenBack(e); e.index > 0 && whole {
			continue // that the batch is withdrawn says it
		}
		if h.withdrawn[name] != (fate == view.Ended) {
			problems = append(problems, fmt.Errorf("%s, %s: withdrawn is %t", name, e.describe(), fate != view.Ended))
		}
	}
	h.swarm.mu.Lock()
	defer h.swarm.mu.Unlock()
	for root := range unneeded {
		if _, here := h.swarm.here[root]; here && !needed[root] && !kept[root] && !h.spared[root] {
			problems = append(problems, fmt.Errorf("the blocks %s of what was withdrawn are kept", root))
		}
	}
	for root := range needed {
		if _, here := h.swarm.here[root]; !here && !h.never[root] {
			problems = append(problems, fmt.Errorf("the blocks %s are gone", root))
		}
	}
	list := shared.Collections()
	known := 1
	if !h.never[mustRoot(h.private)] && h.hasKey() {
		known = 2
	}
	if len(list) != known {
		problems = append(problems, fmt.Errorf("%d collections are known, want %d", len(list), known))
	}
	return errors.Join(problems...)
}

// confirm, Withdraw and Uses are this organisation's outbox, in which nothing waits.
func (h *history) confirm(_ context.Context, list []consortium.Place) error {
	if len(list) == 0 {
		return h.on("Confirm")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.on("Confirm"); err != nil {
		return err
	}
	for _, m := range list {
		h.confirmed[m.TxID] = true
	}
	return h.step()
}

func (h *history) Withdraw(names ...wire.Publication) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.on("WithdrawItems"); err != nil {
		return err
	}
	for _, name := range names {
		h.withdrawn[name.String()] = true
	}
	return h.step()
}

func (h *history) Uses(string) (bool, error) { return false, h.on("UsesItem") }

// Whatever pages the chain comes in, repeated or cut; whatever the members give, late, never or wrong; wherever the
// power fails, and if all that is here is derived again: in the end the view is what the chain says, and nothing else.
func TestTheViewIsWhatTheChainSaysWhateverHappensOnTheWay(t *testing.T) {
	c := newCast(t)
	for range 3 { // times a hundred, or what -rapid.checks says
		rapid.Check(t, func(rt *rapid.T) {
			p := drawPlan(rt, c)
			var err error
			synctest.Test(t, func(t *testing.T) { err = newHistory(p).run(t.Context()) })
			if err != nil {
				rt.Fatal(err)
			}
		})
		if t.Failed() {
			return
		}
	}
}
