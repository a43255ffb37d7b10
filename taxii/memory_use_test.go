package taxii

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/serviceledger/slnode/internal/waiting"
)

// generated is an envelope of objects that are made as it is read, so that a test holds none of it itself.
type generated struct {
	left int    // bytes of objects still to come
	n    int    // objects so far
	rest []byte // of the piece being read
	end  bool
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		switch {
		case g.n == 0:
			g.rest = []byte(`{"type":"bundle","objects":[`)
		case g.left > 0:
			g.rest = append([]byte(", "), benchmarkObject(g.n)...)
			if g.n == 1 {
				g.rest = g.rest[2:]
			}
			g.left -= len(g.rest)
		case !g.end:
			g.rest, g.end = []byte("]}"), true
		default:
			return 0, io.EOF
		}
		g.n++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// weigher is a publisher that weighs the heap while it holds the objects.
type weigher struct {
	Publisher
	objects int
	live    uint64
}

func (w *weigher) Publish(_ context.Context, _ Principal, _ Collection, a Addition) (Status, error) {
	w.objects, w.live = a.Objects.Len(), liveHeap()
	return Status{ID: boxID, Successes: []StatusDetail{{ID: indicatorID(a.Objects.Len())}}}, nil
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A bundle takes little memory, however large it is, sent as a stream of unknown length. SLNODE_TEST_BUNDLE is its size
// in MB.
func TestALargeBundleTakesLittleMemory(t *testing.T) {
	size := 8 << 20
	if text := os.Getenv("SLNODE_TEST_BUNDLE"); text != "" {
		megabytes, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		size = megabytes << 20
	}
	w := new(weigher)
	f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
	h := f.newHandler(func(c *Config) {
		c.Publisher, c.MaxContentLength, c.Log = w, int64(size)*2, slog.New(slog.DiscardHandler)
	})
	before := liveHeap()
	r := httptest.NewRequest(http.MethodPost, boxPath+"objects/", &generated{left: size})
	r.Header.Set("Authorization", "Bearer tok-paul")
	r.Header.Set("Content-Type", MediaType)
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	runtime.ReadMemStats(&end)
	if answer.Code != http.StatusAccepted {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	took, churned := w.live-before, end.TotalAlloc-start.TotalAlloc
	t.Logf("%d objects of %s in all: %s live, %s allocated meanwhile, the test's own included, heap grown to %s", w.objects,
		mebibytes(uint64(size)), mebibytes(took), mebibytes(churned), mebibytes(end.HeapSys))
	if took > 3<<20 && took < 1<<40 { // less than before is a number below zero
		t.Errorf("%s of objects take %s", mebibytes(uint64(size)), mebibytes(took))
	}
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
