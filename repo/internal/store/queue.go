package store

import (
	"bytes"
	"slices"
	"sync"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

// Queue is a table that entries go into and out of, read from its beginning. It remembers where that is: what was taken
// out stays in the way of whoever reads a Badger table until the table is compacted, so that each look at the head of a
// queue would cost as much as everything that has gone through it.
type Queue struct {
	table []byte // the prefix of its keys
	begin []byte // the least key that it can have

	mu       sync.Mutex
	first    []byte // no entry is before it
	added    int    // how often something was
	watchers []func(k []byte)
}

// NewQueue is a queue of the keys that begin with table, from table+from on.
func NewQueue(table []byte, from ...byte) *Queue {
	begin := slices.Concat(table, from)
	return &Queue{table: table, begin: begin, first: begin}
}

// Table is what all its keys begin with.
func (q *Queue) Table() []byte { return q.table }

// Watch has a function called with the first of the keys whenever entries were put in.
func (q *Queue) Watch(tell func(k []byte)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watchers = append(q.watchers, tell)
}

// Scan calls visit for the keys of the queue, in order, until it returns false. It begins after the key table+after,
// or, if after is nil, at the head.
func (q *Queue) Scan(s *Store, after []byte, visit func(txn *kv.Txn, key []byte, item *kv.Item) (bool, error)) error {
	q.mu.Lock()
	start, added := q.first, q.added
	q.mu.Unlock()
	if after != nil {
		start = slices.Concat(q.table, after, []byte{0})
	}
	head := q.beyond() // unless there is a key
	found := false
	err := s.Read(func(txn *kv.Txn) error {
		return Scan(txn, q.table, start[len(q.table):], func(k []byte, item *kv.Item) (bool, error) {
			if !found {
				found, head = true, slices.Clone(k)
			}
			return visit(txn, k, item)
		})
	})
	if err != nil || after != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.added == added { // else something came in that the transaction may not have seen
		q.first = head
	}
	return nil
}

// Put says that entries were put in, of which this is the first. It is called when they are committed.
func (q *Queue) Put(k []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.added++
	if bytes.Compare(k, q.first) < 0 {
		q.first = k
	}
	for _, tell := range q.watchers {
		tell(k)
	}
}

// beyond is after every key of the queue.
func (q *Queue) beyond() []byte { return slices.Concat(q.table, bytes.Repeat([]byte{0xff}, 32)) }

// IsEmpty reports whether nothing was in the queue when it was last looked at from its head, nor was put in since.
func (q *Queue) IsEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return bytes.Equal(q.first, q.beyond())
}

// Lowest is the least of the keys that a transaction puts into a queue; nil for none.
type Lowest []byte

// Add takes one more key into account.
func (l *Lowest) Add(k []byte) {
	if *l == nil || bytes.Compare(k, *l) < 0 {
		*l = k
	}
}
