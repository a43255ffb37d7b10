package replicate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	fetchBatch    = 512             // directories that are asked for at once, beside those of batches
	freshTimeout  = 3 * time.Second // what isn't here by then gives way to what came after it
	retryTimeout  = 5 * time.Minute
	undisturbed   = time.Minute     // for how long at least fetching goes on while members come and go
	lookAround    = time.Second     // how often it is checked whether a member was connected
	betweenHastes = 5 * time.Second // how often at most that has everything asked for again
)

// Fetcher is the last stretch of the replicate pipeline: it gets the blocks of what counts, opens what can be opened,
// and puts it into the view. Two lanes: what is new goes first; what could not be had waits longer each time.
type Fetcher struct {
	again signal.Signal // what was asked for without success may be answered now

	View   served
	State  *state.Shared
	Blocks Blocks
	Work   *signal.Signal
	Gone   withdrawn
	Own    *Own // what this node has sealed; nil: nothing is known of it
	Disk   *problem.Disk
	Memory int64 // how much of what is opened may be held at once, in bytes, and one for each processor
	// RecordTime is for how long the records of one load are read; those that are left come in the next.
	RecordTime time.Duration
	Stages     *stages.Stages
	Log        *slog.Logger

	settling sync.Mutex
	settled  signal.Signal // a load was settled, or what was undecided was looked at again
	reviews  pace
	loud     rate.Sometimes // the log, about what others published that does not count
}

// withdrawn knows what left the view while its blocks were on their way.
type withdrawn interface {
	// Withdrawals counts what has left.
	Withdrawals() uint64
	// ForgetWithdrawn deletes the blocks of those events that were withdrawn.
	ForgetWithdrawn(ctx context.Context, events []view.Event) error
}

// view is the events that wait, and where they go.
type served interface {
	// Due gives events of a queue that are due and not busy, no more than limit; if none is, next is when the first will
	// be.
	Due(queue view.Queue, busy func(consortium.Position) bool, now time.Time, limit int) (events []view.Event, next time.Time, err error)
	// Settle records what has become of events.
	Settle(outcomes []view.Outcome) error
	// Hasten makes events due that were asked for without success.
	Hasten() error
	// Reconsider makes undecided objects wait again that are decided now, and says how many.
	Reconsider(decided func(e view.Event, collection string) bool) (n int, err error)
	contentLog
}

// Run fetches until the context ends.
func (f *Fetcher) Run(ctx context.Context) error {
	f.loud = rate.Sometimes{First: 10, Interval: time.Minute}
	if err := f.reconsider(); err != nil { // the node may have stopped between a record and its objects
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.lane(ctx, view.Fresh, freshTimeout) })
	group.Go(func() error { return f.lane(ctx, view.Retried, retryTimeout) })
	group.Go(func() error { return f.watchMembers(ctx) })
	return group.Wait()
}

// load is events whose blocks were asked for, on their way to be opened.
type load struct {
	events  []view.Event
	batches []unpacked   // that list the events, if they do
	spare   []view.Event // what they list that isn't for us
	roots   []cid.Cid
	fetched swarm.Fetched
	left    uint64        // how many objects had left before
	settled chan struct{} // closed when their results are known
}

// positions are those of all whose result comes with a load.
func (l load) positions(yield func(consortium.Position) bool) {
	for _, e := range l.events {
		if !yield(e.Position) {
			return
		}
	}
	for _, u := range l.batches {
		if !yield(u.outcome.Event.Position) {
			return
		}
	}
}

// lane works through one of the two queues. While the objects of one load are opened, the next is fetched.
func (f *Fetcher) lane(ctx context.Context, queue view.Queue, timeout time.Duration) error {
	loads := make(chan load)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(loads)
		return f.fetchAll(ctx, queue, timeout, loads)
	})
	group.Go(func() error {
		for l := range loads {
			if err := f.settle(ctx, l); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("bringing objects into the view: %w", err)
			}
			close(l.settled)
		}
		return nil
	})
	return group.Wait()
}

// fetchAll asks for the blocks of everything in a queue, one load after the other.
func (f *Fetcher) fetchAll(ctx context.Context, queue view.Queue, timeout time.Duration, loads chan<- load) error {
	u := underway{}
	for ctx.Err() == nil {
		changed, left := f.Work.Changed(), f.Gone.Withdrawals()
		u.release()
		events, next, err := f.View.Due(queue, u.busy, time.Now(), fetchBatch)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			f.Disk.Await(ctx)
			if err := f.fetchSome(ctx, events, left, timeout, &u, loads); err != nil {
				return err
			}
			continue
		}
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
		case <-u.oldest(): // what is left of it is due
		case <-f.reviewDue():
			if err := f.reconsider(); err != nil {
				return err
			}
		}
	}
	return nil
}

// fetchSome fetches events and gives them to be settled: first what has an NFT of its own, then the objects of batches,
// which nothing of the first waits for.
func (f *Fetcher) fetchSome(ctx context.Context, events []view.Event, left uint64, timeout time.Duration, u *underway, loads chan<- load) error {
	hand := func(l load) {
		if len(l.events)+len(l.batches) == 0 {
			return
		}
		select {
		case loads <- l:
		case <-ctx.Done():
		}
		u.add(l)
	}
	l, err := f.fetch(ctx, events, left, timeout)
	if err != nil || ctx.Err() != nil { // what a node that stops didn't get is no failed attempt
		return err
	}
	batches := l.pack()
	hand(l)
	if len(batches.events) == 0 {
		return nil
	}
	if l, err = f.unpack(ctx, batches, left, timeout); err != nil || ctx.Err() != nil {
		return err
	}
	hand(l)
	return nil
}

// underway is the loads of a lane whose outcomes are not known yet.
type underway struct {
	loads     []load
	positions map[consortium.Position]bool
}

func (u *underway) busy(p consortium.Position) bool { return u.positions[p] }

func (u *underway) add(l load) {
	if u.positions == nil {
		u.positions = map[consortium.Position]bool{}
	}
	for p := range l.positions {
		u.positions[p] = true
	}
	u.loads = append(u.loads, l)
}

// release forgets what was settled; loads are, one after the other.
func (u *underway) release() {
	for len(u.loads) > 0 {
		select {
		case <-u.loads[0].settled:
		default:
			return
		}
		for p := range u.loads[0].positions {
			delete(u.positions, p)
		}
		u.loads = u.loads[1:]
	}
}

// oldest is closed when the oldest load is settled; nil if there is none.
func (u *underway) oldest() <-chan struct{} {
	if len(u.loads) == 0 {
		return nil
	}
	return u.loads[0].settled
}

// watchMembers asks again for what is missing as soon as a member is connected that wasn't before, and when this
// organisation becomes a member. Members that come and go all the time have it asked no oftener than every few seconds.
func (f *Fetcher) watchMembers(ctx context.Context) error {
	ticker := time.NewTicker(lookAround)
	defer ticker.Stop()
	var before map[peer.ID]time.Time
	var hastened, interrupted time.Time
	connected, wasMember := false, f.State.Active()
	for {
		now, member := f.Blocks.Connected(), f.State.Active()
		admitted := member && !wasMember
		for id, since := range now {
			connected = connected || !before[id].Equal(since)
		}
		if admitted || connected && time.Since(hastened) > betweenHastes {
			hastened, connected = time.Now(), false
			if err := f.View.Hasten(); err != nil {
				return err
			}
			f.Work.Notify()
			if admitted || time.Since(interrupted) > undisturbed {
				interrupted = time.Now()
				f.again.Notify() // what is asked for without success at this moment may be answered now
			}
		}
		before, wasMember = now, member
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// retryAt is when something that could not be had is asked for next: objects ever more seldom, since a batch of them
// that nobody has costs who mints it next to nothing. Records are few, and others wait for them.
func retryAt(e view.Event) time.Time {
	most := 24 * time.Hour
	if e.Note.Kind != wire.KindObject && e.Note.Kind != wire.KindBatch {
		most = 10 * time.Minute
	}
	return time.Now().Add(retry.Backoff{First: time.Second, Most: most}.After(e.Tries))
}

// fetch asks for the blocks of events, of which none was withdrawn when so many objects had left. The blocks of one
// that was meanwhile are not kept: whoever withdrew it found nothing to delete.
func (f *Fetcher) fetch(ctx context.Context, events []view.Event, left uint64, timeout time.Duration) (load, error) {
	l := load{events: events, left: left, settled: make(chan struct{})}
	err := f.get(ctx, &l, timeout)
	return l, err
}

// get gets the blocks of a load.
func (f *Fetcher) get(ctx context.Context, l *load, timeout time.Duration) (err error) {
	if l.roots, err = rootsOf(l.events); err != nil {
		return err
	}
	spare, err := rootsOf(l.spare)
	if err != nil {
		return err
	}
	if unknown := slices.DeleteFunc(slices.Concat(l.roots, spare), f.Own.has); len(unknown) > 0 {
		if l.fetched, err = f.ask(ctx, unknown, timeout); err != nil {
			return err
		}
	}
	return f.forgetLeft(ctx, *l)
}

// ask asks for blocks until the time is over, or until who didn't have them may have them now.
func (f *Fetcher) ask(ctx context.Context, roots []cid.Cid, timeout time.Duration) (swarm.Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	again := f.again.Changed()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-again:
			cancel()
		case <-ctx.Done():
		}
	})
	fetched, err := f.Blocks.Fetch(ctx, roots)
	if err != nil && ctx.Err() == nil {
		return swarm.Fetched{}, err
	}
	return fetched, nil
}

// AwaitFetched waits until what the chain has told of was asked for once, and what came is in the view, as far as it
// can be. The fetcher must run.
func (f *Fetcher) AwaitFetched(ctx context.Context) error {
	return signal.Until(ctx, f.isIdle, &f.settled)
}

// isIdle reports whether nothing waits for its first turn.
func (f *Fetcher) isIdle() (bool, error) {
	f.settling.Lock()
	defer f.settling.Unlock()
	if f.reviews.isOpen() {
		return false, nil
	}
	events, _, err := f.View.Due(view.Fresh, nil, time.Now(), 1)
	return len(events) == 0, err
}
