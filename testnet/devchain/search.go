package devchain

import (
	"bytes"
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/types"
	"github.com/algorand/indexer/v3/idb"
)

// maxRows bounds an answer for which the request set no limit.
const maxRows = 10_000

// search finds transactions as the indexer's database does: by address the newest first, else the oldest first.
// It reads only what is in the window of rounds that the filter names.
type search struct {
	idb.TransactionFilter
	ledger *ledger
	hidden func(txid) bool
	first  position // of the window
	last   position
}

func newSearch(f idb.TransactionFilter, l *ledger, current types.Round, hidden func(txid) bool) (*search, error) {
	if f.Limit == 0 || f.Limit > maxRows {
		f.Limit = maxRows
	}
	s := &search{TransactionFilter: f, ledger: l, hidden: hidden}
	s.first = position{types.Round(f.MinRound), 0}
	s.last = position{current, math.MaxInt}
	if f.MaxRound != 0 {
		s.narrow(position{}, position{types.Round(f.MaxRound), math.MaxInt})
	}
	if f.Round != nil {
		s.narrow(position{types.Round(*f.Round), 0}, position{types.Round(*f.Round), math.MaxInt})
	}
	if f.NextToken == "" {
		return s, nil
	}
	round, intra, err := idb.DecodeTxnRowNext(f.NextToken)
	if err != nil {
		return nil, err
	}
	at := position{types.Round(round), int(intra)}
	if f.Address == nil {
		s.narrow(position{at.round, at.intra + 1}, s.last)
	} else {
		s.narrow(s.first, position{at.round, at.intra - 1})
	}
	return s, nil
}

func (s *search) narrow(first, last position) {
	if s.first.before(first) {
		s.first = first
	}
	if last.before(s.last) {
		s.last = last
	}
}

// rows are the transactions found, at most as many as the filter's limit.
func (s *search) rows(ctx context.Context) ([]idb.TxnRow, error) {
	var found []idb.TxnRow
	for at, b := range s.candidates() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t := b.txns[at.intra]
		if !s.mayMatch(at, b, t) {
			continue
		}
		full, err := s.ledger.rules.decode(t)
		if err != nil {
			return nil, err
		}
		if !s.matches(&full) {
			continue
		}
		if found = append(found, txnRow(b, at.intra, full)); uint64(len(found)) == s.Limit {
			break
		}
	}
	return found, nil
}

// candidates are the transactions in the window, in the order of the answer.
func (s *search) candidates() iter.Seq2[position, *block] {
	return func(yield func(position, *block) bool) {
		blocks := s.ledger.between(s.first.round, s.last.round)
		switch {
		case len(blocks) == 0:
		case s.Txid != "":
			id, err := parseTxid(s.Txid)
			at, known := s.ledger.locate(id)
			if err == nil && known && s.inWindow(at) {
				yield(at, blocks[at.round-blocks[0].round()])
			}
		case s.Address != nil:
			for _, at := range slices.Backward(s.ledger.transactionsOf(types.Address(s.Address), s.first, s.last)) {
				if !yield(at, blocks[at.round-blocks[0].round()]) {
					return
				}
			}
		default:
			for _, b := range blocks {
				for i := range b.txns {
					if at := (position{b.round(), i}); s.inWindow(at) && !yield(at, b) {
						return
					}
				}
			}
		}
	}
}

func (s *search) inWindow(at position) bool { return !at.before(s.first) && !s.last.before(at) }

// mayMatch is what can be told before the transaction is decoded.
func (s *search) mayMatch(at position, b *block, t blockTxn) bool {
	kind, _ := idb.GetTypeEnum(t.kind)
	intra := uint64(at.intra)
	when := time.Unix(b.header.TimeStamp, 0)
	return !s.hidden(t.id) &&
		(s.TypeEnum == 0 || s.TypeEnum == kind) &&
		(s.Offset == nil || intra == *s.Offset) &&
		(s.OffsetLT == nil || intra < *s.OffsetLT) &&
		(s.OffsetGT == nil || intra > *s.OffsetGT) &&
		(s.BeforeTime.IsZero() || when.Before(s.BeforeTime)) &&
		(s.AfterTime.IsZero() || when.After(s.AfterTime)) &&
		s.ApplicationID == nil && !s.RequireApplicationLogs
}

func (s *search) matches(t *types.SignedTxnWithAD) bool {
	tx := &t.Txn
	sigType, _ := idb.SignatureType(&t.SignedTxn)
	effective := uint64(tx.Amount) + uint64(t.ClosingAmount)
	return s.inRole(tx) &&
		bytes.HasPrefix(tx.Note, s.NotePrefix) &&
		(len(s.GroupID) == 0 || bytes.Equal(tx.Group[:], s.GroupID)) &&
		(s.SigType == "" || s.SigType == sigType) &&
		(s.AssetID == nil || *s.AssetID == concernedAsset(t)) &&
		above(tx.AssetAmount, s.AssetAmountGT) && below(tx.AssetAmount, s.AssetAmountLT) &&
		above(uint64(tx.Amount), s.AlgosGT) && below(uint64(tx.Amount), s.AlgosLT) &&
		above(effective, s.EffectiveAmountGT) && below(effective, s.EffectiveAmountLT) &&
		(s.RekeyTo == nil || !*s.RekeyTo || tx.RekeyTo != types.Address{})
}

// Absent amounts never match a comparison, as a null in SQL doesn't.
func above(n uint64, limit *uint64) bool { return limit == nil || n != 0 && n > *limit }
func below(n uint64, limit *uint64) bool { return limit == nil || n != 0 && n < *limit }

// inRole asks whether the address plays one of the roles asked for.
func (s *search) inRole(tx *types.Transaction) bool {
	if s.Address == nil || s.AddressRole == 0 {
		return true
	}
	for _, r := range []struct {
		role    idb.AddressRole
		address types.Address
	}{
		{idb.AddressRoleSender, tx.Sender},
		{idb.AddressRoleReceiver, tx.Receiver},
		{idb.AddressRoleCloseRemainderTo, tx.CloseRemainderTo},
		{idb.AddressRoleAssetSender, tx.AssetSender},
		{idb.AddressRoleAssetReceiver, tx.AssetReceiver},
		{idb.AddressRoleAssetCloseTo, tx.AssetCloseTo},
		{idb.AddressRoleFreeze, tx.FreezeAccount},
	} {
		if s.AddressRole&r.role != 0 && bytes.Equal(r.address[:], s.Address) {
			return true
		}
	}
	return false
}

// txnRow is a transaction as the indexer's REST layer wants it.
func txnRow(b *block, intra int, t types.SignedTxnWithAD) idb.TxnRow {
	return idb.TxnRow{
		Round:     uint64(b.round()),
		RoundTime: time.Unix(b.header.TimeStamp, 0).UTC(),
		Intra:     intra,
		Txn:       &t,
		AssetID:   concernedAsset(&t),
		Extra:     idb.TxnExtra{AssetCloseAmount: t.AssetClosingAmount},
	}
}

// concernedAsset is the asset under which the indexer files a transaction, 0 for none.
func concernedAsset(t *types.SignedTxnWithAD) uint64 {
	switch t.Txn.Type {
	case types.AssetConfigTx:
		if t.Txn.ConfigAsset != 0 {
			return uint64(t.Txn.ConfigAsset)
		}
		return uint64(t.ApplyData.ConfigAsset)
	case types.AssetTransferTx:
		return uint64(t.Txn.XferAsset)
	case types.AssetFreezeTx:
		return uint64(t.Txn.FreezeAsset)
	}
	return 0
}
