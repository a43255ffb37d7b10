package replicate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo/view"
)

// histories are what a consortium with a member that keeps to no rule may put on the chain: rotations, collections
// whose readers and contributors come and go, right and wrong keys, batches, copies, and ends of what is there, of
// what is not there yet, and of what is others'.
type histories struct {
	t                      *testing.T
	w                      *world // of self, in which every history is told
	self, founder, mallory *nodetest.Org
	spare                  []*nodetest.Org // accounts that mallory may have later
}

// telling is one history.
type telling struct {
	*histories
	rt       *rapid.T
	chain    nodetest.Chain // as its members make it
	events   []consortium.Event
	accounts []*nodetest.Org // who signs, with all accounts that they have or had
	mallory  int             // which of them mallory has now
	ring     string
	keys     map[string]*seal.EpochKey // by collection and epoch
	epochs   map[string]uint32
	drafts   []consortium.Draft
	roots    []cid.Cid // of all that is published, in the order in which it was made
	given    []cid.Cid // … that the node can have
}

func (h *histories) begin(rt *rapid.T) *telling {
	own := func(o *nodetest.Org) *nodetest.Org { o = copyOf(o); o.Sequence = 0; return o }
	f := &telling{histories: h, rt: rt, chain: *nodetest.NewBareChain(h.t, h.self), ring: uuid.NewString(),
		keys: map[string]*seal.EpochKey{}, epochs: map[string]uint32{}}
	f.accounts, f.mallory = []*nodetest.Org{own(h.founder), own(h.self), own(h.mallory)}, 2
	f.events = f.chain.Found(f.accounts...)
	for _, e := range f.events {
		f.made(cid.MustParse(e.Directory))
	}
	f.keys[f.chain.Collection+"1"], f.epochs[f.chain.Collection] = f.chain.Key, 1
	return f
}

func (f *telling) must(err error) { nodetest.Must(f.t, err) }

func (f *telling) int(most int, what string) int { return rapid.IntRange(0, most).Draw(f.rt, what) }

func (f *telling) sender() *nodetest.Org { return rapid.SampledFrom(f.accounts).Draw(f.rt, "sender") }

func (f *telling) mint(by *nodetest.Org, d consortium.Draft, err error) {
	f.must(err)
	e := f.chain.Mint(by, d)
	f.events = append(f.events, e)
	f.made(cid.MustParse(e.Directory))
}

func (f *telling) made(root cid.Cid) {
	if !slices.Contains(f.roots, root) {
		f.roots = append(f.roots, root)
	}
}

// key is that of an epoch.
func (f *telling) key(id string, epoch uint32) *seal.EpochKey {
	of := fmt.Sprint(id, epoch)
	if f.keys[of] == nil {
		key, err := seal.NewEpochKey()
		f.must(err)
		f.keys[of] = key
	}
	return f.keys[of]
}

// object drafts one of few versions of few objects.
func (f *telling) object(by *nodetest.Org) consortium.Draft {
	in := rapid.SampledFrom([]string{f.chain.Collection, f.ring}).Draw(f.rt, "in")
	epoch := uint32(f.int(1, "epoch")) + max(f.epochs[in], 1) - 1
	n := f.int(2, "id")
	d, err := consortium.DraftObject(f.chain.ID, consortium.Collection{ID: in, Epoch: max(epoch, 1), Key: f.key(in, max(epoch, 1)),
		Properties: wire.Collection{Metadata: wire.MetadataOpen}}, idOf(n), firstVersion, true,
		[]byte(nodetest.DescribedIndicator(n, fmt.Sprint(f.int(1, "content")))), time.Now())
	f.must(err)
	return nodetest.By(f.t, by.Address(), d)
}

// record makes the ring, changes it, or begins its next epoch: who may publish in it are accounts, also such as nobody
// has yet.
func (f *telling) record() {
	epoch := f.epochs[f.ring] + uint32(f.int(1, "next epoch"))
	if f.epochs[f.ring] == 0 {
		epoch = 1
	}
	var named []string
	for _, o := range append(slices.Clone(f.accounts[1:]), f.spare...) {
		if f.int(1, "contributes") == 1 {
			named = append(named, o.Address())
		}
	}
	to := []string{f.founder.Identity.Recipient()}
	if f.int(2, "is given the key") > 0 {
		to = append(to, f.self.Identity.Recipient())
	}
	d, err := consortium.DraftCollection(f.chain.ID, f.ring, epoch, wire.Collection{Title: fmt.Sprint("Ring ", len(f.events)), DefaultLevel: "green",
		Metadata: wire.MetadataOpen, Readers: wire.Accounts{Members: true}, Contributors: wire.Accounts{Named: named}},
		map[uint32]*seal.EpochKey{epoch: f.key(f.ring, epoch)}, to, time.Now())
	f.mint(f.accounts[0], d, err)
	f.epochs[f.ring] = max(f.epochs[f.ring], epoch)
}

// broken is a keyring record whose only file opens, for self alone, and holds no keyring.
func (f *telling) broken() {
	sealed, err := seal.SealTo([]string{f.self.Identity.Recipient()}, []byte("{}"))
	f.must(err)
	payload, err := wire.KeyringRecord{Collection: f.ring, Keyrings: [][]byte{sealed}}.Encode()
	f.must(err)
	metadata, err := wire.NewMetadata(wire.Properties{Kind: wire.KindKeyring, Consortium: f.chain.ID, Publisher: f.founder.Address(), Collection: f.ring,
		StoredAt: wire.FormatTime(time.Now())}, payload).Encode()
	f.mint(f.accounts[0], consortium.Draft{Note: wire.Note{Kind: wire.KindKeyring, Collection: f.ring}, Metadata: metadata, Payload: payload, PayloadName: wire.RecordName}, err)
}

// keyring gives self keys of the ring, the right ones or others.
func (f *telling) keyring() {
	if f.int(2, "broken") == 0 {
		f.broken()
		return
	}
	keys := map[uint32]*seal.EpochKey{}
	for epoch := uint32(1); epoch <= f.epochs[f.ring]; epoch++ {
		if keys[epoch] = f.key(f.ring, epoch); f.int(3, "wrong") == 0 {
			keys[epoch] = f.chain.Key
		}
	}
	if len(keys) > 0 {
		d, err := consortium.DraftKeyring(f.chain.ID, f.ring, keys, []string{f.self.Identity.Recipient()}, time.Now())
		f.mint(f.accounts[0], d, err)
	}
}

// batch publishes some objects together, in order or not.
func (f *telling) batch() {
	by := f.sender()
	var roots []cid.Cid
	for range 1 + f.int(2, "objects") {
		d := f.object(by)
		if len(f.drafts) > 0 && f.int(4, "copied") == 0 {
			d = rapid.SampledFrom(f.drafts).Draw(f.rt, "which")
		}
		directory := directoryOf(f.t, d)
		f.must(f.chain.Blocks.Put(f.t.Context(), []p2p.Directory{directory}))
		f.made(directory.Root())
		if !slices.Contains(roots, directory.Root()) {
			roots = append(roots, directory.Root())
		}
	}
	in := rapid.SampledFrom([]string{f.chain.Collection, f.ring}).Draw(f.rt, "batch in")
	d, err := consortium.DraftBatch(f.chain.ID, in, max(f.epochs[in], 1), roots, time.Now())
	f.mint(by, d, err)
}

// draw puts something more on the chain.
func (f *telling) draw() {
	by := f.sender()
	anything := f.events[0].Asset + uint64(f.int(len(f.events)+2, "asset")) // also such as comes later
	switch f.int(15, "kind") {
	case 0:
		f.record()
	case 1:
		f.keyring()
	case 2:
		f.batch()
	case 3:
		f.events = append(f.events, f.chain.Destroy(by, anything))
	case 4, 5:
		if f.int(1, "comes next") == 0 {
			anything = f.events[len(f.events)-1].Asset + 2 // this record's own is before it
		}
		d, err := consortium.DraftWithdrawal(f.chain.ID, anything, uint32(f.int(2, "index")), time.Now())
		f.mint(by, d, err)
	case 6:
		if len(f.accounts)-3 < len(f.spare) {
			former, next := f.accounts[f.mallory], copyOf(f.spare[len(f.accounts)-3])
			d, err := consortium.DraftRotation(f.chain.ID, former.Address(), next.Document, next.Account.PrivateKey, time.Now())
			f.mint(former, d, err)
			f.accounts, f.mallory = append(f.accounts, next), len(f.accounts)
		}
	case 8:
		e := f.chain.Destroy(by, anything)
		e.Note.Kind = wire.KindRelease
		f.events = append(f.events, e)
	case 9:
		f.govern(by)
	case 7:
		if len(f.drafts) > 0 { // whosever it is
			f.mint(by, rapid.SampledFrom(f.drafts).Draw(f.rt, "copy"), nil)
		}
	default:
		d := f.object(by)
		f.drafts = append(f.drafts, d)
		f.mint(by, d, nil)
	}
}

// govern changes who the governor is, or who is a member; by somebody who may, or not.
func (f *telling) govern(by *nodetest.Org) {
	mallory := f.accounts[f.mallory]
	switch f.int(3, "governs") {
	case 0:
		governor := wire.Quorum{Threshold: 1, Accounts: []string{f.accounts[f.int(1, "governor")].Address()}}
		d, err := consortium.DraftAmendment(f.chain.ID, wire.Amendment{Name: fmt.Sprint("Amended ", len(f.events)), Governor: governor}, time.Now())
		f.mint(by, d, err)
	case 1:
		d, err := consortium.DraftMember(f.chain.ID, mallory.Document, time.Now())
		f.mint(f.accounts[f.int(1, "admits")], d, err)
	default:
		d, err := consortium.DraftRemoval(f.chain.ID, rapid.SampledFrom(f.accounts[2:]).Draw(f.rt, "removed").Address(), time.Now())
		f.mint(f.accounts[f.int(1, "removes")], d, err)
	}
}

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

// dump is all of a node's view and state that follows from the chain, the contents and the own keys.
func (f *telling) dump() (lines []string) {
	for _, e := range f.events {
		logged, found, err := f.w.R.View.Event(e.TxID)
		f.must(err)
		lines = append(lines, fmt.Sprintf("%s %s by %.6s: %v %s", e.TxID, e.Note.Kind, e.Sender, found, logged.State))
	}
	for _, of := range []string{f.chain.Collection, f.ring, view.Everything, view.Others} {
		for _, versions := range []view.Versions{{All: true}, {First: true}, {Last: true}} {
			page, _, err := f.w.R.View.Page(view.Query{Collection: of, Versions: versions, Limit: 1000, WithObjects: true})
			f.must(err)
			var served []string
			for _, e := range page {
				served = append(served, fmt.Sprintf("%.4s %v: %s of %.4s by %.6s, %x", of, versions, e.TxID, e.Collection, e.Publisher, e.Hash[:4]))
			}
			slices.Sort(served)
			lines = append(lines, served...)
		}
	}
	for _, c := range f.w.State.Collections() {
		lines = append(lines, fmt.Sprintf("%.4s: epoch %d, %q, pending %t, former %t, %s", c.ID, c.Epoch, c.Properties.Title, c.Pending, c.Former, c.Properties.Contributors.Named))
	}
	f.w.State.Read(func(s *consortium.State) { lines = append(lines, "governor "+s.Governor()) })
	for _, m := range f.w.State.Members() {
		lines = append(lines, fmt.Sprintf("%s has %.6s, had %d, removed %v", m.Name, m.Account, len(m.Former), m.Removed != nil))
	}
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
			f.rt.Fatalf("%s, from line %d:\n%q\nin the chain's order:\n%q", what, i, one[min(i, len(one)):], other[min(i, len(other)):])
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
		whole := f.dump()
		f.node(h.self)
		f.arrives(f.roots...)
		f.told()
		f.compare("with what came late", whole, f.dump())
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
		half := f.int(upTo, "told before it stops")
		f.deliver(f.events[:half]...)
		if f.int(1, "stops within") == 0 {
			f.w.Open()
		}
		f.deliver(f.events[half:upTo]...)
	}
	for at := 0; at < len(f.events); {
		next := min(len(f.events), at+1+f.int(3, "rounds"))
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
}
