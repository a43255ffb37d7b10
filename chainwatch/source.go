package chainwatch

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Indexer is one that is followed.
type Indexer struct {
	Name   string // as it may be shown
	Client *indexer.Client
}

// source is an indexer that is followed, and what is known of it.
type source struct {
	name     string
	reader   reader
	tip      tip
	rounds   *rounds // of the window at the tip that is being read
	whole    bool    // … to its end
	failures int     // in a row
	answered bool    // it has given all that it was asked for, and the others have not
	filtered atomic.Bool
	compared atomic.Uint64 // the round up to which it was held against algod's blocks

	// Guarded by the watcher's lock.
	state    SourceState
	out      bool // it isn't waited for
	suspects []suspect
}

// SourceState says how it goes with an indexer, or with algod.
type SourceState struct {
	Name     string    `json:"name"`
	Round    uint64    `json:"round"`             // its last one, as it says
	Answered time.Time `json:"answered,omitzero"` // when it last gave a good answer; zero if it did not since the start
	Problem  string    `json:"problem,omitempty"` // one of the Problem constants, or "" if nothing is wrong
	Detail   string    `json:"detail,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	LeftOut  bool      `json:"left_out,omitempty"` // it isn't waited for, since it hasn't answered for long
	Lies     []Lie     `json:"lies,omitempty"`     // what it says otherwise than the others do
}

const (
	// leftOutAfter is for how long a source is waited for that doesn't answer, or lacks what others have.
	leftOutAfter = time.Hour
	// maxSuspects bounds what is remembered of a source's omissions and lies.
	maxSuspects = 100
)

func newSource(config Config, of Indexer) *source {
	s := &source{name: of.Name, tip: tip{witness: config.Witness, lagging: lagging, useful: time.Now()}, state: SourceState{Name: of.Name}}
	s.filtered.Store(true)
	s.reader = s.newReader(config, of.Client)
	return s
}

func (s *source) newReader(config Config, client *indexer.Client) reader {
	return reader{
		client:  client,
		decode:  decoder{consortium: config.Consortium, genesisHash: config.GenesisHash},
		filters: filters{txType: true, notePrefix: true},
		most:    maxEvents, limit: pageLimit, foreign: maxForeign, answered: s.tip.answered, from: s.name,
	}
}

// asker is a reader of its own, for whoever asks beside Run.
func (s *source) asker() *reader {
	r := &s.reader // whose filters are Run's
	return &reader{client: r.client, decode: r.decode, filters: filters{txType: s.filtered.Load()}, limit: pageLimit, most: maxEvents, foreign: r.foreign, from: s.name}
}

// active are the sources that are waited for: all, if none is.
func (w *Watcher) active() []*source {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(w.sources), func(s *source) bool { return s.out })
	if len(list) == 0 {
		return w.sources
	}
	return list
}

// review leaves sources out that haven't answered for long, and takes them in again when they do. Somebody else has to
// answer.
func (w *Watcher) review() {
	useful := make([]bool, len(w.sources))
	others := 0
	for i, s := range w.sources {
		if useful[i] = s.answered || time.Since(s.tip.usefulAt()) <= leftOutAfter; useful[i] {
			others++
		}
	}
	if w.byBlocks() {
		others++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.sources {
		switch out := !useful[i] && others > 0; {
		case out == s.out:
		case out:
			s.out, s.rounds = true, nil
			w.config.Log.Error("an indexer hasn't answered for long and isn't waited for any more", "indexer", s.name, "since", s.tip.usefulAt())
		default:
			s.out = false
			w.config.Log.Info("an indexer that was left out answers again", "indexer", s.name)
		}
	}
}

// isOut reports whether a source is not waited for.
func (w *Watcher) isOut(s *source) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.out
}

// missed tells that rounds were passed without the word of those sources that are not among the given ones.
func (w *Watcher) missed(first, last uint64, asked []*source) {
	if w.config.Missed == nil {
		return
	}
	for _, s := range w.sources {
		if !slices.Contains(asked, s) {
			w.config.Missed(s.name, first, last)
		}
	}
}

// agreed is the round that the last two answers of every source say that is waited for.
func (w *Watcher) agreed() uint64 {
	round := ^uint64(0)
	for _, s := range w.active() {
		round = min(round, s.tip.agreed())
	}
	return round
}

// reached is the round up to which the sources are believed that are waited for, see [tip.reached].
func (w *Watcher) reached(ctx context.Context, wanted uint64) uint64 {
	round := ^uint64(0)
	var before *tip
	for _, s := range w.active() {
		if before != nil { // what algod has told one it need not tell the next
			if _, algod, _ := before.last(); before.witnessed() {
				s.tip.has(algod)
			}
		}
		round, before = min(round, s.tip.reached(ctx, wanted)), &s.tip
	}
	return round
}

// expect lets each source owe what another has.
func (w *Watcher) expect() {
	most := uint64(0)
	for _, s := range w.sources {
		most = max(most, s.tip.agreed())
	}
	for _, s := range w.sources {
		s.tip.expect(most)
	}
}

// last is the chain's last round as far as it is known, algod's, and the indexers': that of the one that is furthest.
func (w *Watcher) last() (chain, algod, indexer uint64) {
	for _, s := range w.sources {
		c, a, i := s.tip.last()
		chain, algod, indexer = max(chain, c), max(algod, a), max(indexer, i)
	}
	return chain, algod, indexer
}

// has notes that algod has a round.
func (w *Watcher) has(round uint64) {
	for _, s := range w.sources {
		s.tip.has(round)
	}
}

// setSource notes what is wrong with a source, or that nothing is. The log tells of changes only.
func (w *Watcher) setSource(state *SourceState, problem, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := state.Problem
	state.Problem, state.Detail = problem, detail
	if was == problem {
		return
	}
	state.Since = time.Now().UTC()
	if problem == "" {
		state.Since = time.Time{}
	}
	switch {
	case len(w.sources) == 1 && w.blocks == nil: // what is wrong with it is what is wrong with the following
	case problem == "":
		w.config.Log.Info("a source of the chain is well again", "source", state.Name, "problem", was)
	default:
		w.config.Log.Warn("something is wrong with a source of the chain", "source", state.Name, "problem", problem, "detail", detail)
	}
}

// sourceStates are those of all, algod's last.
func (w *Watcher) sourceStates() (list []SourceState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		state := s.state
		state.Round, state.Answered, state.LeftOut = s.tip.said(), s.tip.heardAt(), s.out
		for _, one := range s.suspects {
			if one.sure {
				state.Lies = append(state.Lies, one.Lie)
			}
		}
		if state.Problem == "" && len(state.Lies) > 0 {
			state.Problem, state.Since = ProblemLies, state.Lies[0].Seen
			state.Detail = fmt.Sprintf("it says %d transactions otherwise than the others, as %s: %s", len(state.Lies), state.Lies[0].TxID, state.Lies[0].Detail)
		}
		if state.Problem == "" && s.out {
			state.Problem, state.Detail = ProblemLeftOut, "it hasn't answered for an hour, and isn't waited for"
		}
		list = append(list, state)
	}
	if w.blocks != nil {
		algod := w.blocks.stateNow()
		algod.Answered = w.algodAnswered()
		list = append(list, algod)
	}
	return list
}

// algodAnswered is when algod last answered.
func (w *Watcher) algodAnswered() (at time.Time) {
	for _, s := range w.sources {
		if seen := s.tip.seenAt(); seen.After(at) {
			at = seen
		}
	}
	return at
}

// find gives the source of a name.
func (w *Watcher) find(name string) *source {
	for _, s := range w.sources {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Reread reads rounds from one source alone, for what it may have more than was delivered without it. The publishers
// are those that can count, given what was found; take is given the events window by window, in chain order.
func (w *Watcher) Reread(ctx context.Context, name string, first, last uint64, publishers func([]consortium.Event) []consortium.Publisher, take func([]consortium.Event) error) error {
	s := w.find(name)
	if s == nil {
		return fmt.Errorf("there is no source of the name %q", name)
	}
	h := newHistory(s.asker(), first, last, publishers)
	for {
		done, _, err := h.step(ctx)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if err := take(h.events); err != nil {
			return err
		}
		if !h.advance() {
			return nil
		}
	}
}
