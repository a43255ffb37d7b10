package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
)

// sinkError is a failure of the sink, not of the indexer.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }

// step does the next piece of work: some blocks, a window at the tip, or a page of the history.
func (w *Watcher) step(ctx context.Context) (did progress, err error) {
	cursor, err := w.config.Sink.Cursor()
	if err != nil {
		return did, &sinkError{err}
	}
	w.expect()
	w.review()
	if w.history == nil && cursor == 0 {
		if w.history, err = w.begin(ctx); err != nil {
			return did, err
		}
	}
	if w.history != nil {
		w.following.Store(false)
		return w.goBack(ctx, cursor)
	}
	most := uint64(tipWindow)
	if w.blocks != nil && w.blocks.due() {
		turned := false
		if did, turned, most, err = w.nextBlocks(ctx, cursor); err != nil || !turned {
			w.following.Store(err == nil)
			return did, err
		}
	}
	w.following.Store(false)
	return w.atTheTip(ctx, cursor, most)
}

// atTheTip reads a window of the indexers that is not long ago, or begins with the history of what is.
func (w *Watcher) atTheTip(ctx context.Context, cursor, most uint64) (did progress, err error) {
	reach := most
	if slices.ContainsFunc(w.active(), func(s *source) bool { return !s.reader.filters.txType }) {
		reach = min(reach, tipWindowNoFilter)
	}
	if w.agreed() > cursor+tipWindow || w.agreed() > cursor+reach && most == tipWindow {
		if tip := w.reached(ctx, cursor+reach+1); tip > cursor+reach {
			w.history = w.newPast(cursor+1, w.shortOfBlocks(cursor, tip), w.config.Sink.Publishers)
			return w.goBack(ctx, cursor)
		}
	}
	parts, done, err := w.readTip(ctx, cursor+1, cursor+reach)
	if err != nil || !done {
		return progress{cursor: cursor, more: true}, err
	}
	next, err := w.join(ctx, parts)
	w.again()
	if err != nil {
		return progress{cursor: cursor, more: true}, err
	}
	asked := make([]*source, len(parts))
	for i, p := range parts {
		asked[i] = p.from
	}
	return w.deliver(ctx, cursor, next, asked)
}

// shortOfBlocks is where a history ends that goes up to a round: the last ones are left to algod's blocks.
func (w *Watcher) shortOfBlocks(cursor, last uint64) uint64 {
	if w.blocks == nil || !w.byBlocks() || w.blocks.tip < blockReach {
		return last
	}
	return max(cursor+1, min(last, w.blocks.tip-blockReach))
}

// readTip reads some rounds of all the sources that are waited for, whoever the senders are. Done is true when each has
// given what it has of them.
func (w *Watcher) readTip(ctx context.Context, first, last uint64) (parts []part, done bool, err error) {
	done = true
	for _, s := range w.active() {
		if s.rounds == nil || s.rounds.first != first || s.rounds.asked > last {
			s.rounds, s.whole = newRounds(&s.reader, first, last), false
		}
		if !s.whole {
			whole, failed := s.rounds.step(ctx)
			s.whole = whole && failed == nil
			w.asked(s, failed)
			s.filtered.Store(s.reader.filters.txType)
			err = errors.Join(err, failed)
		}
		s.answered = s.whole
		done = done && s.whole
		parts = append(parts, part{s, s.rounds.window})
	}
	return parts, done && err == nil, err
}

// again has the rounds at the tip asked for anew.
func (w *Watcher) again() {
	for _, s := range w.sources {
		s.rounds, s.whole, s.answered = nil, false, false
	}
}

// asked notes how it went with a source. One failure alone is no problem yet.
func (w *Watcher) asked(s *source, err error) {
	if err == nil {
		s.failures = 0
		w.judge(s, nil)
		return
	}
	if s.failures++; s.failures > 1 {
		w.judge(s, err)
	}
}

// begin reads the charter's transaction, which says by which account and from which round on the consortium is.
func (w *Watcher) begin(ctx context.Context) (*past, error) {
	var problems error
	for _, s := range w.active() {
		t, found, _, err := s.reader.transaction(ctx, w.config.Charter)
		w.asked(s, err)
		if err == nil && !found {
			err = fmt.Errorf("the indexer doesn't have the charter's transaction %s", w.config.Charter)
		}
		if err != nil {
			problems = errors.Join(problems, err)
			continue
		}
		charter, err := w.decode.event(t)
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("the charter's transaction %s: %w", w.config.Charter, err))
			continue
		}
		creator := []consortium.Publisher{{Account: charter.Sender, Since: charter.Round}}
		return w.newPast(charter.Round, charter.Round, func([]consortium.Event) []consortium.Publisher { return creator }), nil
	}
	return nil, problems
}

// goBack reads a page of the history and delivers its window once that is whole.
func (w *Watcher) goBack(ctx context.Context, cursor uint64) (did progress, err error) {
	did = progress{cursor: cursor, more: true}
	w.history.without(w.isOut)
	done, givenUp, err := w.history.step(ctx)
	if givenUp != "" {
		w.config.Log.Warn("the history of an account is not read: it is long, and nothing in it is of the consortium", "account", givenUp)
		w.update(func(s *State) { s.GivenUp = append(s.GivenUp, givenUp) })
	}
	if err != nil || !done {
		return did, err
	}
	h := w.history
	next, err := h.window(ctx, w)
	if err != nil {
		w.history = nil // it is read anew
		return did, err
	}
	if cursor == 0 && !slices.ContainsFunc(next.events, func(e consortium.Event) bool { return e.TxID == w.config.Charter }) {
		// Without it nothing would ever count: the cursor must not pass.
		w.history = nil
		return did, fmt.Errorf("the indexer doesn't give the charter's transaction, of round %d", h.first())
	}
	if did, err = w.deliver(ctx, cursor, next, h.froms); err != nil {
		return did, err
	}
	did.more = true
	if did.cursor < h.last() || !h.advance() {
		w.history = nil // at the tip it is read otherwise, or from where it stands
	}
	return did, nil
}

// deliver gives a window of some indexers to the sink, up to the round that they are believed to have reached.
func (w *Watcher) deliver(ctx context.Context, cursor uint64, next window, asked []*source) (did progress, err error) {
	wanted := uint64(0)
	if n := len(next.events); n > 0 {
		wanted = next.events[n-1].Round
	}
	if !w.caughtUp() {
		wanted = next.last
	}
	tip := w.reached(ctx, wanted)
	did.held = wanted > tip
	next.cut(tip)
	did.cursor = cursor
	if next.last > cursor {
		w.withoutBlocks(next)
		w.missed(next.first, next.last, asked)
		if err := w.hand(ctx, &did, next); err != nil {
			return did, err
		}
	}
	did.more, did.whole = did.cursor < tip, true
	if tip > 0 && did.cursor >= tip {
		w.arrived(did.cursor)
	}
	did.unsettled = !w.caughtUp()
	return did, nil
}

// withoutBlocks notes rounds that are passed on the word of the indexers alone, though algod would have had the blocks.
func (w *Watcher) withoutBlocks(next window) {
	if w.blocks == nil {
		return
	}
	w.blocks.forgetShown()
	if chain, _, _ := w.last(); w.config.Missed != nil && next.last+blockReach > chain {
		w.config.Missed(AlgodName, max(next.first, chain-min(chain, blockReach)), next.last)
	}
}

// hand gives a window to the sink.
func (w *Watcher) hand(ctx context.Context, did *progress, next window) error {
	if err := w.config.Sink.Deliver(ctx, next.last, next.events); err != nil {
		return &sinkError{err}
	}
	did.cursor, did.events = next.last, len(next.events)
	did.whole = true
	w.report(next.bad)
	w.update(func(s *State) { s.Cursor = next.last })
	if did.blocks && next.last >= w.blocks.tip {
		w.arrived(next.last)
	}
	return nil
}

// arrived notes that the cursor is at the tip.
func (w *Watcher) arrived(cursor uint64) {
	w.update(func(s *State) {
		s.Cursor = cursor
		if !s.CaughtUp {
			s.CaughtUp = true
			close(w.atTip)
		}
	})
}

// cursor is the last round that was delivered.
func (w *Watcher) cursor() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Cursor
}
