package problem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// What a part waits for is logged when it begins and when it ends; since when it waits does not move meanwhile.
func TestAConditionIsLoggedWhenItChangesAndKeepsItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		m := NewMonitor("publishing", slog.New(slog.NewTextHandler(&said, nil)))
		says := func(what string, want ...string) {
			t.Helper()
			got := strings.TrimSpace(said.String())
			said.Reset()
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("%s: the log says %q, want %q", what, got, part)
				}
			}
			if len(want) == 0 && got != "" {
				t.Errorf("%s: the log says %q", what, got)
			}
		}
		m.Clear()
		says("nothing is wrong")
		if m.Get() != (Condition{}) {
			t.Errorf("nothing is wrong: %+v", m.Get())
		}
		began := time.Now()
		m.Set("funds", "5 are missing")
		says("it begins", "level=WARN", `msg="publishing waits"`, "problem=funds", `detail="5 are missing"`)
		time.Sleep(time.Minute)
		m.Set("funds", "6 are missing")
		says("the same with other details")
		if c := m.Get(); c.Problem != "funds" || c.Detail != "6 are missing" || !c.Since.Equal(began) || c.Since.Location() != time.UTC {
			t.Errorf("it is %+v", c)
		}
		m.Set("algod", "it is down")
		says("something else", "problem=algod")
		if c := m.Get(); !c.Since.Equal(began.Add(time.Minute)) {
			t.Errorf("it is %+v", c)
		}
		time.Sleep(time.Second)
		m.Clear()
		says("it ends", "level=INFO", `msg="publishing goes on"`, "problem=algod", "waited=1s")
		m.Clear()
		says("it ended already")
	})
}

func TestWhatIsPinnedStaysUntilItIsReleased(t *testing.T) {
	m := NewMonitor("publishing", slog.New(slog.DiscardHandler))
	m.Release() // there is nothing
	m.Set("algod", "down")
	if m.Release(); m.Get().Problem != "algod" || m.IsPinned() {
		t.Errorf("what was never pinned is released: %+v", m.Get())
	}
	m.Pin("disputed", "another node has the keys")
	m.Set("algod", "down")
	m.Clear()
	if c := m.Get(); c.Problem != "disputed" || c.Detail != "another node has the keys" || !m.IsPinned() {
		t.Errorf("it is %+v", c)
	}
	m.Release()
	if m.Get() != (Condition{}) || m.IsPinned() {
		t.Errorf("after its release it is %+v", m.Get())
	}
	if m.Set("algod", "down"); m.Get().Problem != "algod" {
		t.Error("nothing is recorded after a release")
	}
}

// A client is told of its own mistakes in words, and of this node's failures nothing.
func TestAClientIsShownItsOwnMistakesOnly(t *testing.T) {
	mistake := errors.New("there is no such object")
	for what, err := range map[string]error{"as it is": Input(mistake), "wrapped": fmt.Errorf("withdrawing: %w", Input(mistake))} {
		var invalid *taxii.InvalidError
		if got := ForClient(err); !errors.As(got, &invalid) || invalid.Reason != mistake.Error() {
			t.Errorf("%s: the client is shown %v", what, got)
		}
		if !errors.Is(err, mistake) {
			t.Errorf("%s: the cause is lost", what)
		}
	}
	failure := errors.New("the disk is gone")
	var invalid *taxii.InvalidError
	if got := ForClient(failure); got != failure || errors.As(got, &invalid) {
		t.Errorf("a failure is shown as %v", got)
	}
}

// The status and the log tell of a full disk though nobody has to wait for it.
func TestAFullDiskIsSeenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free atomic.Uint64
		free.Store(1000)
		g := NewDisk(256<<20, func(string) (uint64, error) { return free.Load() << 20, nil }, slog.New(slog.DiscardHandler), "repo")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		synctest.Wait()
		free.Store(0)
		time.Sleep(1100 * time.Millisecond)
		if g.Condition.Get().Problem != "disk" {
			t.Error("it is not seen")
		}
		free.Store(1000)
		time.Sleep(time.Second)
		if g.Condition.Get().Problem != "" {
			t.Error("it is not seen that there is room again")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// algod is asked three times soon after the start, and seldom then; what it can't tell is asked again.
func TestTheClockIsLookedAtSoonAndThenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &askedClock{began: time.Now()}
		g := NewClock(asked, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		time.Sleep(150 * time.Second)
		synctest.Wait()
		if asked.times.Load() != 4 {
			t.Errorf("it is asked %d times in the first minutes", asked.times.Load())
		}
		if _, known := g.Ahead(); known {
			t.Error("what algod did not tell is known")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if asked.times.Load() != 10 {
			t.Errorf("it is asked %d times in an hour", asked.times.Load())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, c := range []struct {
			by    time.Duration
			wrong bool
		}{{5*time.Minute - 1, false}, {5 * time.Minute, true}, {1 - 5*time.Minute, false}, {-5 * time.Minute, true}} {
			now := time.Now()
			g.compare(now.Add(c.by), now)
			if by, known := g.Ahead(); by != c.by || !known || (g.Condition.Get().Problem == "clock") != c.wrong {
				t.Errorf("%s ahead: %s, %t, %+v", c.by, by, known, g.Condition.Get())
			}
		}
	})
}

// askedClock is an algod that doesn't answer.
type askedClock struct {
	began time.Time
	times atomic.Int64
}

func (a *askedClock) Clock(context.Context) (uint64, time.Time, time.Time, time.Duration, error) {
	return uint64(a.times.Add(1)), time.Now(), time.Now(), 0, errors.New("algod is down")
}
