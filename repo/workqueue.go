package repo

import (
	"bytes"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// workQueue is a table that entries go into and out of, read from its beginning. It remembers where that is: what was taken
// out stays in the way of whoever reads a Badger table until the table is compacted, so that each look at the head of a
// queue would cost as much as everything that has gone through it.
type workQueue struct {
	prefix []byte

	mu    sync.Mutex
	first []byte // no entry is before it
	added int    // how often something was
}

func newWorkQueue(table byte, parts ...[]byte) *workQueue {
	prefix := key(table, parts...)
	return &workQueue{prefix: prefix, first: prefix}
}

// scan calls visit for the keys of the queue from prefix+from on, until it returns false.
func (q *workQueue) scan(s *store, from []byte, visit func(txn *badger.Txn, key []byte, item *badger.Item) (bool, error)) error {
	start := slices.Concat(q.prefix, from)
	q.mu.Lock()
	first, added := q.first, q.added
	q.mu.Unlock()
	whole := bytes.Compare(start, first) <= 0
	if whole {
		start = first
	}
	seen := slices.Concat(q.prefix, bytes.Repeat([]byte{0xff}, 32)) // the end
	none := true
	err := s.read(func(txn *badger.Txn) error {
		return scan(txn, q.prefix, start[len(q.prefix):], false, func(k []byte, item *badger.Item) (bool, error) {
			if none {
				none, seen = false, slices.Clone(k)
			}
			return visit(txn, k, item)
		})
	})
	if err != nil || !whole {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.added == added { // else something came in that the transaction did not see
		q.first = seen
	}
	return nil
}

// put says that entries were put in, of which this is the first. It is called when they are committed.
func (q *workQueue) put(k []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.added++
	if bytes.Compare(k, q.first) < 0 {
		q.first = k
	}
}

// reset says that the table is another one.
func (q *workQueue) reset() { q.put(q.prefix) }

// lowest is the least of the keys that a transaction puts into a queue; nil for none.
type lowest []byte

func (l *lowest) add(k []byte) {
	if *l == nil || bytes.Compare(k, *l) < 0 {
		*l = k
	}
}
