package algorand

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// passes is how long a request waits for its turn.
func passes(t *testing.T, g *gate, ctx context.Context) time.Duration {
	t.Helper()
	began := time.Now()
	if err := g.pass(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestNobodyAsksBeforeTheTimeThatAServerNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		within, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if waited := passes(t, &g, within); waited != 0 { // whoever has little time: nothing is asked for yet
			t.Errorf("a request to a server that takes all waits %s", waited)
		}
		g.refused(&Throttled{Status: http.StatusServiceUnavailable, After: 10 * time.Second})
		g.refused(&Throttled{Status: http.StatusServiceUnavailable, After: 5 * time.Second, Message: "slow down"}) // which ends no earlier
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second+callTime-1)
		defer cancel()
		began := time.Now()
		var throttled *Throttled
		if err := g.pass(short); !errors.As(err, &throttled) || time.Since(began) != 0 ||
			*throttled != (Throttled{http.StatusServiceUnavailable, 10 * time.Second, "slow down"}) {
			t.Errorf("who has not the time is told after %s: %v", time.Since(began), err)
		}
		enough, cancel := context.WithTimeout(t.Context(), 10*time.Second+callTime)
		defer cancel()
		if waited := passes(t, &g, enough); waited != 10*time.Second {
			t.Errorf("who has the time waits %s, want 10 s", waited)
		}
		if waited := passes(t, &g, t.Context()); waited != 0 {
			t.Errorf("after that time a request waits %s", waited)
		}
	})
}

func TestWhoWaitsForItsTurnLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.refused(&Throttled{Status: http.StatusServiceUnavailable, After: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		if err := g.pass(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestTheGapBetweenRequestsDoublesWithRefusalsAndShrinksWithAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.refused(&Throttled{Status: http.StatusServiceUnavailable}) // it says nothing of the number of requests
		if waited := passes(t, &g, t.Context()); waited != 0 {
			t.Errorf("a server that is out of order is left alone for %s", waited)
		}
		for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			g.refused(&Throttled{Status: http.StatusTooManyRequests})
			if waited := passes(t, &g, t.Context()); waited != want*time.Millisecond {
				t.Errorf("after refusal %d a request waits %s, want %d ms", i+1, waited, want)
			}
		}
		time.Sleep(time.Second) // … in which nobody asked
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if waited := passes(t, &g, short); waited != 0 {
			t.Errorf("after the gap a request waits %s", waited)
		}
		g = gate{}
		g.refused(&Throttled{Status: http.StatusTooManyRequests})
		var waits []time.Duration
		for range 9 {
			waits = append(waits, passes(t, &g, t.Context()).Round(time.Millisecond)/time.Millisecond)
			g.answered()
		}
		if got, want := fmt.Sprint(waits), fmt.Sprint([]time.Duration{100, 100, 75, 56, 42, 32, 0, 0, 0}); got != want {
			t.Errorf("with every answer requests wait %s ms, want %s", got, want)
		}
	})
}

func TestWhatAServerAsksForIsSaidInOneSentence(t *testing.T) {
	for want, throttled := range map[string]*Throttled{
		"the server answered 429":                                {Status: 429},
		"the server answered 403: no more today":                 {Status: 403, Message: "no more today"},
		"the server answered 503 and asks to wait 1.3s":          {Status: 503, After: 1290 * time.Millisecond},
		"the server answered 500 and asks to wait 2s: I restart": {Status: 500, After: 2 * time.Second, Message: "I restart"},
	} {
		if throttled.Error() != want {
			t.Errorf("it says %q, want %q", throttled, want)
		}
	}
}

func TestAPauseIsAsLongAsTheServerAsksForAtLeast(t *testing.T) {
	asked := fmt.Errorf("asking: %w", &Throttled{Status: 429, After: time.Minute})
	for _, c := range []struct {
		err         error
		least, want time.Duration
	}{
		{asked, time.Second, time.Minute}, {asked, time.Hour, time.Hour}, {errors.New("another"), time.Second, time.Second}, {nil, time.Second, time.Second},
	} {
		if got := Pause(c.err, c.least); got != c.want {
			t.Errorf("after %v it pauses %s, want %s", c.err, got, c.want)
		}
	}
	if after, throttled := IsThrottled(asked); after != time.Minute || !throttled {
		t.Errorf("%v asks for nothing", asked)
	}
	if after, throttled := IsThrottled(errors.New("another")); after != 0 || throttled {
		t.Error("any error asks for a pause")
	}
}
