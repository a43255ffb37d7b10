package publish

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/outbox/outboxtest"
	"github.com/serviceledger/slnode/repo/view"
)

// history is what happens to a node that publishes.
type history struct {
	Ops      []op
	Faults   map[string][]fault
	Crashes  []int        // how many points of the process pass before it dies, again and again
	Fails    []int        // how many reads and commits go well before one fails
	Commits  bool         // … of which only those before and after commits count
	Down     []int        // rounds until it is started again
	Lag      uint64       // by how many rounds the indexer is behind
	Behind   uint64       // … and what is followed behind the indexer, for that long
	Contents uint64       // by how many rounds the contents of batches come later to a node that was restored
	Careless uint64       // for so many rounds self does not look after its collections
	Sole     *outbox.Sole // what the node knows of who else signs, at first
	Liar     string       // the witness that says of some transactions that it doesn't have them: algod or the indexer, never both
	Calm     uint64       // after so many rounds nothing goes wrong any more
	Network  [32]byte     // that algod is of until then; the zero value is the consortium's
}

// op is what a client, an operator or another member does.
type op struct {
	At   uint64 // rounds after the one before
	Does string
	N    int    // the first object that it is about
	Many int    // … and how many
	From int    // posts: in batches of up to batchMost, where so many are new; 0: with a transaction each
	In   string // collection
	All  bool   // withdraws: all of the batch that it is in
	Look func(w *world, p *process)
}

// What an op does.
const (
	posts     = "posts"
	withdraws = "withdraws"
	releases  = "releases"
	happens   = "happens: " // … and what the founder does
	rotates   = "rotates"
	foreign   = "another publishes"
	clashes   = "another publishes otherwise"
	backs     = "backs up"
	restores  = "restores"
	congests  = "congestion"
	kills     = "kills"
	looks     = "looks"
	copied    = "A COPY OF THE NODE PUBLISHES"
)

// run lives through a history and tells what was wrong.
func run(t *testing.T, h history) (wrongs []string, points int) {
	live(t, h, func(_ context.Context, w *world) {
		wrongs, points = w.wrongs, w.crashes.seen
	})
	return wrongs, points
}

// live lives through a history and lets a test look at the world.
func live(t *testing.T, h history, look func(ctx context.Context, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(h)
		w.t = t
		ctx, end := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { w.pass(ctx) })
		running.Go(func() { w.live(ctx) })
		running.Go(func() {
			w.pause(ctx, h.Calm)
			w.quieten(ctx)
		})
		for _, o := range h.Ops {
			w.pause(ctx, o.At)
			w.do(ctx, o)
		}
		for range 4000 / 10 {
			w.pause(ctx, 10)
			if w.isCalm() && w.isDone() {
				break
			}
		}
		w.pause(ctx, 20) // what is followed of the chain
		synctest.Wait()  // all others wait while it is looked at
		w.check()
		look(ctx, w)
		end()
		running.Wait()
		check(w.memory.Close())
	})
}

func (w *world) pause(ctx context.Context, rounds uint64) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rounds) * roundTime):
	}
}

// quieten lets nothing go wrong any more.
func (w *world) quieten(ctx context.Context) {
	w.faults.silence()
	w.crashes.silence()
	w.failing.silence()
	calm := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calm = true
	}
	if w.history.Liar != askIndexer {
		calm()
		return
	}
	w.whileDown(ctx, func() {
		w.follow(begins, nil) // the view is deleted: what the indexer left out is read again
		calm()
	})
}

func (w *world) isDone() bool {
	p := w.current()
	if p == nil {
		return false
	}
	for _, n := range p.outbox.Count() {
		if n > 0 {
			return false
		}
	}
	recovery, err := p.plain.Recovery()
	return err == nil && recovery == nil && w.followed()+5 > w.chain.now()
}

// do does what an op says, again and again until it has.
func (w *world) do(ctx context.Context, o op) {
	for ctx.Err() == nil {
		if p := w.current(); p != nil {
			err := w.try(ctx, p, o)
			if w.fails(err); err == nil {
				return
			}
		}
		w.pause(ctx, 1)
	}
}

func (w *world) try(ctx context.Context, p *process, o op) error {
	f := w.fixture
	switch o.Does {
	case posts:
		return w.post(p, o)
	case withdraws:
		return w.withdraw(p, o)
	case releases:
		return w.release(p, o)
	case rotates:
		if w.org() == f.next {
			return nil
		}
		key := KeyOf("rotation")
		if err := (RotationPlan{Key: key, Account: f.next.Address()}).Keep(p.outbox.Outbox); err != nil {
			return err
		}
		_, err := p.records.Store(ctx, key, f.records[rotating])
		return err
	case foreign, clashes:
		w.publishForeign(o)
	case backs:
		return w.backUp()
	case restores:
		w.restore(ctx, o)
	case congests:
		w.congest(uint64(o.N), uint64(o.Many))
	case kills:
		p.die()
	case copied:
		w.chain.mint(consortium.Event{TxID: copied, Sender: p.org.Address(), Consortium: f.id, Directory: copied, Note: wire.Note{Kind: wire.KindObject, Sequence: 50}})
	case looks:
		synctest.Wait()
		o.Look(w, p)
	default:
		name := strings.TrimPrefix(o.Does, happens)
		d := f.records[name]
		if name == opening {
			w.mu.Lock()
			w.opened = true
			w.mu.Unlock()
		}
		e := f.event(f.founder, name, d)
		e.TxID = name
		w.chain.mint(e)
	}
	return nil
}

func objectID(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

const version = "2026-01-02T03:04:05.678Z"

func (f *fixture) called(name string) string {
	switch name {
	case "ring":
		return f.ring
	case "own":
		return f.own
	}
	return f.everybody
}

// submission is what a client posts. An object of the ring may be read by those only who read it when it is accepted.
func (f *fixture) submission(n int, in string) outbox.Submission {
	instant, err := stix.ParseTimestamp(version)
	check(err)
	level := stix.Green
	if in == "ring" {
		level = stix.Amber
	}
	id, collection := objectID(n), f.called(in)
	return outbox.Submission{Payload: []byte(nodetest.IndicatorJSON(n)), Item: outbox.Item{
		Key: ObjectKey(&view.Entry{Collection: collection, ID: id, Instant: instant}), Note: wire.Note{Kind: wire.KindObject}, Collection: collection,
		ObjectID: id, Version: version, Revealing: true, StoredAt: state.Now(), Hash: hashOf(id), User: "user", Level: uint8(level),
	}}
}

// batchMost is how many objects a batch has here.
const batchMost = 4

// acceptAs accepts a request in batches, if there is enough for them.
func acceptAs(o *Outbox, submissions []outbox.Submission, as outbox.Anchor) ([]outbox.Item, error) {
	r := o.Begin()
	defer r.End()
	fresh, err := o.Fresh(submissions)
	if err != nil {
		return nil, err
	}
	if as.From > 0 && outbox.Count(fresh) >= as.From {
		r.Batch(as)
	}
	return r.Accept(submissions)
}

func (w *world) post(p *process, o op) error {
	var list []outbox.Submission
	for n := range o.Many {
		list = append(list, w.fixture.submission(o.N+n, o.In))
	}
	items, err := acceptAs(p.outbox, list, outbox.Anchor{From: o.From, Most: batchMost, Bytes: 1 << 20})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range items {
		w.posted[post{o.N + n, o.In}] = true
	}
	return nil
}

// publishForeign has the founder publish an object.
func (w *world) publishForeign(o op) {
	i := identity{w.fixture.called(o.In), objectID(o.N)}
	of := content{identity: i, hash: hashOf(i.id), epoch: 1}
	if o.Does == clashes {
		of.hash = []byte("other")
	}
	directory := fmt.Sprint("foreign ", o.N, o.In)
	w.mu.Lock()
	w.contents[directory] = of
	if _, before := w.foreign[i]; !before {
		w.foreign[i] = w.chain.mint(consortium.Event{TxID: directory, Sender: w.fixture.founder.Address(), Consortium: w.fixture.id,
			Note: wire.Note{Kind: wire.KindObject}, Directory: directory})
	}
	w.mu.Unlock()
}

func (w *world) backUp() error {
	pairs, err := w.memory.Copy()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.backup = pairs
	return err
}

// restore loses the node, and begins with its backup on another machine. Its clients post again what they have posted,
// the first one in batches if the op says so.
func (w *world) restore(ctx context.Context, o op) {
	w.mu.Lock()
	backup := w.backup
	w.backup = nil
	w.mu.Unlock()
	if backup == nil {
		return
	}
	w.whileDown(ctx, func() {
		check(w.memory.Put(backup))
		o, err := w.memory.Outbox(outboxtest.Hooks{})
		check(err)
		check(o.SetRecovery(&outbox.Recovery{}))
		w.follow(begins, nil)
		w.mu.Lock()
		w.restored = true
		w.mu.Unlock()
	})
	w.mu.Lock()
	posted := []op{}
	for p := range w.posted {
		posted = append(posted, op{Does: posts, N: p.n, Many: 1, In: p.in})
	}
	w.mu.Unlock()
	if o.Many > 0 {
		w.do(ctx, op{Does: posts, N: o.N, Many: o.Many, From: o.From, In: o.In})
	}
	slices.SortFunc(posted, func(a, b op) int { return cmp.Or(a.N-b.N, strings.Compare(a.In, b.In)) })
	for _, o := range posted {
		w.do(ctx, o)
	}
}

// check looks at the end.
func (w *world) check() {
	p := w.current()
	if p == nil {
		w.wrong("the node doesn't run at the end")
		return
	}
	if !w.isDone() {
		w.wrong("not everything is published at the end: %s", p.describe())
	}
	known := map[string]bool{}
	for n := uint64(1); ; n++ {
		item, found, err := p.plain.Item(n)
		check(err)
		if !found {
			break
		}
		known[item.TxID] = true
		w.checkItem(item)
	}
	for _, e := range w.chain.between(begins, w.chain.now()) {
		own := e.Sender == w.fixture.self.Address() || e.Sender == w.fixture.next.Address()
		// Of what the lost node did, only what is there, and was posted, is anybody's business again.
		published := w.publishedBy(e)
		all := len(published) > 0 && !slices.ContainsFunc(published, func(p publication) bool { return w.isGone(p.at) })
		if lost := w.restored && !all; own && !known[e.TxID] && !lost && e.TxID != copied {
			w.wrong("transaction %s of a %s is on the chain, and the outbox doesn't know it", e.TxID, e.Note.Kind)
		}
	}
	for i, mints := range w.mints {
		if mints > 1+w.endings[i] {
			w.wrong("%v was minted %d times, and withdrawn %d times", i, mints, w.endings[i])
		}
	}
	for of := range w.posted {
		if _, found, err := p.outbox.Find(w.fixture.submission(of.n, of.in).Item.Key); err != nil || !found {
			w.wrong("object %d of %s was accepted, and is not in the outbox (%v)", of.n, of.in, err)
		}
	}
	if c := p.minter.Condition.Get(); c.Problem != "" {
		w.wrong("at the end publishing waits: %+v", c)
	}
}

// objectsOf gives the objects of a batch.
func (w *world) objectsOf(batch outbox.Item) []outbox.Item {
	objects, err := w.current().plain.Objects(batch)
	check(err)
	return objects
}

func (w *world) checkItem(item outbox.Item) {
	e, onChain := w.chain.find(item.TxID, w.chain.now())
	switch {
	case item.Note.Kind == wire.KindDestroy && item.State == outbox.Confirmed:
		if !w.chain.isEnded(item.Destroys) {
			w.wrong("item %d is done, and asset %d is there", item.Number, item.Destroys)
		}
	case item.Note.Kind == wire.KindRelease && item.State == outbox.Confirmed:
		if !w.chain.isEnded(item.Destroys) && item.Failure == "" {
			w.wrong("item %d is done, and NFT %d is there", item.Number, item.Destroys)
		}
	case item.State == outbox.Confirmed && item.Failure == "":
		at := slices.IndexFunc(w.publishedBy(e), func(p publication) bool {
			return p.at.index == item.Index && p.identity == identity{item.Collection, item.ObjectID}
		})
		if !onChain || item.Note.Kind == wire.KindObject && at < 0 {
			w.wrong("item %d is confirmed by %q, which is on the chain: %v", item.Number, item.TxID, onChain)
		}
	case item.State == outbox.Confirmed:
		w.wrong("item %d failed: %s", item.Number, item.Failure)
	case item.State == outbox.Withdrawn && item.Failure != "":
		if !w.opened || item.Collection != w.fixture.ring {
			w.wrong("item %d is given up: %s", item.Number, item.Failure)
		}
	case item.State == outbox.Withdrawn:
		if item.Note.Kind == wire.KindBatch && item.TxID == "" && len(w.objectsOf(item)) == 0 { // they were found elsewhere, or given up
			return
		}
		stays := slices.ContainsFunc(w.publishedBy(e), func(p publication) bool {
			return (item.Index == 0 || p.at.index == item.Index) && !w.isGone(p.at)
		})
		if !onChain || stays && !w.chain.isEnded(e.Asset) {
			w.wrong("item %d is withdrawn, and its NFT is on the chain: %v", item.Number, onChain)
		}
	}
}
