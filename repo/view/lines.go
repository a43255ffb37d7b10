package view

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/entries"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// STIX ids belong to nobody, so what two members publish under one id stands side by side: each member's is a line. In
// every collection, and in the one with everything, the line with the earliest position in force leads and is served as
// the object; the others are listed apart. So nobody changes, hides or keeps alive what another one publishes.

// object is what is kept of one id in a collection, as long as anybody publishes it who may lead.
type object struct {
	leader []byte       // whose line has the earliest position in force, by its key
	since  []byte       // that position
	shown  []byte       // whose entries are served: the leader's, but while the lead changes
	served listing.Head // the first and the last of those
}

func objectKey(collection []byte, id string) []byte {
	return store.Key(store.TableHead, collection, []byte(id))
}

// standKey is where a position in force names the member that has it: all of an object but the earliest, so that an
// object of one version, as most are, costs nothing more.
func standKey(collection []byte, id string, position []byte) []byte {
	return store.Key(store.TableFirst, collection, []byte(id), []byte{0}, position)
}

func leadKey(collection []byte, id string) []byte {
	return store.Key(store.TableLead, collection, []byte(id))
}

func getObject(txn *kv.Txn, collection []byte, id string) (o object, found bool, err error) {
	data, found, err := store.Get(txn, objectKey(collection, id))
	if err != nil || !found {
		return object{}, false, err
	}
	const size = listing.MemberSize + listing.PositionSize
	if len(data) != size && len(data) != size+listing.MemberSize+listing.HeadSize {
		return object{}, false, fmt.Errorf("a damaged head of object %.80q", id)
	}
	o.leader, o.since = data[:listing.MemberSize], data[listing.MemberSize:size]
	if rest := data[size:]; len(rest) > 0 {
		o.shown, o.served = rest[:listing.MemberSize], listing.DecodeHead(rest[listing.MemberSize:])
	}
	return o, true, nil
}

func setObject(txn *kv.Txn, collection []byte, id string, o object) error {
	data := slices.Concat(o.leader, o.since)
	if !o.served.IsEmpty() {
		data = slices.Concat(data, o.shown, o.served.Encode())
	}
	return txn.Set(objectKey(collection, id), data)
}

// place enters an entry into the indexes of a collection, and queues the object if another line leads with it.
func (v *View) place(txn *kv.Txn, collection []byte, entry *Entry) error {
	member := entries.MemberKey(entry.Owner())
	if v.mistrusted[entry.Owner()] {
		return v.shelve(txn, collection, entry, object{}, member)
	}
	o, known, err := getObject(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	if o, err = v.stand(txn, collection, entry.ID, o, known, history.PositionKey(entry.Position), member); err != nil {
		return err
	}
	return v.shelve(txn, collection, entry, o, member)
}

// stand enters a position in force, and gives the object as it is then.
func (v *View) stand(txn *kv.Txn, collection []byte, id string, o object, known bool, position, member []byte) (object, error) {
	if known && bytes.Compare(position, o.since) > 0 {
		return o, txn.Set(standKey(collection, id, position), member)
	}
	was := o
	o.leader, o.since = member, position
	if !known {
		return o, nil
	}
	if err := txn.Set(standKey(collection, id, was.since), was.leader); err != nil {
		return o, err
	}
	if bytes.Equal(was.leader, member) {
		return o, nil
	}
	return o, v.queueLead(txn, collection, id)
}

// unstand takes a position in force out, and gives the object as it is then; not if none is left.
func (v *View) unstand(txn *kv.Txn, collection []byte, id string, o object, position []byte) (is object, left bool, err error) {
	if !bytes.Equal(position, o.since) {
		return o, true, txn.Delete(standKey(collection, id, position))
	}
	is = o
	is.leader, is.since, left, err = firstOf(txn, collection, id)
	if err == nil && left {
		err = txn.Delete(standKey(collection, id, is.since))
	}
	if err == nil && left && !bytes.Equal(is.leader, o.leader) {
		err = v.queueLead(txn, collection, id)
	}
	return is, left, err
}

// stands reports whether an entry's position is one of those that may lead.
func stands(txn *kv.Txn, entry *Entry) (bool, error) {
	collection, position := entries.CollectionKey(entry.Collection), history.PositionKey(entry.Position)
	o, _, err := getObject(txn, collection, entry.ID)
	if err != nil || bytes.Equal(o.since, position) {
		return err == nil, err
	}
	return store.Has(txn, standKey(collection, entry.ID, position))
}

// shelve lists an entry where it belongs: with what is served, if its line leads and no other's entries are served
// still.
func (v *View) shelve(txn *kv.Txn, collection []byte, entry *Entry, o object, member []byte) (err error) {
	g := listing.Group{Collection: collection, ID: entry.ID}
	if bytes.Equal(o.leader, member) && (o.served.IsEmpty() || bytes.Equal(o.shown, member)) {
		o.shown = member
		if o.served, err = g.Add(txn, o.served, entry.At(), entry.Type); err != nil {
			return err
		}
	} else {
		g.Member = member
		h, err := g.ApartHead(txn)
		if err != nil {
			return err
		}
		if h, err = g.Add(txn, h, entry.At(), entry.Type); err != nil {
			return err
		}
		if err := g.SetApartHead(txn, h); err != nil {
			return err
		}
	}
	if o.leader == nil { // nobody who may lead publishes it
		return nil
	}
	return setObject(txn, collection, entry.ID, o)
}

// displace undoes place.
func (v *View) displace(txn *kv.Txn, collection []byte, entry *Entry) error {
	o, known, err := getObject(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	if o, err = unshelve(txn, collection, entry, o); err != nil || !known {
		return err
	}
	o, left, err := v.unstand(txn, collection, entry.ID, o, history.PositionKey(entry.Position))
	switch {
	case err != nil:
		return err
	case !left:
		return errors.Join(txn.Delete(objectKey(collection, entry.ID)), txn.Delete(leadKey(collection, entry.ID)))
	}
	return setObject(txn, collection, entry.ID, o)
}

// unshelve takes an entry out of the lists, from wherever it stands, and gives the object as it is then.
func unshelve(txn *kv.Txn, collection []byte, entry *Entry, o object) (object, error) {
	g, member := listing.Group{Collection: collection, ID: entry.ID}, entries.MemberKey(entry.Owner())
	isServed := false
	if bytes.Equal(o.shown, member) { // while the lead changes a line stands on both shelves
		var err error
		if isServed, err = store.Has(txn, append(g.Versions(), entry.At().Place...)); err != nil {
			return o, err
		}
	}
	if isServed {
		is, err := g.Drop(txn, o.served, entry.At(), entry.Type)
		o.served = is
		return o, err
	}
	g.Member = member
	h, err := g.ApartHead(txn)
	if err != nil {
		return o, err
	}
	if h, err = g.Drop(txn, h, entry.At(), entry.Type); err != nil {
		return o, err
	}
	return o, g.SetApartHead(txn, h)
}

// firstOf finds who has the earliest position in force but one.
func firstOf(txn *kv.Txn, collection []byte, id string) (leader, since []byte, found bool, err error) {
	err = store.Scan(txn, standKey(collection, id, nil), nil, func(k []byte, item *kv.Item) (bool, error) {
		found, since = true, slices.Clone(k[len(k)-listing.PositionSize:])
		leader, err = item.Value()
		return false, err
	})
	return leader, since, found, err
}

// queueLead notes that another line leads than the one that is served.
func (v *View) queueLead(txn *kv.Txn, collection []byte, id string) error {
	v.leading = true
	return txn.Set(leadKey(collection, id), nil)
}

// LosesLead reports whether a member's line of an object leads in a collection, and another one would if some of its
// versions, given by their positions, were withdrawn, and the rest of them were not or it publishes another one.
func (v *View) LosesLead(member, collection, id string, again bool, withdrawn ...consortium.Position) (loses bool, err error) {
	key := entries.MemberKey(member)
	err = v.store.Read(func(txn *kv.Txn) error {
		o, _, err := getObject(txn, entries.CollectionKey(collection), id)
		if err != nil || !bytes.Equal(o.leader, key) {
			return err
		}
		others, stays := false, !slices.Contains(withdrawn, history.ParsePosition(o.since))
		if stays {
			return nil
		}
		err = store.Scan(txn, standKey(entries.CollectionKey(collection), id, nil), nil, func(k []byte, item *kv.Item) (bool, error) {
			who, err := item.Value()
			switch {
			case err != nil:
				return false, err
			case !bytes.Equal(who, key):
				others = true
			case !slices.Contains(withdrawn, history.ParsePosition(k)): // the earliest that stays
				stays = true
			}
			return !stays, nil
		})
		loses = others && (stays || again)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking at the lines of object %.80q: %w", id, err)
	}
	return loses, nil
}
