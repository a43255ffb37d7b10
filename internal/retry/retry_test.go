package retry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			First: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "first")),
			Most:  time.Duration(rapid.Int64Range(1, 1<<62).Draw(t, "most")),
		}
		want := b.First
		for failures := range rapid.IntRange(1, 100).Draw(t, "failures") {
			want = min(want, b.Most)
			if got := b.After(failures); got < want/2 || got > want {
				t.Fatalf("after %d failures it pauses %s, want at most %s and half of it at least", failures, got, want)
			}
			if want < b.Most {
				want *= 2
			}
		}
	})
	if b := (Backoff{time.Second, time.Hour}); b.After(1_000_000_000) > time.Hour {
		t.Error("it pauses longer than the longest")
	}
}

func TestAWaitEndsWithItsTimeOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !Wait(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Errorf("it waited %s", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if Wait(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("it waited %s, its context ended after a minute", time.Since(began))
		}
	})
}
