package view

import (
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/view/internal/history"
)

// toSettle gives an event whose outcome is known. An object of a batch is new as long as nothing has become of it.
func (v *View) toSettle(txn *kv.Txn, of Event) (e Event, isNew bool, err error) {
	batch, err := history.Transaction(txn, of.Position)
	if err != nil || of.Index == 0 {
		return batch, false, err
	}
	e, err = history.Object(txn, batch, of.Index)
	if !errors.Is(err, history.ErrStale) {
		return e, false, err
	}
	e = batch.Object(of.Index, of.Directory, of.Listed)
	if batch.State != Waiting {
		e.State = batch.State // it was withdrawn, or an error of ours
	}
	if e.State != Waiting {
		return e, true, nil
	}
	return e, true, history.Use(txn, e.Directory, +1)
}

// Published gives what was published under a name: the event of a transaction, or an object of the batch that it made.
func (v *View) Published(name wire.Publication) (e Event, found bool, err error) {
	e, found, err = v.Event(name.TxID)
	if err != nil || !found || name.Index == 0 {
		return e, found, err
	}
	batch := e
	err = v.store.Read(func(txn *kv.Txn) error {
		e, err = history.Object(txn, batch, name.Index)
		return err
	})
	if errors.Is(err, history.ErrStale) { // nothing has become of it
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
		now, err := history.Transaction(txn, e.Position)
		withdrawn = err == nil && now.HasWithdrawn(e.Index)
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
		list, err = history.Objects(txn, batch, v.passStale)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the objects of batch %s: %w", batch.TxID, err)
	}
	return list, nil
}
