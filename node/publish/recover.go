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
	"github.com/serviceledger/slnode/repo/outbox"
)

// recoveryPace is how often a restored node looks how far the chain has come.
const recoveryPace = 500 * time.Millisecond

// awaitRecovery keeps a node that was restored from a backup from signing anything until the chain has shown all that
// the lost node signed after the backup was made. What can still be confirmed then is in this outbox, and what was
// confirmed is in the event log, by its lease: so nothing is minted twice, and no sequence number is given twice.
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
	ticker := time.NewTicker(recoveryPace)
	defer ticker.Stop()
	for {
		cursor, err := m.View.Cursor()
		if err != nil {
			return err
		}
		if cursor >= recovery.Until {
			break
		}
		m.Condition.Set("restored", fmt.Sprintf("%s; until round %d the chain may show what was signed there, round %d has been read",
			whoElseSigned(recovery), recovery.Until, cursor))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if m.Sole.Disputed() {
			return nil // it is not over: nothing is signed, see maySign
		}
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
