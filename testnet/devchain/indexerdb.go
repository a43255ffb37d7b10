package devchain

import (
	"context"
	"iter"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/algorand/indexer/v3/idb"
	"github.com/algorand/indexer/v3/idb/dummy"
)

// indexerDB is the ledger as the indexer's REST layer reads its database. What nothing over REST asks for is the
// dummy's. An answer is put together in full before it is handed over, so that nothing has to be waited for when a
// reader loses interest; the REST layer bounds every answer.
type indexerDB struct {
	idb.IndexerDb
	ledger   *ledger
	follower *follower
	hidden   func(txid) bool // transactions that a lying indexer leaves out
}

func newIndexerDB(l *ledger, f *follower, hidden func(txid) bool) *indexerDB {
	return &indexerDB{IndexerDb: dummy.IndexerDb(), ledger: l, follower: f, hidden: hidden}
}

func deliver[T any](rows []T) <-chan T {
	ch := make(chan T, len(rows))
	for _, r := range rows {
		ch <- r
	}
	close(ch)
	return ch
}

// take collects rows up to a limit, 0 standing for the largest that is answered.
func take[T any](rows iter.Seq[T], limit uint64) []T {
	if limit == 0 || limit > maxRows {
		limit = maxRows
	}
	var taken []T
	for r := range rows {
		if taken = append(taken, r); uint64(len(taken)) == limit {
			break
		}
	}
	return taken
}

func (db *indexerDB) Health(context.Context) (idb.Health, error) {
	return idb.Health{
		Data:        &map[string]any{"migration-required": false, "read-only-mode": true},
		Round:       uint64(db.follower.round()),
		DBAvailable: true,
	}, nil
}

func (db *indexerDB) GetNetworkState() (idb.NetworkState, error) {
	return idb.NetworkState{GenesisHash: db.ledger.rules.genesisHash}, nil
}

func (db *indexerDB) Transactions(ctx context.Context, f idb.TransactionFilter) (<-chan idb.TxnRow, uint64) {
	current := db.follower.round()
	var rows []idb.TxnRow
	s, err := newSearch(f, db.ledger, current, db.hidden)
	if err == nil {
		rows, err = s.rows(ctx)
	}
	if err != nil {
		rows = []idb.TxnRow{{Error: err}}
	}
	return deliver(rows), uint64(current)
}

func (db *indexerDB) GetBlock(
	_ context.Context, round uint64, opts idb.GetBlockOptions,
) (types.BlockHeader, []idb.TxnRow, error) {
	b := db.ledger.block(types.Round(round))
	if b == nil || b.round() > db.follower.round() {
		return types.BlockHeader{}, nil, idb.ErrorBlockNotFound
	}
	if !opts.Transactions {
		return b.header, nil, nil
	}
	if uint64(len(b.txns)) > opts.MaxTransactionsLimit {
		return types.BlockHeader{}, nil, idb.MaxTransactionsError{}
	}
	rows := []idb.TxnRow{}
	for i, t := range b.txns {
		if db.hidden(t.id) {
			continue
		}
		full, err := db.ledger.rules.decode(t)
		if err != nil {
			return types.BlockHeader{}, nil, err
		}
		rows = append(rows, txnRow(b, i, full))
	}
	return b.header, rows, nil
}

func (db *indexerDB) BlockHeaders(_ context.Context, f idb.BlockHeaderFilter) (<-chan idb.BlockRow, uint64) {
	current := db.follower.round()
	first, last := types.Round(0), current
	if f.MinRound != nil {
		first = types.Round(*f.MinRound)
	}
	if f.MaxRound != nil {
		last = min(last, types.Round(*f.MaxRound))
	}
	blocks := db.ledger.between(first, last)
	// There are no proposers and no participation accounts: whoever asks for one finds nothing.
	if len(f.Proposers)+len(f.ExpiredParticipationAccounts)+len(f.AbsentParticipationAccounts) > 0 {
		blocks = nil
	}
	return deliver(take(func(yield func(idb.BlockRow) bool) {
		for _, b := range blocks {
			at := b.header.TimeStamp
			if !f.AfterTime.IsZero() && at <= f.AfterTime.Unix() || !f.BeforeTime.IsZero() && at >= f.BeforeTime.Unix() {
				continue
			}
			if !yield(idb.BlockRow{BlockHeader: b.header}) {
				return
			}
		}
	}, f.Limit)), uint64(current)
}

func (db *indexerDB) Applications(context.Context, idb.ApplicationQuery) (<-chan idb.ApplicationRow, uint64) {
	return deliver[idb.ApplicationRow](nil), uint64(db.follower.round())
}

func (db *indexerDB) AppLocalState(context.Context, idb.ApplicationQuery) (<-chan idb.AppLocalStateRow, uint64) {
	return deliver[idb.AppLocalStateRow](nil), uint64(db.follower.round())
}

func (db *indexerDB) ApplicationBoxes(
	context.Context, idb.ApplicationBoxQuery,
) (<-chan idb.ApplicationBoxRow, uint64) {
	return deliver[idb.ApplicationBoxRow](nil), uint64(db.follower.round())
}
