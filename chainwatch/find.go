package chainwatch

import (
	"context"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Finding is what the indexer says of one transaction.
type Finding struct {
	Event  consortium.Event
	Signed types.SignedTxn
	Found  bool
	Round  uint64 // the indexer's last round: what it doesn't have up to here is not on the chain
}

// InvalidError is what is wrong with a transaction that the indexer gave: evidence against it, unlike an indexer that
// doesn't answer.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }

func (e *InvalidError) Unwrap() error { return e.Err }

// asker is a reader of its own, for whoever asks beside Run.
func (w *Watcher) asker() *reader {
	return &reader{client: w.config.Client, decode: w.reader.decode, filters: filters{txType: w.State().Filtered}, limit: pageLimit}
}

// Find looks one transaction of the consortium up and verifies it. It returns an [InvalidError] for one that fails.
func (w *Watcher) Find(ctx context.Context, txid string) (Finding, error) {
	r := w.asker()
	t, found, round, err := r.transaction(ctx, txid)
	if err != nil || !found {
		return Finding{Round: round}, err
	}
	e, signed, err := r.decode.signedEvent(t)
	if err != nil {
		return Finding{}, &InvalidError{fmt.Errorf("transaction %.60s: %w", txid, err)}
	}
	return Finding{Event: e, Signed: signed, Found: true, Round: round}, nil
}

// Trace is Find for a transaction whose sender is known, and in which rounds it can be. That it is absent is taken from
// two answers to different questions: by the transaction's id, and from the sender's transactions in these rounds.
func (w *Watcher) Trace(ctx context.Context, txid, sender string, first, last uint64) (Finding, error) {
	f, err := w.Find(ctx, txid)
	if err != nil || f.Found {
		return f, err
	}
	r := w.asker()
	t, found, round, err := r.ofAccount(ctx, txid, sender, first, last)
	if err != nil || !found {
		return Finding{Round: min(f.Round, round)}, err
	}
	e, signed, err := r.decode.signedEvent(t)
	if err != nil {
		return Finding{}, &InvalidError{fmt.Errorf("transaction %.60s: %w", txid, err)}
	}
	return Finding{Event: e, Signed: signed, Found: true, Round: round}, nil
}

// Minted looks up the NFT that a transaction of our own made, when no consortium is followed yet. Round and asset are 0
// if the indexer, whose last round is tip, doesn't have it; which is taken from two answers, as [Watcher.Trace] does.
func Minted(ctx context.Context, client *indexer.Client, txid, sender string, first, last uint64) (round, asset, tip uint64, err error) {
	r := reader{client: client, filters: filters{txType: true}, limit: pageLimit}
	t, found, tip, err := r.transaction(ctx, txid)
	if err != nil || found {
		return t.ConfirmedRound, t.CreatedAssetIndex, tip, err
	}
	t, _, said, err := r.ofAccount(ctx, txid, sender, first, last)
	return t.ConfirmedRound, t.CreatedAssetIndex, min(tip, said), err
}
