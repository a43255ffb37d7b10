package chainwatch

import (
	"errors"
	"slices"
	"time"
)

// State says how the following goes.
type State struct {
	Cursor     uint64    // the last round that was delivered
	Tip        uint64    // the chain's last round, as far as it is known
	Indexer    uint64    // the indexer's last round, as it says
	Algod      uint64    // algod's
	Lag        Lag       // behind algod; behind the indexer while algod doesn't answer
	Answered   time.Time // when algod last answered; zero if it did not since the start
	CaughtUp   bool      // since the start the cursor has been at the tip, and nothing is wrong now
	LastAnswer time.Time // when the indexer last answered
	Problem    string    // one of the Problem constants: what keeps it from going on; "" if nothing does
	Detail     string    // … in a sentence
	Since      time.Time
	Forged     int      // transactions that the indexer gave and nobody signed
	Malformed  int      // transactions of the consortium that break the protocol's form
	Filtered   bool     // the indexer takes filters
	GivenUp    []string // accounts whose history was not read, see maxForeign
	ByBlocks   bool     // the tip is followed by algod's blocks
	Sources    []SourceState
}

// What can be wrong.
const (
	ProblemIndexer = "indexer" // it can't be asked, or what answers is something else
	ProblemBehind  = "behind"  // it lacks what algod has had for a while: it stands, lags, or was restored
	ProblemAlgod   = "algod"   // algod lacks what the indexer has had for a while
	ProblemAhead   = "ahead"   // the log goes further than the chain
	ProblemDispute = "dispute" // the sources differ, and nobody can tell which is right
	ProblemLies    = "lies"    // a source says what isn't so, or leaves out what is
	ProblemUnclear = "unclear" // algod's blocks can't be compared with their headers
	ProblemLeftOut = "left out"
)

// State is how it goes now.
func (w *Watcher) State() State {
	chain, algod, indexer := w.last()
	sources, answered := w.sourceStates(), w.algodAnswered()
	filtered := !slices.ContainsFunc(w.sources, func(s *source) bool { return !s.filtered.Load() })
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.Sources, s.Filtered, s.ByBlocks, s.Answered = sources, filtered, w.following.Load(), answered
	s.Algod, s.Indexer, s.Tip = algod, indexer, chain
	if s.Problem != ProblemAhead {
		s.Tip = max(chain, s.Cursor)
	}
	if chain > 0 {
		s.Lag = w.heard.behind(s.Cursor, chain, time.Now())
	}
	s.CaughtUp = s.CaughtUp && s.Problem == ""
	s.GivenUp = slices.Clone(s.GivenUp)
	return s
}

// setProblem notes what is wrong now, or that nothing is. The log tells of changes only.
func (w *Watcher) setProblem(problem, detail string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.state.Problem
	w.state.Problem, w.state.Detail = problem, detail
	if was == problem {
		return
	}
	w.state.Since = time.Now().UTC()
	switch {
	case problem == ProblemIndexer:
		w.config.Log.Warn("the indexer can't be followed; it will be asked again", "error", detail)
	case problem != "":
		w.config.Log.Warn("following the chain waits", "problem", problem, "detail", detail)
	case was == ProblemIndexer:
		w.config.Log.Info("the indexer answers again")
	default:
		w.config.Log.Info("following the chain goes on", "problem", was)
	}
	if problem == "" {
		w.state.Since = time.Time{}
	}
}

// maxTold bounds what is remembered of transactions that don't count.
const maxTold = 4096

// report counts what looks like the consortium's and does not count, each once, and logs some of it: anybody can write
// any note, and must not fill the log with it.
func (w *Watcher) report(list []bad) {
	for _, b := range list {
		if w.told[b.txid] {
			continue
		}
		if len(w.told) >= maxTold {
			clear(w.told)
		}
		w.told[b.txid] = true
		var forged *forgedError
		isForged := errors.As(b.err, &forged)
		total := 0
		w.update(func(s *State) {
			if isForged {
				s.Forged++
				total = s.Forged
			} else {
				s.Malformed++
				total = s.Malformed
			}
		})
		if !w.loud.Allow() {
			continue
		}
		if isForged {
			w.config.Log.Error("a source gave a forged transaction", "source", b.from, "txid", b.txid, "round", b.round, "error", b.err, "so_far", total)
		} else {
			w.config.Log.Warn("a transaction does not count", "txid", b.txid, "sender", b.sender, "round", b.round, "error", b.err, "so_far", total)
		}
	}
}

func bounded(text string) string { return text[:min(len(text), 60)] }
