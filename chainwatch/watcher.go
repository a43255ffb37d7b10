// Package chainwatch follows a consortium on the chain through an Algorand indexer. It turns transactions into
// verified events, in chain order, and promises to its [Sink]: every event of a round is delivered before the cursor
// passes that round, whatever the indexer's lag, its limits and its refusals, and though one of its answers be wrong;
// nothing is delivered that its sender didn't sign.
package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
)

// Sink takes the events.
type Sink interface {
	// Cursor is the last round that was delivered; 0 if none was.
	Cursor() (uint64, error)
	// Publishers are the accounts whose events can count if the given events come next, in whatever order they are, and
	// from which round on.
	Publishers(next []consortium.Event) []consortium.Publisher
	// Deliver takes the events of all rounds up to last, in chain order, and makes last the cursor. What it returned
	// from is durable. It may be given events again after a crash.
	Deliver(ctx context.Context, last uint64, events []consortium.Event) error
}

// Config says what is followed.
type Config struct {
	Client      *indexer.Client
	Consortium  uint64 // asset id of the charter
	Charter     string // id of its transaction
	GenesisHash [32]byte
	Sink        Sink
	Witness     Witness       // nil where there is no other source
	Poll        time.Duration // how often to ask when nothing happens
	Log         *slog.Logger
}

// At the tip, one query asks for up to tipWindow rounds; it is smaller where the indexer refuses filters and gives
// every transaction of the chain.
const (
	tipWindow         = 1000 // rounds
	tipWindowNoFilter = 32   // rounds
)

// Watcher follows one consortium.
type Watcher struct {
	config  Config
	reader  reader
	tip     tip
	pace    pace
	history *history        // being read
	rounds  *rounds         // … at the tip
	told    map[string]bool // the malformed transactions that were counted
	loud    *rate.Limiter   // for lines about what anybody can write
	wake    chan struct{}   // a hint came

	mu    sync.Mutex
	state State
	atTip chan struct{}     // closed when the cursor has been at the tip
	hints map[string]uint64 // by member, the last round that was not taken up yet
}

// New makes a watcher; [Watcher.Run] starts it.
func New(config Config) *Watcher {
	w := &Watcher{
		config: config, wake: make(chan struct{}, 1), atTip: make(chan struct{}), pace: newPace(config.Poll), tip: tip{witness: config.Witness, lagging: lagging},
		told: map[string]bool{}, hints: map[string]uint64{}, loud: rate.NewLimiter(rate.Every(time.Minute), 5),
	}
	w.reader = reader{
		client:  config.Client,
		decode:  decoder{consortium: config.Consortium, genesisHash: config.GenesisHash},
		filters: filters{txType: true, notePrefix: true},
		most:    maxEvents, limit: pageLimit, foreign: maxForeign, answered: w.tip.answered,
	}
	if config.Sink != nil { // who only looks transactions up has none
		if cursor, err := config.Sink.Cursor(); err == nil { // Run says it if that fails
			w.state.Cursor = cursor
		}
	}
	return w
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
	w.history, w.rounds = nil, nil
	w.state.Cursor, w.state.CaughtUp, w.state.GivenUp, w.atTip = 0, false, nil, make(chan struct{})
}

func (w *Watcher) update(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

// Confirmed says that a round is algod's word: something of our own was confirmed in it.
func (w *Watcher) Confirmed(round uint64) {
	w.tip.has(round)
	w.Hint("", round)
}

// Hint says that a round has news, or will have: the word of a member, by whatever name, or nobody's if it is our own.
// The indexer is asked for it soon and, for a while, repeatedly. A false hint costs a few queries, and its member the
// ear.
func (w *Watcher) Hint(from string, round uint64) {
	chain, _, _ := w.tip.last()
	w.mu.Lock()
	news := round > w.state.Cursor && round <= max(chain, w.state.Cursor)+tipWindow
	if news {
		w.hints[from] = max(w.hints[from], round)
	}
	w.mu.Unlock()
	if !news {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// listen takes up what was hinted at. It reports whether there is something to look for that there was not before.
func (w *Watcher) listen(ctx context.Context) (news bool) {
	w.mu.Lock()
	hints, cursor := w.hints, w.state.Cursor
	w.hints = map[string]uint64{}
	w.mu.Unlock()
	highest := uint64(0)
	for from, round := range hints {
		if w.pace.hinted(hint{round, from}, cursor) {
			news, highest = true, max(highest, round)
		}
	}
	if news {
		w.tip.hurry(ctx, highest)
	}
	return news
}

// Run follows the chain until the context ends. A problem with the indexer never ends it; a problem with the sink
// does, since it is this node's own store.
func (w *Watcher) Run(ctx context.Context) error {
	failures, faults := 0, 0 // since the last page, and since the last window
	for {
		began := time.Now()
		did, err := w.step(ctx)
		var sinkFailed *sinkError
		var pause time.Duration
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &sinkFailed):
			return fmt.Errorf("following the chain: %w", err)
		case err != nil:
			if _, throttled := algorand.IsThrottled(err); !throttled {
				faults++
			}
			pause = w.failed(err, failures, failures > 0 || faults > 1 || time.Since(began) > lagging/2)
			failures++
			w.tip.ask(ctx, 0) // so that it is known how far the chain is
		default:
			failures = 0
			w.update(func(s *State) { s.LastAnswer = time.Now() })
			if did.whole {
				faults = 0
			}
			if faults < 2 {
				w.setProblem(w.tip.problem(did.cursor))
			}
			if pause = w.pace.after(did); w.listen(ctx) {
				pause = min(pause, w.pace.next())
			}
		}
		if !w.rest(ctx, pause, failures > 0) {
			return nil
		}
	}
}

// rest waits for the next step, or for a hint that brings it forward.
func (w *Watcher) rest(ctx context.Context, pause time.Duration, failing bool) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	wake := w.wake
	if failing {
		wake = nil // an indexer that can't answer, or asked to be left alone for a while, is not hurried
	}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-wake:
			if w.listen(ctx) {
				timer.Reset(w.pace.next())
			}
		}
	}
}

// failed notes that the indexer could not be asked, and says when to ask it again. One failure alone is no problem yet,
// above all if it was a refusal of one request too many.
func (w *Watcher) failed(err error, failures int, problem bool) time.Duration {
	pause := algorand.Pause(err, retryPause(failures))
	if problem || pause > lagging {
		w.setProblem(ProblemIndexer, err.Error())
	}
	return pause
}

// sinkError is a failure of the sink, not of the indexer.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// step does the next piece of work: a window at the tip, or a page of the history.
func (w *Watcher) step(ctx context.Context) (did progress, err error) {
	cursor, err := w.config.Sink.Cursor()
	if err != nil {
		return did, &sinkError{err}
	}
	if w.history == nil && cursor == 0 {
		if w.history, err = w.begin(ctx); err != nil {
			return did, err
		}
	}
	if w.history != nil {
		return w.goBack(ctx, cursor)
	}
	reach := uint64(tipWindow)
	if !w.reader.filters.txType {
		reach = tipWindowNoFilter
	}
	if w.tip.agreed() > cursor+reach {
		if tip := w.tip.reached(ctx, cursor+reach+1); tip > cursor+reach {
			w.history = newHistory(&w.reader, cursor+1, tip, w.config.Sink.Publishers)
			return w.goBack(ctx, cursor)
		}
	}
	if w.rounds == nil || w.rounds.first != cursor+1 || w.rounds.asked > cursor+reach {
		w.rounds = newRounds(&w.reader, cursor+1, cursor+reach)
	}
	done, err := w.rounds.step(ctx)
	if err != nil || !done {
		return progress{cursor: cursor, more: true}, err
	}
	next := w.rounds.window
	w.rounds = nil
	return w.deliver(ctx, cursor, next)
}

// begin reads the charter's transaction, which says by which account and from which round on the consortium is.
func (w *Watcher) begin(ctx context.Context) (*history, error) {
	t, found, _, err := w.reader.transaction(ctx, w.config.Charter)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("the indexer doesn't have the charter's transaction %s", w.config.Charter)
	}
	charter, err := w.reader.decode.event(t)
	if err != nil {
		return nil, fmt.Errorf("the charter's transaction %s: %w", w.config.Charter, err)
	}
	creator := []consortium.Publisher{{Account: charter.Sender, Since: charter.Round}}
	return newHistory(&w.reader, charter.Round, charter.Round, func([]consortium.Event) []consortium.Publisher { return creator }), nil
}

// goBack reads a page of the history and delivers its window once that is whole.
func (w *Watcher) goBack(ctx context.Context, cursor uint64) (did progress, err error) {
	did = progress{cursor: cursor, more: true}
	done, givenUp, err := w.history.step(ctx)
	if givenUp != "" {
		w.config.Log.Warn("the history of an account is not read: it is long, and nothing in it is of the consortium", "account", givenUp)
		w.update(func(s *State) { s.GivenUp = append(s.GivenUp, givenUp) })
	}
	if err != nil || !done {
		return did, err
	}
	h := w.history
	if cursor == 0 && !slices.ContainsFunc(h.events, func(e consortium.Event) bool { return e.TxID == w.config.Charter }) {
		// Without it nothing would ever count: the cursor must not pass.
		w.history = nil
		return did, fmt.Errorf("the indexer doesn't give the charter's transaction, of round %d", h.first)
	}
	if did, err = w.deliver(ctx, cursor, h.window); err != nil {
		return did, err
	}
	did.more = true
	if did.cursor < h.last || !h.advance() {
		w.history = nil // at the tip it is read otherwise, or from where it stands
	}
	return did, nil
}

// deliver gives a window to the sink, up to the round that the indexer is believed to have reached.
func (w *Watcher) deliver(ctx context.Context, cursor uint64, next window) (did progress, err error) {
	wanted := uint64(0)
	if n := len(next.events); n > 0 {
		wanted = next.events[n-1].Round
	}
	if !w.caughtUp() {
		wanted = next.last
	}
	tip := w.tip.reached(ctx, wanted)
	did.held = wanted > tip
	next.cut(tip)
	if next.last > cursor {
		if err := w.config.Sink.Deliver(ctx, next.last, next.events); err != nil {
			return did, &sinkError{err}
		}
		cursor = next.last
		did.events = len(next.events)
		w.report(next.bad)
	}
	did.cursor, did.more, did.whole = cursor, cursor < tip, true
	w.update(func(s *State) {
		s.Cursor, s.Filtered = cursor, w.reader.filters.txType
		if tip > 0 && cursor >= tip && !s.CaughtUp {
			s.CaughtUp = true
			close(w.atTip)
		}
	})
	did.unsettled = !w.caughtUp()
	return did, nil
}

func (w *Watcher) caughtUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.CaughtUp
}
