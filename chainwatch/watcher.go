// Package chainwatch follows a consortium on the chain, by algod's blocks at the tip and through Algorand indexers. It
// turns transactions into verified events, in chain order, and promises to its [Sink]: every event of a round is
// delivered before the cursor passes that round, whatever an indexer's lag, its limits and its refusals, and though one
// of its answers be wrong; nothing is delivered that its sender didn't sign.
//
//	source.go   an indexer, and when it is waited for
//	reader.go   … asked page by page, by decode.go, with rounds at the tip and history.go for what is long ago
//	blocks.go   algod's blocks, held against their headers
//	union.go    what several sources have of the same rounds
//	attend.go   the indexers, held against the blocks; suspect.go: what they say otherwise
package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/onchain"
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
	Indexers    []Indexer
	Consortium  uint64 // asset id of the charter
	Charter     string // id of its transaction
	GenesisHash [32]byte
	Sink        Sink
	Witness     Witness // nil where there is no other source
	Blocks      Blocks  // algod's; nil where there is none
	Follow      bool    // follow the tip by Blocks; else they only decide where indexers differ
	// Found gives the events of some rounds that were found when the cursor had passed them, in chain order; nil if
	// nothing ever is.
	Found func(first, last uint64) ([]consortium.Event, error)
	// Missed is told that rounds were passed without the word of a source that should have been asked.
	Missed func(source string, first, last uint64)
	Poll   time.Duration // how often to ask when nothing happens
	Log    *slog.Logger
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
	decode  decoder
	sources []*source
	blocks  *blocks // nil where the indexers alone are followed
	pace    pace
	history *past           // being read
	told    map[string]bool // the malformed transactions that were counted
	loud    *rate.Limiter   // for lines about what anybody can write
	wake    chan struct{}   // a hint came
	heard   heard           // when the rounds were told of that the cursor has not reached

	following atomic.Bool // the tip was followed by algod's blocks last

	mu    sync.Mutex
	state State
	atTip chan struct{}     // closed when the cursor has been at the tip
	hints map[string]uint64 // by member, the last round that was not taken up yet
}

// New makes a watcher; [Watcher.Run] starts it.
func New(config Config) *Watcher {
	w := &Watcher{
		config: config, wake: make(chan struct{}, 1), atTip: make(chan struct{}), pace: newPace(config.Poll),
		decode: decoder{consortium: config.Consortium, genesisHash: config.GenesisHash},
		told:   map[string]bool{}, hints: map[string]uint64{}, loud: rate.NewLimiter(rate.Every(time.Minute), 5),
	}
	for _, one := range config.Indexers {
		w.sources = append(w.sources, newSource(config, one))
	}
	if config.Follow && config.Blocks != nil {
		w.blocks = newBlocks(config.Blocks)
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
	w.history = nil
	w.again()
	if w.blocks != nil {
		w.blocks.doubt, w.blocks.link, w.blocks.tip, w.blocks.probed = nil, onchain.Reading{}, 0, false
		w.blocks.forgetShown()
	}
	w.state.Cursor, w.state.CaughtUp, w.state.GivenUp, w.atTip = 0, false, nil, make(chan struct{})
}

func (w *Watcher) update(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

// Confirmed says that a round is algod's word: something of our own was confirmed in it.
func (w *Watcher) Confirmed(round uint64) {
	w.has(round)
	w.Hint("", round)
}

// Hint says that a round has news, or will have: the word of a member, by whatever name, or nobody's if it is our own.
// The indexer is asked for it soon and, for a while, repeatedly. A false hint costs a few queries, and its member the
// ear.
func (w *Watcher) Hint(from string, round uint64) {
	chain, _, _ := w.last()
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
		for _, s := range w.active() {
			s.tip.hurry(ctx, highest)
		}
	}
	return news
}

// Run follows the chain until the context ends. A problem with a source never ends it; a problem with the sink does,
// since it is this node's own store.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var attendants sync.WaitGroup
	defer attendants.Wait()
	defer cancel()
	for _, s := range w.sources {
		attendants.Go(func() { w.attend(ctx, s) })
	}
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
			for _, s := range w.sources {
				s.tip.ask(ctx, 0) // so that it is known how far the chain is
			}
		default:
			failures = 0
			w.update(func(s *State) { s.LastAnswer = time.Now() })
			if did.whole {
				faults = 0
			}
			if faults < 2 {
				w.setProblem(w.problem(did))
			}
			if pause = w.pace.after(did); w.listenTo(ctx, did) {
				pause = min(pause, w.pace.next())
			}
			pause = max(pause, did.rest)
		}
		w.listenToTime()
		if !w.rest(ctx, pause, failures > 0) {
			return nil
		}
	}
}

// listenTo takes up what was hinted at, unless algod tells of every block by itself.
func (w *Watcher) listenTo(ctx context.Context, did progress) bool {
	if !did.blocks {
		return w.listen(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.hints)
	return false
}

// problem says what keeps the following from going on though the sources answer, by a word and in a sentence.
func (w *Watcher) problem(did progress) (word, detail string) {
	if did.blocks {
		if tip := w.blocks.tip; did.cursor > tip+lostRounds {
			return ProblemAhead, fmt.Sprintf("the log goes to round %d, and the chain to round %d: algod was restored, or was wrong before", did.cursor, tip)
		}
		return "", ""
	}
	for _, s := range w.active() {
		if word, detail = s.tip.problem(did.cursor); word != "" {
			return word, detail
		}
	}
	return "", ""
}

// rest waits for the next step, or for a hint that brings it forward.
func (w *Watcher) rest(ctx context.Context, pause time.Duration, failing bool) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	wake := w.wake
	if failing || w.following.Load() {
		wake = nil // algod tells of every block by itself; an indexer that can't answer, or asked to be left alone for a while, is not hurried
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
	var disputed *disputeError
	switch {
	case errors.As(err, &disputed):
		w.setProblem(ProblemDispute, disputed.Error())
	case problem || pause > lagging:
		w.setProblem(ProblemIndexer, err.Error())
	}
	return pause
}

func (w *Watcher) caughtUp() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.CaughtUp
}
