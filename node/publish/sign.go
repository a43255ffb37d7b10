// Package publish brings what is in the outbox onto IPFS and onto the chain, exactly once. Between the steps everything
// is in the outbox: after a crash each of them is simply done again. In the order of the pipeline:
//
//	seal.go     what was accepted is sealed and stored; batch.go: many at once; record.go: so are records, which need
//	            no sealing
//	sign.go     what is stored is signed, in groups, as far as ALGO, flights and the order allow
//	once.go     … unless the chain has it already, or it must not be published any more (recheck.go); what was stored
//	            for an account before becomes the present one's (renew.go)
//	submit.go   what is signed is submitted
//	confirm.go  what was submitted is seen confirmed, or proved never to be; announce.go: the other members are told
//
// Beside them: chain.go (what is needed of the chain), flight.go (what is on its way), rotation.go (a change of our own
// keys).
package publish

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
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/sole"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
)

const (
	maxFlights = 80  // groups that are signed and not confirmed: more than about a hundred make the network raise its fees
	signBatch  = 256 // items that are signed at once: the outbox is synced once for all of them

	slowestPace = 5 * time.Second
)

// algodBackoff is for algod, and for what time or money solves.
var algodBackoff = retry.Backoff{First: 200 * time.Millisecond, Most: slowestPace}

// Config is what a [Minter] works with.
type Config struct {
	Outbox      *Outbox
	View        View
	State       *state.Shared
	Fresh       *Fresh
	Ledger      Ledger
	GenesisHash []byte // of the network that the consortium lives on
	GenesisID   string
	Consortium  uint64
	LeaseKey    []byte
	Announcer   Announcer
	Finder      Finder
	Hint        func(round uint64) // tells our own watcher
	Disk        *problem.Disk
	Sole        *sole.Sole
	Terms       *money.Terms // nil: nothing is kept but for other keys
	Condition   *problem.Monitor
	Log         *slog.Logger
	Timeout     time.Duration // until a group that algod has taken is looked after
}

// Minter is the last stretch of the publish pipeline: it signs what was stored, submits it, sees it confirmed
// and announces it. Between the steps everything is in the outbox: after a crash each of them is simply done again.
type Minter struct {
	Config
	flights  *flights
	refusals atomic.Int32 // in a row, of one request too many
	holdsUp  atomic.Bool  // what is to be signed waits for something else than algod
}

// NewMinter makes one, which works while [Minter.Run] runs.
func NewMinter(c Config) *Minter { return &Minter{Config: c, flights: newFlights()} }

// Run mints until the context ends.
func (m *Minter) Run(ctx context.Context) error {
	if err := m.resume(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.sign(ctx) })
	group.Go(func() error { return m.follow(ctx) })
	group.Go(func() error { return m.lookAfter(ctx) })
	// One after the other: so what is referred to comes before what refers to it on the chain, too.
	group.Go(func() error {
		for {
			f := m.flights.next(ctx)
			if f == nil {
				return nil
			}
			if err := m.submit(ctx, m.flights.now(f)); err != nil {
				return err
			}
		}
	})
	return group.Wait()
}

// sign turns what is stored into flights, as many as may be on their way at a time. It looks at the queue from its
// beginning whenever something changes that may let one of its items go.
func (m *Minter) sign(ctx context.Context) error {
	queue := m.Outbox.Reader(outbox.Stored)
	err := signal.Until(ctx, func() (bool, error) { return false, m.signAll(ctx, queue) },
		&m.Outbox.Stored, &m.flights.landed, &m.State.Changed, &m.Sole.Changed)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// signAll signs until nothing is there that may be signed. What time or money solves it waits for.
func (m *Minter) signAll(ctx context.Context, queue *outbox.Reader) error {
	for failures := 0; ; failures++ {
		progress, problem, err := m.signNext(ctx, queue)
		switch {
		case err != nil || ctx.Err() != nil:
			return err
		case progress:
			m.holdsUp.Store(false)
			m.Condition.Clear()
			m.refusals.Store(0)
			failures = -1
			continue
		case problem == nil:
			if m.holdsUp.Swap(false) {
				m.Condition.Clear() // what waited was withdrawn
			}
			return nil
		}
		pause := algodBackoff.After(failures)
		if problem.err != nil {
			m.algodFailed(problem.err)
			pause = algorand.Pause(problem.err, pause)
		} else if !problem.passes || failures >= lasting {
			m.holdsUp.Store(true)
			m.Condition.Set(problem.Problem, problem.Detail)
		}
		if problem.Problem == notMember || !retry.Wait(ctx, pause) {
			return nil
		}
	}
}

// notMember is the problem that only the chain can solve.
const notMember = "membership"

// lookAhead is how many batches are looked at for what may be signed, while what is before it has to wait.
const lookAhead = 16

// signNext signs what comes next and may be signed, once it is certain that nothing else is. Where that has to wait for
// something that others don't wait for, as a collection's record, it is skipped. A problem is one that time or money
// solves.
func (m *Minter) signNext(ctx context.Context, queue *outbox.Reader) (progress bool, problem *obstacle, err error) {
	if !m.Sole.Disputed() {
		if err := m.awaitRecovery(ctx); err != nil || ctx.Err() != nil {
			return false, nil, err
		}
	}
	if m.Sole.Disputed() {
		items, err := m.otherKeys()
		if err != nil || len(items) == 0 {
			return false, nil, err
		}
		return m.signTheseNow(ctx, items)
	}
	queue.Restart()
	for range lookAhead {
		allowed := m.flights.allowance()
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
		progress, itsProblem, err := m.signTheseNow(ctx, items)
		if err != nil || progress || itsProblem == nil || !itsProblem.isOfItems() {
			return progress, itsProblem, err
		}
		problem = itsProblem
	}
	return false, problem, nil
}

// awaitRecovery waits for what another node has signed that had this one's keys.
func (m *Minter) awaitRecovery(ctx context.Context) error {
	r := sole.Recovery{Sole: m.Sole, View: m.View, State: m.State, Ledger: m.Ledger}
	return r.Await(ctx)
}

// signTheseNow signs items, as far as nothing is in their way, and begins their flights.
func (m *Minter) signTheseNow(ctx context.Context, items []outbox.Item) (progress bool, problem *obstacle, err error) {
	if !m.State.MayWrite() {
		if !m.State.Begun() { // at the start nobody is a member yet, as far as we know
			return false, nil, nil
		}
		return false, &obstacle{Problem: notMember, Detail: m.State.Excluded()}, nil
	}
	if m.State.Charter() == nil {
		return false, &obstacle{Problem: "permission", Detail: "the charter's content has not arrived", passes: true}, nil
	}
	m.Disk.Await(ctx)
	groups, problem, err := m.signItems(ctx, items)
	if err != nil || problem != nil || ctx.Err() != nil {
		return false, problem, err
	}
	m.flights.depart(ctx, groups, items)
	return true, nil, nil
}

// withoutTail leaves out the bulk that comes after everything else in a batch: who posts a little need not wait until
// all of the batch is done. What is bulk only stays as it is.
func withoutTail(items []outbox.Item) []outbox.Item {
	for n := len(items); n > 0; n-- {
		if !items[n-1].Bulk {
			return items[:n]
		}
	}
	return items
}

// signItems signs a batch of items. A problem is one that time or money solves.
func (m *Minter) signItems(ctx context.Context, items []outbox.Item) (groups []outbox.Group, problem *obstacle, err error) {
	params, err := m.Ledger.Params(ctx)
	if err != nil {
		return nil, algodProblem(err), nil
	}
	if other := m.otherNetwork(params); other != "" {
		return nil, &obstacle{Problem: "network", Detail: other}, nil
	}
	if items, err = m.recalled(ctx, items); err != nil {
		return nil, nil, err
	}
	items, problem, err = m.affordable(ctx, params, items)
	if err != nil || problem != nil {
		return nil, problem, err
	}
	if items, err = m.unpublished(ctx, items); err != nil {
		return nil, nil, err
	}
	if items, problem, err = m.upToDate(ctx, items); err != nil || len(items) == 0 {
		return nil, problem, err
	}
	if items, err = m.ours(ctx, items); err != nil {
		return nil, nil, err
	}
	// A node whose outbox was lost goes on where the chain shows that it had been.
	highest, _ := m.State.Sequence(m.State.Self)
	if err := m.Outbox.SkipSequence(highest); err != nil {
		return nil, nil, err
	}
	if items, err = m.Outbox.Number(items); err != nil {
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
		groups = append(groups, outbox.Group{TxIDs: signed.TxIDs, Raw: signed.Raw, FirstValid: signed.FirstValid, LastValid: signed.LastValid, Fees: []uint64{signed.Fee}})
	}
	if groups, err = m.Outbox.AddGroups(groups, items); err != nil {
		return nil, nil, err
	}
	return groups, nil, nil
}

// obstacle is what keeps a batch from being signed for now.
type obstacle struct {
	Problem, Detail string
	err             error // if algod could not be asked
	passes          bool  // within a moment, mostly: it is told when it hasn't
}

// lasting is how often something is found in the way that mostly passes until it is told: some seconds.
const lasting = 5

// isOfItems reports whether others than the items that have the problem can be signed.
func (o *obstacle) isOfItems() bool { return o.Problem == "permission" || o.Problem == "rekeying" }

func algodProblem(err error) *obstacle {
	return &obstacle{Problem: "algod", Detail: err.Error(), err: err}
}

func isDestroy(item outbox.Item) bool {
	return item.Note.Kind == wire.KindDestroy || item.Note.Kind == wire.KindRelease
}

func isMint(item outbox.Item) bool { return !isDestroy(item) }

func isBulk(item outbox.Item) bool { return item.Bulk }

func isNoBulk(item outbox.Item) bool { return !item.Bulk }

// without leaves out the items for which drop reports true.
func without(items []outbox.Item, drop func(outbox.Item) bool) []outbox.Item {
	return slices.DeleteFunc(slices.Clone(items), drop)
}

// chunks cuts items into groups of one sort each.
func chunks(items []outbox.Item) iter.Seq[[]outbox.Item] {
	return func(yield func([]outbox.Item) bool) {
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

func (m *Minter) signGroup(params ledger.Params, items []outbox.Item) (ledger.Group, error) {
	mints := make([]ledger.Mint, len(items))
	for i, item := range items {
		note, err := item.Note.Encode(m.Consortium)
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
	return m.Ledger.Sign(params, mints)
}

// lease is the same whenever the same is published: as long as one transaction can be confirmed, or was confirmed a
// while ago, the network refuses another. It is keyed, since the hash of what can be guessed tells what it is.
func (m *Minter) lease(item outbox.Item) (lease [32]byte) {
	mac := hmac.New(sha256.New, m.LeaseKey)
	mac.Write(binary.BigEndian.AppendUint32(nil, item.Publication))
	mac.Write(item.Key)
	mac.Sum(lease[:0])
	return lease
}

// affordable cuts a batch down to what the account can pay for beside what is in flight. Objects leave the reserve: a
// member can be removed, and something withdrawn, when all is spent.
func (m *Minter) affordable(ctx context.Context, params ledger.Params, items []outbox.Item) ([]outbox.Item, *obstacle, error) {
	funds, err := m.Ledger.Funds(ctx)
	if err != nil {
		return nil, algodProblem(err), nil
	}
	purse := money.NewPurse(microalgo.Amount(funds.Free()), m.Terms.Kept(m.State.ToRekey(), params.MinFee), params.MinFee)
	for _, f := range m.flights.list() {
		purse.Spend(f.sort, len(f.Items))
	}
	payable := without(items, func(item outbox.Item) bool { return !purse.Pay(sortOf(item)) })
	if len(payable) == 0 {
		return nil, &obstacle{Problem: "funds", Detail: purse.Lacking(m.Ledger.Address())}, nil
	}
	return payable, nil, nil
}

func sortOf(item outbox.Item) money.Sort {
	switch {
	case isDestroy(item):
		return money.End
	case item.Note.Kind == wire.KindObject, item.Note.Kind == wire.KindBatch:
		return money.Object
	}
	return money.Record
}

// otherNetwork says that algod is of another network than the consortium's; "" if it isn't.
func (m *Minter) otherNetwork(p ledger.Params) string {
	return problem.OtherNetwork(p.GenesisID, p.GenesisHash[:], m.GenesisID, m.GenesisHash)
}
