// Package waiting is how long tests wait for what must come: as long as it takes on a machine that has much else to do.
// It only bounds how long a failure takes to show.
package waiting

import (
	"context"
	"testing"
	"time"
)

// Limit is for how long a test waits for anything. Times that a test is about are no matter of patience.
const Limit = 5 * time.Minute

// pace is how often it is looked whether something has come true.
const pace = 5 * time.Millisecond

// Until waits until something is true.
func Until(t testing.TB, what string, is func() bool) {
	t.Helper()
	See(t, func() (bool, string) { return is(), what })
}

// See waits until something is true. It says what it sees, for the failure's message.
func See(t testing.TB, is func() (ok bool, seen string)) {
	t.Helper()
	for end := time.Now().Add(Limit); ; time.Sleep(pace) {
		ok, seen := is()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Limit, seen)
		}
	}
}

// Receive waits for a value, or for the end of the channel.
func Receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	timer := time.NewTimer(Limit)
	defer timer.Stop()
	select {
	case value = <-from:
	case <-timer.C:
		t.Fatalf("not within %v: %s", Limit, what)
	}
	return value
}

// Context is one that ends when patience does, for calls that must not take for ever. It outlives the end of the test,
// so that what is cleaned up then has time, too.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Limit)
	t.Cleanup(cancel)
	return ctx
}

// End is when the patience ends that begins now.
func End() time.Time { return time.Now().Add(Limit) }
