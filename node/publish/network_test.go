package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// fault is what goes wrong with one request of algod or the indexer.
type fault byte

const (
	fine       fault = iota
	lost             // the request never arrives
	unanswered       // what was asked for is done, and the answer is lost
	slow             // the answer takes half a minute
	throttled        // one request too many
	stale            // it is answered by a server that is some rounds behind
	// Of a submission:
	forgotten    // algod says that it has taken the group, and forgets it
	delayed      // the group waits in the pool for many rounds
	never        // … until its rounds are over
	noFunds      // refused, for a reason that goes away
	refused      // refused, for no reason that is known
	congested    // refused: the network asks for more for a while
	dearer       // … for more than may be spent
	contradicted // one server takes it, and another one asks for more
	// Of the question what became of a transaction:
	unknown // algod, or the indexer, says that it doesn't have it, whatever it has
	faults
)

// The requests that faults are drawn for.
const (
	askParams  = "params"
	askFunds   = "funds"
	askSubmit  = "submit"
	askRound   = "round"
	askWait    = "wait"
	askBlock   = "block"
	askFate    = "fate"
	askIndexer = "indexer"
)

// lying are the faults that make a witness say what is not so.
var lying = map[string][]fault{askFate: {unknown}, askIndexer: {unknown}}

// faultsOf are those that a request can have, beside those that every one can.
var faultsOf = map[string][]fault{
	askParams: nil, askFunds: {noFunds}, askSubmit: {forgotten, delayed, never, noFunds, refused, congested, dearer, contradicted},
	askRound: {stale}, askWait: {stale}, askBlock: {stale}, askFate: nil, askIndexer: {stale},
}

// script is the faults that are still to come, of each request in their order.
type script struct {
	mu    sync.Mutex
	left  map[string][]fault
	asked map[string]int
	quiet bool
}

func newScript(faults map[string][]fault) *script {
	return &script{left: maps.Clone(faults), asked: map[string]int{}}
}

func (s *script) next(request string) fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[request]++
	list := s.left[request]
	if len(list) == 0 || s.quiet {
		return fine
	}
	s.left[request] = list[1:]
	return list[0]
}

func (s *script) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quiet = true
}

var errNetwork = errors.New("the network is down")

// ask does what every request has in common.
func (p *process) ask(ctx context.Context, request string) (fault, error) {
	if err := p.point(); err != nil {
		return fine, err
	}
	f := p.world.faults.next(request)
	pause := time.Millisecond
	if f == slow {
		pause = 35 * time.Second
	}
	select {
	case <-ctx.Done():
		return fine, ctx.Err()
	case <-time.After(pause):
	}
	switch f {
	case lost:
		return f, errNetwork
	case throttled:
		return f, &algorand.Throttled{Status: 429, After: 3 * time.Second}
	}
	return f, nil
}

// answer is what comes of a request that was carried out.
func (p *process) answer(f fault) error {
	if f == unanswered {
		return errNetwork
	}
	return p.point()
}

// fakeLedger signs as a real one, and asks a fake algod.
type fakeLedger struct {
	*ledger.Ledger
	*process
}

func (l *fakeLedger) Params(ctx context.Context) (ledger.Params, error) {
	f, err := l.ask(ctx, askParams)
	if err != nil {
		return ledger.Params{}, err
	}
	l.noteMoment()
	c, network := l.world.chain, l.world.genesis
	if l.world.history.Network != [32]byte{} && !l.world.isCalm() {
		network = l.world.history.Network
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return ledger.Params{Round: c.round, GenesisHash: network, GenesisID: "t-v1", MinFee: 1000, FeePerByte: c.feePerByte}, l.answer(f)
}

func (l *fakeLedger) Funds(ctx context.Context) (ledger.Funds, error) {
	f, err := l.ask(ctx, askFunds)
	if err != nil {
		return ledger.Funds{}, err
	}
	if f == noFunds {
		return ledger.Funds{Amount: 100_000, Locked: 100_000}, nil
	}
	return ledger.Funds{Amount: 1_000_000_000, Locked: 100_000}, l.answer(f)
}

func (l *fakeLedger) Sign(p ledger.Params, mints []ledger.Mint) (ledger.Group, error) {
	l.signs(mints)
	return l.Ledger.Sign(p, mints)
}

func (l *fakeLedger) Submit(ctx context.Context, raw []byte) error {
	group := newPooled(raw)
	l.submits(group)
	f, err := l.ask(ctx, askSubmit)
	if err != nil {
		return err
	}
	c, delay := l.world.chain, uint64(0)
	switch f {
	case noFunds:
		return refusal(ledger.NoFunds)
	case refused:
		return refusal(ledger.Other)
	case congested:
		l.world.congest(4, 30)
	case dearer:
		l.world.congest(40, 30)
	case contradicted:
		delay = 5
	case delayed:
		delay = 40
	case never:
		delay = 2 * ledger.Window
	}
	if err := c.submit(group, delay); err != nil {
		return err
	}
	if f == contradicted {
		l.world.congest(4, 30)
		return refusal(ledger.Congested)
	}
	if f == forgotten {
		c.forget(group.txids[0])
	}
	return l.answer(f)
}

func (l *fakeLedger) lastRound(f fault) uint64 {
	round := l.world.chain.now()
	if f == stale {
		round -= min(round, 5)
	}
	return round
}

func (l *fakeLedger) Round(ctx context.Context) (uint64, error) {
	f, err := l.ask(ctx, askRound)
	if err != nil {
		return 0, err
	}
	return l.lastRound(f), l.answer(f)
}

func (l *fakeLedger) Tip(ctx context.Context) (uint64, error) {
	f, err := l.ask(ctx, askRound)
	if err == nil && f == stale {
		err = ledger.ErrCatchingUp
	}
	if err != nil {
		return 0, err
	}
	return l.lastRound(f), l.answer(f)
}

func (l *fakeLedger) WaitAfter(ctx context.Context, round uint64) (uint64, error) {
	f, err := l.ask(ctx, askWait)
	if err != nil {
		return 0, err
	}
	c, timeout := l.world.chain, time.After(time.Minute)
	for {
		advanced := c.advanced.Changed()
		if c.now() > round || f == stale {
			return l.lastRound(f), l.answer(f)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timeout:
			return l.lastRound(f), l.answer(f)
		case <-advanced:
		}
	}
}

func (l *fakeLedger) Minted(ctx context.Context, round uint64) (list []consortium.Place, err error) {
	f, err := l.ask(ctx, askBlock)
	if err != nil {
		return nil, err
	}
	if now := l.lastRound(f); round > now || round+remembered < now {
		return nil, fmt.Errorf("block %d: %w", round, ledger.ErrNoBlock)
	}
	for _, e := range l.world.chain.between(round-1, round) {
		if e.Sender == l.Address() {
			list = append(list, mintedBy(e))
		}
	}
	return list, l.answer(f)
}

func (l *fakeLedger) Fate(ctx context.Context, txid string, first, last uint64) (ledger.Fate, consortium.Place, error) {
	f, err := l.ask(ctx, askFate)
	if err != nil {
		return ledger.Unknown, consortium.Place{}, err
	}
	fate, minted := l.world.chain.fate(txid, first, last)
	if f == unknown {
		fate, minted = ledger.Unknown, consortium.Place{}
	}
	return fate, minted, l.answer(f)
}

// fakeIndexer is behind the chain by some rounds.
type fakeIndexer struct{ *process }

func (x *fakeIndexer) Find(ctx context.Context, txid string) (chainwatch.Finding, error) {
	f, err := x.ask(ctx, askIndexer)
	if err != nil {
		return chainwatch.Finding{}, err
	}
	round := x.world.indexed(f)
	e, found := x.world.chain.find(txid, round)
	if f == unknown || x.world.omits(txid) {
		found = false
	}
	return chainwatch.Finding{Event: e, Found: found, Round: round}, x.answer(f)
}

func (x *fakeIndexer) Trace(ctx context.Context, txid, _ string, _, _ uint64) (chainwatch.Finding, error) {
	return x.Find(ctx, txid)
}

// fakeView is what was followed of the chain. It is derived from it, and as durable as it.
type fakeView struct{ *process }

func (v *fakeView) Cursor() (uint64, error) {
	if v.world.isRestored() { // it asks again and again
		return v.world.followed(), v.point()
	}
	return v.world.followed(), errors.Join(v.point(), v.local())
}

// logged gives the events that were followed, with what they made.
func (v *fakeView) logged(counts func(e view.Event) bool) (list []view.Event) {
	seen := v.world.chain.between(0, v.world.followed())
	ended := map[uint64]bool{}
	for _, e := range seen {
		ended[e.Asset] = ended[e.Asset] || e.Note.Kind == wire.KindDestroy
		ended[e.Note.Asset] = ended[e.Note.Asset] || e.Note.Kind == wire.KindRemoval && e.Note.Asset > 0 && e.Note.Index == 0
	}
	for _, e := range seen {
		logged := view.Event{Event: e, State: view.InView}
		switch {
		case e.Note.Kind == wire.KindRelease:
			logged.State = view.Done
		case ended[e.Asset]:
			logged.State = view.Ended
		}
		if e.Note.Kind != wire.KindDestroy && !v.world.omits(e.TxID) && counts(logged) {
			list = append(list, logged)
		}
	}
	return list
}

func last(list []view.Event) (e view.Event, found bool, err error) {
	if len(list) == 0 {
		return e, false, nil
	}
	return list[len(list)-1], true, nil
}

func (v *fakeView) EventOf(asset uint64) (view.Event, bool, error) {
	return last(v.logged(func(e view.Event) bool { return e.Asset == asset && e.Note.Kind != wire.KindRelease }))
}

// has reports whether something of a batch is at a restored node: its record comes half as late as its objects.
func (v *fakeView) has(e consortium.Event, object bool) bool {
	late := v.world.history.Contents
	if !object {
		late /= 2
	}
	return !v.world.isRestored() || e.Note.Kind != wire.KindBatch || v.world.followed() >= e.Round+late
}

func (v *fakeView) Event(txid string) (view.Event, bool, error) {
	e, found, err := last(v.logged(func(e view.Event) bool { return e.TxID == txid }))
	if e.State = view.Held; !v.has(e.Event, false) {
		e.State = view.Waiting
	}
	return e, found, err
}

func (v *fakeView) Objects(batch view.Event) (list []view.Event, err error) {
	for range v.world.publishedBy(batch.Event) {
		e := view.Event{State: view.InView}
		if !v.has(batch.Event, true) {
			e.State = view.Waiting
		}
		list = append(list, e)
	}
	return list, nil
}

func (v *fakeView) Log(after consortium.Position, limit int) ([]view.Event, error) {
	list := v.logged(func(e view.Event) bool { return after.Before(e.Position) })
	return list[:min(limit, len(list))], v.local()
}

func (v *fakeView) Leased(lease [32]byte) (view.Event, bool, error) {
	if err := v.local(); err != nil {
		return view.Event{}, false, err
	}
	return last(v.logged(func(e view.Event) bool {
		return e.Sender == v.org.Address() && string(e.Lease) == string(lease[:])
	}))
}

func (v *fakeView) Same(probe *view.Entry) (*view.Entry, error) {
	if err := v.local(); err != nil {
		return nil, err
	}
	withdrawn := map[place]bool{}
	for _, e := range v.world.visible(0, v.world.followed()) {
		for _, p := range v.world.endedBy(e) {
			withdrawn[p.at] = true
		}
	}
	others := v.world.fixture.founder.Address() // the only other member that publishes
	for _, e := range v.logged(func(e view.Event) bool { return e.State == view.InView && e.Sender != others && v.has(e.Event, true) }) {
		for _, p := range v.world.publishedBy(e.Event) {
			if p.identity != (identity{probe.Collection, probe.ID}) || withdrawn[p.at] {
				continue
			}
			position := e.Position
			position.Index = p.at.index
			return &view.Entry{Collection: probe.Collection, ID: probe.ID, Hash: p.hash, Asset: e.Asset, TxID: e.TxID, Directory: p.directory, Position: position}, nil
		}
	}
	return nil, nil
}

// fakeMembers are told of what is published.
type fakeMembers struct{ *process }

func (m *fakeMembers) Announce(context.Context, uint64, []unixfs.Directory) error { return m.point() }

func (m *fakeMembers) Hint(context.Context, uint64) error { return m.point() }
