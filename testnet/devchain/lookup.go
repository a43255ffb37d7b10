package devchain

import (
	"context"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
)

// tip is the last closed round.
func (l *ledger) tip() (*block, *state) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.history.tip(), l.state
}

func (l *ledger) sinceLastRound() time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.now().Sub(l.closedAt)
}

// block is nil where there is none.
func (l *ledger) block(round types.Round) *block {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.history.block(round)
}

// between are the blocks from first to last that exist.
func (l *ledger) between(first, last types.Round) []*block {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.history.between(first, last)
}

// transactionsOf are the places of an address's transactions from first to last.
func (l *ledger) transactionsOf(a types.Address, first, last position) []position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.history.of(a, first, last)
}

// locate is the place of a confirmed transaction.
func (l *ledger) locate(id txid) (position, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	at, ok := l.history.where[id]
	return at, ok
}

// wait returns when a round later than after is closed, or when ctx ends.
func (l *ledger) wait(ctx context.Context, after types.Round) {
	for {
		l.mu.RLock()
		tip, advanced := l.history.tip().round(), l.advanced
		l.mu.RUnlock()
		if tip > after {
			return
		}
		select {
		case <-advanced:
		case <-ctx.Done():
			return
		}
	}
}

// pendingTxn is what algod knows of a transaction: waiting, evicted with an error, or confirmed.
type pendingTxn struct {
	txn       types.SignedTxn
	data      types.ApplyData
	confirmed types.Round // 0 if it is not
	poolError string
}

// pending looks a transaction up in the pool and in the rounds that algod still remembers.
func (l *ledger) pending(id txid) (pendingTxn, bool, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if at, ok := l.history.where[id]; ok {
		if at.round+types.Round(l.rules.MaxTxnLife) < l.history.tip().round() {
			return pendingTxn{}, false, nil
		}
		full, err := l.rules.decode(l.history.txn(at))
		return pendingTxn{txn: full.SignedTxn, data: full.ApplyData, confirmed: at.round}, err == nil, err
	}
	if tx := l.pool.known[id]; tx != nil {
		return pendingTxn{txn: tx.SignedTxn}, true, nil
	}
	if gone, ok := l.pool.evicted[id]; ok {
		return pendingTxn{txn: gone.txn, poolError: gone.poolError}, true, nil
	}
	return pendingTxn{}, false, nil
}

// waiting are the transactions in the pool that match.
func (l *ledger) waiting(match func(*types.Transaction) bool) []types.SignedTxn {
	l.mu.RLock()
	defer l.mu.RUnlock()
	found := []types.SignedTxn{}
	for _, p := range l.pool.groups {
		for i := range p.group {
			if match(&p.group[i].Txn) {
				found = append(found, p.group[i].SignedTxn)
			}
		}
	}
	return found
}
