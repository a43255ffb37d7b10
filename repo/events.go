package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
)

// LoggedEvent is an event of the chain that counts, and what has become of it here.
type LoggedEvent struct {
	consortium.Event
	State   EventState `json:"state"`
	Reason  string     `json:"reason,omitzero"`  // why it is refused, or what it waits for
	Tries   int        `json:"tries,omitzero"`   // how often its blocks were asked for in vain
	Due     int64      `json:"due,omitzero"`     // when they are asked for next, unix milliseconds
	Entered int64      `json:"entered,omitzero"` // objects in the view: their date_added in microseconds
	// Publication is what a duplicate publishes. It stays when the duplicate's turn has come.
	Publication []byte `json:"publication,omitzero"`
}

// EventState is what has become of an event.
type EventState byte

// The states of an event.
const (
	Waiting   EventState = iota + 1 // its blocks are not here yet
	Undecided                       // its blocks are here; a record that decides about it, or the key, is not
	Held                            // a record whose content is known
	InView                          // an object that is served
	Duplicate                       // an object that another transaction published before
	Refused                         // it doesn't count, for a reason that only its content shows
	Ended                           // its NFT was destroyed
	Done                            // it has no content: a destroy
)

func (s EventState) String() string {
	return [...]string{"", "waiting for its blocks", "undecided", "held", "in view", "duplicate", "refused", "withdrawn", "done"}[s]
}

// The tables of the view store that belong to the event log.
const (
	tableEvent     = 'e' // position -> LoggedEvent
	tableTxID      = 't' // transaction id -> position
	tableAsset     = 'a' // asset id -> position of the event that made it
	tableRecord    = 'r' // position -> nothing: the events that change the consortium
	tableDirectory = 'd' // CID, 0, position -> nothing: the events that name a directory
	tableWaiting   = 'w' // due (unix milliseconds), position -> nothing
	tableUndecided = 'u' // collection, position -> nothing
	tableReview    = 'v' // collection -> nothing: a record of it was settled, and its undecided objects not reconsidered since
	tableLease     = 'l' // lease -> position: what this organisation published
	tableMeta      = 'm'
	metaCursor     = "cursor"
	metaSequences  = "sequences"
)

func positionKey(p consortium.Position) []byte { return append(u64(p.Round), u64(p.Intra)...) }

func parsePosition(k []byte) consortium.Position {
	k = k[len(k)-16:]
	return consortium.Position{Round: binary.BigEndian.Uint64(k), Intra: binary.BigEndian.Uint64(k[8:])}
}

// Cursor is the last round whose events are all in the log; 0 in a new view.
func (v *View) Cursor() (round uint64, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		_, err := getJSON(txn, key(tableMeta, []byte(metaCursor)), &round)
		return err
	})
	return round, err
}

// Sequences gives the publishers' sequence numbers as they were stored last.
func (v *View) Sequences() (sequences map[string]*consortium.Sequence, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		_, err := getJSON(txn, key(tableMeta, []byte(metaSequences)), &sequences)
		return err
	})
	return sequences, err
}

// NewEvent is an event that counts, with its effect. Its lease is kept; the caller gives this organisation's own only.
type NewEvent struct {
	consortium.Event
	Effect consortium.Effect
}

// Append stores events, and with them the publishers' sequence numbers, which may run ahead of the events: the records
// that are in the log tell how far the fold had come, and the numbers before them must not be lost. Events that are
// there already stay as they are.
func (v *View) Append(events []NewEvent, sequences map[string]*consortium.Sequence) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(events) > 0 {
		n := min(len(events), chunkItems)
		err := v.write(func(txn *badger.Txn) error {
			for _, e := range events[:n] {
				if err := v.appendEvent(txn, e); err != nil {
					return err
				}
			}
			return setJSON(txn, key(tableMeta, []byte(metaSequences)), sequences)
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
	err := v.write(func(txn *badger.Txn) error {
		if err := setJSON(txn, key(tableMeta, []byte(metaSequences)), sequences); err != nil {
			return err
		}
		return setJSON(txn, key(tableMeta, []byte(metaCursor)), round)
	})
	if err != nil {
		return fmt.Errorf("moving the cursor to round %d: %w", round, err)
	}
	return nil
}

func (v *View) appendEvent(txn *badger.Txn, e NewEvent) error {
	at := positionKey(e.Position)
	if known, err := has(txn, key(tableEvent, at)); err != nil || known {
		return err
	}
	logged := LoggedEvent{Event: e.Event, State: Waiting}
	if e.Directory == "" || e.Effect == consortium.Withdrawal { // its note says everything
		logged.State = Done
	}
	if e.Effect == consortium.Record {
		if err := txn.Set(key(tableRecord, at), nil); err != nil {
			return err
		}
	}
	if err := txn.Set(key(tableTxID, []byte(e.TxID)), at); err != nil {
		return err
	}
	if len(e.Lease) > 0 {
		if err := txn.Set(key(tableLease, e.Lease), at); err != nil {
			return err
		}
	}
	if logged.State == Done {
		return setJSON(txn, key(tableEvent, at), logged)
	}
	if err := txn.Set(key(tableAsset, u64(e.Asset)), at); err != nil {
		return err
	}
	if err := txn.Set(key(tableDirectory, []byte(e.Directory), []byte{0}, at), nil); err != nil {
		return err
	}
	return v.wait(txn, logged, time.Time{})
}

func eventAt(txn *badger.Txn, at []byte) (e LoggedEvent, err error) {
	data, found, err := get(txn, key(tableEvent, at))
	if err == nil && !found {
		err = errStale
	}
	if err == nil {
		if problem := json.Unmarshal(data, &e); problem != nil {
			err = fmt.Errorf("%w: %w", errStale, problem)
		}
	}
	if err != nil {
		return e, fmt.Errorf("the event at %s: %w", parsePosition(at), err)
	}
	return e, nil
}

// Records gives the events that change the consortium, in chain order.
func (v *View) Records() (events []LoggedEvent, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		return scan(txn, key(tableRecord), nil, false, func(k []byte, _ *badger.Item) (bool, error) {
			e, err := eventAt(txn, k[len(k)-16:])
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

// WaitingQueue is one of the two queues in which events wait for their blocks.
type WaitingQueue int

// The queues.
const (
	Fresh   WaitingQueue = iota // never asked for
	Retried                     // asked for in vain
)

// Due gives up to limit events of a queue whose blocks should be asked for now, in chain order or, of those that were
// asked for, in the order in which they are due. It begins after an event that it gave before; the zero event is for
// the beginning. If none is due, next is when the first will be; zero if none waits.
func (v *View) Due(queue WaitingQueue, after LoggedEvent, now time.Time, limit int) (events []LoggedEvent, next time.Time, err error) {
	var from []byte
	if after.TxID != "" {
		from = waitingKey(after)[len(key(tableWaiting)):]
	}
	err = v.queues[queue].scan(v.store, from, func(txn *badger.Txn, k []byte, _ *badger.Item) (bool, error) {
		due := binary.BigEndian.Uint64(k[2:])
		if queue == Fresh && due > 0 {
			return false, nil
		}
		if at := time.UnixMilli(int64(due)); at.After(now) {
			next = at
			return false, nil
		}
		e, err := eventAt(txn, k[len(k)-16:])
		if err == nil {
			events = append(events, e)
		}
		return len(events) < limit, v.passStale(err)
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading the events that wait: %w", err)
	}
	return events, next, nil
}

// Await makes an event wait for its blocks again, because they are gone.
func (v *View) Await(e LoggedEvent) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.write(func(txn *badger.Txn) error { return v.wait(txn, e, time.Time{}) }); err != nil {
		return fmt.Errorf("waiting for transaction %s again: %w", e.TxID, err)
	}
	return nil
}

// waitingKey is where an event stands while it waits.
func waitingKey(e LoggedEvent) []byte {
	return key(tableWaiting, u64(uint64(e.Due)), positionKey(e.Position))
}

// wait makes an event wait until it is due; at the zero time it is due at once.
func (v *View) wait(txn *badger.Txn, e LoggedEvent, due time.Time) error {
	e.State, e.Due = Waiting, 0
	if !due.IsZero() {
		e.Due = due.UnixMilli()
	}
	k := waitingKey(e)
	if err := txn.Set(k, nil); err != nil {
		return err
	}
	if e.Due == 0 {
		v.waits[Fresh].add(k)
	} else {
		v.waits[Retried].add(k)
	}
	v.moved.Waiting++
	return setJSON(txn, key(tableEvent, positionKey(e.Position)), e)
}

// unwait takes an event out of the waiting table.
func (v *View) unwait(txn *badger.Txn, e LoggedEvent) error {
	v.moved.Waiting--
	return txn.Delete(waitingKey(e))
}

// Outcome is a step in the life of an event: its new state, and what it waits for or brings.
type Outcome struct {
	Event      LoggedEvent
	State      EventState
	Reason     string
	Due        time.Time // Waiting: when to try again
	Collection string    // Undecided: whose records decide
	Entry      *Entry    // InView
}

// Settle records outcomes. Objects that enter the view are given their date_added, in the order of the outcomes.
func (v *View) Settle(outcomes []Outcome) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for limit := chunkItems; len(outcomes) > 0; {
		n, size := 0, 0
		for n < len(outcomes) && n < limit && size <= chunkBytes {
			if outcomes[n].Entry != nil {
				size += len(outcomes[n].Entry.Object)
			}
			n++
		}
		err := v.write(func(txn *badger.Txn) error {
			for _, o := range outcomes[:n] {
				if err := v.settle(txn, o); err != nil {
					return fmt.Errorf("settling transaction %s: %w", o.Event.TxID, err)
				}
			}
			return nil
		})
		if errors.Is(err, badger.ErrTxnTooBig) && n > 1 {
			limit = n / 2 // long identifiers, or many that take the places of others
			continue
		}
		if err != nil {
			return err
		}
		outcomes = outcomes[n:]
	}
	return nil
}

func (v *View) settle(txn *badger.Txn, o Outcome) error {
	at := positionKey(o.Event.Position)
	e, err := eventAt(txn, at)
	if v.stale(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.State != Waiting {
		return nil // withdrawn while its blocks were on their way
	}
	if err := v.unwait(txn, e); err != nil {
		return err
	}
	e.State, e.Reason = o.State, o.Reason
	switch o.State {
	case Held, Refused:
		if c := e.Note.Collection; c != "" && e.Note.Kind != wire.KindObject {
			if err := txn.Set(key(tableReview, []byte(c)), nil); err != nil {
				return err
			}
		}
		if e.Publication != nil { // it was its turn
			if err := v.succeed(txn, e.Publication); err != nil {
				return err
			}
		}
	case Waiting:
		e.Tries++
		return v.wait(txn, e, o.Due)
	case Undecided:
		if err := txn.Set(key(tableUndecided, []byte(o.Collection), at), nil); err != nil {
			return err
		}
		v.moved.Undecided++
	case InView:
		if err := v.enter(txn, &e, o.Entry); err != nil {
			return err
		}
	}
	return setJSON(txn, key(tableEvent, at), e)
}

// Reconsider makes the undecided objects wait again whose collection had a record settled since the last time. It
// returns how many there were. Interrupted, it goes on the next time.
func (v *View) Reconsider() (n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		var collection []byte
		err := v.store.read(func(txn *badger.Txn) error {
			return scan(txn, key(tableReview), nil, false, func(k []byte, _ *badger.Item) (bool, error) {
				collection = bytes.Clone(k[len(key(tableReview)):])
				return false, nil
			})
		})
		if err != nil || collection == nil {
			return n, err
		}
		reconsidered, err := v.reconsider(collection)
		if n += reconsidered; err != nil {
			return n, fmt.Errorf("reconsidering collection %s: %w", collection, err)
		}
	}
}

func (v *View) reconsider(collection []byte) (n int, err error) {
	var from []byte // what was before it is done, and would only be passed over
	for {
		var keys [][]byte
		err := v.write(func(txn *badger.Txn) error {
			err := scan(txn, key(tableUndecided, collection), from, false, func(k []byte, item *badger.Item) (bool, error) {
				keys = append(keys, item.KeyCopy(nil))
				return len(keys) < chunkItems, nil
			})
			if err != nil {
				return err
			}
			for _, k := range keys {
				at := k[len(k)-16:]
				if err := txn.Delete(k); err != nil {
					return err
				}
				v.moved.Undecided--
				e, err := eventAt(txn, at)
				if v.stale(err) {
					continue
				}
				if err != nil {
					return err
				}
				if e.State != Undecided {
					continue
				}
				if err := v.wait(txn, e, time.Time{}); err != nil {
					return err
				}
			}
			if len(keys) < chunkItems {
				return txn.Delete(key(tableReview, collection))
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += len(keys)
		if len(keys) < chunkItems {
			return n, nil
		}
		from = keys[len(keys)-1][len(key(tableUndecided, collection)):]
	}
}

// Hasten makes every waiting event due: because a member was connected that may have the blocks.
func (v *View) Hasten() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for from := u64(uint64(Retried)); ; { // what was before it is done, and would only be passed over
		n := 0
		err := v.write(func(txn *badger.Txn) error {
			return scan(txn, key(tableWaiting), from, false, func(_ []byte, item *badger.Item) (bool, error) {
				n++
				k := item.KeyCopy(nil)
				from = k[len(key(tableWaiting)):]
				e, err := eventAt(txn, k[len(k)-16:])
				if v.stale(err) {
					return true, nil
				}
				if err != nil {
					return false, err
				}
				if err := v.unwait(txn, e); err != nil {
					return false, err
				}
				return n < chunkItems, v.wait(txn, e, time.Time{})
			})
		})
		if err != nil {
			return fmt.Errorf("hastening the events that wait: %w", err)
		}
		if n < chunkItems {
			return nil
		}
	}
}

// Withdraw ends the object of an asset that its publisher took back: it leaves the view. It returns the event that had
// published it; found is false if the asset is no object of this consortium, or not one of the senders'. To withdraw
// what is withdrawn already is harmless.
func (v *View) Withdraw(asset uint64, senders ...string) (e LoggedEvent, found bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.write(func(txn *badger.Txn) error {
		at, ok, err := get(txn, key(tableAsset, u64(asset)))
		if err != nil || !ok {
			return err
		}
		if e, err = eventAt(txn, at); err != nil {
			return v.passStale(err)
		}
		if isRecord, err := has(txn, key(tableRecord, at)); err != nil || isRecord || !slices.Contains(senders, e.Sender) {
			return err
		}
		found = true
		switch e.State {
		case Waiting:
			if err = v.unwait(txn, e); err == nil && e.Publication != nil { // it was its turn
				err = v.succeed(txn, e.Publication)
			}
		case Duplicate:
			err = txn.Delete(key(tableDuplicate, e.Publication, at))
		case InView:
			err = v.leave(txn, e.Entered)
		}
		if err != nil {
			return err
		}
		e.State = Ended
		return setJSON(txn, key(tableEvent, at), e)
	})
	if err != nil {
		return LoggedEvent{}, false, fmt.Errorf("withdrawing asset %d: %w", asset, err)
	}
	return e, found, nil
}

// Uses reports whether an event that may count names a directory. Anybody can mint an NFT about somebody else's, and
// destroying that one must not cost the others their blocks.
func (v *View) Uses(directory string) (used bool, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		return scan(txn, key(tableDirectory, []byte(directory), []byte{0}), nil, false, func(k []byte, _ *badger.Item) (bool, error) {
			e, err := eventAt(txn, k[len(k)-16:])
			used = err == nil && e.State != Ended && e.State != Refused
			return !used, v.passStale(err)
		})
	})
	if err != nil {
		return false, fmt.Errorf("looking for the events of directory %.80s: %w", directory, err)
	}
	return used, nil
}

// Event gives the event of a transaction.
func (v *View) Event(txid string) (e LoggedEvent, found bool, err error) {
	if e, found, err = v.eventBy(key(tableTxID, []byte(txid))); err != nil {
		err = fmt.Errorf("reading the event of transaction %.60s: %w", txid, err)
	}
	return e, found, err
}

// EventOf gives the event that made an asset.
func (v *View) EventOf(asset uint64) (e LoggedEvent, found bool, err error) {
	if e, found, err = v.eventBy(key(tableAsset, u64(asset))); err != nil {
		err = fmt.Errorf("reading the event of asset %d: %w", asset, err)
	}
	return e, found, err
}

// Leased gives the event of the transaction that this organisation signed with a lease.
func (v *View) Leased(lease [32]byte) (e LoggedEvent, found bool, err error) {
	if e, found, err = v.eventBy(key(tableLease, lease[:])); err != nil {
		err = fmt.Errorf("reading the event of a lease: %w", err)
	}
	return e, found, err
}

// eventBy gives the event whose position an index holds.
func (v *View) eventBy(index []byte) (e LoggedEvent, found bool, err error) {
	err = v.store.read(func(txn *badger.Txn) error {
		at, ok, err := get(txn, index)
		if err != nil || !ok {
			return err
		}
		e, err = eventAt(txn, at)
		found = err == nil
		return v.passStale(err)
	})
	if err != nil {
		return LoggedEvent{}, false, err
	}
	return e, found, nil
}

// CountEvents tells how many events wait for blocks and how many are undecided.
func (v *View) CountEvents() (waiting, undecided int) {
	counts := v.counts.Load()
	return int(counts.Waiting), int(counts.Undecided)
}
