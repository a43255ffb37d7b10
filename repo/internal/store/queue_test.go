package store

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/repo/internal/kv"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const tableTest = 'z'

func newTestStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), kv.Options{Key: make([]byte, 32), Durable: false, Create: true})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func (q *Queue) fill(t testing.TB, s *Store, numbers ...uint64) {
	t.Helper()
	var l Lowest
	must(t, s.Write(func(txn *kv.Txn) error {
		for _, n := range numbers {
			k := Key(tableTest, U64(n))
			l.Add(k)
			if err := txn.Set(k, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	q.Put(l)
}

func (q *Queue) take(t testing.TB, s *Store, n uint64) {
	t.Helper()
	must(t, s.Write(func(txn *kv.Txn) error { return txn.Delete(Key(tableTest, U64(n))) }))
}

func (q *Queue) list(t testing.TB, s *Store, after []byte, limit int) (keys [][]byte) {
	t.Helper()
	must(t, q.Scan(s, after, func(_ *kv.Txn, k []byte, _ *kv.Item) (bool, error) {
		keys = append(keys, bytes.Clone(k))
		return len(keys) < limit, nil
	}))
	return keys
}

func TestAQueueGivesWhatIsInItWhateverCameAndWent(t *testing.T) {
	s := newTestStore(t)
	rapid.Check(t, func(rt *rapid.T) {
		q, model := NewQueue(Key(tableTest)), map[uint64]bool{}
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
					after = U64(n)
				}
				limit := rapid.IntRange(1, 10).Draw(rt, "limit")
				var want [][]byte
				for _, m := range slices.Sorted(maps.Keys(model)) {
					if len(want) < limit && (after == nil || m > n) {
						want = append(want, Key(tableTest, U64(m)))
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
	s, q := newTestStore(t), NewQueue(Key(tableTest))
	q.fill(t, s, 1, 2, 3)
	q.take(t, s, 1)
	q.list(t, s, nil, 1)
	if !bytes.Equal(q.first, Key(tableTest, U64(2))) {
		t.Errorf("after the first was taken it begins at %x", q.first)
	}
	q.take(t, s, 2)
	q.take(t, s, 3)
	q.list(t, s, nil, 1)
	if bytes.Compare(q.first, Key(tableTest, U64(3))) <= 0 {
		t.Errorf("empty, it begins at %x", q.first)
	}
}

func TestNothingIsLostInAQueueThatIsReadWhileItIsFilled(t *testing.T) {
	s, q := newTestStore(t), NewQueue(Key(tableTest))
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
