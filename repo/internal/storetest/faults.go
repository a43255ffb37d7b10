// Package storetest makes every access of a transaction to a store fail, one after the other, for the tests of what
// stands on stores.
package storetest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// Store is a store in memory that can be told to fail.
type Store struct {
	*store.Store
	memory *kv.Memory
	left   int // accesses until one fails; 0: none does
}

// ErrFault is what it fails with.
var ErrFault = errors.New("the store failed")

// New makes an empty one.
func New(t testing.TB) *Store {
	t.Helper()
	memory, err := kv.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Store{memory: memory}
	s.Store = store.New(memory.DB(kv.Hooks{Read: s.access, Touch: s.access, Commit: func(commit func() error) error {
		if err := s.access(); err != nil {
			return err
		}
		return commit()
	}}))
	return s
}

func (s *Store) access() error {
	if s.left == 0 {
		return nil
	}
	if s.left--; s.left > 0 {
		return nil
	}
	return ErrFault
}

// EachIsTold does something again and again, until it does it without a fault: first the first key that it reads or
// writes fails, then the second, and so on. It says so each time, has changed nothing, neither in the store nor of what
// state gives, and can be done again. Without a state it is of several transactions, of which some may be done.
func (s *Store) EachIsTold(t testing.TB, what string, state func() any, do func() error) {
	t.Helper()
	for n := 1; ; n++ {
		before, known := s.copied(t), any(nil)
		if state != nil {
			known = state()
		}
		s.left = n
		err := do()
		failed := s.left == 0
		s.left = 0
		switch {
		case failed != errors.Is(err, ErrFault), !failed && err != nil:
			t.Errorf("%s, when access %d fails, gives the error %v", what, n, err)
		case n == 1 && !failed:
			t.Errorf("%s asks no store", what)
		case !failed || state == nil:
		case !reflect.DeepEqual(before, s.copied(t)):
			t.Errorf("%s, when access %d fails, has changed something", what, n)
		case !reflect.DeepEqual(known, state()):
			t.Errorf("%s, when access %d fails, goes from %+v to %+v", what, n, known, state())
		}
		if !failed || t.Failed() {
			return
		}
	}
}

func (s *Store) copied(t testing.TB) []kv.Pair {
	t.Helper()
	pairs, err := s.memory.Copy()
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}
