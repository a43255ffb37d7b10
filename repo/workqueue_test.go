package repo

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

const tableTest = 'z'

func newTestStore(t testing.TB) *store {
	t.Helper()
	s, err := openStore(t.TempDir(), kv.Options{Key: make([]byte, 32), Durable: false, Create: true})
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	return s
}

func (q *workQueue) fill(t testing.TB, s *store, numbers ...uint64) {
	t.Helper()
	var l lowest
	must(t, s.write(func(txn *kv.Txn) error {
		for _, n := range numbers {
			k := key(tableTest, u64(n))
			l.add(k)
			if err := txn.Set(k, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	q.put(l)
}

func (q *workQueue) take(t testing.TB, s *store, n uint64) {
	t.Helper()
	must(t, s.write(func(txn *kv.Txn) error { return txn.Delete(key(tableTest, u64(n))) }))
}

func (q *workQueue) list(t testing.TB, s *store, after []byte, limit int) (keys [][]byte) {
	t.Helper()
	must(t, q.scan(s, after, func(_ *kv.Txn, k []byte, _ *kv.Item) (bool, error) {
		keys = append(keys, bytes.Clone(k))
		return len(keys) < limit, nil
	}))
	return keys
}

func TestAQueueGivesWhatIsInItWhateverCameAndWent(t *testing.T) {
	s := newTestStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		q, model := newWorkQueue(key(tableTest)), map[uint64]bool{}
		for n := range uint64(31) {
			q.take(t, s, n)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			n := rapid.Uint64Range(0, 30).Draw(rt, "number")
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				other := rapid.Uint64Range(0, 30).Draw(rt, "another")
				q.fill(t, s, n, other)
				model[n], model[other] = true, true
			case 1:
				q.take(t, s, n)
				delete(model, n)
			case 2:
				var after []byte
				if rapid.Bool().Draw(rt, "after") {
					after = u64(n)
				}
				limit := rapid.IntRange(1, 10).Draw(rt, "limit")
				var want [][]byte
				for _, m := range slices.Sorted(maps.Keys(model)) {
					if len(want) < limit && (after == nil || m > n) {
						want = append(want, key(tableTest, u64(m)))
					}
				}
				if got := q.list(t, s, after, limit); !slices.EqualFunc(got, want, bytes.Equal) {
					rt.Fatalf("after %x it gives %x, want %x", after, got, want)
				}
			}
		}
	})
}

func TestAQueueIsReadFromItsHead(t *testing.T) {
	s, q := newTestStore(t), newWorkQueue(key(tableTest))
	q.fill(t, s, 1, 2, 3)
	q.take(t, s, 1)
	q.list(t, s, nil, 1)
	if !bytes.Equal(q.first, key(tableTest, u64(2))) {
		t.Errorf("after the first was taken it begins at %x", q.first)
	}
	q.take(t, s, 2)
	q.take(t, s, 3)
	q.list(t, s, nil, 1)
	if bytes.Compare(q.first, key(tableTest, u64(3))) <= 0 {
		t.Errorf("empty, it begins at %x", q.first)
	}
}

func TestNothingIsLostInAQueueThatIsReadWhileItIsFilled(t *testing.T) {
	s, q := newTestStore(t), newWorkQueue(key(tableTest))
	var filling sync.WaitGroup
	const each, fillers = 300, 3
	for f := range uint64(fillers) {
		filling.Go(func() {
			for n := range uint64(each) {
				q.fill(t, s, (each-n)*fillers+f) // each before all that are there
			}
		})
	}
	filled := make(chan struct{})
	go func() { filling.Wait(); close(filled) }()
	for done := false; !done; {
		select {
		case <-filled:
			done = true
		default:
		}
		q.list(t, s, nil, 1)
	}
	if got := len(q.list(t, s, nil, each*fillers)); got != each*fillers {
		t.Errorf("%d are in the queue, want %d", got, each*fillers)
	}
}
