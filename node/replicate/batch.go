package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// unpacked is a batch whose record is here.
type unpacked struct {
	outcome  view.Outcome
	metadata wire.Metadata
	objects  []view.Event // where it counts
	spare    []view.Event // where it isn't for us: they are kept for those who can read them
}

// pack takes the batches whose record has come out of a load: their objects are still to be asked for.
func (l *load) pack() (batches load) {
	isBatch := func(e view.Event) bool { return e.Note.Kind == wire.KindBatch }
	if !slices.ContainsFunc(l.events, isBatch) {
		return load{}
	}
	absent := setOf(l.fetched.Missing)
	for _, root := range l.fetched.Malformed {
		absent.Add(root)
	}
	rest := load{fetched: l.fetched, left: l.left, settled: l.settled}
	batches.fetched = l.fetched
	for i, e := range l.events {
		to := &rest
		if isBatch(e) && !absent.Has(l.roots[i]) {
			to = &batches
		}
		to.events, to.roots = append(to.events, e), append(to.roots, l.roots[i])
	}
	*l = rest
	return batches
}

// unpack asks for the objects of batches, as many as one has at most, all in one question. What doesn't fit is left,
// and is due again. None of it was withdrawn when so many objects had left.
//
// Those of a batch that isn't for us are asked for as well, as single objects are: else who publishes in a collection
// that nobody else reads would have the only copy. Nothing else becomes of them, and what isn't to be had in two
// attempts isn't waited for.
func (f *Fetcher) unpack(ctx context.Context, batches load, left uint64, timeout time.Duration) (load, error) {
	l := load{settled: make(chan struct{}), left: left}
	for i := range batches.events {
		u, err := f.readBatch(ctx, batches, i)
		if err != nil {
			return load{}, err
		}
		if len(l.batches) > 0 && len(l.events)+len(l.spare)+len(u.objects)+len(u.spare) > wire.MaxBatch {
			break
		}
		l.batches, l.events, l.spare = append(l.batches, u), append(l.events, u.objects...), append(l.spare, u.spare...)
	}
	err := f.get(ctx, &l, timeout)
	return l, err
}

// readBatch reads a batch and decides about it. An error is this node's own; whatever is wrong with the batch is its
// outcome.
func (f *Fetcher) readBatch(ctx context.Context, l load, i int) (u unpacked, err error) {
	e := l.events[i]
	files, err := f.files(ctx, l, i)
	if errors.Is(err, unixfs.ErrNotFound) { // it was here a moment ago
		u.outcome = view.Outcome{Event: e, State: view.Waiting, Reason: err.Error(), Due: retryAt(e)}
		return u, nil
	}
	if err != nil {
		return u, err
	}
	batch, problem := wire.Batch{}, error(nil)
	u.metadata, batch, problem = batchIn(e.Event, files)
	if problem != nil {
		u.outcome = refused(e, problem.Error())
		return u, nil
	}
	u.outcome = f.ruleBatch(e, u.metadata)
	if u.outcome.State == view.Refused {
		return u, nil
	}
	list, says := make([]view.Event, 0, len(batch.Objects)), listed(u.metadata)
	for i, directory := range batch.Objects {
		if o := e.Object(uint32(i+1), directory, says); o.State == view.Waiting { // not withdrawn
			list = append(list, o)
		}
	}
	if u.outcome.State == view.Held {
		u.objects = list
	} else {
		u.spare = list
	}
	return u, nil
}

// batchIn reads the files of a batch; an error says what breaks the protocol's form.
func batchIn(e consortium.Event, files []unixfs.File) (m wire.Metadata, batch wire.Batch, err error) {
	m, payload, err := verifiedFiles(e, files)
	if err == nil {
		batch, err = wire.ParseBatch(payload)
	}
	if err == nil {
		err = batch.CheckMetadata(m)
	}
	return m, batch, err
}

// ruleBatch decides about a batch. Where it counts, its objects are looked at one by one.
func (f *Fetcher) ruleBatch(e view.Event, m wire.Metadata) view.Outcome {
	var ruling consortium.Ruling
	f.State.Read(func(s *consortium.State) { ruling = s.Rule(e.Event, m) })
	switch ruling.Outcome {
	case consortium.Refused:
		return refused(e, ruling.Reason)
	case consortium.Readable:
		return view.Outcome{Event: e, State: view.Held}
	}
	return undecided(e, m, ruling)
}

func undecided(e view.Event, m wire.Metadata, ruling consortium.Ruling) view.Outcome {
	p := m.Properties
	return view.Outcome{Event: e, State: view.Undecided, Reason: ruling.Reason, Collection: p.Collection, Epoch: p.Epoch}
}

// settleBatches records what has become of the batches of a load, when every object of theirs has a state of its own.
func (f *Fetcher) settleBatches(l load) error {
	if len(l.batches) == 0 {
		return nil
	}
	var outcomes []view.Outcome
	missing := setOf(l.fetched.Missing)
	for _, u := range l.batches {
		o := u.outcome
		if o.State == view.Undecided && f.ruleBatch(o.Event, u.metadata).State != view.Undecided {
			continue // a record came since it was read: it is due again
		}
		spare, err := rootsOf(u.spare)
		if err != nil {
			return err
		}
		if o.Event.Tries == 0 && slices.ContainsFunc(spare, missing.Has) {
			o = view.Outcome{Event: o.Event, State: view.Waiting, Reason: "no member gave the blocks of all its objects", Due: retryAt(o.Event)}
		}
		outcomes = append(outcomes, o)
	}
	return f.record(outcomes)
}

// forgetLeft deletes the blocks of what was withdrawn since a load was asked for: whoever withdrew it found nothing to
// delete.
func (f *Fetcher) forgetLeft(ctx context.Context, l load) error {
	if f.Gone.Withdrawals() == l.left {
		return nil
	}
	if err := f.Gone.ForgetWithdrawn(context.WithoutCancel(ctx), slices.Concat(l.events, l.spare)); err != nil {
		return fmt.Errorf("deleting the blocks of what was withdrawn: %w", err)
	}
	return nil
}

// fits reports whether an object of a batch is of the collection and the epoch of that.
func fits(e view.Event, m wire.Metadata) error {
	if e.Index == 0 || listed(m) == e.Listed {
		return nil
	}
	return errors.New("it is of another collection or epoch than its batch")
}

// listed is what a batch says of its objects, and each of them of itself.
func listed(m wire.Metadata) view.Listed {
	return view.Listed{Collection: m.Properties.Collection, Epoch: m.Properties.Epoch}
}

// directoriesOf are the directories of something that has ended: of a batch those of all its objects, too. They may be
// here though nothing has become of the objects, and nothing but the batch's record tells then which they are.
func (r *Replicator) directoriesOf(ctx context.Context, e view.Event) ([]string, error) {
	isBatch := e.Note.Kind == wire.KindBatch
	if !isBatch && e.Directory != "" {
		return []string{e.Directory}, nil
	}
	batch, found, err := r.View.Event(e.TxID)
	if err != nil || !found {
		return nil, err
	}
	var directories []string
	if isBatch {
		directories = []string{e.Directory}
	}
	root, err := cid.Decode(batch.Directory)
	if err != nil {
		return nil, fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
	}
	files, err := r.Blocks.Read(ctx, root)
	if err != nil { // its objects were never asked for, or are known
		return directories, ctx.Err()
	}
	_, list, problem := batchIn(batch.Event, files)
	switch {
	case problem != nil:
	case isBatch:
		directories = append(directories, list.Objects...)
	case int(e.Index) <= len(list.Objects):
		directories = append(directories, list.Objects[e.Index-1])
	}
	return directories, nil
}

// rootsOf are the directories of events.
func rootsOf(events []view.Event) ([]cid.Cid, error) {
	roots := make([]cid.Cid, len(events))
	for i, e := range events {
		root, err := cid.Decode(e.Directory)
		if err != nil {
			return nil, fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
		}
		roots[i] = root
	}
	return roots, nil
}
