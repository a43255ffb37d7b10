package chainwatch

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/serviceledger/slnode/internal/waiting"
)

// No two requests in a row fail, and no window is ever whole.
func TestAnIndexerThatFailsEverySecondTimeIsNamed(t *testing.T) {
	wr := newWriter()
	f := newFake(t, 500)
	for n := range uint64(60) {
		f.list = append(f.list, wr.object(t, 101+n, 0))
	}
	f.page = 1
	var bad, others atomic.Bool
	bad.Store(true)
	f.instead = func(n int, _ string, _ url.Values) (int, string) {
		if bad.Load() && n%2 == 0 {
			return 500, `{"message":"out of order"}`
		}
		return 0, ""
	}
	w := f.watcher(t, "", &shelf{last: 100}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	waiting.Until(t, "the problem", func() bool { return w.State().Problem == ProblemIndexer })
	f.mu.Lock()
	asked := len(f.asked)
	f.mu.Unlock()
	waiting.Until(t, "two more pages", func() bool {
		if w.State().Problem != ProblemIndexer {
			others.Store(true)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.asked) > asked+4
	})
	if others.Load() {
		t.Error("a page is the end of the problem, and the next one is not had")
	}
	bad.Store(false)
	waiting.Until(t, "the end of the problem", func() bool { s := w.State(); return s.Problem == "" && s.Cursor == 500 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server that wants fewer requests is no server in trouble.
func TestRefusalsThatPassAreNoProblem(t *testing.T) {
	t.Parallel()
	wr := newWriter()
	f := newFake(t, 500)
	for n := range uint64(6) {
		f.list = append(f.list, wr.object(t, 101+n, 0))
	}
	f.page = 1
	f.instead = func(n int, _ string, _ url.Values) (int, string) {
		if n%2 == 0 {
			return 429, `{"message":"slow down"}`
		}
		return 0, ""
	}
	w := f.watcher(t, "", &shelf{last: 100}, nil)
	var log bytes.Buffer
	w.config.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	waiting.Until(t, "the tip", func() bool { return w.State().Cursor == 500 })
	cancel()
	if err := <-done; err != nil || log.Len() > 0 {
		t.Errorf("%v; the log: %s", err, &log)
	}
}
