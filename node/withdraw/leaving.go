package withdraw

import (
	"fmt"

	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/p2p/swarm"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// What is in the view and about to leave it, as this organisation has said: it was withdrawn, or something takes its
// place. Until the chain says so too it is served, and must not be taken for what a client wants published, nor be all
// that a client wants withdrawn.

// IsLeaving reports whether the end of an entry is on its way to the chain: its own, or that of the batch that it is
// in.
func IsLeaving(outbox finder, entry *view.Entry) (bool, error) {
	_, leaving, err := leavesBy(outbox, entry)
	return leaving, err
}

// leavesBy gives the item that ends an entry.
func leavesBy(box finder, entry *view.Entry) (item outbox.Item, leaving bool, err error) {
	item, found, err := box.Find(destroyKey(entry.Asset))
	if entry.Position.Index != 0 && err == nil && (!found || item.Failure != "") {
		item, found, err = box.Find(endKey(publishedBy(entry)))
	}
	return item, found && item.Failure == "", err
}

// publishedBy is what an entry is of.
func publishedBy(entry *view.Entry) swarm.Published {
	return swarm.Published{Asset: entry.Asset, Index: entry.Position.Index}
}

// Follows finds the publication that is to be where an entry of the view is, once that has left.
func Follows(box finder, key []byte, entry *view.Entry) (item outbox.Item, found bool, err error) {
	item, found, err = box.Find(key)
	found = found && item.State != outbox.Withdrawn && item.Failure == "" && (item.TxID != entry.TxID || item.Index != entry.Position.Index)
	return item, found, err
}

// withFollowing adds to what is to be withdrawn what would come in its place. What is not on the chain yet can't be
// ended.
func (w *Withdrawer) withFollowing(list []Withdrawal) ([]Withdrawal, error) {
	all := list[:len(list):len(list)]
	for _, one := range list {
		event, found, err := w.eventOf(one.of())
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		entry, err := w.View.Entry(event)
		if err != nil {
			return nil, err
		}
		if entry == nil { // it has left
			continue
		}
		next, found, err := Follows(w.Outbox, publish.ObjectKey(entry), entry)
		switch {
		case err != nil:
			return nil, err
		case found && next.State < outbox.Confirmed:
			return nil, fmt.Errorf("%w: version %s of object %s is being published once more; withdraw it when that is complete", taxii.ErrConflict, one.Version, one.ID)
		case found && next.Asset != 0:
			one.TxID, one.Asset, one.Index = next.TxID, next.Asset, next.Index
			all = append(all, one)
		}
	}
	return all, nil
}
