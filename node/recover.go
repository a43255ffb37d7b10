package node

import (
	"context"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/algorand"
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
		return err
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
		m.condition.set("restored", fmt.Sprintf("this node was restored from a backup; until round %d the chain may show what was signed "+
			"after it was made, round %d has been read", recovery.Until, cursor))
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
	highest, holes := m.fold.sequence(m.fold.self)
	if err := m.outbox.SkipSequence(highest); err != nil {
		return err
	}
	if err := m.outbox.FillSequence(holes); err != nil {
		return err
	}
	m.condition.clear()
	return m.outbox.SetRecovery(nil)
}

// beginRecovery finds out for how long to wait, and records it.
func (m *minter) beginRecovery(ctx context.Context, recovery *repo.Recovery) error {
	for {
		round, err := m.ledger.Tip(ctx) // of one that is behind, the round would come too early
		if err == nil {
			recovery.Until = round + ledger.Window
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
