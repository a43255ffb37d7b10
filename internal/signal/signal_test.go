package signal

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNoChangeIsMissedBetweenTheLookAndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first, second Signal
		var n atomic.Int32
		looks := 0
		done := func() (bool, error) {
			if looks++; looks == 1 { // it changes while it is looked at
				n.Add(1)
				first.Notify()
			}
			return n.Load() >= 3, nil
		}
		go func() {
			time.Sleep(time.Hour)
			n.Add(1)
			second.Notify()
			time.Sleep(time.Hour)
			n.Add(1)
			first.Notify()
		}()
		began := time.Now()
		if err := Until(t.Context(), done, &first, &second); err != nil || time.Since(began) != 2*time.Hour || looks != 4 {
			t.Errorf("after %s and %d looks: %v", time.Since(began), looks, err)
		}
	})
}

func TestWhoWaitsLeavesWithItsContextOrWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		never := func() (bool, error) { return false, nil }
		if err := Until(ctx, never, &s, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its context has ended: %v", err)
		}
		failure := errors.New("the disk")
		if err := Until(t.Context(), func() (bool, error) { return false, failure }, &s); !errors.Is(err, failure) {
			t.Errorf("%v", err)
		}
	})
}

func TestWorkIsDoneAtOnceAtEveryChangeAndNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		ctx, stop := context.WithCancel(t.Context())
		var calls atomic.Int32
		ended := make(chan error)
		go func() {
			ended <- Each(ctx, &s, time.Minute, func() error {
				if calls.Add(1) == 2 {
					s.Notify() // while it works: it is done once more
				}
				return nil
			})
		}()
		after := func(want int32) {
			t.Helper()
			synctest.Wait()
			if got := calls.Load(); got != want {
				t.Errorf("it was done %d times, want %d", got, want)
			}
		}
		after(1)
		s.Notify()
		after(3)
		time.Sleep(time.Minute)
		after(4)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wrong := errors.New("wrong")
	if err := Each(t.Context(), &Signal{}, 0, func() error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("the error is %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := Each(ctx, &Signal{}, 0, func() error { stop(); return wrong }); err != nil {
		t.Errorf("who is told to end says %v", err)
	}
}

func TestWhatIsInAListRunsUntilItIsGoneFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		var list atomic.Value
		list.Store([]string{"a", "b"})
		var mu sync.Mutex
		begun, ended := map[string]int{}, map[string]int{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		run := func(ctx context.Context, name string) error {
			mu.Lock()
			begun[name]++
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			ended[name]++
			return nil
		}
		done := make(chan error, 1)
		go func() { done <- Keep(ctx, &s, func() []string { return list.Load().([]string) }, run) }()
		step := func(what string, names []string, wantBegun, wantEnded map[string]int) {
			t.Helper()
			list.Store(names)
			s.Notify()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !maps.Equal(begun, wantBegun) || !maps.Equal(ended, wantEnded) {
				t.Errorf("%s: begun %v, ended %v", what, begun, ended)
			}
		}
		step("both", []string{"a", "b"}, map[string]int{"a": 1, "b": 1}, map[string]int{})
		step("one is gone and one is new", []string{"b", "c"}, map[string]int{"a": 1, "b": 1, "c": 1}, map[string]int{"a": 1})
		step("it comes back", []string{"a"}, map[string]int{"a": 2, "b": 1, "c": 1}, map[string]int{"a": 1, "b": 1, "c": 1})
		cancel()
		if err := <-done; err != nil || ended["a"] != 2 {
			t.Errorf("%v, ended %v", err, ended)
		}
	})
}

func TestWhatIsKeptRunningEndsWithTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Signal
		broken := errors.New("broken")
		ended := atomic.Bool{}
		err := Keep(t.Context(), &s, func() []int { return []int{1, 2} }, func(ctx context.Context, n int) error {
			if n == 1 {
				return broken
			}
			<-ctx.Done()
			ended.Store(true)
			return nil
		})
		if !errors.Is(err, broken) || !ended.Load() {
			t.Errorf("%v, the other has ended: %v", err, ended.Load())
		}
	})
}
