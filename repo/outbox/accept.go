package outbox

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Submission is something to publish. Its Item needs no number, no rank and no state: with a payload it begins as
// [Accepted], without one, sealed and stored already, as [Stored].
type Submission struct {
	Item    Item
	Payload []byte
	Unless  []byte   // it isn't taken in where this key is published, or on its way: the item of that is given in its place
	Also    [][]byte // further keys by which the item can be found, unless they have one already
	Forget  string   // a memo that goes in the same write, if this is taken in or was already; with what a limit refuses it stays
	Replace bool     // if its key has other content, it takes the place of that; so does what revokes what is not revoked
}

// What one transaction takes in at most. It waits for the disk once, so that it is as large as a durable store allows.
const (
	acceptItems = 1000
	acceptBytes = 1 << 20
)

// size is how much a submission is in a transaction, about.
func (s *Submission) size() int {
	size := 512 + len(s.Payload) + 3*len(s.Item.ObjectID) + len(s.Item.User) // its item, and the keys
	if s.Item.isMarking() {
		size += len(s.Payload)
	}
	return size
}

// Accept takes submissions in. For each it returns the item that publishes its key: a new one, or, if the key is
// published or on its way already, the one that is. Those of one call are one request of the user that their items
// name: they are published in their order, and in turn with those of others.
func (o *Outbox) Accept(submissions []Submission) ([]Item, error) {
	r := o.Begin()
	defer r.End()
	return r.Accept(submissions)
}

// Fresh tells which submissions would be new items.
func (o *Outbox) Fresh(submissions []Submission) (fresh []bool, err error) {
	fresh = make([]bool, len(submissions))
	err = o.store.Read(func(txn *kv.Txn) error {
		for i := range submissions {
			s := &submissions[i]
			existing, found, err := itemByKey(txn, s.Item.Key)
			if err != nil {
				return err
			}
			fresh[i] = !found || existing.State == Withdrawn || s.Replaces(existing)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("accepting into the outbox: %w", err)
	}
	return fresh, nil
}

// Count tells how many of some answers are yes.
func Count(answers []bool) (n int) {
	for _, yes := range answers {
		if yes {
			n++
		}
	}
	return n
}

// Begin begins a request, whose submissions come in parts. It must be ended.
func (o *Outbox) Begin() *Request { return &Request{outbox: o} }

// Batch lets what has a payload, which is of one collection, go in batches from here on. They go on when the request
// ends.
func (r *Request) Batch(as Anchor) { r.batch = &making{as: as} }

// Accept takes a part of a request in, as [Outbox.Accept] does.
func (r *Request) Accept(submissions []Submission) (items []Item, err error) {
	items = make([]Item, 0, len(submissions))
	for rest := submissions; len(rest) > 0; {
		n, size := 0, 0
		for n < len(rest) && n < acceptItems && size <= acceptBytes {
			size += rest[n].size()
			n++
		}
		accepted, err := r.outbox.acceptChunk(rest[:n], r) // others come in between
		if err != nil {
			return items, fmt.Errorf("accepting into the outbox: %w", err)
		}
		items, rest = append(items, accepted...), rest[n:]
	}
	return items, nil
}

// End lets what a request has begun go on.
func (r *Request) End() { r.outbox.close(r) }

func (o *Outbox) acceptChunk(submissions []Submission, r *Request) (items []Item, err error) {
	items = make([]Item, 0, len(submissions))
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.counters
	err = o.write(func(txn *kv.Txn) error {
		in := intake{day: o.today()}
		for _, s := range submissions {
			item := s.Item
			other, found, err := s.unless(txn)
			if err != nil {
				return err
			}
			if found {
				items = append(items, other)
				continue
			}
			existing, stays, err := s.meets(txn, &item)
			if err != nil {
				return err
			}
			if stays {
				items = append(items, existing)
				continue
			}
			if item.Over, err = in.admit(txn, r, item); err != nil {
				return err
			}
			if item.Over != nil {
				items = append(items, item)
				continue
			}
			next.Items++
			item.Number, item.State = next.Items, Stored
			if err := noteReplacing(txn, item); err != nil {
				return err
			}
			if item, err = o.enter(txn, s, item, r, &next); err != nil {
				return err
			}
			items = append(items, item)
		}
		if r.batch != nil {
			if err := o.writeMaking(txn, r.batch); err != nil {
				return err
			}
		}
		if err := daybook.Write(txn, in.day, in.spent); err != nil {
			return err
		}
		return store.SetJSON(txn, store.Key(store.TableCounter), next)
	})
	if err != nil {
		return nil, err
	}
	o.counters = next
	return items, nil
}

// meets looks at what has the key of a new item: it stays, or the new one follows it or takes its place.
func (s *Submission) meets(txn *kv.Txn, item *Item) (existing Item, stays bool, err error) {
	existing, found, err := itemByKey(txn, item.Key)
	if err != nil || !found {
		return existing, false, err
	}
	published := existing.State != Withdrawn
	if published && !s.Replaces(existing) {
		if bytes.Equal(existing.Hash, item.Hash) {
			err = store.Drop(txn, store.TableMemo, s.Forget)
		}
		return existing, true, err
	}
	if published {
		item.Replaces = existing.Number
	}
	item.Publication = existing.Publication + 1
	return existing, false, nil
}

// unless gives what keeps a submission from being taken in.
func (s *Submission) unless(txn *kv.Txn) (item Item, found bool, err error) {
	if s.Unless == nil {
		return item, false, nil
	}
	item, found, err = itemByKey(txn, s.Unless)
	return item, found && item.State != Withdrawn, err
}

// enter writes a new item, which joins a batch of its request or goes into a queue itself.
func (o *Outbox) enter(txn *kv.Txn, s Submission, item Item, r *Request, next *counters) (Item, error) {
	if s.Payload != nil {
		item.State = Accepted
		if err := txn.Set(store.Key(store.TablePayload, store.U64(item.Number)), s.Payload); err != nil {
			return item, err
		}
		if item.isMarking() {
			if err := txn.Set(item.markingKey(), s.Payload); err != nil {
				return item, err
			}
		}
	}
	err := errors.Join(setKeys(txn, item, s.Also), store.Drop(txn, store.TableMemo, s.Forget))
	if err != nil {
		return item, err
	}
	if r.batch != nil && s.Payload != nil {
		if err = o.join(txn, r, next, &item, len(s.Payload)); err == nil {
			err = setItem(txn, item)
		}
	} else {
		r.place(&o.order, &item)
		err = o.put(txn, item, 0)
	}
	item.New = true
	return item, err
}

// setKeys makes an item the one that publishes its key, and all others that aren't published.
func setKeys(txn *kv.Txn, item Item, also [][]byte) error {
	for _, k := range also {
		other, found, err := itemByKey(txn, k)
		if err != nil {
			return err
		}
		if found && other.State != Withdrawn {
			continue
		}
		if err := txn.Set(store.Key(store.TableKey, k), store.U64(item.Number)); err != nil {
			return err
		}
	}
	return txn.Set(store.Key(store.TableKey, item.Key), store.U64(item.Number))
}

// SetStored records that items are on IPFS, with their directories and hashes, and deletes their plaintext.
func (o *Outbox) SetStored(items []Item) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.update(items, func(txn *kv.Txn, item *Item) error {
		item.State = Stored
		return txn.DeleteLarge(store.Key(store.TablePayload, store.U64(item.Number)))
	})
	if err != nil {
		return fmt.Errorf("recording stored items: %w", err)
	}
	return nil
}
