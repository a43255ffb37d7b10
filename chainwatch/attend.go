package chainwatch

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
)

// attendEvery is how many polls of the tip fit between two looks at an indexer that isn't what is followed.
const attendEvery = 3

// attend looks after one indexer, beside Run: where the tip is followed by algod's blocks, it holds the indexer against
// them; one that is left out is tried again; and what it said wrong it is asked again.
func (w *Watcher) attend(ctx context.Context, s *source) {
	ticker := time.NewTicker(attendEvery * w.config.Poll)
	defer ticker.Stop()
	r := s.asker()
	r.filters.notePrefix, r.answered = true, s.tip.answered
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if w.following.Load() || w.isOut(s) {
			err := w.compare(ctx, s, r)
			if ctx.Err() != nil {
				return
			}
			w.judge(s, err)
		}
		w.recheck(ctx, s)
	}
}

// compare asks an indexer for the rounds that algod's blocks have shown since it was asked last.
func (w *Watcher) compare(ctx context.Context, s *source, r *reader) error {
	var first, last uint64
	var want []consortium.Event
	if w.blocks != nil {
		most := uint64(tipWindow)
		if !r.filters.txType {
			most = tipWindowNoFilter
		}
		first, last, want = w.blocks.showed(s.compared.Load()+1, most)
	}
	if first == 0 { // nothing new: that it answers, and what it says of its last round, is what there is to know
		cursor := w.cursor()
		_, err := r.page(ctx, cursor+1, cursor+1, "")
		return err
	}
	read := newRounds(r, first, last)
	for {
		done, err := read.step(ctx)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if read.last < first || s.tip.agreed() < read.last {
		return nil // one answer is none
	}
	s.compared.Store(read.last)
	w.hold(s, read.window, want)
	least := read.last
	for _, other := range w.sources {
		if !w.isOut(other) {
			least = min(least, other.compared.Load())
		}
	}
	w.blocks.trim(least)
	return nil
}

// hold suspects an indexer of what it has otherwise than algod's blocks.
func (w *Watcher) hold(s *source, has window, want []consortium.Event) {
	said := make(map[string]consortium.Event, len(has.events))
	for _, e := range has.events {
		said[e.TxID] = e
	}
	for _, e := range want {
		switch one, found := said[e.TxID]; {
		case e.Round > has.last:
			continue
		case !found:
			w.accuse(s, e, "it leaves it out")
		case spotOf(one) != spotOf(e):
			w.accuse(s, e, "it gives it another place, or another asset")
		}
		delete(said, e.TxID)
	}
	for _, e := range said {
		w.accuseOfMore(s, e)
	}
}

// judge notes what is wrong with an indexer after it was asked.
func (w *Watcher) judge(s *source, err error) {
	if err != nil {
		w.setSource(&s.state, ProblemIndexer, err.Error())
		return
	}
	word, detail := s.tip.problem(0)
	if word == ProblemAlgod { // which is algod's
		word, detail = "", ""
	}
	w.setSource(&s.state, word, detail)
}
