package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

const (
	fetchBatch    = 512             // directories that are asked for at once
	openBytes     = 32 << 20        // of opened objects that are held in memory
	freshTimeout  = 3 * time.Second // what isn't here by then gives way to what came after it
	retryTimeout  = 5 * time.Minute
	undisturbed   = time.Minute // for how long at least fetching goes on while members come and go
	firstRetry    = time.Second
	lastRetry     = 10 * time.Minute
	lookAround    = time.Second     // how often it is checked whether a member was connected
	betweenHastes = 5 * time.Second // how often at most that has everything asked for again
)

// fetcher is the last stretch of the replicate pipeline: it gets the blocks of what counts, opens what can be opened,
// and puts it into the view. Two lanes: what is new goes first; what could not be had waits longer each time.
type fetcher struct {
	again signal // what was asked for in vain may be answered now

	view   *repo.View
	fold   *fold
	blocks replicaStore
	work   *signal
	disk   *diskGuard
	memory int64 // how much of opened objects may be held at once, in bytes, and one for each processor
	log    *slog.Logger

	settling sync.Mutex
}

// run fetches until the context ends.
func (f *fetcher) run(ctx context.Context) error {
	if err := f.reconsider(); err != nil { // the node may have stopped between a record and its objects
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return f.lane(ctx, repo.Fresh, freshTimeout) })
	group.Go(func() error { return f.lane(ctx, repo.Retried, retryTimeout) })
	group.Go(func() error { return f.watchMembers(ctx) })
	return group.Wait()
}

// load is events whose blocks were asked for, on their way to be opened.
type load struct {
	events  []repo.LoggedEvent
	roots   []cid.Cid
	fetched p2p.Fetched
	settled chan struct{} // closed when it is known what becomes of them
}

// lane works through one of the two queues. While the objects of one load are opened, the next is fetched.
func (f *fetcher) lane(ctx context.Context, queue repo.WaitingQueue, timeout time.Duration) error {
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
func (f *fetcher) fetchAll(ctx context.Context, queue repo.WaitingQueue, timeout time.Duration, loads chan<- load) error {
	var last load
	var after repo.LoggedEvent
	for ctx.Err() == nil {
		changed := f.work.changed()
		events, next, err := f.view.Due(queue, after, time.Now(), fetchBatch)
		if err != nil {
			return err
		}
		if len(events) > 0 {
			f.disk.await(ctx)
			l, err := f.fetch(ctx, events, timeout)
			if err != nil || ctx.Err() != nil { // what a node that stops didn't get was not asked for in vain
				return err
			}
			select {
			case loads <- l:
			case <-ctx.Done():
			}
			last, after = l, events[len(events)-1]
			continue
		}
		if last.settled != nil {
			// The end of the queue. What is in it still when the last load is settled came in the meantime.
			select {
			case <-last.settled:
			case <-ctx.Done():
			}
			last, after = load{}, repo.LoggedEvent{}
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
		}
	}
	return nil
}

// watchMembers asks again for what is missing as soon as a member is connected that wasn't before, and when this
// organisation becomes a member. Members that come and go all the time have it asked no oftener than every few seconds.
func (f *fetcher) watchMembers(ctx context.Context) error {
	ticker := time.NewTicker(lookAround)
	defer ticker.Stop()
	var before map[peer.ID]time.Time
	var hastened, interrupted time.Time
	connected, wasMember := false, f.fold.active()
	for {
		now, member := f.blocks.Connected(), f.fold.active()
		admitted := member && !wasMember
		for id, since := range now {
			connected = connected || !before[id].Equal(since)
		}
		if admitted || connected && time.Since(hastened) > betweenHastes {
			hastened, connected = time.Now(), false
			if err := f.view.Hasten(); err != nil {
				return err
			}
			f.work.notify()
			if admitted || time.Since(interrupted) > undisturbed {
				interrupted = time.Now()
				f.again.notify() // what is asked for in vain at this moment may be answered now
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

// fetch asks for the blocks of events.
func (f *fetcher) fetch(ctx context.Context, events []repo.LoggedEvent, timeout time.Duration) (load, error) {
	l := load{events: events, roots: make([]cid.Cid, len(events)), settled: make(chan struct{})}
	for i, e := range events {
		root, err := cid.Decode(e.Directory)
		if err != nil {
			return load{}, fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
		}
		l.roots[i] = root
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	again := f.again.changed()
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
	var err error
	l.fetched, err = f.blocks.Fetch(ctx, l.roots)
	if err != nil && ctx.Err() == nil {
		return load{}, err
	}
	return l, nil
}

// settle opens what was fetched and records what becomes of every event. One load at a time, since the records of one
// decide about the objects of the other.
func (f *fetcher) settle(ctx context.Context, l load) error {
	f.settling.Lock()
	defer f.settling.Unlock()
	missing, malformed := cid.NewSet(), cid.NewSet()
	for _, c := range l.fetched.Missing {
		missing.Add(c)
	}
	for _, c := range l.fetched.Malformed {
		malformed.Add(c)
	}
	outcomes := make([]repo.Outcome, len(l.events))
	var records, objects []int
	for i, e := range l.events {
		switch {
		case malformed.Has(l.roots[i]):
			outcomes[i] = repo.Outcome{Event: e, State: repo.Refused, Reason: "its CID is not that of a directory of the protocol's form"}
			if e.Note.Kind != wire.KindObject {
				records = append(records, i)
			}
		case missing.Has(l.roots[i]):
			outcomes[i] = repo.Outcome{Event: e, State: repo.Waiting, Reason: "no member gave its blocks", Due: retryAt(e.Tries)}
		case e.Note.Kind == wire.KindObject:
			objects = append(objects, i)
		default:
			records = append(records, i)
		}
	}
	// Records first: they may decide about the objects beside them.
	if err := f.attach(ctx, l, records, outcomes); err != nil {
		return err
	}
	if err := f.record(slices.DeleteFunc(slices.Clone(outcomes), func(o repo.Outcome) bool { return o.State == 0 })); err != nil {
		return err
	}
	for len(objects) > 0 {
		n, err := f.openSome(ctx, l, objects)
		if err != nil {
			return err
		}
		objects = objects[n:]
	}
	return f.reconsider()
}

// openSome opens objects of a load, as many as may be held in memory, and records what becomes of them. It returns how
// many they were.
func (f *fetcher) openSome(ctx context.Context, l load, objects []int) (n int, err error) {
	outcomes := make([]repo.Outcome, len(objects))
	var held atomic.Int64
	workers, workersCtx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for n < len(objects) && held.Load() < f.memory {
		at := n
		workers.Go(func() (err error) {
			outcomes[at], err = f.open(workersCtx, l, objects[at])
			if e := outcomes[at].Entry; e != nil {
				held.Add(int64(len(e.Object)))
			}
			return err
		})
		n++
	}
	if err := workers.Wait(); err != nil {
		return 0, err
	}
	return n, f.record(outcomes[:n])
}

func (f *fetcher) record(outcomes []repo.Outcome) error {
	f.warn(outcomes)
	if err := f.view.Settle(outcomes); err != nil {
		return err
	}
	if slices.ContainsFunc(outcomes, func(o repo.Outcome) bool { return o.State == repo.Waiting }) {
		f.work.notify() // the lane of what is asked for again may be asleep, with nothing to wait for until now
	}
	return nil
}

// reconsider makes undecided objects wait again that a record may have decided about.
func (f *fetcher) reconsider() error {
	n, err := f.view.Reconsider()
	if n > 0 {
		f.work.notify()
	}
	return err
}

// files gives the files of an event: from memory if they have just come, else from this node's store.
func (f *fetcher) files(ctx context.Context, l load, i int) ([]p2p.File, error) {
	if d, ok := l.fetched.Brought[l.roots[i]]; ok {
		return d.Files()
	}
	return f.blocks.Read(ctx, l.roots[i])
}

// retryAt is when something that could not be had is asked for next.
func retryAt(tries int) time.Time {
	pause := min(firstRetry<<min(tries, 20), lastRetry)
	return time.Now().Add(pause/2 + rand.N(pause/2))
}

// warn says what of others doesn't count, and why.
func (f *fetcher) warn(outcomes []repo.Outcome) {
	for _, o := range outcomes {
		if o.State == repo.Refused {
			f.log.Warn("what a member published does not count", "txid", o.Event.TxID, "sender", o.Event.Sender, "reason", o.Reason)
		}
	}
}

// attach gives the state the content of records.
func (f *fetcher) attach(ctx context.Context, l load, records []int, outcomes []repo.Outcome) error {
	if len(records) == 0 {
		return nil
	}
	type content struct {
		metadata wire.Metadata
		payload  []byte
	}
	contents := map[int]content{}
	for _, i := range records {
		if outcomes[i].State == repo.Refused {
			continue
		}
		files, err := f.files(ctx, l, i)
		if err != nil {
			return err
		}
		outcomes[i] = repo.Outcome{Event: l.events[i], State: repo.Held}
		metadata, payload, problem := verifiedFiles(l.events[i].Event, files)
		if problem != nil {
			outcomes[i].State, outcomes[i].Reason = repo.Refused, problem.Error()
			continue
		}
		contents[i] = content{metadata, payload}
	}
	f.fold.change(func(s *consortium.State) {
		for _, i := range records {
			c, good := contents[i]
			if !good {
				void(s, l.events[i])
			} else if problem := s.Attach(l.events[i].TxID, c.metadata, c.payload); problem != nil {
				outcomes[i].State, outcomes[i].Reason = repo.Refused, problem.Error()
			}
		}
	})
	return nil
}

// void makes a record as if it had never been minted: nothing waits for its content any more.
func void(s *consortium.State, e repo.LoggedEvent) {
	_ = s.Attach(e.TxID, wire.Metadata{}, nil) // no content is content that breaks the rules
}

// open decides about an object and opens it if it is for us. An error is this node's own; whatever is wrong with the
// object is its outcome.
func (f *fetcher) open(ctx context.Context, l load, i int) (repo.Outcome, error) {
	e := l.events[i]
	files, err := f.files(ctx, l, i)
	if errors.Is(err, p2p.ErrNotFound) {
		return repo.Outcome{Event: e, State: repo.Waiting, Reason: err.Error(), Due: retryAt(e.Tries)}, nil
	}
	if err != nil {
		return repo.Outcome{}, err
	}
	refused := func(err error) (repo.Outcome, error) {
		return repo.Outcome{Event: e, State: repo.Refused, Reason: err.Error()}, nil
	}
	metadata, payload, err := verifiedFiles(e.Event, files)
	if err != nil {
		return refused(err)
	}
	var ruling consortium.Ruling
	f.fold.read(func(s *consortium.State) { ruling = s.Rule(e.Event, metadata) })
	switch ruling.Outcome {
	case consortium.Refused:
		return refused(errors.New(ruling.Reason))
	case consortium.Waits, consortium.NotForUs:
		return repo.Outcome{Event: e, State: repo.Undecided, Reason: ruling.Reason, Collection: metadata.Properties.Collection}, nil
	}
	entry, err := openObject(e.Event, metadata, payload, ruling)
	if err != nil {
		return refused(err)
	}
	if ruling.Late {
		f.log.Warn("an object was sealed to a key epoch that is over; it counts, since the grace is not over",
			"txid", e.TxID, "sender", e.Sender, "epoch", metadata.Properties.Epoch)
	}
	return repo.Outcome{Event: e, State: repo.InView, Entry: entry}, nil
}

// openObject decrypts an object and compares it with what its metadata says.
func openObject(e consortium.Event, metadata wire.Metadata, payload []byte, ruling consortium.Ruling) (*repo.Entry, error) {
	sealed, err := wire.ParseSealedObject(payload)
	if err != nil {
		return nil, err
	}
	plaintext, err := ruling.Key.Open(sealed)
	if err != nil {
		return nil, err
	}
	object, err := stix.Parse(plaintext)
	if err != nil {
		return nil, fmt.Errorf("it does not hold a STIX object: %w", err)
	}
	p := metadata.Properties
	clear := p.Identifier == object.ID && p.Version == object.Version()
	if !clear && (p.Identifier != ruling.Key.Handle(object.ID, object.Version()) || p.Version != "") {
		return nil, errors.New("it holds another object than its metadata says")
	}
	stored, err := wire.ParseTime(p.StoredAt)
	if err != nil {
		return nil, err
	}
	hash, err := object.ContentHash()
	if err != nil {
		return nil, err
	}
	entry := entryOf(p.Collection, object, hash, stored)
	entry.Position, entry.Publisher, entry.TxID, entry.Asset, entry.Directory = e.Position, e.Sender, e.TxID, e.Asset, e.Directory
	return entry, nil
}
