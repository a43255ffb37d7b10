package publish

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

// recoveryPace is how often a restored node looks how far the chain has come.
const recoveryPace = 500 * time.Millisecond

// awaitRecovery keeps a node that was restored from a backup from signing anything until the chain has shown all that
// the lost node signed after the backup was made. What can still be confirmed then is in this outbox, and what was
// confirmed is in the event log, by its lease, or in the view: so nothing is minted twice, and no sequence number is
// given twice.
//
// The last that the lost node can have signed was valid from a round before this node's first start on. So it is on the
// chain a window later, or never.
func (m *Minter) awaitRecovery(ctx context.Context) error {
	recovery, err := m.Outbox.Recovery()
	if err != nil || recovery == nil {
		return errors.Join(err, m.beginSole(ctx))
	}
	if recovery.Until == 0 {
		if err := m.beginRecovery(ctx, recovery); err != nil || ctx.Err() != nil {
			return err
		}
	}
	over, err := m.watch(ctx, func(cursor uint64) (string, error) {
		if cursor >= recovery.Until {
			return "", nil
		}
		return fmt.Sprintf("%s; until round %d the chain may show what was signed there, round %d has been read", whoElseSigned(recovery), recovery.Until, cursor), nil
	})
	if over && err == nil {
		over, err = m.awaitContents(ctx, recovery)
	}
	if !over || err != nil {
		return err
	}
	highest, holes := m.State.Sequence(m.State.Self)
	if err := m.Outbox.SkipSequence(highest); err != nil {
		return err
	}
	if err := m.Outbox.FillSequence(holes); err != nil {
		return err
	}
	if err := m.Outbox.Unnumber(func(number uint64) bool { return number <= highest && !missing(holes, number) }); err != nil {
		return err
	}
	m.Condition.Clear()
	return m.Outbox.SetRecovery(nil)
}

// watch looks again and again how far the chain was followed, until nothing is waited for any more. It isn't over when
// the context ends, or another node has this one's keys: nothing is signed then, see maySign.
func (m *Minter) watch(ctx context.Context, waits func(cursor uint64) (what string, err error)) (over bool, err error) {
	ticker := time.NewTicker(recoveryPace)
	defer ticker.Stop()
	for {
		cursor, err := m.View.Cursor()
		if err != nil {
			return false, err
		}
		what, err := waits(cursor)
		if err != nil || what == "" {
			return true, err
		}
		m.Condition.Set("restored", what)
		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
		if m.Sole.Disputed() {
			return false, nil
		}
	}
}

// awaitContents waits for the contents of the batches that the lost node has published: the chain tells by its lease
// that an object has an NFT of its own already, but only a batch's contents which objects are in it. What no member
// gives within another window is not waited for any longer: it may be lost, and what is posted again is published
// again.
func (m *Minter) awaitContents(ctx context.Context, recovery *outbox.Recovery) (over bool, err error) {
	lost, err := m.lostBatches()
	if err != nil {
		return false, err
	}
	until := recovery.Until + ledger.Window
	return m.watch(ctx, func(cursor uint64) (string, error) {
		for ; len(lost) > 0 && cursor < until; lost = lost[1:] {
			known, err := m.isKnown(lost[0])
			if err != nil {
				return "", err
			}
			if !known {
				return fmt.Sprintf("%s; the contents of %d batches that it published have not been read: they tell what must not be published twice. "+
					"They are waited for until round %d, round %d has been read", whoElseSigned(recovery), len(lost), until, cursor), nil
			}
		}
		if len(lost) > 0 {
			m.Log.Warn("what another node published in batches can't be had: what of it is posted again is published again", "batches", len(lost))
		}
		return "", nil
	})
}

// logPage is how many events of the log are read at once.
const logPage = 1024

// lostBatches gives the transactions of this organisation's batches that this outbox has never signed.
func (m *Minter) lostBatches() (lost []string, err error) {
	for after := (consortium.Position{}); ; {
		events, err := m.View.Log(after, logPage)
		if err != nil || len(events) == 0 {
			return lost, err
		}
		var own []string
		for _, e := range events {
			if e.Note.Kind == wire.KindBatch && m.State.Ours(e.Sender) {
				own = append(own, e.TxID)
			}
		}
		unsigned, err := m.Outbox.Unsigned(own)
		if err != nil {
			return nil, err
		}
		lost, after = append(lost, unsigned...), events[len(events)-1].Position
	}
}

// isKnown reports whether the view knows which objects a batch has published.
func (m *Minter) isKnown(txid string) (bool, error) {
	batch, found, err := m.View.Event(txid)
	if err != nil || !found || isOpen(batch) {
		return false, err
	}
	objects, err := m.View.Objects(batch)
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
func (m *Minter) beginSole(ctx context.Context) error {
	for {
		known, err := m.Sole.Known()
		if err != nil || known {
			return err
		}
		round, err := m.Ledger.Round(ctx)
		if err == nil {
			return m.Sole.Begin(round)
		}
		m.Condition.Set("algod", err.Error())
		if !retry.Wait(ctx, slowestPace) {
			return nil
		}
	}
}

// beginRecovery finds out for how long to wait, and records it.
func (m *Minter) beginRecovery(ctx context.Context, recovery *outbox.Recovery) error {
	for {
		round, err := m.Ledger.Tip(ctx) // of one that is behind, the round would come too early
		if err == nil {
			recovery.Until = round + ledger.Window
			if err := m.Sole.Recovers(recovery.Until); err != nil {
				return err
			}
			return m.Outbox.SetRecovery(recovery)
		}
		m.Condition.Set("algod", err.Error())
		if !retry.Wait(ctx, algorand.Pause(err, slowestPace)) {
			return nil
		}
	}
}
