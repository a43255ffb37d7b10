package retry

import (
	"context"
	"net/http"
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

func TestAServerIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		what, retryAfter, date string
		want                   time.Duration
	}{
		{what: "nothing"},
		{what: "seconds", retryAfter: "7", want: 7 * time.Second},
		{what: "no second", retryAfter: "0"},
		{what: "just as many seconds as it may", retryAfter: "60", want: time.Minute},
		{what: "more seconds than it may", retryAfter: "61", want: time.Minute},
		{what: "more seconds than a duration holds", retryAfter: "18446744073709551615", want: time.Minute},
		{what: "more seconds than a number holds", retryAfter: "18446744073709551616"},
		{what: "a negative number", retryAfter: "-5"},
		{what: "no number and no date", retryAfter: "soon"},
		{what: "a date", retryAfter: in(30 * time.Second), want: 30 * time.Second},
		{what: "a date too far away", retryAfter: in(time.Hour), want: time.Minute},
		{what: "a date that has passed", retryAfter: in(-time.Hour)},
		{what: "a date by a clock that is behind", retryAfter: in(-time.Hour + 9*time.Second), date: in(-time.Hour), want: 9 * time.Second},
		{what: "no date, beside a Date before all time", retryAfter: "soon", date: "Sat, 01 Jan 0000 00:00:00 GMT"},
		{what: "a date, beside a Date that is none", retryAfter: in(8 * time.Second), date: "now", want: 8 * time.Second},
	} {
		header := http.Header{}
		header.Set("Retry-After", c.retryAfter)
		header.Set("Date", c.date)
		if got := Asked(header, now, time.Minute); got != c.want {
			t.Errorf("%s: it is left alone for %s, want %s", c.what, got, c.want)
		}
	}
}

// Many that fail at one time don't come back at one time.
func TestHalfOfAPauseIsRandom(t *testing.T) {
	b, least, most := Backoff{4, 4}, time.Hour, time.Duration(0)
	for range 1000 {
		pause := b.After(0)
		least, most = min(least, pause), max(most, pause)
	}
	if least != 2 || most != 4 {
		t.Errorf("pauses of at most 4 are from %d to %d, want from 2 to 4", least, most)
	}
}
