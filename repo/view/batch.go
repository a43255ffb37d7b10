package view

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// A batch is one event, and each object that it lists has a state of its own, as if it were the event of an NFT: it can
// wait, be in the view or a duplicate, be refused or withdrawn. It is kept in a table of its own, with what differs from
// the batch, once something has become of it.

// Listed is what a batch says of its objects.
type Listed struct {
	Collection string `json:"collection,omitzero"`
	Epoch      uint32 `json:"epoch,omitzero"`
}

// listed is what is kept of an object that a batch lists.
type listed struct {
	Directory   string `json:"directory"`
	State       State  `json:"state"`
	Reason      string `json:"reason,omitzero"`
	Tries       int    `json:"tries,omitzero"`
	Due         int64  `json:"due,omitzero"`
	Entered     int64  `json:"entered,omitzero"`
	Epoch       uint32 `json:"epoch,omitzero"`
	Listed      Listed `json:"listed,omitzero"`
	Publication []byte `json:"publication,omitzero"`
}

// indexSize is the end of a position that says which object of a batch is meant.
const indexSize = 4

func isListed(at []byte) bool {
	return !bytes.Equal(at[len(at)-indexSize:], make([]byte, indexSize))
}

// batchOf is the position of the batch of which an object is.
func batchOf(p consortium.Position) []byte {
	p.Index = 0
	return positionKey(p)
}

// Object is one that a batch lists, as it is when nothing has become of it.
func (e Event) Object(index uint32, directory string, says Listed) Event {
	o := Event{Event: e.Event.Listed(index, directory), Member: e.Member, State: Waiting, Listed: says}
	if e.State == Ended || e.HasWithdrawn(index) {
		o.State = Ended
	}
	return o
}

// HasWithdrawn reports whether one object of a batch was taken back.
func (e Event) HasWithdrawn(index uint32) bool {
	at, bit := place(index)
	return at < len(e.Withdrawn) && e.Withdrawn[at]&bit != 0
}

func (e *Event) setWithdrawn(index uint32) {
	at, bit := place(index)
	if missing := at + 1 - len(e.Withdrawn); missing > 0 {
		e.Withdrawn = append(e.Withdrawn, make([]byte, missing)...)
	}
	e.Withdrawn[at] |= bit
}

// place is where an index from 1 on stands in a set of them.
func place(index uint32) (at int, bit byte) {
	return int(index-1) / 8, 1 << ((index - 1) % 8)
}

func listedAt(txn *kv.Txn, at []byte) (e Event, err error) {
	p := parsePosition(at)
	batch, err := transactionAt(txn, batchOf(p))
	if err != nil {
		return e, err
	}
	return ofBatch(txn, batch, p.Index)
}

// ofBatch gives what has become of an object of a batch.
func ofBatch(txn *kv.Txn, batch Event, index uint32) (e Event, err error) {
	p := batch.Position
	p.Index = index
	data, found, err := store.Get(txn, store.Key(store.TableListed, positionKey(p)))
	if err == nil && !found {
		err = errStale
	}
	if err == nil {
		e, err = batch.decode(index, data)
	}
	if err != nil {
		return e, fmt.Errorf("the object at %s: %w", p, err)
	}
	return e, nil
}

func (e Event) decode(index uint32, data []byte) (Event, error) {
	var l listed
	if err := json.Unmarshal(data, &l); err != nil {
		return Event{}, fmt.Errorf("%w: %w", errStale, err)
	}
	return Event{
		Event: e.Event.Listed(index, l.Directory), Member: e.Member, State: l.State, Reason: l.Reason, Tries: l.Tries, Due: l.Due,
		Entered: l.Entered, Epoch: l.Epoch, Listed: l.Listed, Publication: l.Publication,
	}, nil
}

func setListed(txn *kv.Txn, e Event) error {
	return store.SetJSON(txn, store.Key(store.TableListed, positionKey(e.Position)), listed{
		Directory: e.Directory, State: e.State, Reason: e.Reason, Tries: e.Tries, Due: e.Due, Entered: e.Entered, Epoch: e.Epoch,
		Listed: e.Listed, Publication: e.Publication,
	})
}

// toSettle gives an event whose outcome is known. An object of a batch is new as long as nothing has become of it.
func (v *View) toSettle(txn *kv.Txn, of Event, at []byte) (e Event, isNew bool, err error) {
	if of.Index == 0 {
		e, err = transactionAt(txn, at)
		return e, false, err
	}
	batch, err := transactionAt(txn, batchOf(of.Position))
	if err != nil {
		return e, false, err
	}
	e, err = ofBatch(txn, batch, of.Index)
	if err == nil || !errors.Is(err, errStale) {
		return e, false, err
	}
	e = batch.Object(of.Index, of.Directory, of.Listed)
	if batch.State != Waiting {
		e.State = batch.State // it was withdrawn, or an error of ours
	}
	if e.State != Waiting {
		return e, true, nil
	}
	return e, true, use(txn, e.Directory, +1)
}

// Published gives what was published under a name: the event of a transaction, or an object of the batch that it made.
func (v *View) Published(name wire.Publication) (e Event, found bool, err error) {
	e, found, err = v.Event(name.TxID)
	if err != nil || !found || name.Index == 0 {
		return e, found, err
	}
	batch := e
	err = v.store.Read(func(txn *kv.Txn) error {
		e, err = ofBatch(txn, batch, name.Index)
		return err
	})
	if errors.Is(err, errStale) { // nothing has become of it
		e = batch.Object(name.Index, "", Listed{})
		return e, e.State == Ended, nil
	}
	if err != nil {
		return Event{}, false, fmt.Errorf("reading object %s: %w", name, err)
	}
	return e, true, nil
}

// IsWithdrawn reports whether what an event published, or an object of a batch, was taken back.
func (v *View) IsWithdrawn(e Event) (withdrawn bool, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		now, err := transactionAt(txn, batchOf(e.Position))
		withdrawn = err == nil && (now.State == Ended || e.Index != 0 && now.HasWithdrawn(e.Index))
		return v.passStale(err)
	})
	if err != nil {
		return false, fmt.Errorf("asking whether transaction %s was withdrawn: %w", e.TxID, err)
	}
	return withdrawn, nil
}

// Objects gives the objects of a batch of which something has become, in their order.
func (v *View) Objects(batch Event) (list []Event, err error) {
	err = v.store.Read(func(txn *kv.Txn) error {
		list, err = v.objectsOf(txn, batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the objects of batch %s: %w", batch.TxID, err)
	}
	return list, nil
}

func (v *View) objectsOf(txn *kv.Txn, batch Event) (list []Event, err error) {
	beginning := store.Key(store.TableListed, positionKey(batch.Position)[:listing.PositionSize-indexSize])
	err = store.Scan(txn, beginning, nil, func(k []byte, item *kv.Item) (bool, error) {
		data, err := item.Value()
		if err != nil {
			return false, err
		}
		e, err := batch.decode(parsePosition(k).Index, data)
		if err == nil {
			list = append(list, e)
		}
		return true, v.passStale(err)
	})
	return list, err
}
