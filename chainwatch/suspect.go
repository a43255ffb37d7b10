package chainwatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
)

// Lie is a transaction of which a source says something else than algod's block or the other sources do.
type Lie struct {
	TxID   string    `json:"txid"`
	Sender string    `json:"sender"`
	Round  uint64    `json:"round"`
	Detail string    `json:"detail"`
	Seen   time.Time `json:"seen"`
}

// suspect is what may be a finding: only when the source is asked again, by the transaction's id, it is.
type suspect struct {
	Lie
	spot *spot // where it is; nil if it isn't on the chain in that round
	sure bool
	next int // of the rechecks it is looked at again in
}

// spot is what no signature covers: where a transaction is, and which asset it made.
type spot struct {
	position consortium.Position
	asset    uint64
}

func spotOf(e consortium.Event) spot { return spot{e.Position, e.Asset} }

const (
	maxRechecks  = 8  // transactions that are asked for again at a time
	recheckEvery = 20 // rechecks, after the first, until a finding is asked for again
)

// accuse notes that a source left a transaction out, or gave it another place or asset.
func (w *Watcher) accuse(s *source, e consortium.Event, detail string) {
	at := spotOf(e)
	w.suspect(s, suspect{Lie: Lie{TxID: e.TxID, Sender: e.Sender, Round: e.Round, Detail: detail}, spot: &at})
}

// accuseOfMore notes that a source gave a transaction that isn't in the block of the round.
func (w *Watcher) accuseOfMore(s *source, e consortium.Event) {
	w.suspect(s, suspect{Lie: Lie{TxID: e.TxID, Sender: e.Sender, Round: e.Round, Detail: fmt.Sprintf("it isn't in the block of round %d", e.Round)}})
}

func (w *Watcher) suspect(s *source, one suspect) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(s.suspects) < maxSuspects && !slices.ContainsFunc(s.suspects, func(known suspect) bool { return known.TxID == one.TxID }) {
		one.Seen = time.Now().UTC()
		s.suspects = append(s.suspects, one)
	}
}

// recheck asks a source again about some of what it is suspected of.
func (w *Watcher) recheck(ctx context.Context, s *source) {
	w.mu.Lock()
	var due []suspect
	for i := range s.suspects {
		one := &s.suspects[i]
		if one.next--; one.next <= 0 && len(due) < maxRechecks {
			one.next = recheckEvery
			due = append(due, *one)
		}
	}
	w.mu.Unlock()
	for _, one := range due {
		lies, err := w.stillLies(ctx, s, one)
		if err != nil {
			return
		}
		w.settle(s, one, lies)
	}
}

// stillLies asks a source for a transaction by its id. What it says of a later round than it has reached is open.
func (w *Watcher) stillLies(ctx context.Context, s *source, one suspect) (bool, error) {
	r := s.asker()
	t, found, round, err := r.transaction(ctx, one.TxID)
	if err != nil {
		return false, err
	}
	if !found {
		if round < one.Round {
			return false, errors.New("it hasn't reached that round")
		}
		return one.spot != nil, nil
	}
	e, _, err := r.decode.signedEvent(t)
	switch {
	case err != nil:
		return true, nil
	case one.spot == nil:
		return e.Round == one.Round, nil
	}
	return spotOf(e) != *one.spot, nil
}

// settle records what a recheck has shown.
func (w *Watcher) settle(s *source, one suspect, lies bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(s.suspects, func(known suspect) bool { return known.TxID == one.TxID })
	if i < 0 {
		return
	}
	known := &s.suspects[i]
	switch {
	case lies && !known.sure:
		known.sure = true
		if w.loud.Allow() {
			w.config.Log.Error("a source says of a transaction what isn't so", "source", s.name, "txid", one.TxID, "sender", one.Sender, "round", one.Round, "detail", one.Detail)
		}
	case !lies:
		if known.sure {
			w.config.Log.Info("a source says of a transaction what the others say", "source", s.name, "txid", one.TxID)
		}
		s.suspects = slices.Delete(s.suspects, i, i+1)
	}
}
