package view

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// STIX ids belong to nobody, so what two members publish under one id stands side by side: each member's is a line. In
// every collection, and in the one with everything, the line with the earliest position in force leads and is served as
// the object; the others are listed apart. So nobody changes, hides or keeps alive what another one publishes.

// memberKeySize is the size of a member in a key.
const memberKeySize = 16

// memberKey is a member in a key, shorter than its account.
func memberKey(member string) []byte {
	sum := sha256.Sum256([]byte(member))
	return sum[:memberKeySize]
}

// Owner is the member whose entry it is: it has the entry's publisher for its account, or had.
func (e *Entry) Owner() string { return cmp.Or(e.Member, e.Publisher) }

// object is what is kept of one id in a collection, as long as anybody publishes it who may lead.
type object struct {
	leader []byte // whose line has the earliest position in force, by its key
	since  []byte // that position
	shown  []byte // whose entries are served: the leader's, but while the lead changes
	served head   // the first and the last of those
}

func objectKey(collection []byte, id string) []byte {
	return store.Key(store.TableHead, collection, []byte(id))
}

// apartKey is where the head of a member's line is that is not served.
func apartKey(collection []byte, id string, member []byte) []byte {
	return store.Key(store.TableHead, collection, []byte(id), []byte{0}, member)
}

// standKey is where a position in force names the member that has it.
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
	const size = memberKeySize + positionSize
	if len(data) != size && len(data) != size+memberKeySize+headSize {
		return object{}, false, fmt.Errorf("a damaged head of object %.80q", id)
	}
	o.leader, o.since = data[:memberKeySize], data[memberKeySize:size]
	if rest := data[size:]; len(rest) > 0 {
		o.shown, o.served = rest[:memberKeySize], decodeHead(rest[memberKeySize:])
	}
	return o, true, nil
}

func setObject(txn *kv.Txn, collection []byte, id string, o object) error {
	data := slices.Concat(o.leader, o.since)
	if !o.served.isEmpty() {
		data = slices.Concat(data, o.shown, o.served.encode())
	}
	return txn.Set(objectKey(collection, id), data)
}

func getApart(txn *kv.Txn, collection []byte, id string, member []byte) (head, error) {
	data, found, err := store.Get(txn, apartKey(collection, id, member))
	if err != nil || !found {
		return head{}, err
	}
	if len(data) != headSize {
		return head{}, damagedLine(id)
	}
	return decodeHead(data), nil
}

func damagedLine(id string) error { return fmt.Errorf("a damaged head of a line of object %.80q", id) }

func setApart(txn *kv.Txn, g group, h head) error {
	k := apartKey(g.collection, g.id, g.member)
	if h.isEmpty() {
		return txn.Delete(k)
	}
	return txn.Set(k, h.encode())
}

// place enters an entry into the indexes of a collection, and queues the object if another line leads with it.
func (v *View) place(txn *kv.Txn, collection []byte, entry *Entry) error {
	member := memberKey(entry.Owner())
	if v.mistrusted[entry.Owner()] {
		return v.shelve(txn, collection, entry, object{}, member)
	}
	o, known, err := getObject(txn, collection, entry.ID)
	if err != nil {
		return err
	}
	position := positionKey(entry.Position)
	if err := txn.Set(standKey(collection, entry.ID, position), member); err != nil {
		return err
	}
	if !known || bytes.Compare(position, o.since) < 0 {
		if known && !bytes.Equal(o.leader, member) {
			if err := v.queueLead(txn, collection, entry.ID); err != nil {
				return err
			}
		}
		o.leader, o.since = member, position
	}
	return v.shelve(txn, collection, entry, o, member)
}

// shelve lists an entry where it belongs: with what is served, if its line leads and no other's entries are served still.
func (v *View) shelve(txn *kv.Txn, collection []byte, entry *Entry, o object, member []byte) (err error) {
	g := group{collection: collection, id: entry.ID}
	if bytes.Equal(o.leader, member) && (o.served.isEmpty() || bytes.Equal(o.shown, member)) {
		o.shown = member
		if o.served, err = g.add(txn, o.served, entry); err != nil {
			return err
		}
	} else {
		g.member = member
		h, err := getApart(txn, collection, entry.ID, member)
		if err != nil {
			return err
		}
		if h, err = g.add(txn, h, entry); err != nil {
			return err
		}
		if err := setApart(txn, g, h); err != nil {
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
	position := positionKey(entry.Position)
	if err := txn.Delete(standKey(collection, entry.ID, position)); err != nil {
		return err
	}
	if bytes.Equal(position, o.since) {
		leader, since, found, err := firstOf(txn, collection, entry.ID)
		if err != nil {
			return err
		}
		if !found {
			return errors.Join(txn.Delete(objectKey(collection, entry.ID)), txn.Delete(leadKey(collection, entry.ID)))
		}
		if !bytes.Equal(leader, o.leader) {
			if err := v.queueLead(txn, collection, entry.ID); err != nil {
				return err
			}
		}
		o.leader, o.since = leader, since
	}
	return setObject(txn, collection, entry.ID, o)
}

// unshelve takes an entry out of the lists, from wherever it stands, and gives the object as it is then.
func unshelve(txn *kv.Txn, collection []byte, entry *Entry, o object) (object, error) {
	g, member := group{collection: collection, id: entry.ID}, memberKey(entry.Owner())
	isServed := false
	if bytes.Equal(o.shown, member) { // while the lead changes a line stands on both shelves
		var err error
		if isServed, err = store.Has(txn, append(g.versions(), entry.at().place...)); err != nil {
			return o, err
		}
	}
	if isServed {
		is, err := g.drop(txn, o.served, entry)
		o.served = is
		return o, err
	}
	g.member = member
	h, err := getApart(txn, collection, entry.ID, member)
	if err != nil {
		return o, err
	}
	if h, err = g.drop(txn, h, entry); err != nil {
		return o, err
	}
	return o, setApart(txn, g, h)
}

// firstOf finds who has the earliest position in force.
func firstOf(txn *kv.Txn, collection []byte, id string) (leader, since []byte, found bool, err error) {
	err = store.Scan(txn, standKey(collection, id, nil), nil, func(k []byte, item *kv.Item) (bool, error) {
		found, since = true, slices.Clone(k[len(k)-positionSize:])
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

// leadItems is how many entries change their place in one transaction when another line leads: each is in many lists.
const leadItems = 50

// Relead serves the lines that lead now, of the objects of which another one did. It works in small steps, between which
// others write, and goes on where it was interrupted. First all entries of the line that led are taken away, then those of
// the one that leads come, each with a new date_added: so who asks for what was added since loses nothing.
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
func (v *View) follow() (err error) {
	if !v.leading {
		return nil
	}
	if v.leading, err = v.relead(v.step); err != nil {
		return fmt.Errorf("serving the line that leads: %w", err)
	}
	if v.leading {
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

// releadObject moves up to so many entries of an object, and takes it out of the queue when every one is where it belongs.
func (v *View) releadObject(txn *kv.Txn, collection []byte, id string, limit int) (moved int, err error) {
	o, known, err := getObject(txn, collection, id)
	if err != nil || !known {
		return 0, errors.Join(err, txn.Delete(leadKey(collection, id)))
	}
	g := group{collection: collection, id: id}
	if o.served.isEmpty() || bytes.Equal(o.shown, o.leader) {
		g.member = o.leader
	}
	all, err := g.some(txn, limit)
	if err != nil {
		return 0, err
	}
	for size := 0; moved < len(all) && size <= store.ChunkBytes; moved++ {
		n, err := v.move(txn, all[moved].date, v.lift, v.reshelve)
		if v.stale(err) {
			n, err = 0, g.forget(txn, all[moved])
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

// some gives up to so many entries of the group.
func (g group) some(txn *kv.Txn, limit int) (list []versionAt, err error) {
	versions := g.versions()
	err = store.Scan(txn, versions, nil, func(k []byte, item *kv.Item) (bool, error) {
		date, err := item.Value()
		list = append(list, versionAt{place: slices.Clone(k[len(k)-placeSize:]), date: date})
		return len(list) < limit, err
	})
	return list, err
}

// forget takes a version out of the group that has no entry.
func (g group) forget(txn *kv.Txn, v versionAt) error {
	if err := txn.Delete(append(g.versions(), v.place...)); err != nil {
		return err
	}
	first, found, err := endOf(txn, g.versions(), false)
	if err != nil {
		return err
	}
	var h head
	if found {
		last, _, err := endOf(txn, g.versions(), true)
		if err != nil {
			return err
		}
		h = head{first, last}
	}
	if g.member != nil {
		return setApart(txn, g, h)
	}
	o, known, err := getObject(txn, g.collection, g.id)
	if err != nil || !known {
		return err
	}
	o.served = h
	return setObject(txn, g.collection, g.id, o)
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
	return v.shelve(txn, collection, entry, o, memberKey(entry.Owner()))
}

// listing enters an entry into the indexes of a collection, or takes it out of them.
type listing func(txn *kv.Txn, collection []byte, entry *Entry) error

// move takes an entry out of the indexes of all its collections and enters it again, with a new date. It tells the size of
// its object.
func (v *View) move(txn *kv.Txn, date []byte, out, in listing) (size int, err error) {
	entry, err := readEntry(txn, date, true)
	if err != nil {
		return 0, err
	}
	if err := v.take(txn, entry, out); err != nil {
		return 0, err
	}
	if err := v.put(txn, entry, in); err != nil {
		return 0, err
	}
	at := positionKey(entry.Position)
	event, err := eventAt(txn, at)
	if err != nil {
		return len(entry.Object), v.passStale(err)
	}
	event.Entered = entry.DateAdded
	return len(entry.Object), store.SetJSON(txn, store.Key(store.TableEvent, at), event)
}
