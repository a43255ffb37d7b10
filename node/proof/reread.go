package proof

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/repo/found"
	"github.com/serviceledger/slnode/repo/view"
)

// Reread asks an indexer for rounds that were passed without it, and keeps what it has of the consortium that counts
// and is not in the log.
func (n *Notary) Reread(ctx context.Context, source string, m found.Missed) error {
	cursor, err := n.View.Cursor()
	if err != nil {
		return err
	}
	charter, err := n.logged(n.Consortium.Charter)
	if err != nil {
		return err
	}
	first, last := max(m.First, charter.Round), min(m.Last, cursor)
	if first > last {
		return nil
	}
	records, err := n.View.Records()
	if err != nil {
		return err
	}
	r := &rereader{
		Notary: n, ctx: ctx, derived: consortium.New(n.Consortium.ID, n.Consortium.Charter, nil), log: logReader{view: n.View, last: last},
		records: slices.DeleteFunc(records, func(e view.Event) bool { return e.Round < first || e.Round > last }),
	}
	if err := r.apply(consortium.Position{Round: first}); err != nil {
		return err
	}
	if err := n.Watcher.Reread(ctx, source, first, last, r.publishers, r.take); err != nil {
		return err
	}
	return n.keep(r.found)
}

// keep hands over what was found late.
func (n *Notary) keep(list []onchain.Confirmed) error {
	if n.Keep == nil || len(list) == 0 {
		return nil
	}
	return n.Keep(list)
}

// rereader folds what an indexer gives together with the log.
type rereader struct {
	*Notary
	ctx     context.Context
	derived *consortium.State
	log     logReader
	records []view.Event // of the log, in the rounds that are read
	found   []onchain.Confirmed
}

// apply applies the log's events before a place.
func (r *rereader) apply(before consortium.Position) error {
	for {
		e, more, err := r.log.peek()
		if err != nil || !more || !e.Before(before) {
			return err
		}
		r.log.take()
		r.derived.Apply(e)
	}
}

func (r *rereader) publishers(next []consortium.Event) []consortium.Publisher {
	next = slices.Clone(next)
	for _, e := range r.records {
		next = append(next, e.Event)
	}
	return r.derived.Publishers(next)
}

// take looks through a window of the indexer's.
func (r *rereader) take(events []consortium.Event) error {
	for _, e := range events {
		_, known, err := r.View.Event(e.TxID)
		if err != nil {
			return err
		}
		if known || len(r.found) == maxFindings {
			continue
		}
		if err := r.apply(e.Position); err != nil {
			return err
		}
		at, more, err := r.log.peek()
		if err != nil {
			return err
		}
		if more && at.Position == e.Position { // which of the two is there only algod's block can say
			r.Log.Warn("an indexer gives a transaction a place that another one has", "txid", e.TxID, "round", e.Round)
			continue
		}
		if effect, _ := r.derived.Apply(e); effect == consortium.Nothing {
			continue
		}
		c, ok, err := r.confirmed(e)
		if err != nil {
			return err
		}
		if ok {
			r.found = append(r.found, c)
		}
	}
	return nil
}

// confirmed is a transaction that an indexer gives, with its signature. It is not ok if algod has the block and it
// isn't there.
func (r *rereader) confirmed(e consortium.Event) (c onchain.Confirmed, ok bool, err error) {
	block, here, err := r.Ledger.Read(r.ctx, e.Round)
	if err == nil && here && block.Fit == onchain.Fits {
		c, ok = inReading(block, e.TxID)
		return c, ok, nil
	}
	f, err := r.Watcher.Find(r.ctx, e.TxID)
	if err != nil || !f.Found {
		return c, false, err
	}
	return onchain.Confirmed{SignedTxn: f.Signed, TxID: e.TxID, Position: e.Position, Time: e.Time, Asset: e.Asset}, true, nil
}

// inReading finds a transaction in a block.
func inReading(block onchain.Reading, txid string) (onchain.Confirmed, bool) {
	i := slices.IndexFunc(block.Transactions, func(c onchain.Confirmed) bool { return c.TxID == txid })
	if i < 0 {
		return onchain.Confirmed{}, false
	}
	return block.Transactions[i], true
}

// proved gives those transactions of the blocks of some rounds that were found missing in the log: of the blocks that
// have what their headers commit to.
func (n *Notary) proved(ctx context.Context, missing map[uint64][]string) (list []onchain.Confirmed) {
	for round, txids := range missing {
		block, here, err := n.Ledger.Read(ctx, round)
		if err != nil || !here || block.Fit != onchain.Fits {
			n.Log.Warn("what a block has more than the log is not taken: the block can't be held against its header", "round", round, "error", err)
			continue
		}
		for _, txid := range txids {
			if c, found := inReading(block, txid); found {
				list = append(list, c)
			}
		}
	}
	return list
}

// Recheck reads the blocks of rounds that were passed without algod, as far as it still has them.
func (n *Notary) Recheck(ctx context.Context, m found.Missed) error {
	cursor, err := n.View.Cursor()
	if err != nil || m.First > cursor {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	from := max(m.First, cursor-min(cursor, maxRecheck))
	if _, err := n.Crosscheck(ctx, CrosscheckOptions{EveryRound: true, From: from, Until: m.Last}, func(uint64, uint64) {}); err != nil {
		return fmt.Errorf("crosschecking the rounds %d to %d: %w", from, m.Last, err)
	}
	return nil
}

const (
	maxRecheck     = 1000 // rounds: those that algod has for certain
	recheckTimeout = 10 * time.Minute
)

var _ indexer = (*chainwatch.Watcher)(nil)
