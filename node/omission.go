package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
)

// omissions watches for transactions that the indexer leaves out. A hole in a member's sequence numbers is ordinary for a
// while; one that stays is held against algod's blocks, once, and told to the operator.
type omissions struct {
	missing func() []Missing
	round   func() uint64 // up to which the chain was folded
	audit   func(ctx context.Context, o AuditOptions, progress func(done, total uint64)) (Audit, error)
	log     *slog.Logger

	mu    sync.Mutex
	found []Finding
}

const (
	lookEvery = 15 * time.Second
	// suspicious is the number of rounds after which algod is asked about a hole: most are filled by then, and algod still
	// has the blocks.
	suspicious = 60
	maxOmitted = 100
)

// run watches until the context ends.
func (o *omissions) run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	asked, overdue := map[consortium.Range]bool{}, map[consortium.Range]bool{}
	for {
		for _, m := range o.missing() {
			if m.Overdue && !overdue[m.Range] {
				overdue[m.Range] = true
				o.log.Error("transactions of a member are missing: the indexer leaves them out, or they were lost before they were submitted",
					"member", m.Member, "first", m.Range.First, "last", m.Range.Last, "since_round", m.Range.Since)
			}
			if asked[m.Range] || o.round() < m.Range.Since+suspicious {
				continue
			}
			asked[m.Range] = true
			if err := o.ask(ctx, m); err != nil && ctx.Err() == nil {
				o.log.Warn("algod could not be asked about missing transactions", "member", m.Member, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// ask looks for what is missing in algod's blocks.
func (o *omissions) ask(ctx context.Context, m Missing) error {
	from := m.Range.Since - min(m.Range.Since, auditWindow)
	result, err := o.audit(ctx, AuditOptions{From: from}, func(uint64, uint64) {})
	if err != nil {
		return fmt.Errorf("auditing from round %d: %w", from, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range result.Findings {
		if f.Problem != Omitted || slices.Contains(o.found, f) || len(o.found) == maxOmitted {
			continue
		}
		o.found = append(o.found, f)
		o.log.Error("the indexer leaves a transaction out that algod has: use another indexer, and rebuild the view",
			"txid", f.TxID, "round", f.Round, "sender", f.Sender)
	}
	return nil
}

// list gives what was found since the view was begun.
func (o *omissions) list() []Finding {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.found)
}

// forget begins anew, with a new view.
func (o *omissions) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.found = nil
}
