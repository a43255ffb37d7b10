// Package replicate brings what counts on the chain into the view. In the order of the pipeline:
//
//	replicate.go  the chain's events are applied to the state and logged
//	fetch.go      the blocks of what counts are asked for
//	batch.go      batches are read, and the blocks of their objects asked for
//	settle.go     records are read, and the result of every event is recorded
//	open.go       objects are opened
package replicate

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
)

// Replicator is the first stretch of the replicate pipeline: it applies the chain's events to the consortium's state
// and into the log. What counts waits there for its blocks, see [Fetcher].
type Replicator struct {
	Consortium repo.Consortium
	Identity   *seal.Identity
	Outbox     Outbox
	View       eventLog
	State      *state.Shared
	Blocks     Blocks
	Confirmed  func(context.Context, []consortium.Place) error // tells the minter what is on the chain
	Saw        func([]consortium.Event) error                  // is told what the chain shows, counts or not
	Work       *signal.Signal                                  // events wait for their blocks
	Stages     *stages.Stages
	Log        *slog.Logger

	withdrawals atomic.Uint64 // objects that left, since the start
}

// Outbox is what this organisation publishes.
type Outbox interface {
	// Withdraw records that what transactions published is withdrawn; of a batch all of it, or one object.
	Withdraw(names ...wire.Publication) error
	// Uses reports whether something in it needs a directory.
	Uses(directory string) (bool, error)
}

// eventLog is the part of the view that keeps what the chain has told. What has returned is kept when the node ends, up
// to some call.
type eventLog interface {
	// Cursor is the last round whose events are all in the log.
	Cursor() (round uint64, err error)
	// Sequences gives the publishers' numbers as they were kept last.
	Sequences() (map[string]*consortium.Sequence, error)
	// Records gives the events that change the consortium, in chain order.
	Records() ([]view.Event, error)
	// Append adds events; those that are there stay as they are.
	Append(events []view.NewEvent, sequences map[string]*consortium.Sequence) error
	// Advance moves the cursor.
	Advance(round uint64, sequences map[string]*consortium.Sequence) error
	// Withdraw ends what NFTs published, or one object of a batch, for the first of some recalls. It gives the events that
	// had published it, and the objects of batches, before these.
	Withdraw(recalls ...view.Recall) (ended []view.Event, carriedOut int, err error)
	// IsWithdrawn reports whether what an event published, or an object of a batch, was taken back.
	IsWithdrawn(e view.Event) (bool, error)
	// Uses reports whether an event that may count names a directory.
	Uses(directory string) (used bool, err error)
	contentLog
}

// contentLog is what is known of the contents of records.
type contentLog interface {
	// Event gives the event of a transaction.
	Event(txid string) (e view.Event, found bool, err error)
	// Content gives what was kept as the content of a record; nil if nothing was.
	Content(e view.Event) (content []byte, err error)
	// Await makes a record wait for its blocks again.
	Await(e view.Event) error
}

// Blocks is where directories are kept, and others' are had from.
type Blocks interface {
	// Read gives the two files of a directory; the error wraps [unixfs.ErrNotFound] if it is not here.
	Read(ctx context.Context, root cid.Cid) ([]unixfs.File, error)
	// Forget deletes directories.
	Forget(ctx context.Context, roots []cid.Cid) error
	// Has reports whether a whole directory is here.
	Has(ctx context.Context, root cid.Cid) (bool, error)
	Fetch(ctx context.Context, roots []cid.Cid) (swarm.Fetched, error)
	Connected() map[peer.ID]time.Time
}

var _ chainwatch.Sink = (*Replicator)(nil)

// Cursor is the last round that was applied.
func (r *Replicator) Cursor() (uint64, error) { return r.View.Cursor() }

// Publishers are the accounts whose events can count, and from when on.
func (r *Replicator) Publishers(next []consortium.Event) (list []consortium.Publisher) {
	r.State.Read(func(s *consortium.State) { list = s.Publishers(next) })
	return list
}

// Deliver applies the events of the rounds up to last. The cursor moves last: a crash before that repeats everything
// that comes after the last record in the log (see restore), and repeating changes nothing.
func (r *Replicator) Deliver(ctx context.Context, last uint64, events []consortium.Event) error {
	if err := r.Saw(events); err != nil {
		return err
	}
	var counted []view.NewEvent
	var sequences map[string]*consortium.Sequence
	changes := false
	r.State.Quietly(func(s *consortium.State) {
		for _, e := range events {
			effect, reason := s.Apply(e)
			if effect == consortium.Nothing {
				r.Log.Debug("an event does not count", "txid", e.TxID, "sender", e.Sender, "round", e.Round, "reason", reason)
				continue
			}
			if e.Sender != r.State.Self {
				e.Lease = nil // of others it says nothing, and they could copy ours
			}
			counted = append(counted, view.NewEvent{Event: e, Effect: effect, Member: s.MemberOf(e.Sender)})
			changes = changes || effect == consortium.Record
		}
		sequences = state.CopySequences(s)
	})
	for rest := counted; len(rest) > 0; {
		n := stretch(rest)
		if err := r.take(ctx, rest[:n], sequences); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := r.View.Advance(last, sequences); err != nil {
		return err
	}
	if changes {
		r.State.Publish()
	}
	if len(counted) > 0 {
		r.Work.Notify()
	}
	return nil
}

// stretch is how many events can be logged at once: up to the end of the first run of withdrawals. So a record is in
// the log only when every withdrawal before it was carried out.
func stretch(events []view.NewEvent) int {
	withdrawals := false
	for i, e := range events {
		if withdrawals && e.Effect != consortium.Withdrawal {
			return i
		}
		withdrawals = e.Effect == consortium.Withdrawal
	}
	return len(events)
}

// take logs a stretch of events and carries out what needs nothing but the chain: that ours are confirmed, before a
// record is in the log, since what stands before that isn't applied again; and then, since an NFT may end in the window
// in which it began, the withdrawals.
func (r *Replicator) take(ctx context.Context, events []view.NewEvent, sequences map[string]*consortium.Sequence) error {
	if err := r.Confirmed(ctx, r.own(events)); err != nil {
		return err
	}
	if err := r.View.Append(events, sequences); err != nil {
		return err
	}
	var recalls []view.Recall
	r.State.Read(func(s *consortium.State) {
		for _, e := range events {
			if e.Effect != consortium.Withdrawal {
				continue
			}
			recall := view.Recall{Senders: []string{e.Sender}, At: e.Position}
			recall.Asset, recall.Index = e.Ends()
			if e.Note.Kind != wire.KindDestroy { // it was minted with an earlier account, perhaps
				recall.Senders = s.Accounts(e.Sender)
			}
			recalls = append(recalls, recall)
		}
	})
	return r.withdraw(ctx, recalls)
}

// own gives the transactions of this organisation.
func (r *Replicator) own(events []view.NewEvent) (places []consortium.Place) {
	for _, e := range events {
		if r.State.Ours(e.Sender) {
			places = append(places, e.Place())
		}
	}
	return places
}

// withdraw takes objects that were taken back by their publishers out of the view and deletes their blocks, unless
// something else that may count needs them. It does so for many at once, since anybody can take back as many as it
// likes.
func (r *Replicator) withdraw(ctx context.Context, recalls []view.Recall) error {
	for len(recalls) > 0 {
		ended, n, err := r.View.Withdraw(recalls...)
		if err != nil {
			return err
		}
		recalls = recalls[n:]
		if len(ended) == 0 {
			continue
		}
		r.withdrawals.Add(uint64(len(ended)))
		r.Stages.Withdrawn(len(slices.DeleteFunc(slices.Clone(ended), func(e view.Event) bool { return e.Note.Kind == wire.KindBatch && e.Index == 0 })))
		whole := withoutTheirObjects(ended)
		names := make([]wire.Publication, len(whole))
		for i, e := range whole {
			names[i] = e.Name()
			if e.Note.Kind == wire.KindBatch {
				r.Log.Debug("a batch of objects was withdrawn", "txid", e.TxID, "publisher", e.Sender)
			} else {
				r.Log.Debug("an object was withdrawn", "txid", names[i], "publisher", e.Sender)
			}
		}
		if err := r.Outbox.Withdraw(names...); err != nil {
			return err
		}
		if err := r.forget(ctx, ended); err != nil {
			return err
		}
	}
	return nil
}

// withoutTheirObjects leaves out what batches listed that have ended themselves.
func withoutTheirObjects(ended []view.Event) []view.Event {
	whole := map[string]bool{}
	for _, e := range ended {
		whole[e.TxID] = whole[e.TxID] || e.Index == 0
	}
	return slices.DeleteFunc(slices.Clone(ended), func(e view.Event) bool { return e.Index != 0 && whole[e.TxID] })
}

// Withdrawals counts the objects that have left the view.
func (r *Replicator) Withdrawals() uint64 { return r.withdrawals.Load() }

// ForgetWithdrawn deletes the blocks of those events that were withdrawn: they may have come when nobody waited for
// them any more.
func (r *Replicator) ForgetWithdrawn(ctx context.Context, events []view.Event) error {
	var ended []view.Event
	for _, e := range events {
		withdrawn, err := r.View.IsWithdrawn(e)
		if err != nil {
			return err
		}
		if withdrawn {
			ended = append(ended, e)
		}
	}
	return r.forget(ctx, ended)
}

// forget deletes the blocks of events that have ended, unless something else needs them.
func (r *Replicator) forget(ctx context.Context, ended []view.Event) error {
	unused := cid.NewSet()
	for _, e := range ended {
		directories, err := r.directoriesOf(ctx, e)
		if err != nil {
			return err
		}
		for _, directory := range directories {
			root, err := cid.Decode(directory)
			if err != nil {
				return fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
			}
			if unused.Has(root) {
				continue
			}
			if used, err := r.uses(directory); err != nil {
				return err
			} else if !used {
				unused.Add(root)
			}
		}
	}
	return r.Blocks.Forget(ctx, unused.Keys())
}

// uses reports whether anything needs a directory.
func (r *Replicator) uses(directory string) (used bool, err error) {
	if used, err = r.View.Uses(directory); err != nil || used {
		return used, err
	}
	return r.Outbox.Uses(directory)
}

// Restore rebuilds the state from the log: the records that were applied, with the content that is here.
func (r *Replicator) Restore(ctx context.Context) error {
	state := consortium.New(r.Consortium.ID, r.Consortium.Charter, r.Identity)
	cursor, err := r.View.Cursor()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	records, err := r.View.Records()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	for _, e := range records {
		state.Apply(e.Event)
	}
	for _, e := range records {
		if err := r.reattach(ctx, state, e); err != nil {
			return fmt.Errorf("restoring the consortium's state: %w", err)
		}
	}
	for wanted := state.Wanted(); len(wanted) > 0; wanted = state.Wanted() {
		for _, txid := range wanted {
			content, err := contentOf(r.View, txid)
			if err != nil {
				return fmt.Errorf("restoring the consortium's state: %w", err)
			}
			if content != nil {
				state.Take(txid, *content)
			}
		}
	}
	sequences, err := r.View.Sequences()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	state.Resume(consortium.Position{Round: cursor, Intra: math.MaxUint64}, sequences)
	r.State.Replace(state)
	return nil
}

// reattach gives the state what is known of the content of a record. A record is not read again, unless what it said is
// lost, or could say more to keys that this organisation has now.
func (r *Replicator) reattach(ctx context.Context, state *consortium.State, e view.Event) error {
	switch e.State {
	case view.Refused:
		state.Void(e.TxID)
		return nil
	case view.Held:
	default:
		return nil
	}
	root, err := cid.Decode(e.Directory)
	if err != nil {
		return fmt.Errorf("directory of transaction %s: %w", e.TxID, err)
	}
	here, err := r.Blocks.Has(ctx, root)
	if err != nil || !here {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// The block store was lost, or is damaged. Members have the record.
		r.Log.Warn("a record is not here any more; members are asked for it", "txid", e.TxID, "error", err)
		if err := r.View.Await(e); err != nil {
			return err
		}
	}
	encoded, err := r.View.Content(e)
	if err != nil {
		return err
	}
	content, err := consortium.DecodeContent(encoded)
	switch {
	case err == nil && content.Opened(r.Identity):
		state.Take(e.TxID, content)
		return nil
	case !here:
		return nil
	}
	r.Log.Info("a record is read again", "txid", e.TxID)
	return r.View.Await(e)
}
