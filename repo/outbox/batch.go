package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// A batch is many objects that go onto the chain in one transaction. It is an item of its own, and the only one of them
// that is in the queues, numbered, signed and confirmed: what it says of its state holds for each of its objects, until
// that is withdrawn by itself. So an object is written when it comes in and when it is sealed, and never after.
//
// Which objects are one batch is decided when they are accepted: those of one request, as far as they fit. No clock has
// a part in it, and a batch whose request was cut off by the end of the process is as large as it was then.

// Anchor says how the objects of a request go onto the chain.
type Anchor struct {
	From  int // in batches, where at least so many of them are new; 0: with a transaction each
	Most  int // objects of a batch
	Bytes int // of their plaintext, after which a batch takes no more
}

// making is the batch that the objects of a request go into.
type making struct {
	Item
	as      Anchor
	numbers []uint64
	bytes   int
	written int // how many of its objects are in the running transaction, or before it
}

func (m *making) isFull() bool {
	return m.Number == 0 || len(m.numbers) >= m.as.Most || m.bytes >= m.as.Bytes
}

// join makes an object one of its request's batch, or of another one where that is full.
func (o *Outbox) join(txn *kv.Txn, r *Request, next *counters, item *Item, size int) error {
	m := r.batch
	if m.isFull() {
		next.Items++
		*m = making{as: m.as, Item: Item{
			Number: next.Items, State: Accepted, User: item.User, Note: wire.Note{Kind: wire.KindBatch}, Collection: item.Collection, StoredAt: item.StoredAt,
		}}
		r.place(&o.order, &m.Item)
		o.setOpen(m.Number, true)
		r.opened = append(r.opened, m.Item)
	}
	item.Batch, item.Rank = m.Number, m.Rank
	m.numbers, m.bytes = append(m.numbers, item.Number), m.bytes+size
	m.Markings = m.Markings || item.isMarking()
	if m.isFull() {
		return o.writeMaking(txn, m)
	}
	return nil
}

// writeMaking writes what has joined a batch.
func (o *Outbox) writeMaking(txn *kv.Txn, m *making) error {
	added := len(m.numbers) - m.written
	if m.Number == 0 || added == 0 {
		return nil
	}
	if m.written == 0 {
		if err := o.put(txn, m.Item, 0); err != nil {
			return err
		}
	}
	m.written = len(m.numbers)
	if err := o.resize(txn, &m.Item, added); err != nil {
		return err
	}
	return setList(txn, m.Number, m.numbers)
}

// close lets the batches of a request go on.
func (o *Outbox) close(r *Request) {
	for _, batch := range r.opened {
		o.setOpen(batch.Number, false)
		o.queues[Accepted].Put(batch.queueKey(Accepted))
	}
	r.opened = nil
}

// setOpen notes that a batch is being filled, and is not to be looked at.
func (o *Outbox) setOpen(batch uint64, open bool) {
	o.openMu.Lock()
	defer o.openMu.Unlock()
	if open {
		o.open[batch] = true
		return
	}
	delete(o.open, batch)
}

func (o *Outbox) isOpen(batch uint64) bool {
	o.openMu.Lock()
	defer o.openMu.Unlock()
	return o.open[batch]
}

// weight is how many objects or records an item stands for.
func (i *Item) weight() int64 {
	if i.Note.Kind == wire.KindBatch {
		return int64(i.Objects)
	}
	return 1
}

// resize changes of how many objects a batch is that is in the queue of what was accepted.
func (o *Outbox) resize(txn *kv.Txn, batch *Item, by int) error {
	batch.Objects += by
	o.moved[Accepted] += int64(by)
	if err := txn.Set(batch.queueKey(Accepted), weightValue(batch)); err != nil {
		return err
	}
	return setItem(txn, *batch)
}

// weightValue is the value of an item's key in a queue: nothing for what stands for itself.
func weightValue(i *Item) []byte {
	if i.Note.Kind != wire.KindBatch {
		return nil
	}
	return binary.AppendUvarint(nil, uint64(i.Objects))
}

func readWeight(item *kv.Item) (int64, error) {
	value, err := item.Value()
	if err != nil || len(value) == 0 {
		return 1, err
	}
	n, size := binary.Uvarint(value)
	if size <= 0 {
		return 0, errors.New("the size of a batch can't be read")
	}
	return int64(n), nil
}

func listKey(batch uint64) []byte { return store.Key(store.TableBatch, store.U64(batch)) }

// setList writes the numbers of a batch's objects, in their order.
func setList(txn *kv.Txn, batch uint64, numbers []uint64) error {
	value, last := make([]byte, 0, 2*len(numbers)+8), uint64(0)
	for _, n := range numbers { // they grow, mostly by one
		value = binary.AppendUvarint(value, n-last)
		last = n
	}
	return txn.Set(listKey(batch), value)
}

func readList(txn *kv.Txn, batch uint64) (numbers []uint64, err error) {
	value, _, err := store.Get(txn, listKey(batch))
	if err != nil {
		return nil, err
	}
	for last := uint64(0); len(value) > 0; {
		n, size := binary.Uvarint(value)
		if size <= 0 {
			return nil, fmt.Errorf("the list of batch %d can't be read", batch)
		}
		last, value = last+n, value[size:]
		numbers = append(numbers, last)
	}
	return numbers, nil
}

// complete tells of an object of a batch what its batch says. It may be nil where the batches were not looked at
// before.
func complete(txn *kv.Txn, item *Item, batches map[uint64]Item) error {
	if item.Batch == 0 || item.State > Stored {
		return nil
	}
	batch, known := batches[item.Batch]
	if !known {
		if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(item.Batch)), &batch); err != nil {
			return err
		}
		if batches != nil {
			batches[item.Batch] = batch
		}
	}
	item.State, item.Group, item.TxID, item.Round, item.Asset = batch.State, batch.Group, batch.TxID, batch.Round, batch.Asset
	item.Note.Sequence = batch.Note.Sequence
	return nil
}

// objectsOf reads the objects of a batch, in their order.
func objectsOf(txn *kv.Txn, batch Item) ([]Item, error) {
	numbers, err := readList(txn, batch.Number)
	if err != nil {
		return nil, err
	}
	objects := make([]Item, len(numbers))
	of := map[uint64]Item{batch.Number: batch}
	for i, n := range numbers {
		found, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(n)), &objects[i])
		if err == nil && !found {
			err = fmt.Errorf("there is no item %d", n)
		}
		if err == nil {
			err = complete(txn, &objects[i], of)
		}
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// Objects gives the objects of a batch, in their order.
func (o *Outbox) Objects(batch Item) (objects []Item, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		objects, err = objectsOf(txn, batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the objects of batch %d: %w", batch.Number, err)
	}
	return objects, nil
}

// SetBatchStored records that a batch and its objects, which are all of it, in their order, are on IPFS, with their
// directories and hashes, and deletes their plaintext.
func (o *Outbox) SetBatchStored(batch Item, objects []Item) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.write(func(txn *kv.Txn) error {
		numbers, err := readList(txn, batch.Number)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(numbers, objects, func(n uint64, object Item) bool { return n == object.Number }) {
			return errors.New("its objects are others")
		}
		for i, object := range objects {
			object.State, object.Index = Stored, uint32(i+1)
			if err := setItem(txn, object); err != nil {
				return err
			}
			if err := txn.Set(store.Key(store.TableUse, []byte(object.Directory)), store.U64(object.Number)); err != nil {
				return err
			}
			if err := txn.DeleteLarge(store.Key(store.TablePayload, store.U64(object.Number))); err != nil {
				return err
			}
		}
		batch.State = Stored
		return o.put(txn, batch, Accepted)
	})
	if err != nil {
		return fmt.Errorf("recording that batch %d is stored: %w", batch.Number, err)
	}
	return nil
}

// leave takes an object out of its batch, which is not sealed. A batch without any is none.
func (o *Outbox) leave(txn *kv.Txn, object *Item, next *counters) error {
	var batch Item
	if _, err := store.GetJSON(txn, store.Key(store.TableItem, store.U64(object.Batch)), &batch); err != nil {
		return err
	}
	if batch.State != Accepted {
		return fmt.Errorf("its batch is %s", batch.State)
	}
	numbers, err := readList(txn, batch.Number)
	if err != nil {
		return err
	}
	at := slices.Index(numbers, object.Number)
	if at < 0 {
		return fmt.Errorf("it is not in batch %d", batch.Number)
	}
	object.Batch, object.Note.Sequence = 0, 0 // the number is the batch's
	if err := setList(txn, batch.Number, slices.Delete(numbers, at, at+1)); err != nil {
		return err
	}
	if err := o.resize(txn, &batch, -1); err != nil || batch.Objects > 0 {
		return err
	}
	next.free(&batch)
	batch.State = Withdrawn
	return o.put(txn, batch, Accepted)
}
