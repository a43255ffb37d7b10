// Package signal tells any number of waiters that something has changed.
package signal

import (
	"sync"
)

// Signal tells any number of waiters that something has changed. A waiter takes the channel first and looks at the
// state afterwards, so that no change is missed.
type Signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// Changed is closed at the next change; of no signal there is none.
func (s *Signal) Changed() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// Notify wakes everybody who waits.
func (s *Signal) Notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
