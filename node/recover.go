package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo"
)

// recoveryPace is how often a restored node looks how far the chain has come.
const recoveryPace = 500 * time.Millisecond

// awaitRecovery keeps a node that was restored from a backup from signing anything until the chain has shown all that the lost
// node signed after the backup was made. What can still be confirmed then is in this outbox, and what was confirmed is
// in the event log, by its lease: so nothing is minted twice, and no sequence number is given twice.
//
// The last that the lost node can have signed was valid from a round before this node's first start on. So it is on the
// chain a window later, or never.
func (m *minter) awaitRecovery(ctx context.Context) error {
	recovery, err := m.outbox.Recovery()
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
		cursor, err := m.view.Cursor()
		if err != nil {
			return err
		}
		if cursor >= recovery.Until {
			break
		}
		m.condition.set("restored", fmt.Sprintf("%s; until round %d the chain may show what was signed there, round %d has been read",
			whoElseSigned(recovery), recovery.Until, cursor))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if m.sole.disputed() {
			return nil // it is not over: nothing is signed, see maySign
		}
	}
	highest, holes := m.fold.sequence(m.fold.self)
	if err := m.outbox.SkipSequence(highest); err != nil {
		return err
	}
	if err := m.outbox.FillSequence(holes); err != nil {
		return err
	}
	if err := m.outbox.Unnumber(func(number uint64) bool { return number <= highest && !missing(holes, number) }); err != nil {
		return err
	}
	m.condition.clear()
	return m.outbox.SetRecovery(nil)
}

func whoElseSigned(recovery *repo.Recovery) string {
	if recovery.Disputed {
		return "another node had this organisation's keys"
	}
	return "this node was restored from a backup"
}

func missing(holes []consortium.Range, number uint64) bool {
	return slices.ContainsFunc(holes, func(r consortium.Range) bool { return r.First <= number && number <= r.Last })
}

// beginSole finds out, for an outbox that was not made with the account, when all of the account's transactions are this
// node's.
func (m *minter) beginSole(ctx context.Context) error {
	for {
		known, err := m.sole.known()
		if err != nil || known {
			return err
		}
		round, err := m.ledger.Round(ctx)
		if err == nil {
			return m.sole.begin(round)
		}
		m.condition.set("algod", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(slowestPace):
		}
	}
}

// beginRecovery finds out for how long to wait, and records it.
func (m *minter) beginRecovery(ctx context.Context, recovery *repo.Recovery) error {
	for {
		round, err := m.ledger.Tip(ctx) // of one that is behind, the round would come too early
		if err == nil {
			recovery.Until = round + ledger.Window
			if err := m.sole.recovers(recovery.Until); err != nil {
				return err
			}
			return m.outbox.SetRecovery(recovery)
		}
		m.condition.set("algod", err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(algorand.Pause(err, slowestPace)):
		}
	}
}
