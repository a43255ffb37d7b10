package chainwatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
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

// Find looks one transaction of the consortium up and verifies it: any indexer may have it, and all must lack it. It
// returns an [InvalidError] for one that fails.
func (w *Watcher) Find(ctx context.Context, txid string) (Finding, error) {
	return w.ask(func(r *reader) (models.Transaction, bool, uint64, error) { return r.transaction(ctx, txid) })
}

// Trace is Find for a transaction whose sender is known, and in which rounds it can be. That it is absent is taken from
// two answers to different questions: by the transaction's id, and from the sender's transactions in these rounds.
func (w *Watcher) Trace(ctx context.Context, txid, sender string, first, last uint64) (Finding, error) {
	f, err := w.Find(ctx, txid)
	if err != nil || f.Found {
		return f, err
	}
	traced, err := w.ask(func(r *reader) (models.Transaction, bool, uint64, error) {
		return r.ofAccount(ctx, txid, sender, first, last)
	})
	if err == nil && !traced.Found {
		traced.Round = min(traced.Round, f.Round)
	}
	return traced, err
}

// ask asks the indexers one after the other, until one has it.
func (w *Watcher) ask(question func(*reader) (models.Transaction, bool, uint64, error)) (Finding, error) {
	var problems error
	absent := Finding{Round: ^uint64(0)}
	for _, s := range w.active() {
		r := s.asker()
		t, found, round, err := question(r)
		if err == nil && found {
			e, signed, err := r.decode.signedEvent(t)
			if err == nil {
				return Finding{Event: e, Signed: signed, Found: true, Round: round}, nil
			}
			problems = errors.Join(problems, &InvalidError{fmt.Errorf("transaction %.60s: %w", t.Id, err)})
			continue
		}
		problems, absent.Round = errors.Join(problems, err), min(absent.Round, round)
	}
	if problems != nil {
		return Finding{}, problems
	}
	return absent, nil
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
