package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

const (
	maxFlights  = 80  // groups that are signed and not confirmed: more than about a hundred make the network raise its fees
	signBatch   = 256 // items that are signed at once: the outbox is synced once for all of them
	scanAtMost  = 400 // blocks that are read one by one to find confirmations; beyond, transactions are asked for
	slowestPace = 5 * time.Second
)

// announcer tells the other members.
type announcer interface {
	Announce(ctx context.Context, directories []p2p.Directory) error
	Hint(ctx context.Context, round uint64) error
}

// finder looks a transaction up in the indexer.
type finder interface {
	Find(ctx context.Context, txid string) (chainwatch.Finding, error)
	// Trace is Find for one that is not expected to be there: what it doesn't find is absent up to the round it tells.
	Trace(ctx context.Context, txid, sender string, first, last uint64) (chainwatch.Finding, error)
}

// minter is the last stretch of the publish pipeline: it signs what was stored, announces it, submits it and sees it
// confirmed. Between the steps everything is in the outbox: after a crash each of them is simply done again.
//
// A group is in flight from its signing to its confirmation, or until it is proved that it can't be confirmed any more.
type minter struct {
	outbox      *repo.Outbox
	view        *repo.View
	fold        *fold
	fresh       *freshDirectories
	ledger      *ledger.Ledger
	genesisHash []byte // of the network that the consortium lives on
	genesisID   string
	consortium  uint64
	leaseKey    []byte
	announcer   announcer
	finder      finder
	hint        func(round uint64) // tells our own watcher
	reopened    func()             // tells the sealer that there is work
	confirmed   *signal            // something was
	disk        *diskGuard
	sole        *sole
	condition   *monitor
	log         *slog.Logger
	timeout     time.Duration // until a group that algod has taken is looked after
	refusals    atomic.Int32  // in a row, of one request too many

	work signal // something was stored

	mu      sync.Mutex
	flights map[uint64]*flight
	landed  signal // a flight ended, or began
}

// flight is a group on its way.
type flight struct {
	repo.Group
	over  chan struct{} // closed when the flight has ended
	bulk  bool          // some of it is
	users []string      // who it is for

	mu      sync.Mutex
	taken   time.Time // when algod took it; zero if it hasn't
	refused bool      // algod refused it, and the log says so
}

func (f *flight) setTaken(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = at
}

// firstRefusal reports whether this is the first time that algod refuses the group.
func (f *flight) firstRefusal() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.refused
	f.refused = true
	return !was
}

func (f *flight) takenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// run mints until the context ends.
func (m *minter) run(ctx context.Context) error {
	submissions := newSubmissions()
	if err := m.resume(submissions); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.sign(ctx, submissions) })
	group.Go(func() error { return m.follow(ctx) })
	group.Go(func() error { return m.lookAfter(ctx, submissions) })
	// One after the other: so what is referred to comes before what refers to it on the chain, too.
	group.Go(func() error {
		for {
			f := submissions.next(ctx)
			if f == nil {
				return nil
			}
			if err := m.submit(ctx, m.now(f)); err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

// submissions are groups that are to be submitted, those first that are not bulk. A group is wholly one or the other, and
// the bulk of a request is what comes after the rest of it, so that its order stays.
type submissions struct{ first, bulk chan *flight }

func newSubmissions() submissions {
	return submissions{make(chan *flight, maxFlights), make(chan *flight, maxFlights)}
}

// of is where a group belongs.
func (s submissions) of(f *flight) chan<- *flight {
	if f.bulk {
		return s.bulk
	}
	return s.first
}

// next waits for the next group; nil when the context ends.
func (s submissions) next(ctx context.Context) *flight {
	select {
	case f := <-s.first:
		return f
	default:
	}
	select {
	case <-ctx.Done():
		return nil
	case f := <-s.first:
		return f
	case f := <-s.bulk:
		return f
	}
}

// resume takes up the groups that were in flight when the node stopped.
func (m *minter) resume(submissions submissions) error {
	groups, err := m.outbox.Groups(0, maxFlights)
	if err != nil {
		return err
	}
	for _, g := range groups {
		items := map[uint64]repo.Item{}
		for _, number := range g.Items {
			if items[number], _, err = m.outbox.Item(number); err != nil {
				return err
			}
		}
		f := m.begin(g, items)
		submissions.of(f) <- f
	}
	return nil
}

// begin begins the flight of a group, whose items are among the given ones.
func (m *minter) begin(g repo.Group, items map[uint64]repo.Item) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights == nil {
		m.flights = map[uint64]*flight{}
	}
	f := &flight{Group: g, over: make(chan struct{})}
	for _, number := range g.Items {
		item := items[number]
		f.bulk = f.bulk || item.Bulk
		if item.User != "" && !slices.Contains(f.users, item.User) {
			f.users = append(f.users, item.User)
		}
	}
	m.flights[g.Number] = f
	m.landed.notify()
	return f
}

// replace puts a flight of a group's latest signing in the place of the one before.
func (m *minter) replace(g repo.Group) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.flights[g.Number]
	f := &flight{Group: g, over: make(chan struct{})}
	if old != nil {
		f.over = old.over // whoever waits for the group's end waits on
		f.bulk, f.users = old.bulk, old.users
	}
	m.flights[g.Number] = f
	return f
}

// isInFlight reports whether a group is on its way.
func (m *minter) isInFlight(number uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flights[number] != nil
}

// now is a flight as its group was signed last.
func (m *minter) now(f *flight) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if latest := m.flights[f.Number]; latest != nil {
		return latest
	}
	return f
}

// end ends a flight. It may be called more than once.
func (m *minter) end(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flights[number]
	if f == nil {
		return
	}
	delete(m.flights, number)
	close(f.over)
	m.landed.notify()
}

// endIfDone ends a flight whose group isn't waiting any more.
func (m *minter) endIfDone(number uint64) error {
	waiting, err := m.outbox.HasGroup(number)
	if err != nil {
		return &outboxError{err}
	}
	if !waiting {
		m.end(number)
	}
	return nil
}

// inFlight lists the flights, the oldest first.
func (m *minter) inFlight() []*flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*flight, 0, len(m.flights))
	for _, f := range m.flights {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *flight) int { return int(a.Number) - int(b.Number) })
	return list
}

// sign turns what is stored into flights, as many as may be on their way at a time.
func (m *minter) sign(ctx context.Context, submissions submissions) error {
	queue := m.outbox.Reader(repo.Stored)
	pause := time.Duration(0)
	for {
		stored, landed, changed, sole := m.work.changed(), m.landed.changed(), m.fold.changed.changed(), m.sole.changed.changed()
		progress, problem, err := m.signNext(ctx, queue, submissions)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case progress:
			m.condition.clear()
			m.refusals.Store(0)
			pause = 0
			continue
		case problem == nil: // nothing is there that may be signed
			select {
			case <-ctx.Done():
			case <-stored:
			case <-landed:
			case <-changed:
			case <-sole:
			}
			continue
		case problem.Problem == notMember:
			m.condition.set(problem.Problem, problem.Detail)
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		pause = min(max(2*pause, 250*time.Millisecond), slowestPace)
		least := pause
		if problem.err != nil {
			m.algodFailed(problem.err)
			least = algorand.Pause(problem.err, pause)
		} else {
			m.condition.set(problem.Problem, problem.Detail)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(least):
		}
	}
}

// notMember is the problem that only the chain can solve.
const notMember = "membership"

// lookAhead is how many batches are looked at for what may be signed, while what is before it has to wait.
const lookAhead = 16

// signNext signs what comes next and may be signed, once it is certain that nothing else is. Where that has to wait for
// something that others don't wait for, as a collection's record, it is passed over. A problem is one that time or money
// solves.
func (m *minter) signNext(ctx context.Context, queue *repo.QueueReader, submissions submissions) (progress bool, problem *obstacle, err error) {
	if !m.sole.disputed() {
		if err := m.awaitRecovery(ctx); err != nil || ctx.Err() != nil {
			return false, nil, err
		}
	}
	if m.sole.disputed() {
		items, err := m.otherKeys()
		if err != nil || len(items) == 0 {
			return false, nil, err
		}
		return m.signTheseNow(ctx, items, submissions)
	}
	queue.Restart()
	for range lookAhead {
		allowed := m.allowance()
		if allowed.groups <= 0 {
			return false, problem, nil
		}
		batch, err := queue.Next(signBatch)
		if err == nil {
			batch, err = m.beforeRotation(batch)
		}
		if err != nil || len(batch) == 0 {
			return false, problem, err
		}
		items := withoutTail(allowed.choose(batch))
		if len(items) == 0 {
			continue
		}
		progress, itsProblem, err := m.signTheseNow(ctx, items, submissions)
		if err != nil || progress || itsProblem == nil || !itsProblem.isOfItems() {
			return progress, itsProblem, err
		}
		problem = itsProblem
	}
	return false, problem, nil
}

// signTheseNow signs items, as far as nothing is in their way, and begins their flights.
func (m *minter) signTheseNow(ctx context.Context, items []repo.Item, submissions submissions) (progress bool, problem *obstacle, err error) {
	if !m.fold.mayWrite() {
		if !m.fold.begun() { // at the start nobody is a member yet, as far as we know
			return false, nil, nil
		}
		return false, &obstacle{Problem: notMember, Detail: "this organisation is not a member of the consortium"}, nil
	}
	m.disk.await(ctx)
	groups, problem, err := m.signItems(ctx, items)
	if err != nil || problem != nil || ctx.Err() != nil {
		return false, problem, err
	}
	return true, nil, m.depart(ctx, groups, items, submissions)
}

// depart begins the flights of groups.
func (m *minter) depart(ctx context.Context, groups []repo.Group, items []repo.Item, submissions submissions) error {
	byNumber := make(map[uint64]repo.Item, len(items))
	for _, item := range items {
		byNumber[item.Number] = item
	}
	for _, g := range groups {
		f := m.begin(g, byNumber)
		select {
		case submissions.of(f) <- f:
		case <-ctx.Done(): // they are in the outbox
			return nil
		}
	}
	return nil
}

// withoutTail leaves out the bulk that comes after everything else in a batch: who posts a little need not wait until all
// of the batch is done. What is bulk only stays as it is.
func withoutTail(items []repo.Item) []repo.Item {
	for n := len(items); n > 0; n-- {
		if !items[n-1].Bulk {
			return items[:n]
		}
	}
	return items
}

// Of the groups in flight, some are kept free for what is not bulk, and some of those for other users than the one who
// has most: who comes while all of somebody's many are on their way is in the next round all the same.
const (
	bulkFlights = 64
	userFlights = 72
)

// allowance is how many groups may begin their flight now.
type allowance struct {
	groups, bulk int
	users        map[string]int // that fly already
}

func (m *minter) allowance() allowance {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := allowance{groups: maxFlights - len(m.flights), bulk: bulkFlights, users: map[string]int{}}
	for _, f := range m.flights {
		if f.bulk {
			a.bulk--
		}
		for _, user := range f.users {
			a.users[user]++
		}
	}
	return a
}

// choose leaves those of the items that may be signed, in their order.
func (a allowance) choose(items []repo.Item) (chosen []repo.Item) {
	bulk, users := 0, map[string]int{}
	for _, item := range items {
		switch {
		case len(chosen) == a.groups*ledger.MaxGroup:
			return chosen
		case item.Bulk && bulk >= a.bulk*ledger.MaxGroup:
		case item.User != "" && users[item.User] >= (userFlights-a.users[item.User])*ledger.MaxGroup:
		default:
			chosen = append(chosen, item)
			users[item.User]++
			if item.Bulk {
				bulk++
			}
		}
	}
	return chosen
}

// signItems signs a batch of items and announces them. A problem is one that time or money solves.
func (m *minter) signItems(ctx context.Context, items []repo.Item) (groups []repo.Group, problem *obstacle, err error) {
	params, err := m.ledger.Params(ctx)
	if err != nil {
		return nil, algodProblem(err), nil
	}
	if string(params.GenesisHash[:]) != string(m.genesisHash) {
		return nil, &obstacle{Problem: "network", Detail: fmt.Sprintf("algod is of the network %s, the consortium lives on %s", params.GenesisID, m.genesisID)}, nil
	}
	items, problem, err = m.affordable(ctx, params, items)
	if err != nil || problem != nil {
		return nil, problem, err
	}
	if items, err = m.unpublished(items); err != nil {
		return nil, nil, err
	}
	if items, problem, err = m.upToDate(ctx, items); err != nil || len(items) == 0 {
		return nil, problem, err
	}
	// A node whose outbox was lost goes on where the chain shows that it had been.
	highest, _ := m.fold.sequence(m.fold.self)
	if err := m.outbox.SkipSequence(highest); err != nil {
		return nil, nil, err
	}
	if items, err = m.outbox.Number(items); err != nil {
		return nil, nil, err
	}
	// Destroys go apart: one that the network refuses must not hold up what is published beside it. So does bulk.
	mints := without(items, isDestroy)
	items = slices.Concat(without(mints, isBulk), without(mints, isNoBulk), without(items, isMint))
	for chunk := range chunks(items) {
		signed, err := m.signGroup(params, chunk)
		var congested *ledger.CongestedError
		if errors.As(err, &congested) {
			return nil, &obstacle{Problem: "congestion", Detail: err.Error()}, nil
		}
		if err != nil {
			return nil, nil, err
		}
		groups = append(groups, repo.Group{TxIDs: signed.TxIDs, Raw: signed.Raw, FirstValid: signed.FirstValid, LastValid: signed.LastValid})
	}
	if groups, err = m.outbox.AddGroups(groups, items); err != nil {
		return nil, nil, err
	}
	m.announce(ctx, items)
	return groups, nil, nil
}

// obstacle is what keeps a batch from being signed for now.
type obstacle struct {
	Problem, Detail string
	err             error // if algod could not be asked
}

// isOfItems reports whether others than the items that have the problem can be signed.
func (o *obstacle) isOfItems() bool { return o.Problem == "permission" || o.Problem == "rekeying" }

func algodProblem(err error) *obstacle {
	return &obstacle{Problem: "algod", Detail: err.Error(), err: err}
}

func isDestroy(item repo.Item) bool { return item.Note.Kind == wire.KindDestroy }
func isMint(item repo.Item) bool    { return !isDestroy(item) }
func isBulk(item repo.Item) bool    { return item.Bulk }
func isNoBulk(item repo.Item) bool  { return !item.Bulk }

func without(items []repo.Item, drop func(repo.Item) bool) []repo.Item {
	return slices.DeleteFunc(slices.Clone(items), drop)
}

// chunks cuts items into groups of one sort each.
func chunks(items []repo.Item) iter.Seq[[]repo.Item] {
	return func(yield func([]repo.Item) bool) {
		for len(items) > 0 {
			n := 1
			for n < min(len(items), ledger.MaxGroup) && isMint(items[n]) == isMint(items[0]) && items[n].Bulk == items[0].Bulk {
				n++
			}
			if !yield(items[:n]) {
				return
			}
			items = items[n:]
		}
	}
}

func (m *minter) signGroup(params ledger.Params, items []repo.Item) (ledger.Group, error) {
	mints := make([]ledger.Mint, len(items))
	for i, item := range items {
		note, err := item.Note.Encode(m.consortium)
		if err != nil {
			return ledger.Group{}, err
		}
		if isDestroy(item) {
			mints[i] = ledger.Mint{Destroys: item.Destroys, Note: note, Lease: m.lease(item)}
			continue
		}
		directory, err := cid.Decode(item.Directory)
		if err != nil {
			return ledger.Group{}, fmt.Errorf("directory of item %d: %w", item.Number, err)
		}
		mints[i] = ledger.Mint{URL: wire.URL(directory), MetadataHash: [32]byte(item.MetadataHash), Note: note, Lease: m.lease(item)}
	}
	return m.ledger.Sign(params, mints)
}

// lease is the same whenever the same is published: as long as one transaction can be confirmed, or was confirmed a
// while ago, the network refuses another. It is keyed, since the hash of what can be guessed tells what it is.
func (m *minter) lease(item repo.Item) (lease [32]byte) {
	mac := hmac.New(sha256.New, m.leaseKey)
	mac.Write(binary.BigEndian.AppendUint32(nil, item.Publication))
	mac.Write(item.Key)
	mac.Sum(lease[:0])
	return lease
}

// affordable cuts a batch down to what the account can pay for beside what is in flight.
func (m *minter) affordable(ctx context.Context, params ledger.Params, items []repo.Item) ([]repo.Item, *obstacle, error) {
	funds, err := m.ledger.Funds(ctx)
	if err != nil {
		return nil, algodProblem(err), nil
	}
	reserved := 0
	for _, f := range m.inFlight() {
		reserved += len(f.Items)
	}
	free, one := funds.Free(), ledger.Cost(1, params.MinFee)
	free -= min(free, uint64(reserved)*one)
	// Objects leave what it takes to give each collection another key: a member can be removed when all is spent.
	kept := uint64(m.fold.toRekey()) * one
	affordable := items[:0:0]
	for _, item := range items {
		cost, leaves := one, uint64(0)
		switch {
		case isDestroy(item):
			cost = params.MinFee
		case item.Note.Kind == wire.KindObject:
			leaves = kept
		}
		if cost+leaves <= free {
			free -= cost
			affordable = append(affordable, item)
		}
	}
	if items = affordable; len(items) == 0 {
		detail := fmt.Sprintf("account %s has %s ALGO to spend, an object costs %s", m.ledger.Address(), algo(funds.Free()), algo(one))
		if kept > 0 {
			detail += fmt.Sprintf(" and leaves %s for other keys of this organisation's collections", algo(kept))
		}
		return nil, &obstacle{Problem: "funds", Detail: detail + "; send it ALGO and publishing goes on by itself"}, nil
	}
	return items, nil, nil
}

// algo writes an amount of microalgo in ALGO.
func algo(micro uint64) string { return fmt.Sprintf("%d.%06d", micro/1e6, micro%1e6) }

// announce tells the other members, so that they have the objects before the chain tells them that they count. It is
// a courtesy: who misses it fetches.
func (m *minter) announce(ctx context.Context, items []repo.Item) {
	directories := make([]p2p.Directory, 0, len(items))
	for _, item := range without(items, isDestroy) {
		directory, err := m.fresh.take(ctx, item.Directory)
		if err != nil {
			m.log.Warn("an object can't be announced", "item", item.Number, "error", err)
			continue
		}
		directories = append(directories, directory)
	}
	if len(directories) == 0 {
		return
	}
	if err := m.announcer.Announce(ctx, directories); err != nil && ctx.Err() == nil {
		m.log.Warn("objects can't be announced; members will fetch them", "objects", len(directories), "error", err)
	}
}
