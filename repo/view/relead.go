package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// leadItems is how many entries change their place in one transaction when another line leads: each is in many lists.
const leadItems = 50

// Relead serves the lines that lead now, of the objects of which another one did. It works in small steps, between
// which others write, and goes on where it was interrupted. First all entries of the line that led are taken away, then
// those of the one that leads come, each with a new date_added: so who asks for what was added since loses nothing.
func (v *View) Relead(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = v.releadSome(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Unled gets something when there is work for [View.Relead].
func (v *View) Unled() <-chan struct{} { return v.unled }

func (v *View) releadSome() (more bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.follow()
	return v.leading, err
}

// follow does the first step of what Relead does, which mostly is all of it. The caller holds the mutex.
func (v *View) follow() error {
	if !v.leading {
		return nil
	}
	more, err := v.relead(v.step)
	if err != nil { // it is to be done still
		return fmt.Errorf("serving the line that leads: %w", err)
	}
	if v.leading = more; more {
		select {
		case v.unled <- struct{}{}:
		default: // it was told already
		}
	}
	return nil
}

// relead moves up to so many entries, and says whether there may be more.
func (v *View) relead(limit int) (more bool, err error) {
	for left := limit; left > 0; {
		moved, found := 0, false
		err := v.write(func(txn *kv.Txn) error {
			collection, id, err := nextLead(txn)
			if err != nil || id == "" {
				return err
			}
			found = true
			moved, err = v.releadObject(txn, collection, id, left)
			return err
		})
		if errors.Is(err, kv.ErrTooBig) && left > 1 { // long identifiers
			left /= 2
			continue
		}
		if err != nil || !found {
			return false, err
		}
		left -= max(1, moved)
	}
	return true, nil
}

// nextLead gives an object of which another line leads; no id if there is none.
func nextLead(txn *kv.Txn) (collection []byte, id string, err error) {
	err = store.Scan(txn, store.Key(store.TableLead), nil, func(k []byte, _ *kv.Item) (bool, error) {
		rest := k[len(store.Key(store.TableLead)):]
		collection, id = slices.Clone(rest[:16]), string(rest[16:])
		return false, nil
	})
	return collection, id, err
}

// releadObject moves up to so many entries of an object. It leaves the queue when every one is where it belongs.
func (v *View) releadObject(txn *kv.Txn, collection []byte, id string, limit int) (moved int, err error) {
	o, known, err := getObject(txn, collection, id)
	if err != nil || !known {
		return 0, errors.Join(err, txn.Delete(leadKey(collection, id)))
	}
	g := listing.Group{Collection: collection, ID: id}
	if o.served.IsEmpty() || bytes.Equal(o.shown, o.leader) {
		g.Member = o.leader
	}
	all, err := g.Some(txn, limit)
	if err != nil {
		return 0, err
	}
	for size := 0; moved < len(all) && size <= store.ChunkBytes; moved++ {
		n, err := v.move(txn, all[moved].Date, v.lift, v.reshelve)
		if v.stale(err) {
			n, err = 0, forget(txn, g, all[moved])
		}
		if err != nil {
			return moved, err
		}
		size += n
	}
	if moved == 0 {
		err = txn.Delete(leadKey(collection, id))
	}
	return moved, err
}

// forget takes a version out of a group that has no entry.
func forget(txn *kv.Txn, g listing.Group, v listing.VersionAt) error {
	h, err := g.Forget(txn, v)
	if err != nil {
		return err
	}
	if g.Member != nil {
		return g.SetApartHead(txn, h)
	}
	o, known, err := getObject(txn, g.Collection, g.ID)
	if err != nil || !known {
		return err
	}
	o.served = h
	return setObject(txn, g.Collection, g.ID, o)
}

// lift takes an entry out of the lists of a collection. It stays in force.
func (v *View) lift(txn *kv.Txn, collection []byte, entry *Entry) error {
	o, known, err := getObject(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	if o, err = unshelve(txn, collection, entry, o); err != nil || !known {
		return err
	}
	return setObject(txn, collection, entry.ID, o)
}

// reshelve undoes lift: it lists the entry where it belongs now.
func (v *View) reshelve(txn *kv.Txn, collection []byte, entry *Entry) error {
	o, _, err := getObject(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	return v.shelve(txn, collection, entry, o, entries.MemberKey(entry.Owner()))
}

// indexing enters an entry into the indexes of a collection, or takes it out of them.
type indexing func(txn *kv.Txn, collection []byte, entry *Entry) error

// move takes an entry out of the indexes of all its collections and enters it again, with a new date. It tells the size
// of its object.
func (v *View) move(txn *kv.Txn, date []byte, out, in indexing) (size int, err error) {
	entry, err := entries.Read(txn, date, true)
	if err != nil {
		return 0, err
	}
	if err := v.take(txn, entry, out); err != nil {
		return 0, err
	}
	if err := v.put(txn, entry, in); err != nil {
		return 0, err
	}
	at := history.PositionKey(entry.Position)
	event, err := history.At(txn, at)
	if err != nil {
		return len(entry.Object), v.passStale(err)
	}
	event.Entered = entry.DateAdded
	return len(entry.Object), history.Set(txn, event)
}
