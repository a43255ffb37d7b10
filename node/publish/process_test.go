package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/outbox/outboxtest"
)

var (
	errCrashed = errors.New("the process is dead")
	errDisk    = errors.New("the disk has failed")
	errRotated = errors.New("the node begins again with other keys")
)

// maxFee is what a transaction may cost, in microalgo.
const maxFee = 10_000

// process is the node from one start to its end, which may come at any of its points: before and after every commit,
// and every request.
type process struct {
	world *world
	org   *nodetest.Org
	stop  context.CancelFunc
	dead  atomic.Bool
	// leaving says that the process ends by itself, and that nobody hears of what fails meanwhile.
	leaving atomic.Bool

	outbox  *Outbox
	plain   *outbox.Outbox // that of a test, which never fails
	state   *state.Shared
	sole    *sole.Sole
	sealer  *Sealer
	minter  *Minter
	records *Records
	before  atomic.Pointer[moment]
}

// moment is what the process knew when it began with a batch.
type moment struct {
	epochs   map[string]uint32
	followed uint64
}

// point is where the process may die, when it asks for something.
func (p *process) point() error { return p.pass(!p.world.history.Commits) }

// pass is where it may die if that counts.
func (p *process) pass(counts bool) error {
	if p.dead.Load() {
		return errCrashed
	}
	if counts && p.world.crashes.next() {
		p.die()
		return errCrashed
	}
	return nil
}

// local is where something of the machine's own may fail, once.
func (p *process) local() error {
	if !p.leaving.Load() && p.world.failing.next() {
		return errDisk
	}
	return nil
}

func (p *process) die() {
	p.dead.Store(true)
	p.stop()
}

func (p *process) around(commit func() error) error {
	if err := errors.Join(p.pass(true), p.local()); err != nil {
		return err
	}
	if err := commit(); err != nil {
		return err
	}
	return p.pass(true)
}

// start begins with what is durable, as a node does.
func (w *world) start(ctx context.Context) (*process, context.Context, error) {
	f := w.fixture
	p := &process{world: w, org: w.org()}
	ctx, p.stop = context.WithCancel(ctx)
	o, err := w.memory.Outbox(outboxtest.Hooks{Commit: p.around, Read: p.local})
	if err != nil {
		return p, ctx, err
	}
	if p.plain, err = w.memory.Outbox(outboxtest.Hooks{}); err != nil {
		return p, ctx, err
	}
	s := w.fold()
	self := p.org.Address()
	p.outbox, p.state = NewOutbox(o), state.New(self, s, nil)
	condition := problem.NewMonitor("publishing", nodetest.Discard)
	p.sole = &sole.Sole{Outbox: o, Self: self, Condition: condition, Log: nodetest.Discard}
	blocks := &fakeBlocks{p}
	fresh := NewFresh(blocks)
	p.records = NewRecords(p.state.Self, p.outbox, blocks, fresh)
	p.sealer = &Sealer{Outbox: p.outbox, State: p.state, Blocks: blocks, Fresh: fresh, Consortium: f.id, Memory: SealBytes,
		Condition: problem.NewMonitor("sealing", nodetest.Discard), Log: nodetest.Discard}
	p.minter = NewMinter(Config{
		Outbox: p.outbox, View: &fakeView{p}, State: p.state, Fresh: fresh, Ledger: &fakeLedger{ledger.New(nil, p.org.Account, maxFee), p},
		GenesisHash: w.genesis[:], GenesisID: "t-v1", Consortium: f.id, LeaseKey: p.org.Account.PrivateKey.Seed(), Announcer: &fakeMembers{p},
		Finder: &fakeIndexer{p}, Hint: func(uint64) {}, Sole: p.sole, Condition: condition, Log: nodetest.Discard, Timeout: Timeout,
	})
	if err := p.begin(); err != nil {
		return p, ctx, err
	}
	return p, ctx, nil
}

// begin is what a node does with its outbox first.
func (p *process) begin() error {
	if err := p.outbox.SetPublisher(p.org.Address()); err != nil {
		return err
	}
	plan, err := ReadRotation(p.outbox.Outbox)
	if err != nil {
		return err
	}
	if plan != nil && plan.Account == p.org.Address() {
		if err := p.sole.Rotated(); err != nil {
			return err
		}
		if err := p.outbox.ForgetMemo(RotationMemo); err != nil {
			return err
		}
	}
	return p.sole.Load()
}

// run works until the process ends.
func (p *process) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.sealer.Run(ctx) })
	group.Go(func() error { return p.minter.Run(ctx) })
	group.Go(func() error { return p.follow(ctx) })
	return group.Wait()
}

// follow does what replicating does for publishing.
func (p *process) follow(ctx context.Context) error {
	if err := p.lookAfterCollections(ctx); err != nil {
		return err
	}
	for {
		advanced := p.world.chain.advanced.Changed()
		if upTo := p.world.indexed(fine) - p.world.behind(); upTo > p.world.followed() {
			if err := p.deliver(ctx, upTo); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-advanced:
		}
	}
}

func (p *process) deliver(ctx context.Context, upTo uint64) error {
	cursor := p.world.followed()
	events := p.world.visible(cursor, upTo)
	if slices.ContainsFunc(events, func(e consortium.Event) bool { return e.Note.Kind == wire.KindRotation }) {
		p.leaving.Store(true)
	}
	if err := p.sole.Saw(events); err != nil {
		return err
	}
	var folded *consortium.State
	p.state.Read(func(s *consortium.State) { folded = s })
	if len(events) > 0 {
		p.world.follow(cursor, nil)
		p.state.Change(func(s *consortium.State) {
			for _, e := range events {
				p.world.fixture.apply(s, p.world.original(e))
			}
		})
	}
	var minted []consortium.Place
	var ended []wire.Publication
	for _, e := range events {
		if p.state.Ours(e.Sender) {
			minted = append(minted, mintedBy(e))
		}
		switch {
		case e.Note.Kind == wire.KindDestroy:
			ended = append(ended, wire.Publication{TxID: p.world.mintOf(e.Asset)})
		case e.Note.Kind == wire.KindRemoval && e.Note.Asset > 0:
			ended = append(ended, wire.Publication{TxID: p.world.mintOf(e.Note.Asset), Index: e.Note.Index})
		}
	}
	if err := p.minter.Confirm(ctx, minted); err != nil {
		return err
	}
	if err := p.outbox.Withdraw(ended...); err != nil {
		return err
	}
	if err := p.point(); err != nil {
		return err
	}
	p.world.follow(upTo, folded)
	if p.state.Ours(p.world.fixture.next.Address()) && p.org != p.world.fixture.next {
		p.world.rotate()
		return errRotated
	}
	if len(events) == 0 && !p.world.isDue() {
		return nil
	}
	return p.lookAfterCollections(ctx)
}

// lookAfterCollections gives self's collection another key when somebody who has the present one was removed.
func (p *process) lookAfterCollections(ctx context.Context) error {
	f := p.world.fixture
	c, found := p.state.Collection(f.own)
	m, _ := p.state.Member(f.mallory.Address())
	if !found || c.Epoch > 1 || m.Removed == nil || p.world.chain.now() < begins+p.world.history.Careless {
		return nil
	}
	_, err := p.records.Store(ctx, RecordKey(f.own, 2), f.records[rekeying])
	return err
}

// noteMoment keeps what is known when a batch is begun with.
func (p *process) noteMoment() {
	now := moment{epochs: map[string]uint32{}, followed: p.world.followed()}
	for _, c := range p.state.Collections() {
		now.epochs[c.ID] = c.Epoch
	}
	p.before.Store(&now)
}

// signs is told of what is about to be signed.
func (p *process) signs(mints []ledger.Mint) {
	now, w := p.before.Load(), p.world
	for _, m := range mints {
		_, note, err := wire.ParseNote(m.Note)
		check(err)
		if w.rotationOf(p.org, note) && note.Kind != wire.KindRotation {
			w.wrong("a %s is signed with an account after its change was", note.Kind)
		}
		if note.Kind == wire.KindRotation && (p.outbox.Count()[outbox.Signed] > 0 || len(mints) > 1) {
			w.wrong("a change of keys is signed while something else is on its way")
		}
		if note.Kind != wire.KindObject && note.Kind != wire.KindBatch {
			continue
		}
		root, err := wire.ParseURL(m.URL)
		check(err)
		for _, of := range w.publishedBy(consortium.Event{Note: note, Directory: root.String()}) {
			if of.epoch < now.epochs[of.collection] {
				w.wrong("%v is signed as it was sealed to epoch %d, in epoch %d", of.identity, of.epoch, now.epochs[of.collection])
			}
		}
	}
}

// submits is told of what is about to be submitted.
func (p *process) submits(group *pooled) {
	if p.dead.Load() {
		return
	}
	for _, t := range group.list {
		if uint64(t.Fee) > maxFee {
			p.world.wrong("a transaction costs %d", t.Fee)
		}
	}
	if unsigned, err := p.plain.Unsigned(group.txids); err == nil && len(unsigned) > 0 {
		p.world.wrong("%d transactions are submitted that are not on the disk", len(unsigned))
	}
}

// fakeBlocks are as durable as the chain.
type fakeBlocks struct{ *process }

func (b *fakeBlocks) Put(ctx context.Context, directories []unixfs.Directory) error {
	if err := errors.Join(b.point(), b.local()); err != nil {
		return err
	}
	if err := b.world.blocks.Put(ctx, directories); err != nil {
		return err
	}
	for _, d := range directories {
		files, err := d.Files()
		check(err)
		b.world.store(d.Root().String(), files)
	}
	return b.point()
}

func (b *fakeBlocks) Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error) {
	return b.world.blocks.Read(ctx, root)
}

func (b *fakeBlocks) Forget(ctx context.Context, roots []cid.Cid) error {
	if err := errors.Join(b.point(), b.local()); err != nil {
		return err
	}
	return b.world.blocks.Forget(ctx, roots)
}

// describe says what still waits, and why.
func (p *process) describe() string {
	waiting := ""
	for _, s := range []outbox.State{outbox.Accepted, outbox.Stored, outbox.Signed} {
		items, _ := p.outbox.Queue(s, 0, 3)
		for _, item := range items {
			waiting += fmt.Sprintf("\n\titem %d, %s %s, is %s in group %d", item.Number, item.Note.Kind, item.ObjectID, item.State, item.Group)
		}
	}
	return fmt.Sprintf("%v\n\tsealing: %+v\n\tpublishing: %+v", slices.Sorted(maps.Keys(p.outbox.Count())), p.sealer.Condition.Get(), p.minter.Condition.Get()) + waiting
}
