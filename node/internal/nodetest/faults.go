package nodetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/serviceledger/slnode/repo/repotest"
)

// Faults make one of the accesses to the stores of a [Chain] fail.
type Faults struct {
	mu   sync.Mutex
	left int // accesses until it fails; 0: none does
}

// ErrFault is what a store fails with.
var ErrFault = errors.New("the store failed")

// Access is called before every access, and fails in its place.
func (f *Faults) Access() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return nil
	}
	if f.left--; f.left > 0 {
		return nil
	}
	return ErrFault
}

// hooks let the stores of a repository fail.
func (f *Faults) hooks() repotest.Hooks {
	return repotest.Hooks{Read: f.Access, Commit: func(commit func() error) error {
		if err := f.Access(); err != nil {
			return err
		}
		return commit()
	}}
}

// set lets the n-th access from now on fail, and no other; with 0, none. It gives how many were left until it.
func (f *Faults) set(n int) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left, f.left = f.left, n
	return left
}

// EachIsTold does something again and again, until it does it without a fault: first the first access to a store fails,
// then the second, and so on. It says so each time, and each time it can be done again.
func (f *Faults) EachIsTold(t testing.TB, what string, do func() error) {
	t.Helper()
	f.each(do, func(n int, err error, failed bool) {
		switch {
		case failed != errors.Is(err, ErrFault), !failed && err != nil:
			t.Errorf("%s, when access %d fails, gives the error %v", what, n, err)
		case n == 1 && !failed:
			t.Errorf("%s asks no store", what)
		}
	})
}

// EachIsBorne is [Faults.EachIsTold] for what need not say what failed, since it does it again by itself.
func (f *Faults) EachIsBorne(t testing.TB, what string, do func() error) {
	t.Helper()
	f.each(do, func(n int, err error, failed bool) {
		if err != nil && !(failed && errors.Is(err, ErrFault)) {
			t.Errorf("%s, when access %d fails, gives the error %v", what, n, err)
		}
	})
}

func (f *Faults) each(do func() error, look func(n int, err error, failed bool)) {
	for n, failed := 1, true; failed; n++ {
		f.set(n)
		err := do()
		failed = f.set(0) == 0 // else it has no so many
		look(n, err, failed)
	}
}
