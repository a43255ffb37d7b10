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
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

const (
	maxFlights  = 64  // groups that are signed and not confirmed: more than about a hundred make the network raise its fees
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
	condition   *condition
	log         *slog.Logger
	patience    time.Duration // until a group that algod has taken is looked after

	work signal // something was stored

	mu      sync.Mutex
	flights map[uint64]*flight
	landed  signal // a flight ended, or began
}

// flight is a group on its way.
type flight struct {
	repo.Group
	over chan struct{} // closed when the flight has ended

	mu    sync.Mutex
	taken time.Time // when algod took it; zero if it hasn't
}

func (f *flight) setTaken(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = at
}

func (f *flight) takenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// run mints until the context ends.
func (m *minter) run(ctx context.Context) error {
	submissions := make(chan *flight, maxFlights)
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
			select {
			case <-ctx.Done():
				return nil
			case f := <-submissions:
				m.submit(ctx, f)
			}
		}
	})
	return group.Wait()
}

// resume takes up the groups that were in flight when the node stopped.
func (m *minter) resume(submissions chan<- *flight) error {
	groups, err := m.outbox.Groups(0, maxFlights)
	if err != nil {
		return err
	}
	for _, g := range groups {
		submissions <- m.begin(g)
	}
	return nil
}

func (m *minter) begin(g repo.Group) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights == nil {
		m.flights = map[uint64]*flight{}
	}
	f := &flight{Group: g, over: make(chan struct{})}
	m.flights[g.Number] = f
	m.landed.notify()
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
func (m *minter) sign(ctx context.Context, submissions chan<- *flight) error {
	if err := m.awaitRecovery(ctx); err != nil {
		return err
	}
	pause := time.Duration(0)
	for {
		stored, landed, changed := m.work.changed(), m.landed.changed(), m.fold.changed.changed()
		items, err := m.outbox.Queue(repo.Stored, 0, signBatch)
		if err != nil {
			return err
		}
		if items, err = m.beforeRotation(items); err != nil {
			return err
		}
		room := (maxFlights - len(m.inFlight())) * ledger.MaxGroup
		if items = items[:min(len(items), room)]; len(items) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-stored:
			case <-landed:
			case <-changed:
			}
			continue
		}
		if !m.fold.mayWrite() {
			if m.fold.begun() { // at the start nobody is a member yet, as far as we know
				m.condition.set("membership", "this organisation is not a member of the consortium")
			}
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			}
			continue
		}
		m.disk.await(ctx)
		groups, problem, err := m.signItems(ctx, items)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case problem == nil:
			m.condition.clear()
			pause = 0
			for _, g := range groups {
				select {
				case submissions <- m.begin(g):
				case <-ctx.Done(): // they are in the outbox
					return nil
				}
			}
			continue
		}
		m.condition.set(problem.Problem, problem.Detail)
		pause = min(max(2*pause, 250*time.Millisecond), slowestPace)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// signItems signs a batch of items and announces them. A problem is one that time or money solves.
func (m *minter) signItems(ctx context.Context, items []repo.Item) (groups []repo.Group, problem *Condition, err error) {
	params, err := m.ledger.Params(ctx)
	if err != nil {
		return nil, &Condition{Problem: "algod", Detail: err.Error()}, nil
	}
	if string(params.GenesisHash[:]) != string(m.genesisHash) {
		return nil, &Condition{Problem: "network", Detail: fmt.Sprintf("algod is of the network %s, the consortium lives on %s", params.GenesisID, m.genesisID)}, nil
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
	// Destroys go apart: one that the network refuses must not hold up what is published beside it.
	items = slices.Concat(without(items, isDestroy), without(items, isMint))
	for chunk := range chunks(items) {
		signed, err := m.signGroup(params, chunk)
		var congested *ledger.CongestedError
		if errors.As(err, &congested) {
			return nil, &Condition{Problem: "congestion", Detail: err.Error()}, nil
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

func isDestroy(item repo.Item) bool { return item.Note.Kind == wire.KindDestroy }
func isMint(item repo.Item) bool    { return !isDestroy(item) }

func without(items []repo.Item, drop func(repo.Item) bool) []repo.Item {
	return slices.DeleteFunc(slices.Clone(items), drop)
}

// chunks cuts items into groups of one sort each.
func chunks(items []repo.Item) iter.Seq[[]repo.Item] {
	return func(yield func([]repo.Item) bool) {
		for len(items) > 0 {
			n := 1
			for n < min(len(items), ledger.MaxGroup) && isMint(items[n]) == isMint(items[0]) {
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
func (m *minter) affordable(ctx context.Context, params ledger.Params, items []repo.Item) ([]repo.Item, *Condition, error) {
	funds, err := m.ledger.Funds(ctx)
	if err != nil {
		return nil, &Condition{Problem: "algod", Detail: err.Error()}, nil
	}
	reserved := 0
	for _, f := range m.inFlight() {
		reserved += len(f.Items)
	}
	free, one := funds.Free(), ledger.Cost(1, params.MinFee)
	free -= min(free, uint64(reserved)*one)
	affordable := items[:0:0]
	for _, item := range items {
		cost := one
		if isDestroy(item) {
			cost = params.MinFee
		}
		if cost <= free {
			free -= cost
			affordable = append(affordable, item)
		}
	}
	if items = affordable; len(items) == 0 {
		return nil, &Condition{Problem: "funds", Detail: fmt.Sprintf(
			"account %s has %s ALGO to spend, an object costs %s; send it ALGO and publishing goes on by itself",
			m.ledger.Address(), algo(funds.Free()), algo(one))}, nil
	}
	return items, nil, nil
}

// algo writes an amount of microalgo in ALGO.
func algo(micro uint64) string { return fmt.Sprintf("%d.%06d", micro/1e6, micro%1e6) }

// unpublished takes out what the chain has already, and records it: because a transaction was confirmed whose journal
// was lost, or because another member published the same while this waited.
func (m *minter) unpublished(items []repo.Item) ([]repo.Item, error) {
	rest := items[:0:0]
	for _, item := range items {
		done, by, failure, err := m.done(&item)
		if err != nil {
			return nil, err
		}
		if !done {
			rest = append(rest, item)
			continue
		}
		if err := m.outbox.Resolve(item, by, failure); err != nil {
			return nil, err
		}
		m.confirmed.notify()
	}
	return rest, nil
}

// done reports whether the chain has what an item is to bring about, by which transaction if that is known, and why it
// is not what the item wanted if it isn't.
func (m *minter) done(item *repo.Item) (done bool, by repo.Confirmation, failure string, err error) {
	if item.Destroys != 0 {
		e, found, err := m.view.EventOf(item.Destroys)
		if err != nil || found && e.State == repo.Ended {
			return err == nil, by, "", err
		}
	}
	if item.Note.Kind == wire.KindObject {
		entry, err := m.published(*item)
		if err != nil {
			return false, by, "", err
		}
		if entry != nil {
			if string(entry.Hash) != string(item.Hash) {
				failure = conflict
			}
			return true, repo.Confirmation{TxID: entry.TxID, Round: entry.Position.Round, Asset: entry.Asset, Directory: entry.Directory}, failure, nil
		}
	}
	e, err := m.signedBefore(item)
	if err != nil || e == nil {
		return false, by, "", err
	}
	return true, repo.Confirmation{TxID: e.TxID, Round: e.Round, Asset: e.Asset, Directory: e.Directory}, "", nil
}

// signedBefore finds the transaction with an item's lease that is on the chain already: this node, or the one that it
// was restored from, signed it. If what it made was withdrawn since, the item is the next publication of its key.
func (m *minter) signedBefore(item *repo.Item) (*repo.LoggedEvent, error) {
	for {
		e, found, err := m.view.Leased(m.lease(*item))
		if err != nil || !found {
			return nil, err
		}
		if e.State != repo.Ended {
			return &e, nil
		}
		item.Publication++
	}
}

// upToDate takes out the objects that were sealed to a key epoch that is over, and has them sealed anew: to mint them
// as they are would show them to a reader who was removed meanwhile. Those of a collection that isn't known (after the
// view was deleted, say) stay where they are.
func (m *minter) upToDate(ctx context.Context, items []repo.Item) (rest []repo.Item, problem *Condition, err error) {
	reopened := false
	collections := map[string]consortium.Collection{} // as they are now, for the whole batch
	for _, c := range m.fold.collections() {
		collections[c.ID] = c
	}
	for _, item := range items {
		if item.Note.Kind != wire.KindObject {
			rest = append(rest, item)
			continue
		}
		c, found := collections[item.Collection]
		if found && c.Pending {
			problem = &Condition{Problem: "permission", Detail: "a record of collection " + item.Collection + " has not arrived"}
			continue
		}
		if found && c.Epoch == item.Epoch && c.MayPublish(m.fold.self) {
			rest = append(rest, item)
			continue
		}
		var keys map[uint32]*seal.EpochKey
		m.fold.read(func(s *consortium.State) { keys = s.Keys(item.Collection) })
		if keys[item.Epoch] == nil {
			problem = &Condition{Problem: "permission", Detail: "the records of collection " + item.Collection + " have not arrived"}
			continue
		}
		if err := m.reopen(ctx, item, keys[item.Epoch]); err != nil {
			return nil, nil, fmt.Errorf("taking object %s back to be sealed anew: %w", item.ObjectID, err)
		}
		reopened = true
		m.log.Info("an object is sealed anew: its collection has changed", "object", item.ObjectID, "collection", item.Collection, "epoch", item.Epoch)
	}
	if reopened {
		m.reopened()
	}
	return rest, problem, nil
}

func (m *minter) reopen(ctx context.Context, item repo.Item, key *seal.EpochKey) error {
	directory, err := m.fresh.take(ctx, item.Directory)
	if err != nil {
		return err
	}
	files, err := directory.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name != wire.ObjectName {
			continue
		}
		sealed, err := wire.ParseSealedObject(f.Data)
		if err != nil {
			return err
		}
		plaintext, err := key.Open(sealed)
		if err != nil {
			return err
		}
		if err := m.outbox.Reopen(item, plaintext); err != nil {
			return err
		}
		return m.fresh.blocks.Forget(ctx, []cid.Cid{directory.Root()})
	}
	return errors.New("its directory has no " + wire.ObjectName)
}

func (m *minter) published(item repo.Item) (*repo.Entry, error) {
	probe := &repo.Entry{Collection: item.Collection, ID: item.ObjectID, Version: item.Version, Hash: item.Hash, Unversioned: item.Version == ""}
	if !probe.Unversioned {
		instant, err := stix.ParseTimestamp(item.Version)
		if err != nil {
			return nil, err
		}
		probe.Instant = instant
	}
	return m.view.Same(probe)
}

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

// submit sends a group until algod has taken it, or its flight is over.
func (m *minter) submit(ctx context.Context, f *flight) {
	pause := 100 * time.Millisecond
	for {
		err := m.ledger.Submit(ctx, f.Raw)
		if err == nil {
			f.setTaken(time.Now())
			return
		}
		if ctx.Err() != nil {
			return
		}
		problem := "algod"
		var refused *ledger.RefusedError
		if errors.As(err, &refused) {
			switch refused.Reason {
			case ledger.Expired, ledger.LeaseHeld:
				// What has become of it is found out by lookAfter, from the round after its last.
				m.log.Info("algod refuses a group", "group", f.Number, "reason", refused.Message)
				return
			case ledger.NoFunds:
				problem = "funds"
			case ledger.Congested:
				problem = "congestion"
			default:
				// It may be only this one: the others go on, and lookAfter tries it again.
				m.condition.set("refused", err.Error())
				f.setTaken(time.Now())
				return
			}
		}
		m.condition.set(problem, err.Error())
		var throttled *algorand.Throttled
		if errors.As(err, &throttled) {
			pause = max(pause, throttled.After)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.over:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, slowestPace)
	}
}

// follow reads every block while groups are in flight: one request a round finds all confirmations.
func (m *minter) follow(ctx context.Context) error {
	round, pause := uint64(0), time.Duration(0)
	for ctx.Err() == nil {
		changed := m.landed.changed()
		flights := m.inFlight()
		if len(flights) == 0 {
			round = 0
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		if round == 0 {
			round = flights[0].FirstValid - 1
		}
		reached, err := m.scan(ctx, round)
		round = reached
		if err == nil {
			pause = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		var own *outboxError
		if errors.As(err, &own) {
			return err
		}
		m.condition.set("algod", err.Error())
		pause = min(max(2*pause, 100*time.Millisecond), slowestPace)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// outboxError is a failure of our own store, in a place where most failures are algod's.
type outboxError struct{ error }

func (e *outboxError) Unwrap() error { return e.error }

// scan waits for a round after the given one and reads the blocks up to it. It returns the last that was read.
func (m *minter) scan(ctx context.Context, round uint64) (uint64, error) {
	tip, err := m.ledger.WaitAfter(ctx, round)
	if err != nil {
		return round, err
	}
	if tip > round+scanAtMost {
		return tip, nil // after a long pause: lookAfter asks for the transactions one by one
	}
	for round < tip {
		minted, err := m.ledger.Minted(ctx, round+1)
		if errors.Is(err, ledger.ErrNoBlock) {
			return tip, nil
		}
		if err != nil {
			return round, err
		}
		round++
		if err := m.confirm(ctx, minted); err != nil {
			return round, &outboxError{err}
		}
	}
	return round, nil
}

// confirm records that transactions of ours are on the chain. It may be told twice, by algod and by the indexer.
func (m *minter) confirm(ctx context.Context, minted []ledger.Minted) error {
	confirmations := make([]repo.Confirmation, len(minted))
	for i, one := range minted {
		confirmations[i] = repo.Confirmation{TxID: one.TxID, Round: one.Round, Asset: one.Asset}
	}
	items, err := m.outbox.Confirm(confirmations)
	if err != nil || len(items) == 0 {
		return err
	}
	m.condition.clear()
	round := uint64(0)
	groups := map[uint64]bool{}
	for _, item := range items {
		groups[item.Group] = true
		round = max(round, item.Round)
	}
	for group := range groups {
		if waiting, err := m.outbox.HasGroup(group); err != nil {
			return err
		} else if !waiting {
			m.end(group)
		}
	}
	m.log.Debug("transactions are confirmed", "transactions", len(items), "round", round)
	m.confirmed.notify()
	m.hint(round)
	if err := m.announcer.Hint(ctx, round); err != nil && ctx.Err() == nil {
		m.log.Debug("members were not told of a round", "round", round, "error", err)
	}
	return nil
}

// lookAfter finds out what has become of groups that are not confirmed in time: sends them again, or gives them up
// when it is proved that they can never be confirmed.
func (m *minter) lookAfter(ctx context.Context, submissions chan<- *flight) error {
	ticker := time.NewTicker(m.patience / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		flights := m.inFlight()
		if len(flights) == 0 {
			continue
		}
		round, err := m.ledger.Round(ctx)
		if err != nil {
			continue // submit and follow have said so
		}
		for _, f := range flights {
			taken := f.takenAt()
			overdue := !taken.IsZero() && time.Since(taken) > m.patience
			if !overdue && round <= f.LastValid {
				continue
			}
			if err := m.settle(ctx, f, submissions); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				var own *outboxError
				if errors.As(err, &own) {
					return err
				}
				m.log.Warn("it is not known yet what has become of a group", "group", f.Number, "error", err)
			}
		}
	}
}

// settle decides about one overdue group.
func (m *minter) settle(ctx context.Context, f *flight, submissions chan<- *flight) error {
	fate, _, err := m.ledger.Fate(ctx, f.TxIDs[0], f.FirstValid, f.LastValid)
	if err != nil {
		return err
	}
	switch fate {
	case ledger.Pending:
		f.setTaken(time.Now())
		return nil
	case ledger.Impossible:
		return m.giveUp(f)
	case ledger.Confirmed:
		return m.confirmOneByOne(ctx, f)
	}
	found, err := m.finder.Find(ctx, f.TxIDs[0])
	if err != nil {
		return err
	}
	switch {
	case found.Found:
		return m.confirmFound(ctx, f)
	case found.Round > f.LastValid:
		return m.giveUp(f)
	}
	round, err := m.ledger.Round(ctx)
	if err != nil || round > f.LastValid {
		return err // the indexer will tell when it has reached that round
	}
	// Neither knows it, and it can still be confirmed: it was dropped. Sending it again is harmless.
	f.setTaken(time.Time{})
	select {
	case submissions <- f:
	default: // all submitters are busy: the next time
		f.setTaken(time.Now())
	}
	return nil
}

func (m *minter) giveUp(f *flight) error {
	m.log.Info("a group was never confirmed and is signed anew", "group", f.Number, "last_valid", f.LastValid)
	if err := m.outbox.Expire(f.Group); err != nil {
		return &outboxError{err}
	}
	m.end(f.Number)
	m.work.notify()
	return nil
}

func (m *minter) confirmOneByOne(ctx context.Context, f *flight) error {
	var minted []ledger.Minted
	for _, txid := range f.TxIDs {
		fate, one, err := m.ledger.Fate(ctx, txid, f.FirstValid, f.LastValid)
		if err != nil {
			return err
		}
		if fate != ledger.Confirmed {
			return fmt.Errorf("transaction %s of a confirmed group is not confirmed", txid)
		}
		minted = append(minted, one)
	}
	if err := m.confirm(ctx, minted); err != nil {
		return &outboxError{err}
	}
	return nil
}

func (m *minter) confirmFound(ctx context.Context, f *flight) error {
	var minted []ledger.Minted
	for _, txid := range f.TxIDs {
		found, err := m.finder.Find(ctx, txid)
		if err != nil {
			return err
		}
		if !found.Found {
			return fmt.Errorf("the indexer does not have transaction %s of a confirmed group", txid)
		}
		minted = append(minted, ledger.Minted{TxID: txid, Round: found.Event.Round, Asset: found.Event.Asset})
	}
	if err := m.confirm(ctx, minted); err != nil {
		return &outboxError{err}
	}
	return nil
}
