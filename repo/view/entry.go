package view

import (
	"fmt"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
)

// Collections of the view beside those of the consortium, of which none has such an id.
const (
	Everything = "00000000-0000-0000-0000-000000000000" // every object, in the line that leads among all collections
	Others     = "00000000-0000-0000-0000-000000000001" // all other lines
)

// Entry is one version of one object in the view.
type Entry = entries.Entry

// Entry gives the object that an event brought into the view; nil if there is none.
func (v *View) Entry(e Event) (entry *Entry, err error) {
	if e.State != InView {
		return nil, nil
	}
	err = v.store.Read(func(txn *kv.Txn) error {
		entry, err = entries.Read(txn, store.U64(uint64(e.Entered)), true)
		if v.stale(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the object of transaction %s: %w", e.TxID, err)
	}
	return entry, nil
}
