package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p"
	"github.com/serviceledger/slnode/repo"
)

// replicator is the first stretch of the replicate pipeline: it folds the chain's events into the consortium's state
// and into the log. What counts waits there for its blocks, see [fetcher].
type replicator struct {
	consortium repo.Consortium
	identity   *seal.Identity
	outbox     *repo.Outbox
	view       *repo.View
	fold       *fold
	blocks     replicaStore
	confirmed  func(context.Context, []ledger.Minted) error // tells the minter what is on the chain
	work       *signal                                      // events wait for their blocks
	withdrawn  *signal
	log        *slog.Logger
}

// replicaStore is a blockStore that also gets what others published.
type replicaStore interface {
	blockStore
	Fetch(ctx context.Context, roots []cid.Cid) (p2p.Fetched, error)
	Connected() map[peer.ID]time.Time
}

var _ chainwatch.Sink = (*replicator)(nil)

// Cursor is the last round that was folded.
func (r *replicator) Cursor() (uint64, error) { return r.view.Cursor() }

// Publishers are the accounts whose events can count.
func (r *replicator) Publishers(next []consortium.Event) (accounts []consortium.Publisher) {
	r.fold.read(func(s *consortium.State) { accounts = s.Publishers(next) })
	return accounts
}

// Deliver folds the events of the rounds up to last. The cursor moves last: a crash before that repeats everything
// that comes after the last record in the log (see restore), and repeating changes nothing.
func (r *replicator) Deliver(ctx context.Context, last uint64, events []consortium.Event) error {
	var counted []repo.NewEvent
	var sequences map[string]*consortium.Sequence
	changes := false
	r.fold.quietly(func(s *consortium.State) {
		for _, e := range events {
			effect, reason := s.Apply(e)
			if effect == consortium.Nothing {
				r.log.Debug("an event does not count", "txid", e.TxID, "sender", e.Sender, "round", e.Round, "reason", reason)
				continue
			}
			if e.Sender != r.fold.self {
				e.Lease = nil // of others it says nothing, and they could copy ours
			}
			counted = append(counted, repo.NewEvent{Event: e, Effect: effect})
			changes = changes || effect == consortium.Record
		}
		sequences = copySequences(s)
	})
	for rest := counted; len(rest) > 0; {
		n := stretch(rest)
		if err := r.take(ctx, rest[:n], sequences); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if err := r.view.Advance(last, sequences); err != nil {
		return err
	}
	if changes {
		r.fold.publish()
	}
	if len(counted) > 0 {
		r.work.notify()
	}
	return nil
}

// stretch is how many events can be logged at once: up to the end of the first run of withdrawals. So a record is in
// the log only when every withdrawal before it was carried out.
func stretch(events []repo.NewEvent) int {
	withdrawals := false
	for i, e := range events {
		if withdrawals && e.Effect != consortium.Withdrawal {
			return i
		}
		withdrawals = e.Effect == consortium.Withdrawal
	}
	return len(events)
}

// take logs a stretch of events and carries out what needs nothing but the chain: that ours are confirmed, and then,
// since an NFT may end in the window in which it began, the withdrawals.
func (r *replicator) take(ctx context.Context, events []repo.NewEvent, sequences map[string]*consortium.Sequence) error {
	if err := r.view.Append(events, sequences); err != nil {
		return err
	}
	if err := r.confirmed(ctx, r.own(events)); err != nil {
		return err
	}
	for _, e := range events {
		if e.Effect != consortium.Withdrawal {
			continue
		}
		if err := r.withdraw(ctx, e.Event); err != nil {
			return err
		}
	}
	return nil
}

// own gives the transactions of this organisation.
func (r *replicator) own(events []repo.NewEvent) (minted []ledger.Minted) {
	for _, e := range events {
		if r.fold.ours(e.Sender) {
			minted = append(minted, ledger.Minted{TxID: e.TxID, Round: e.Round, Asset: e.Asset})
		}
	}
	return minted
}

// withdraw takes an object that was taken back by its publisher out of the view and deletes its blocks, unless
// something else that may count needs them.
func (r *replicator) withdraw(ctx context.Context, e consortium.Event) error {
	senders := []string{e.Sender}
	if e.Note.Kind != wire.KindDestroy { // it was minted with an earlier account, perhaps
		r.fold.read(func(s *consortium.State) { senders = s.Accounts(e.Sender) })
	}
	ended, found, err := r.view.Withdraw(e.Ends(), senders...)
	if err != nil || !found {
		return err
	}
	if err := r.outbox.Withdraw(ended.TxID); err != nil {
		return err
	}
	r.log.Info("an object was withdrawn", "txid", ended.TxID, "publisher", ended.Sender)
	defer r.withdrawn.notify()
	for _, uses := range []func(string) (bool, error){r.view.Uses, r.outbox.Uses} {
		if used, err := uses(ended.Directory); err != nil || used {
			return err
		}
	}
	root, err := cid.Decode(ended.Directory)
	if err != nil {
		return fmt.Errorf("directory of transaction %s: %w", ended.TxID, err)
	}
	return r.blocks.Forget(ctx, []cid.Cid{root})
}

// restore rebuilds the state from the log: the records that were folded, with the content that is here.
func (r *replicator) restore(ctx context.Context) error {
	state := consortium.New(r.consortium.ID, r.consortium.Charter, r.identity)
	cursor, err := r.view.Cursor()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	records, err := r.view.Records()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	for _, e := range records {
		state.Apply(e.Event)
	}
	for _, e := range records {
		if e.State == repo.Refused {
			void(state, e)
		}
		if e.State != repo.Held {
			continue
		}
		err := r.reattach(ctx, state, e)
		if err != nil && ctx.Err() == nil {
			// The block store was lost, or is damaged. Members have the record.
			r.log.Warn("a record is not here any more; members are asked for it", "txid", e.TxID, "error", err)
			err = r.view.Await(e)
		}
		if err != nil {
			return fmt.Errorf("restoring the consortium's state: %w", err)
		}
	}
	sequences, err := r.view.Sequences()
	if err != nil {
		return fmt.Errorf("restoring the consortium's state: %w", err)
	}
	state.Resume(consortium.Position{Round: cursor, Intra: math.MaxUint64}, sequences)
	r.fold.replace(state)
	return nil
}

func (r *replicator) reattach(ctx context.Context, state *consortium.State, e repo.LoggedEvent) error {
	root, err := cid.Decode(e.Directory)
	if err != nil {
		return err
	}
	files, err := r.blocks.Read(ctx, root)
	if err != nil {
		return err
	}
	metadata, payload, err := verifiedFiles(e.Event, files)
	if err != nil {
		return err
	}
	return state.Attach(e.TxID, metadata, payload)
}

// verifiedFiles gives the metadata and the payload of a directory, after checking the chain of hashes: the NFT's
// metadata hash over metadata.json, and its integrity over the payload.
func verifiedFiles(e consortium.Event, files []p2p.File) (m wire.Metadata, payload []byte, err error) {
	var raw []byte
	for _, f := range files {
		if f.Name == wire.MetadataName {
			raw = f.Data
		}
	}
	if hash := wire.MetadataHash(raw); string(hash[:]) != string(e.MetadataHash) {
		return wire.Metadata{}, nil, errors.New("metadata.json has another hash than the NFT says")
	}
	if m, err = wire.ParseMetadata(raw); err != nil {
		return wire.Metadata{}, nil, err
	}
	if m.Properties.Kind != e.Note.Kind {
		return wire.Metadata{}, nil, fmt.Errorf("metadata.json says %.40q, the note says %s", m.Properties.Kind, e.Note.Kind)
	}
	for _, f := range files {
		if f.Name == m.Properties.Path {
			return m, f.Data, m.CheckPayload(f.Data)
		}
	}
	return wire.Metadata{}, nil, fmt.Errorf("the directory has no %s", m.Properties.Path)
}
