package view

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// Index is told of what comes into the view and leaves it. What it holds is in the view's store.
type Index interface {
	// Begin is called in an empty view.
	Begin(txn *kv.Txn) error
	// Change begins what a transaction changes.
	Change() Change
}

// Change is what one transaction changes in an index. If the transaction fails, it is forgotten.
type Change interface {
	// Enter and Leave are given the entry with its object, in the order in which entries come and leave.
	Enter(e *Entry)
	Leave(e *Entry)
	// Write is called once, at the transaction's end.
	Write(txn *kv.Txn) error
}

// noIndex is in the place of one.
type noIndex struct{}

func (noIndex) Begin(*kv.Txn) error { return nil }
func (noIndex) Change() Change      { return noIndex{} }
func (noIndex) Enter(*Entry)        {}
func (noIndex) Leave(*Entry)        {}
func (noIndex) Write(*kv.Txn) error { return nil }

// Attach sets the index. To be called before anything is written.
func (v *View) Attach(i Index) { v.index = i }

// Read runs a transaction that reads.
func (v *View) Read(transaction func(*kv.Txn) error) error { return v.store.Read(transaction) }

// Maintain runs a transaction of the index, while nothing comes into the view or leaves it.
func (v *View) Maintain(transaction func(*kv.Txn) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.store.Write(transaction)
}

// EntryAt gives the entry with a date_added; nil if there is none.
func (v *View) EntryAt(txn *kv.Txn, date int64, withObject bool) (*Entry, error) {
	item, err := txn.Item(store.Key(store.TableEntry, store.U64(uint64(date))))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", date, err)
	}
	return entries.Of(item, withObject)
}

// IsLast reports whether an entry is the last version in its member's line of its object.
func (v *View) IsLast(txn *kv.Txn, e *Entry) (bool, error) {
	collection, date := entries.CollectionKey(e.Collection), store.U64(uint64(e.DateAdded))
	o, _, err := getObject(txn, collection, e.ID)
	if err != nil || bytes.Equal(o.served.Last.Date, date) {
		return err == nil, err
	}
	h, err := listing.Group{Collection: collection, ID: e.ID, Member: entries.MemberKey(e.Owner())}.ApartHead(txn)
	return err == nil && bytes.Equal(h.Last.Date, date), err
}

// Leads reports whether the line that an entry is of is the one that is served, among all collections.
func (v *View) Leads(txn *kv.Txn, e *Entry) (bool, error) {
	o, _, err := getObject(txn, entries.CollectionKey(Everything), e.ID)
	return err == nil && bytes.Equal(o.shown, entries.MemberKey(e.Owner())), err
}
