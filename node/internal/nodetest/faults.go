package nodetest

import (
	"errors"
	"sync"
	"testing"
)

// Faults make one of the accesses to the stores of a [Chain] fail.
type Faults struct {
	mu   sync.Mutex
	left int // accesses until it fails; 0: none does
}

// ErrFault is what a store fails with.
var ErrFault = errors.New("the store failed")

// next is called before every access.
func (f *Faults) next() error {
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
	for n := 1; ; n++ {
		f.set(n)
		err := do()
		if f.set(0) > 0 { // it has no so many
			if err != nil {
				t.Errorf("%s, after %d faults, fails with: %v", what, n-1, err)
			}
			if n == 1 {
				t.Errorf("%s asks no store", what)
			}
			return
		}
		if !errors.Is(err, ErrFault) {
			t.Errorf("%s, when access %d fails, gives the error %v", what, n, err)
		}
	}
}
