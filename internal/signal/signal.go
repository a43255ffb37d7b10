// Package signal tells any number of waiters that something has changed.
package signal

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
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

// Until waits until done reports that it is, and looks again at every change of the signals. It gives done's error or,
// if the context ends first, the context's.
func Until(ctx context.Context, done func() (bool, error), signals ...*Signal) error {
	cases := make([]reflect.SelectCase, len(signals)+1)
	cases[0] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}
	for {
		for i, s := range signals {
			cases[i+1] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(s.Changed())}
		}
		if is, err := done(); is || err != nil {
			return err
		}
		if ended, _, _ := reflect.Select(cases); ended == 0 {
			return ctx.Err()
		}
	}
}

// Each calls do at once, at every change of a signal and, if every is not 0, when so much time has passed since the
// last tick, until the context ends. A change while do works is not missed. It gives do's error, if the context has not
// ended.
func Each(ctx context.Context, s *Signal, every time.Duration, do func() error) error {
	var tick <-chan time.Time
	if every != 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		changed := s.Changed()
		if err := do(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick:
		}
	}
}

// Keep runs each thing of a list, at once and at every change of a signal: what is new in the list is begun, and what
// is gone from it is stopped. It ends with the context, or with the first error of one that runs; all of them have
// ended then.
func Keep[T comparable](ctx context.Context, s *Signal, list func() []T, run func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	running := map[T]context.CancelFunc{}
	group.Go(func() error {
		return Each(ctx, s, 0, func() error {
			now := list()
			for one, stop := range running {
				if !slices.Contains(now, one) {
					stop()
					delete(running, one)
				}
			}
			for _, one := range now {
				if running[one] == nil {
					oneCtx, stop := context.WithCancel(ctx)
					running[one] = stop
					group.Go(func() error { return run(oneCtx, one) })
				}
			}
			return nil
		})
	})
	return group.Wait()
}
