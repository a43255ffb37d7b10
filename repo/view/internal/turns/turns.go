// Package turns has queues take turns: each gives some of what it has, and nothing waits behind another one's queue for
// longer than its turn.
package turns

import (
	"cmp"
	"slices"
	"sync"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/internal/store"
	"github.com/serviceledger/slnode/repo/view/internal/history"
	"github.com/serviceledger/slnode/repo/view/internal/listing"
)

// Queue is one of the two queues in which events wait for their blocks. In each of them every member has a queue of its
// own, one of each class, and the members take turns: what one of them mints, however much it is and whether or not
// anybody has it, keeps nobody else's waiting for longer than its turn.
type Queue int

// The queues.
const (
	Fresh   Queue = iota // never asked for
	Retried              // asked for in vain
)

// The classes of what waits. Records go first, as long as they are not too many: they decide about objects.
const (
	Record = iota
	Object
	Batch
	Classes // how many there are
)

// Key is where an event stands while it waits: queue, class, member, 0, due (unix milliseconds), position.
func Key(e history.Event) []byte {
	queue, class, member := byte(Fresh), byte(Record), cmp.Or(e.Member, e.Sender)
	if e.Due > 0 {
		queue = byte(Retried)
	}
	switch e.Note.Kind {
	case wire.KindObject:
		class = Object
	case wire.KindBatch:
		class = Batch
	}
	return store.Key(store.TableWaiting, []byte{queue, class}, []byte(member), []byte{0}, store.U64(uint64(e.Due)), history.PositionKey(e.Position))
}

// PlaceSize is the size of the end of a Key that is not the same for all of a member's: when it is due, and the
// position.
const PlaceSize = 8 + listing.PositionSize

// Turns are the queues of one kind, of which each has something waiting or had since the start.
type Turns struct {
	mu     sync.Mutex
	queues map[string]*store.Queue // by the beginning of their keys
	order  []*store.Queue          // who comes when
}

// Put says that a key was put in.
func (t *Turns) Put(k []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	beginning := k[:len(k)-PlaceSize]
	q := t.queues[string(beginning)]
	if q == nil {
		if t.queues == nil {
			t.queues = map[string]*store.Queue{}
		}
		q = store.NewQueue(slices.Clone(beginning))
		t.queues[string(beginning)], t.order = q, append(t.order, q)
	}
	q.Put(k)
}

// Next gives the queues that may have something, each time beginning with another one.
func (t *Turns) Next() (list []*store.Queue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) > 1 {
		t.order = append(t.order[1:], t.order[0])
	}
	for _, q := range t.order {
		if !q.IsEmpty() {
			list = append(list, q)
		}
	}
	return list
}

// Clear forgets all of them.
func (t *Turns) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queues, t.order = nil, nil
}

// Deal takes up to so many out of queues, as many of each as of the others, unless it has fewer. Take takes up to n of
// a queue, from after a place on, and says how many they were and where the last is.
func Deal(queues []*store.Queue, left int, take func(q *store.Queue, after []byte, n int) (took int, last []byte, err error)) error {
	after := make(map[*store.Queue][]byte, len(queues))
	for left > 0 && len(queues) > 0 {
		share := max(1, left/len(queues))
		var more []*store.Queue
		for _, q := range queues {
			n := min(share, left)
			if n == 0 {
				return nil
			}
			took, last, err := take(q, after[q], n)
			if err != nil {
				return err
			}
			if left -= took; took == n {
				after[q], more = last, append(more, q)
			}
		}
		queues = more
	}
	return nil
}
