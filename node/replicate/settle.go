package replicate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	RecordTime   = time.Second // for the records of one load
	contentBytes = 1 << 20     // of contents of records that are stored at once
)

// settle opens what was fetched and records the result of every event. One load at a time, since the records of one
// decide about the objects of the other.
func (f *Fetcher) settle(ctx context.Context, l load) error {
	f.settling.Lock()
	defer f.settling.Unlock()
	defer f.settled.Notify()
	missing, malformed := setOf(l.fetched.Missing), setOf(l.fetched.Malformed)
	var records, objects []int
	var outcomes []view.Outcome
	var void []string
	for i, e := range l.events {
		switch {
		case malformed.Has(l.roots[i]):
			outcomes = append(outcomes, refused(e, "its CID is not that of a directory of the protocol's form"))
			void = append(void, e.TxID)
		case missing.Has(l.roots[i]):
			outcomes = append(outcomes, view.Outcome{Event: e, State: view.Waiting, Reason: "no member gave its blocks", Due: retryAt(e)})
		case e.Note.Kind == wire.KindObject:
			objects = append(objects, i)
		default:
			records = append(records, i)
		}
	}
	if err := f.record(outcomes); err != nil {
		return err
	}
	f.void(void)
	// Records first: they may decide about the objects beside them.
	if err := f.readRecords(ctx, l, records); err != nil {
		return err
	}
	if err := f.openObjects(ctx, l, objects); err != nil {
		return err
	}
	if err := f.settleBatches(l); err != nil {
		return err
	}
	if f.reviews.due() {
		return f.reconsider()
	}
	return nil
}

func setOf(list []cid.Cid) *cid.Set {
	set := cid.NewSet()
	for _, c := range list {
		set.Add(c)
	}
	return set
}

func refused(e view.Event, reason string) view.Outcome {
	return view.Outcome{Event: e, State: view.Refused, Reason: reason}
}

func (f *Fetcher) record(outcomes []view.Outcome) error {
	f.warn(outcomes)
	if err := f.View.Settle(outcomes); err != nil {
		return err
	}
	for _, o := range outcomes {
		if o.State == view.InView {
			f.passed(stages.Visible, o.Event, o.Entry.StoredAt)
		}
	}
	if slices.ContainsFunc(outcomes, func(o view.Outcome) bool { return o.State == view.Waiting }) {
		f.Work.Notify() // the lane of what is asked for again may be asleep, with nothing to wait for until now
	}
	return nil
}

// passed counts an object that its publisher accepted at a time.
func (f *Fetcher) passed(stage stages.Stage, e view.Event, accepted time.Time) {
	f.Stages.Passed(stage, stages.Of(f.State.Ours(e.Sender)), accepted)
}

// warn says what of others doesn't count, and why. Anybody who is a member can publish much that doesn't: the log has
// some of it, and how much it was.
func (f *Fetcher) warn(outcomes []view.Outcome) {
	for _, o := range outcomes {
		if o.State == view.Refused {
			f.Stages.Refused(stages.Of(f.State.Ours(o.Event.Sender)), 1)
			level := slog.LevelDebug
			f.loud.Do(func() { level = slog.LevelWarn })
			f.Log.Log(context.Background(), level, "what a member published does not count", "txid", o.Event.TxID, "sender", o.Event.Sender, "reason", o.Reason)
		}
	}
}

// void makes records as if they had never been minted: nothing waits for their content any more.
func (f *Fetcher) void(txids []string) {
	if len(txids) == 0 {
		return
	}
	f.State.Change(func(s *consortium.State) {
		for _, txid := range txids {
			s.Void(txid)
		}
	})
}

// files gives the files of an event: from memory if they have just come, else from this node's store.
func (f *Fetcher) files(ctx context.Context, l load, i int) ([]unixfs.File, error) {
	if d, ok := l.fetched.Brought[l.roots[i]]; ok {
		return d.Files()
	}
	return f.Blocks.Read(ctx, l.roots[i])
}

// readRecords reads the records of a load, in chain order, stores what they say and tells the state. Anybody who may
// mint can make them: they are read one by one and beside the state, whose readers wait for nothing, and where that
// takes long the rest waits for the next load.
func (f *Fetcher) readRecords(ctx context.Context, l load, records []int) error {
	var outcomes []view.Outcome
	var contents []consortium.Content // nil for void ones: of the same length
	size := 0
	flush := func() error {
		if len(outcomes) == 0 {
			return nil
		}
		if err := f.record(outcomes); err != nil {
			return err
		}
		f.State.Quietly(func(s *consortium.State) {
			for i, o := range outcomes {
				if o.State == view.Held {
					s.Take(o.Event.TxID, contents[i])
				} else {
					s.Void(o.Event.TxID)
				}
			}
		})
		outcomes, contents, size = nil, nil, 0
		return f.supply()
	}
	began := time.Now()
	for n, i := range records {
		if n > 0 && time.Since(began) > f.RecordTime {
			break
		}
		o, content, err := f.readRecord(ctx, l, i)
		if err != nil {
			return err
		}
		outcomes, contents, size = append(outcomes, o), append(contents, content), size+len(o.Content)
		if size > contentBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if len(records) > 0 {
		f.State.Publish()
	}
	return nil
}

// ErrFormerFormat means that nothing of the consortium can be read, and nothing may be published in it.
var ErrFormerFormat = errors.New("this consortium was founded with a format that was never released; found it anew")

// readRecord reads one record. An error is this node's own; whatever is wrong with the record is its outcome.
func (f *Fetcher) readRecord(ctx context.Context, l load, i int) (o view.Outcome, content consortium.Content, err error) {
	e := l.events[i]
	files, err := f.files(ctx, l, i)
	if errors.Is(err, unixfs.ErrNotFound) { // it was here a moment ago
		return view.Outcome{Event: e, State: view.Waiting, Reason: err.Error(), Due: retryAt(e)}, content, nil
	}
	if err != nil {
		return o, content, err
	}
	content, encoded, problem, err := readContent(f.State, e.Event, files)
	if err != nil {
		return o, content, err
	}
	if e.Note.Kind == wire.KindCharter && errors.Is(problem, wire.ErrNoPublisher) {
		return o, content, ErrFormerFormat
	}
	if problem != nil {
		return refused(e, problem.Error()), content, nil
	}
	return view.Outcome{Event: e, State: view.Held, Content: encoded}, content, nil
}

// supply gives the state the contents that it wants again.
func (f *Fetcher) supply() error {
	for {
		var wanted []string
		f.State.Quietly(func(s *consortium.State) { wanted = s.Wanted() })
		if len(wanted) == 0 {
			return nil
		}
		for _, txid := range wanted {
			content, err := contentOf(f.View, txid)
			if err != nil {
				return err
			}
			if content == nil { // it is read again
				f.Work.Notify()
				continue
			}
			f.State.Quietly(func(s *consortium.State) { s.Take(txid, *content) })
		}
	}
}

// contentOf gives the stored content of a record; nil if there is none, in which case the record waits to be read
// again.
func contentOf(view contentLog, txid string) (*consortium.Content, error) {
	e, found, err := view.Event(txid)
	if err != nil || !found {
		return nil, err
	}
	encoded, err := view.Content(e)
	if err != nil {
		return nil, err
	}
	if encoded != nil {
		if content, err := consortium.DecodeContent(encoded); err == nil {
			return &content, nil
		}
	}
	return nil, view.Await(e)
}

// reconsider makes undecided objects wait again that a record has decided about.
func (f *Fetcher) reconsider() error {
	defer f.settled.Notify()
	defer f.reviews.took(time.Now())
	n, err := f.View.Reconsider(func(e view.Event, collection string) (decided bool) {
		f.State.Read(func(s *consortium.State) { decided = s.Decided(e.Event, collection, e.Epoch) })
		return decided
	})
	if n > 0 {
		f.Work.Notify()
	}
	return err
}

// reviewDue fires when it is time to reconsider what was put off.
func (f *Fetcher) reviewDue() <-chan time.Time { return f.reviews.wait() }

// pace lets something that others can cause be done a tenth of the time at most.
type pace struct {
	mu     sync.Mutex
	next   time.Time
	putOff bool
	taken  bool // it was done once
}

// isOpen reports whether it is still to be done: for the first time, or since it was put off.
func (p *pace) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.putOff || !p.taken
}

// due reports whether it is time; if it isn't, wait tells when it will be.
func (p *pace) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putOff = time.Now().Before(p.next)
	return !p.putOff
}

// took notes that it was done, since a moment.
func (p *pace) took(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.putOff, p.taken = time.Now().Add(9*time.Since(since)), false, true
}

// wait fires when it is time, if it was put off.
func (p *pace) wait() <-chan time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.putOff {
		return nil
	}
	return time.After(time.Until(p.next))
}
