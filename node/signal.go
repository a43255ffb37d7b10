package node

import "sync"

// signal tells any number of waiters that something has changed. A waiter takes the channel first and looks at the
// state afterwards, so that no change is missed.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// changed is closed at the next change; of no signal there is none.
func (s *signal) changed() <-chan struct{} {
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

// notify wakes everybody who waits.
func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
