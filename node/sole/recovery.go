package sole

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// Recovery has a node wait, before it signs anything, for what another one has done that had its keys.
type Recovery struct {
	*Sole
	View interface {
		// Cursor is the last round that was followed.
		Cursor() (uint64, error)
		// Log gives some events after a position, in chain order.
		Log(after consortium.Position, limit int) ([]view.Event, error)
		// Event gives the event of a transaction.
		Event(txid string) (view.Event, bool, error)
		// Objects gives those objects of a batch of which something has become.
		Objects(batch view.Event) ([]view.Event, error)
	}
	State interface {
		// Sequence gives the highest number that the chain shows of an account, and those below that it doesn't.
		Sequence(account string) (highest uint64, holes []consortium.Range)
		// Ours reports whether an account is this organisation's, or was.
		Ours(account string) bool
	}
	Ledger interface {
		Round(ctx context.Context) (uint64, error)
		// Tip is Round of an algod that is not catching up.
		Tip(ctx context.Context) (uint64, error)
	}
}

const (
	recoveryPace = 500 * time.Millisecond // how often it is looked how far the chain has come
	algodPace    = 5 * time.Second        // how often algod is asked that can't tell
)

// Await keeps a node that was restored from a backup from signing anything until the chain has shown all that
// the lost node signed after the backup was made. What can still be confirmed then is in this outbox, and what was
// confirmed is in the event log, by its lease, or in the view: so nothing is minted twice, and no sequence number is
// given twice.
//
// The last that the lost node can have signed was valid from a round before this node's first start on. So it is on the
// chain a window later, or never.
func (r *Recovery) Await(ctx context.Context) error {
	recovery, err := r.Outbox.Recovery()
	if err != nil || recovery == nil {
		return errors.Join(err, r.beginSole(ctx))
	}
	if recovery.Until == 0 {
		if err := r.beginRecovery(ctx, recovery); err != nil || ctx.Err() != nil {
			return err
		}
	}
	over, err := r.watch(ctx, func(cursor uint64) (string, error) {
		if cursor >= recovery.Until {
			return "", nil
		}
		return fmt.Sprintf("%s; until round %d the chain may show what was signed there, round %d has been read", whoElseSigned(recovery), recovery.Until, cursor), nil
	})
	if over && err == nil {
		over, err = r.awaitContents(ctx, recovery)
	}
	if !over || err != nil {
		return err
	}
	highest, holes := r.State.Sequence(r.Self)
	if err := r.Outbox.SkipSequence(highest); err != nil {
		return err
	}
	if err := r.Outbox.FillSequence(holes); err != nil {
		return err
	}
	if err := r.Outbox.Unnumber(func(number uint64) bool { return number <= highest && !missing(holes, number) }); err != nil {
		return err
	}
	r.Condition.Clear()
	return r.Outbox.SetRecovery(nil)
}

// watch looks again and again how far the chain was followed, until nothing is waited for any more. It isn't over when
// the context ends, or another node has this one's keys: nothing is signed then.
func (r *Recovery) watch(ctx context.Context, waits func(cursor uint64) (what string, err error)) (over bool, err error) {
	ticker := time.NewTicker(recoveryPace)
	defer ticker.Stop()
	for {
		cursor, err := r.View.Cursor()
		if err != nil {
			return false, err
		}
		what, err := waits(cursor)
		if err != nil || what == "" {
			return true, err
		}
		r.Condition.Set("restored", what)
		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
		if r.Disputed() {
			return false, nil
		}
	}
}

// awaitContents waits for the contents of the batches that the lost node has published: the chain tells by its lease
// that an object has an NFT of its own already, but only a batch's contents which objects are in it. What no member
// gives within another window is not waited for any longer: it may be lost, and what is posted again is published
// again.
func (r *Recovery) awaitContents(ctx context.Context, recovery *outbox.Recovery) (over bool, err error) {
	lost, err := r.lostBatches()
	if err != nil {
		return false, err
	}
	until := recovery.Until + ledger.Window
	return r.watch(ctx, func(cursor uint64) (string, error) {
		for ; len(lost) > 0 && cursor < until; lost = lost[1:] {
			known, err := r.isKnown(lost[0])
			if err != nil {
				return "", err
			}
			if !known {
				return fmt.Sprintf("%s; the contents of %d batches that it published have not been read: they tell what must not be published twice. "+
					"They are waited for until round %d, round %d has been read", whoElseSigned(recovery), len(lost), until, cursor), nil
			}
		}
		if len(lost) > 0 {
			r.Log.Warn("what another node published in batches can't be had: what of it is posted again is published again", "batches", len(lost))
		}
		return "", nil
	})
}

// logPage is how many events of the log are read at once.
const logPage = 1024

// lostBatches gives the transactions of this organisation's batches that this outbox has never signed.
func (r *Recovery) lostBatches() (lost []string, err error) {
	for after := (consortium.Position{}); ; {
		events, err := r.View.Log(after, logPage)
		if err != nil || len(events) == 0 {
			return lost, err
		}
		var own []string
		for _, e := range events {
			if e.Note.Kind == wire.KindBatch && r.State.Ours(e.Sender) {
				own = append(own, e.TxID)
			}
		}
		unsigned, err := r.Outbox.Unsigned(own)
		if err != nil {
			return nil, err
		}
		lost, after = append(lost, unsigned...), events[len(events)-1].Position
	}
}

// isKnown reports whether the view knows which objects a batch has published.
func (r *Recovery) isKnown(txid string) (bool, error) {
	batch, found, err := r.View.Event(txid)
	if err != nil || !found || isOpen(batch) {
		return false, err
	}
	objects, err := r.View.Objects(batch)
	return !slices.ContainsFunc(objects, isOpen), err
}

// isOpen reports whether it is not known yet what an event brings.
func isOpen(e view.Event) bool { return e.State == view.Waiting || e.State == view.Undecided }

func whoElseSigned(recovery *outbox.Recovery) string {
	if recovery.Disputed {
		return "another node had this organisation's keys"
	}
	return "this node was restored from a backup"
}

func missing(holes []consortium.Range, number uint64) bool {
	return slices.ContainsFunc(holes, func(r consortium.Range) bool { return r.First <= number && number <= r.Last })
}

// beginSole finds out, for an outbox that was not made with the account, when all of the account's transactions are
// this node's.
func (r *Recovery) beginSole(ctx context.Context) error {
	for {
		known, err := r.Known()
		if err != nil || known {
			return err
		}
		round, err := r.Ledger.Round(ctx)
		if err == nil {
			return r.Begin(round)
		}
		r.Condition.Set("algod", err.Error())
		if !retry.Wait(ctx, algodPace) {
			return nil
		}
	}
}

// beginRecovery finds out for how long to wait, and records it.
func (r *Recovery) beginRecovery(ctx context.Context, recovery *outbox.Recovery) error {
	for {
		round, err := r.Ledger.Tip(ctx) // of one that is behind, the round would come too early
		if err == nil {
			recovery.Until = round + ledger.Window
			if err := r.Recovers(recovery.Until); err != nil {
				return err
			}
			return r.Outbox.SetRecovery(recovery)
		}
		r.Condition.Set("algod", err.Error())
		if !retry.Wait(ctx, algorand.Pause(err, algodPace)) {
			return nil
		}
	}
}
