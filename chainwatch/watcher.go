// Package chainwatch follows a consortium on the chain through an Algorand indexer. It turns transactions into
// verified events, in chain order, and promises to its [Sink]: every event of a round is delivered before the cursor
// passes that round, whatever the indexer's lag, its limits and its refusals; nothing is delivered that its sender
// didn't sign.
package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common/models"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"github.com/algorand/go-algorand-sdk/v2/types"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
)

// Sink takes the events.
type Sink interface {
	// Cursor is the last round that was delivered; 0 if none was.
	Cursor() (uint64, error)
	// Publishers are the accounts whose events can count if the given events come next.
	Publishers(next []consortium.Event) []string
	// Deliver takes the events of all rounds up to last, in chain order, and makes last the cursor. What it returned
	// from is durable. It may be given events again after a crash.
	Deliver(ctx context.Context, last uint64, events []consortium.Event) error
}

// Config says what is followed.
type Config struct {
	Client      *indexer.Client
	Consortium  uint64 // asset id of the charter
	GenesisHash [32]byte
	Sink        Sink
	Poll        time.Duration // how often to ask when nothing happens
	Log         *slog.Logger
}

// The pace of asking. At the tip, one query asks for up to tipWindow rounds; it is smaller where the indexer refuses
// filters and gives every transaction of the chain.
const (
	tipWindow         = 1000 // rounds
	tipWindowNoFilter = 32   // rounds
	fastest           = 25 * time.Millisecond
	hintPatience      = 30 * time.Second // how long a promised round is asked for quickly
	hintCredit        = 8                // hints in a row that may lead to nothing before they are followed more slowly
	slowestRetry      = time.Minute
)

// Watcher follows one consortium.
type Watcher struct {
	config Config
	reader reader
	wake   chan struct{}
	woken  *rate.Limiter // hints come from other members: they must not make us flood the indexer

	mu     sync.Mutex
	state  State
	atTip  chan struct{} // closed when the cursor has been at the tip
	hint   uint64        // a round that is said to have news
	hinted time.Time
}

// State says how the following goes.
type State struct {
	Cursor     uint64    // the last round that was delivered
	Tip        uint64    // the indexer's last round
	CaughtUp   bool      // since the start the cursor has been at the tip
	LastAnswer time.Time // when the indexer last answered
	Problem    string    // what keeps it from going on; "" if nothing does
	Forged     int       // transactions that the indexer gave and nobody signed
	Malformed  int       // transactions of the consortium that break the protocol's form
	Filtered   bool      // the indexer takes filters
}

// New makes a watcher; [Watcher.Run] starts it.
func New(config Config) *Watcher {
	w := &Watcher{config: config, wake: make(chan struct{}, 1), atTip: make(chan struct{}), woken: rate.NewLimiter(rate.Every(fastest), 4)}
	w.reader = reader{
		client:  config.Client,
		decode:  decoder{consortium: config.Consortium, genesisHash: config.GenesisHash},
		filters: filters{txType: true, notePrefix: true},
		most:    maxEvents,
		report:  w.reportBad,
	}
	return w
}

// State is how it goes now.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// AwaitTip returns when the cursor has been at the tip of the chain since the start, or when the context ends.
func (w *Watcher) AwaitTip(ctx context.Context) error {
	w.mu.Lock()
	atTip := w.atTip
	w.mu.Unlock()
	select {
	case <-atTip:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reset forgets where the following stood, because the sink begins again. It must not be called while Run runs.
func (w *Watcher) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Cursor, w.state.CaughtUp, w.atTip = 0, false, make(chan struct{})
}

func (w *Watcher) update(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

func (w *Watcher) reportBad(t models.Transaction, err error) {
	var forged *forgedError
	if errors.As(err, &forged) {
		w.update(func(s *State) { s.Forged++ })
		w.config.Log.Error("the indexer gave a forged transaction", "txid", bounded(t.Id), "round", t.ConfirmedRound, "error", err)
		return
	}
	w.update(func(s *State) { s.Malformed++ })
	w.config.Log.Warn("a transaction does not count", "txid", bounded(t.Id), "sender", bounded(t.Sender), "round", t.ConfirmedRound, "error", err)
}

func bounded(text string) string { return text[:min(len(text), 60)] }

// Hint says that a round has news, or will have. The indexer is asked for it at once and, for a while, often. A false
// hint costs a few queries.
func (w *Watcher) Hint(round uint64) {
	w.mu.Lock()
	if round > w.hint && round <= w.state.Tip+tipWindow {
		w.hint, w.hinted = round, time.Now()
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run follows the chain until the context ends. A problem with the indexer never ends it; a problem with the sink
// does, since it is this node's own store.
func (w *Watcher) Run(ctx context.Context) error {
	pause := fastest
	failures := 0
	barren := 0 // hints in a row that led to nothing
	for {
		progress, err := w.step(ctx)
		if progress {
			barren = 0
		}
		var sinkFailed *sinkError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &sinkFailed):
			return fmt.Errorf("following the chain: %w", err)
		case err != nil:
			pause = w.failed(err, failures)
			failures++
		default:
			if failures > 0 {
				w.config.Log.Info("the indexer answers again")
			}
			failures = 0
			w.update(func(s *State) { s.Problem, s.LastAnswer = "", time.Now() })
			pause = w.pace(progress, pause)
		}
		if pause == 0 {
			continue
		}
		wake := w.wake
		if failures > 0 {
			wake = nil // an indexer that can't answer, or asked to be left alone for a while, is not hurried
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
			barren++
			if w.woken.Wait(ctx) != nil || !sleep(ctx, w.distrust(barren)) {
				return nil
			}
			pause = fastest
		case <-timer.C:
		}
	}
}

// distrust is how long a hint waits after others that led to nothing: a member that hints without end costs the indexer
// no more than polling does.
func (w *Watcher) distrust(barren int) time.Duration {
	if barren <= hintCredit {
		return 0
	}
	return min(fastest<<min(barren-hintCredit, 10), w.config.Poll)
}

// pace chooses when to ask next: at once while there is more, soon while a round is promised, later and later while
// nothing happens.
func (w *Watcher) pace(progress bool, pause time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case progress && w.state.Cursor < w.state.Tip:
		return 0
	case w.hint > w.state.Cursor && time.Since(w.hinted) < hintPatience:
		return min(pause*5/4, w.config.Poll)
	case progress:
		return min(10*fastest, w.config.Poll)
	}
	return min(max(pause*3/2, fastest), w.config.Poll)
}

func (w *Watcher) failed(err error, failures int) time.Duration {
	if failures == 0 {
		w.config.Log.Warn("the indexer can't be followed; it will be asked again", "error", err)
	}
	w.update(func(s *State) { s.Problem = err.Error() })
	var throttled *algorand.Throttled
	if errors.As(err, &throttled) && throttled.After > 0 {
		return throttled.After
	}
	return retryPause(failures)
}

// retryPause doubles from a quarter of a second, with jitter, so that nodes don't come back all at once.
func retryPause(failures int) time.Duration {
	pause := min(250*time.Millisecond<<min(failures, 10), slowestRetry)
	return pause/2 + rand.N(pause/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// sinkError is a failure of the sink, not of the indexer.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// step reads one window and delivers it. Progress is false if there was nothing to read.
func (w *Watcher) step(ctx context.Context) (progress bool, err error) {
	cursor, err := w.config.Sink.Cursor()
	if err != nil {
		return false, &sinkError{err}
	}
	next, err := w.read(ctx, cursor)
	if err != nil {
		return false, err
	}
	w.update(func(s *State) { s.Tip, s.Filtered = max(s.Tip, w.reader.tip), w.reader.filters.txType })
	if next.last > cursor {
		if err := w.config.Sink.Deliver(ctx, next.last, next.events); err != nil {
			return false, &sinkError{err}
		}
		cursor = next.last
	}
	w.update(func(s *State) {
		s.Cursor = cursor
		if !s.CaughtUp && cursor >= w.reader.tip {
			s.CaughtUp = true
			close(w.atTip)
		}
	})
	return cursor == next.last && len(next.events) > 0 || cursor < w.reader.tip, nil
}

// read chooses how to read on from the cursor.
func (w *Watcher) read(ctx context.Context, cursor uint64) (window, error) {
	if cursor == 0 {
		creator, round, err := w.reader.charter(ctx)
		if err != nil {
			return window{}, err
		}
		first, err := w.reader.byAccounts(ctx, round, round, func([]consortium.Event) []string { return []string{creator} })
		if err == nil && first.last >= round && !slices.ContainsFunc(first.events, func(e consortium.Event) bool { return e.Asset == w.config.Consortium }) {
			// Without it nothing would ever count: the cursor must not pass.
			return window{}, fmt.Errorf("the indexer doesn't give the charter's transaction, of round %d", round)
		}
		return first, err
	}
	reach := uint64(tipWindow)
	if !w.reader.filters.txType {
		reach = tipWindowNoFilter
	}
	if w.reader.tip > cursor+reach {
		return w.reader.byAccounts(ctx, cursor+1, w.reader.tip, w.config.Sink.Publishers)
	}
	return w.reader.byRounds(ctx, cursor+1, cursor+reach)
}

// Finding is what the indexer says of one transaction.
type Finding struct {
	Event  consortium.Event
	Signed types.SignedTxn
	Found  bool
	Round  uint64 // the indexer's last round: what it doesn't have up to here is not on the chain
}

// InvalidError is what is wrong with a transaction that the indexer gave: evidence against it, unlike an indexer that
// doesn't answer.
type InvalidError struct{ error }

func (e *InvalidError) Unwrap() error { return e.error }

// Find looks one transaction of the consortium up and verifies it. It returns an [InvalidError] for one that fails.
func (w *Watcher) Find(ctx context.Context, txid string) (Finding, error) {
	t, found, round, err := w.reader.transaction(ctx, txid)
	if err != nil || !found {
		return Finding{Round: round}, err
	}
	e, signed, err := w.reader.decode.signedEvent(t)
	if err != nil {
		return Finding{}, &InvalidError{fmt.Errorf("transaction %.60s: %w", txid, err)}
	}
	return Finding{Event: e, Signed: signed, Found: true, Round: round}, nil
}

// Minted looks up the NFT that a transaction of our own made, when no consortium is followed yet. Round and asset are 0
// if the indexer, whose last round is tip, doesn't have it.
func Minted(ctx context.Context, client *indexer.Client, txid string) (round, asset, tip uint64, err error) {
	r := reader{client: client}
	t, _, tip, err := r.transaction(ctx, txid)
	return t.ConfirmedRound, t.CreatedAssetIndex, tip, err
}
