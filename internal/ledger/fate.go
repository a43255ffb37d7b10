package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
)

// ErrNotIncluded means that a block does not hold a transaction.
var ErrNotIncluded = errors.New("the transaction is not in the block")

// Included reads a block and gives its time, if a transaction is in it. It returns an error wrapping [ErrNoBlock] if
// algod doesn't have the block, [ErrNotIncluded] if the transaction isn't in it, and any other one if algod could not
// be asked. The block must be of the network with the given genesis hash.
func (l *Ledger) Included(ctx context.Context, round uint64, txid string, genesisHash []byte) (time.Time, error) {
	block, err := l.Block(ctx, round)
	if err != nil {
		return time.Time{}, err
	}
	if string(block.GenesisHash[:]) != string(genesisHash) {
		return time.Time{}, fmt.Errorf("algod's block %d is of another network, %s", round, block.GenesisID)
	}
	included := slices.ContainsFunc(block.Payset, func(t types.SignedTxnInBlock) bool {
		return onchain.Restore(&block.BlockHeader, t, 0).TxID == txid
	})
	if !included {
		return time.Time{}, fmt.Errorf("block %d, transaction %s: %w", round, txid, ErrNotIncluded)
	}
	return time.Unix(block.TimeStamp, 0).UTC(), nil
}

// Fate is what has become of a transaction.
type Fate int

// The fates.
const (
	Unknown   Fate = iota // algod can't tell: it was long ago, or the network has not seen it
	Pending               // it is in algod's pool
	Confirmed             // it is on the chain
	// Absent means that algod remembers every round in which it could be confirmed, these are over, and it is in none.
	// That is one witness; before something is signed anew the other, the indexer, has to say the same.
	Absent
)

// Fate asks algod what has become of a transaction that can be confirmed from firstValid to lastValid.
func (l *Ledger) Fate(ctx context.Context, txid string, firstValid, lastValid uint64) (Fate, consortium.Place, error) {
	// The round must be read first: what is absent after it and can't be confirmed later, is absent for good.
	round, err := l.Round(ctx)
	if err != nil {
		return Unknown, consortium.Place{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, signed, err := l.algod.PendingTransactionInformation(txid).Do(ctx)
	if err == nil && crypto.TransactionIDString(signed.Txn) != txid {
		err = &algorand.ForeignError{Server: "algod", What: "another transaction"}
	}
	switch {
	case err == nil && info.ConfirmedRound > 0:
		return Confirmed, consortium.Place{TxID: txid, Round: info.ConfirmedRound, Asset: info.AssetIndex}, nil
	case err == nil && info.PoolError == "" && round <= lastValid:
		return Pending, consortium.Place{}, nil
	case err != nil && !algorand.NotFound(err, algorand.NoTransaction):
		return Unknown, consortium.Place{}, fmt.Errorf("asking algod for transaction %s: %w", txid, err)
	case round > lastValid+apart && firstValid+remembered > round:
		return Absent, consortium.Place{}, nil
	}
	return Unknown, consortium.Place{}, nil
}

// remembered is for how many rounds algod surely remembers a confirmed transaction. It is 1,000 at least; some are left
// for rounds that pass between two calls.
const remembered = 990
