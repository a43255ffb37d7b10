package view

import (
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

// What is kept of an event, see package history.
type (
	Event  = history.Event
	Listed = history.Listed
	State  = history.State
)

// The states of an event, see package history.
const (
	Waiting, Undecided, Held, InView = history.Waiting, history.Undecided, history.Held, history.InView
	Duplicate, Refused, Ended, Done  = history.Duplicate, history.Refused, history.Ended, history.Done
)

// Cursor is the last round whose events are all in the log; 0 in a new view.
func (v *View) Cursor() (round uint64, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		_, err := store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaCursor)), &round)
		return err
	})
	return round, err
}

// Sequences gives the publishers' sequence numbers as they were stored last.
func (v *View) Sequences() (sequences map[string]*consortium.Sequence, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		_, err := store.GetJSON(txn, store.Key(store.TableMeta, []byte(metaSequences)), &sequences)
		return err
	})
	return sequences, err
}

// NewEvent is an event that counts, with its effect and the member that its sender is. Its lease is kept; the caller
// gives this organisation's own only.
type NewEvent struct {
	consortium.Event
	Effect consortium.Effect
	Member string
}

// Append stores events, and with them the publishers' sequence numbers, which may run ahead of the events: the records
// that are in the log tell how far the fold had come, and the numbers before them must not be lost. Events that are
// there already stay as they are.
func (v *View) Append(events []NewEvent, sequences map[string]*consortium.Sequence) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(events) > 0 {
		n := min(len(events), store.ChunkItems)
		err := v.write(func(txn *kv.Txn) error {
			for _, e := range events[:n] {
				if err := v.appendEvent(txn, e); err != nil {
					return err
				}
			}
			return store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaSequences)), sequences)
		})
		if err != nil {
			return fmt.Errorf("appending to the event log: %w", err)
		}
		events = events[n:]
	}
	return nil
}

// Advance moves the cursor to a round whose events, and those of all rounds before, were appended.
func (v *View) Advance(round uint64, sequences map[string]*consortium.Sequence) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.write(func(txn *kv.Txn) error {
		if err := store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaSequences)), sequences); err != nil {
			return err
		}
		return store.SetJSON(txn, store.Key(store.TableMeta, []byte(metaCursor)), round)
	})
	if err != nil {
		return fmt.Errorf("moving the cursor to round %d: %w", round, err)
	}
	return nil
}

func (v *View) appendEvent(txn *kv.Txn, e NewEvent) error {
	at := history.PositionKey(e.Position)
	if known, err := store.Has(txn, store.Key(store.TableEvent, at)); err != nil || known {
		return err
	}
	logged := Event{Event: e.Event, Member: e.Member, State: Waiting}
	if logged.Member == e.Sender {
		logged.Member = ""
	}
	if e.Directory == "" || e.Effect == consortium.Withdrawal { // its note says everything
		logged.State = Done
	}
	if e.Effect == consortium.Record {
		if err := txn.Set(store.Key(store.TableRecord, at), nil); err != nil {
			return err
		}
	}
	if err := txn.Set(store.Key(store.TableTxID, []byte(e.TxID)), at); err != nil {
		return err
	}
	if len(e.Lease) > 0 {
		if err := txn.Set(store.Key(store.TableLease, e.Lease), at); err != nil {
			return err
		}
	}
	if logged.State == Done {
		return history.Set(txn, logged)
	}
	if err := txn.Set(store.Key(store.TableAsset, store.U64(e.Asset)), at); err != nil {
		return err
	}
	if err := history.Use(txn, e.Directory, +1); err != nil {
		return err
	}
	return v.wait(txn, logged, time.Time{})
}

// Records gives the events that change the consortium, in chain order.
func (v *View) Records() (events []Event, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableRecord), nil, func(k []byte, _ *kv.Item) (bool, error) {
			e, err := history.At(txn, history.PlaceOf(k))
			if err == nil {
				events = append(events, e)
			}
			return true, v.passStale(err)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the records of the event log: %w", err)
	}
	return events, nil
}

// Outcome is a step in the life of an event: its new state, and what it waits for or brings.
type Outcome struct {
	Event      Event
	State      State
	Reason     string
	Due        time.Time // Waiting: when to try again
	Collection string    // Undecided: whose records decide
	Epoch      uint32    // Undecided, InView: see Event
	Content    []byte    // Held: what is to be known of the record, see View.Content
	Entry      *Entry    // InView
}

// Settle records outcomes. Objects that enter the view are given their date_added, in the order of the outcomes. Those
// of a batch that waits for its blocks are known from then on; they come before the batch's own outcome, so that a node
// that stops in between finds it waiting.
func (v *View) Settle(outcomes []Outcome) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for limit := store.ChunkItems; len(outcomes) > 0; {
		n, size := 0, 0
		for n < len(outcomes) && n < limit && size <= store.ChunkBytes {
			size += len(outcomes[n].Content)
			if outcomes[n].Entry != nil {
				size += len(outcomes[n].Entry.Object)
			}
			n++
		}
		settled := 0
		err := v.write(func(txn *kv.Txn) error {
			for settled = 0; settled < n && !txn.Full(); settled++ {
				o := outcomes[settled]
				if err := v.settle(txn, o); err != nil {
					return fmt.Errorf("settling transaction %s: %w", o.Event.TxID, err)
				}
			}
			return nil
		})
		if errors.Is(err, kv.ErrTooBig) && n > 1 {
			limit = n / 2 // one with a great many values, at the end
			continue
		}
		if err != nil {
			return err
		}
		outcomes = outcomes[settled:]
		if err := v.follow(); err != nil {
			return err
		}
	}
	return nil
}

func (v *View) settle(txn *kv.Txn, o Outcome) error {
	at := history.PositionKey(o.Event.Position)
	e, isNew, err := v.toSettle(txn, o.Event)
	if v.stale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.State != Waiting {
		return nil // withdrawn while its blocks were on their way
	}
	if !isNew {
		err = v.unwait(txn, e)
	}
	if err != nil {
		return err
	}
	e.State, e.Reason, e.Epoch = o.State, o.Reason, max(e.Epoch, o.Epoch)
	switch o.State {
	case Held, Refused:
		if err := v.conclude(txn, e, o.Content); err != nil {
			return err
		}
	case Waiting:
		e.Tries++
		turn := e.Publication
		e.Publication = nil
		if err := v.wait(txn, e, o.Due); err != nil || turn == nil {
			return err
		}
		return v.succeed(txn, turn) // it was its turn and it can't be had: who comes next isn't hidden behind it
	case Undecided:
		if err := txn.Set(store.Key(store.TableUndecided, []byte(o.Collection), at), nil); err != nil {
			return err
		}
		v.moved.Undecided++
	case InView:
		if err := v.enter(txn, &e, o.Entry); err != nil {
			return err
		}
	}
	return history.Set(txn, e)
}

// conclude settles an event for good, without an object in the view.
func (v *View) conclude(txn *kv.Txn, e Event, content []byte) error {
	if e.State == Held && content != nil {
		if err := txn.Set(store.Key(store.TableContent, history.PositionKey(e.Position)), content); err != nil {
			return err
		}
	}
	if e.State == Refused {
		if err := history.Use(txn, e.Directory, -1); err != nil {
			return err
		}
	}
	if c := e.Note.Collection; c != "" && e.Note.Kind != wire.KindObject {
		if err := review(txn, c); err != nil {
			return err
		}
	}
	if e.Publication != nil { // it was its turn
		return v.succeed(txn, e.Publication)
	}
	return nil
}

// Content gives what was settled as the content of a record; nil if nothing was.
func (v *View) Content(e Event) (content []byte, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		content, _, err = store.Get(txn, store.Key(store.TableContent, history.PositionKey(e.Position)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the content of transaction %s: %w", e.TxID, err)
	}
	return content, nil
}

// Event gives the event of a transaction; see [View.Published] for an object of a batch.
func (v *View) Event(txid string) (e Event, found bool, err error) {
	if e, found, err = v.eventBy(store.Key(store.TableTxID, []byte(txid))); err != nil {
		err = fmt.Errorf("reading the event of transaction %.60s: %w", txid, err)
	}
	return e, found, err
}

// EventOf gives the event that made an asset.
func (v *View) EventOf(asset uint64) (e Event, found bool, err error) {
	if e, found, err = v.eventBy(store.Key(store.TableAsset, store.U64(asset))); err != nil {
		err = fmt.Errorf("reading the event of asset %d: %w", asset, err)
	}
	return e, found, err
}

// Leased gives the event of the transaction that this organisation signed with a lease.
func (v *View) Leased(lease [32]byte) (e Event, found bool, err error) {
	if e, found, err = v.eventBy(store.Key(store.TableLease, lease[:])); err != nil {
		err = fmt.Errorf("reading the event of a lease: %w", err)
	}
	return e, found, err
}

// eventBy gives the event whose position an index holds.
func (v *View) eventBy(index []byte) (e Event, found bool, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		at, ok, err := store.Get(txn, index)
		if err != nil || !ok {
			return err
		}
		e, err = history.At(txn, at)
		found = err == nil
		return v.passStale(err)
	})
	if err != nil {
		return Event{}, false, err
	}
	return e, found, nil
}

// CountEvents tells how many events wait for blocks and how many are undecided.
func (v *View) CountEvents() (waiting, undecided int) {
	counts := v.counts.Load()
	return int(counts.Waiting), int(counts.Undecided)
}

// Log gives up to limit events of the log that are later than a position, in chain order.
func (v *View) Log(after consortium.Position, limit int) (events []Event, err error) {
	from := append(history.PositionKey(after), 0)
	err = v.store.Read(func(txn *kv.Txn) error {
		return store.Scan(txn, store.Key(store.TableEvent), from, func(_ []byte, item *kv.Item) (bool, error) {
			var e Event
			if err := store.ItemJSON(item, &e); err != nil {
				return false, err
			}
			events = append(events, e)
			return len(events) < limit, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the event log after %s: %w", after, err)
	}
	return events, nil
}
