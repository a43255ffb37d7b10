package proof

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/crypto"
	"github.com/algorand/go-algorand-sdk/v2/encoding/msgpack"
	"github.com/algorand/go-algorand-sdk/v2/types"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/repo/found"
)

// Late looks after what is found of the chain when the cursor has passed it: it is kept, and the view is folded anew,
// as if it had come in time. It also asks sources for what was passed without them.
type Late struct {
	Found   foundTable
	Network [32]byte
	Sources func() []chainwatch.SourceState
	Reread  func(ctx context.Context, source string, r found.Missed) error // asks an indexer for rounds that were passed without it
	Recheck func(ctx context.Context, r found.Missed) error                // … algod
	Rebuild func(ctx context.Context) error
	Log     *slog.Logger

	News   signal.Signal
	itself atomic.Bool // the view is begun anew because of what was found
}

// foundTable is the repository's.
type foundTable interface {
	Add(list ...found.Transaction) (added int, err error)
	Between(first, last uint64) []found.Transaction
	Count() (all, unfolded int, itself time.Time)
	Began(itself time.Time) error
	Miss(source string, first, last uint64) error
	Missed(source string) (found.Missed, bool)
	Asked(source string, m found.Missed) error
}

const (
	lateEvery = 15 * time.Second
	// betweenFolds is how often a view is folded anew by itself: who hides and shows transactions must not keep it busy.
	betweenFolds = 24 * time.Hour
	lateRetry    = 10 * time.Minute
)

// LateStatus is what was found late.
type LateStatus struct {
	Found    int       `json:"found"`              // transactions
	Unfolded int       `json:"unfolded"`           // … that the view is without
	FoldsAt  time.Time `json:"folds_at,omitzero"`  // when the view will be folded anew because of them
	Folded   time.Time `json:"folded_at,omitzero"` // … and was last
}

// Status is what was found late, and what comes of it.
func (l *Late) Status() (s LateStatus) {
	s.Found, s.Unfolded, s.Folded = l.Found.Count()
	if s.Unfolded > 0 && !s.Folded.IsZero() {
		s.FoldsAt = s.Folded.Add(betweenFolds)
	}
	return s
}

// Keep keeps transactions that count and were not in the log.
func (l *Late) Keep(list []onchain.Confirmed) error {
	kept := make([]found.Transaction, len(list))
	for i, c := range list {
		kept[i] = found.Transaction{
			TxID: c.TxID, Signed: msgpack.Encode(c.SignedTxn), Round: c.Position.Round, Intra: c.Position.Intra, Asset: c.Asset, Time: c.Time.Unix(),
		}
	}
	added, err := l.Found.Add(kept...)
	if err == nil && added > 0 {
		l.Log.Warn("transactions were found that the indexer left out; the view is folded anew", "transactions", added)
		l.News.Notify()
	}
	return err
}

// Events gives what was found of some rounds.
func (l *Late) Events(first, last uint64) (events []consortium.Event, err error) {
	for _, t := range l.Found.Between(first, last) {
		var signed types.SignedTxn
		if err := msgpack.Decode(t.Signed, &signed); err != nil {
			return nil, fmt.Errorf("reading transaction %s, which was found late: %w", t.TxID, err)
		}
		e, err := onchain.Confirmed{
			SignedTxn: signed, TxID: crypto.TransactionIDString(signed.Txn), Position: consortium.Position{Round: t.Round, Intra: t.Intra},
			Time: time.Unix(t.Time, 0), Asset: t.Asset,
		}.Event(l.Network)
		if err != nil {
			return nil, fmt.Errorf("reading transaction %s, which was found late: %w", t.TxID, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Missed notes that rounds were passed without the word of a source.
func (l *Late) Missed(source string, first, last uint64) {
	if err := l.Found.Miss(source, first, last); err != nil {
		l.Log.Error("which rounds a source has to be asked again is not recorded", "source", source, "error", err)
	}
}

// Began is told that the view is begun anew, whyever.
func (l *Late) Began() error {
	var now time.Time
	if l.itself.Load() {
		now = time.Now().UTC()
	}
	return l.Found.Began(now)
}

// Run works until the context ends.
func (l *Late) Run(ctx context.Context) error {
	ticker := time.NewTicker(lateEvery)
	defer ticker.Stop()
	later := map[string]time.Time{} // sources that were asked: each time the log is folded
	for {
		news := l.News.Changed()
		for _, s := range l.Sources() {
			if !time.Now().Before(later[s.Name]) && l.catchUp(ctx, s) {
				later[s.Name] = time.Now().Add(lateRetry)
			}
		}
		if err := l.fold(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-news:
		}
	}
}

// catchUp asks a source for what was passed without it, once it is well. It reports whether it asked.
func (l *Late) catchUp(ctx context.Context, s chainwatch.SourceState) bool {
	m, some := l.Found.Missed(s.Name)
	if !some || s.LeftOut || s.Problem == chainwatch.ProblemIndexer || s.Problem == chainwatch.ProblemAlgod || s.Problem == chainwatch.ProblemBehind {
		return false
	}
	var err error
	if s.Name == chainwatch.AlgodName {
		err = l.Recheck(ctx, m)
	} else {
		err = l.Reread(ctx, s.Name, m)
	}
	if err == nil {
		err = l.Found.Asked(s.Name, m)
	}
	if err != nil && ctx.Err() == nil {
		l.Log.Warn("a source could not be asked what was passed without it", "source", s.Name, "first", m.First, "last", m.Last, "error", err)
	}
	return true
}

// fold has the view folded anew if something was found that it is without, at most once in a while.
func (l *Late) fold(ctx context.Context) error {
	_, unfolded, last := l.Found.Count()
	if unfolded == 0 || time.Since(last) < betweenFolds {
		return nil
	}
	l.Log.Warn("the view is folded anew, with what was found", "transactions", unfolded)
	l.itself.Store(true)
	defer l.itself.Store(false)
	if err := l.Rebuild(ctx); err != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("folding what was found into the view: %w", err)
	}
	return nil
}
