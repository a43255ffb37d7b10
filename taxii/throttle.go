package taxii

import (
	"sync"
	"time"
)

// throttle limits attempts by key: a burst at once, then one an interval. It differs from a plain token bucket in that
// an attempt that turns out well is given back, so that only failures count. Its memory is bounded.
type throttle struct {
	burst    int
	interval time.Duration
	now      func() time.Time

	mu sync.Mutex
	// due is, by key, when the last attempt taken would have been allowed if
	// there were no burst. A key whose time has passed is as good as absent.
	due map[string]time.Time
}

// throttleKeys bounds how many keys are remembered at once.
const throttleKeys = 10_000

func newThrottle(burst int, interval time.Duration, now func() time.Time) *throttle {
	return &throttle{burst: burst, interval: interval, now: now, due: make(map[string]time.Time)}
}

// take takes an attempt. It returns 0, or how long to wait before the next one is allowed.
func (t *throttle) take(key string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	due := t.due[key]
	if due.Before(now) {
		due = now
	}
	due = due.Add(t.interval)
	if wait := due.Sub(now) - time.Duration(t.burst)*t.interval; wait > 0 {
		return wait
	}
	if _, known := t.due[key]; !known && len(t.due) >= throttleKeys {
		evict(t.due, func(due time.Time) bool { return !due.After(now) })
	}
	t.due[key] = due
	return 0
}

// isFull tells whether the next attempt would have to wait.
func (t *throttle) isFull(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	due, now := t.due[key], t.now()
	return due.After(now) && due.Add(t.interval).Sub(now) > time.Duration(t.burst)*t.interval
}

// giveBack undoes a take.
func (t *throttle) giveBack(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if due, ok := t.due[key]; ok {
		t.due[key] = due.Add(-t.interval)
	}
}

// evict makes room in a full table: it looks at some entries, deletes those that have expired, and any one if none has.
// For a throttle that means that who floods it with keys gains a burst for each.
func evict[K comparable, V any](table map[K]V, expired func(V) bool) {
	const looks = 32
	size, looked := len(table), 0
	for key, value := range table {
		looked++
		if expired(value) || (looked == looks && len(table) == size) {
			delete(table, key)
		}
		if looked == looks {
			return
		}
	}
}
