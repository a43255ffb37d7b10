package taxii

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchmarkHandler is a handler over a box of n objects of about 1 kB.
func benchmarkHandler(b *testing.B, n int) *Handler {
	b.Helper()
	m := newMemory()
	for i := range n {
		m.add(boxID, "indicator", indicatorID(i), "2026-01-01T00:00:01.000Z", benchmarkObject(i))
	}
	h, err := NewHandler(Config{
		Store: m, Publisher: m, Authenticator: m, CursorKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func benchmarkObject(n int) []byte {
	object := indicator(n, 1)
	return []byte(object[:len(object)-1] + `,"description":"` + strings.Repeat(fmt.Sprintf("some words on it, %d; ", n), 33) + `"}`)
}

// sink takes an answer and keeps nothing.
type sink struct {
	header http.Header
	status int
	bytes  int64
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }
func (s *sink) Write(p []byte) (int, error) {
	s.bytes += int64(len(p))
	return len(p), nil
}

// A page from the middle of a store, which costs the same whatever its size.
func BenchmarkGetObjects(b *testing.B) {
	for _, store := range []int{10_000, 100_000} {
		h := benchmarkHandler(b, store)
		middle := formatTimestamp(memoryEpoch.Add(time.Duration(store/2) * time.Microsecond))
		for _, limit := range []int{100, 1000, 10_000} {
			for _, encoding := range []string{"identity", "gzip"} {
				b.Run(fmt.Sprintf("store=%d/limit=%d/%s", store, limit, encoding), func(b *testing.B) {
					query := fmt.Sprintf("?limit=%d", limit)
					if 2*limit <= store {
						query += "&added_after=" + middle
					}
					r := httptest.NewRequest(http.MethodGet, boxPath+"objects/"+query, nil)
					r.Header.Set("Accept-Encoding", encoding)
					benchmarkRequest(b, h, r, http.StatusOK)
					b.ReportMetric(float64(limit)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
				})
			}
		}
	}
}

// benchmarkRequest makes a request without a body again and again.
func benchmarkRequest(b *testing.B, h *Handler, r *http.Request, status int) {
	if r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer tok-paul")
	}
	b.ReportAllocs()
	for b.Loop() {
		w := &sink{header: make(http.Header)}
		h.ServeHTTP(w, r)
		if w.status != status {
			b.Fatal(w.status)
		}
		b.SetBytes(w.bytes)
	}
}

// An idle poller asks for what came after the last object.
func BenchmarkPoll(b *testing.B) {
	h := benchmarkHandler(b, 10_000)
	for name, authorization := range map[string]string{"basic": basic("paul", "pw-paul"), "bearer": "Bearer tok-paul"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, boxPath+"objects/?added_after=2030-01-01T00:00:00.000000Z", nil)
			r.Header.Set("Authorization", strings.TrimPrefix(authorization, "Authorization: "))
			benchmarkRequest(b, h, r, http.StatusOK)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "polls/s")
		})
	}
}

// What it takes to read and check objects, before a publisher gets them.
func BenchmarkPostObjects(b *testing.B) {
	h := benchmarkHandler(b, 0)
	h.publisher = discard{}
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var objects [][]byte
			for i := range n {
				objects = append(objects, benchmarkObject(i))
			}
			body := slices.Concat([]byte(`{"objects":[`), bytes.Join(objects, []byte(",")), []byte("]}"))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, boxPath+"objects/", bytes.NewReader(body))
				r.Header.Set("Authorization", "Bearer tok-paul")
				r.Header.Set("Content-Type", MediaType)
				w := &sink{header: make(http.Header)}
				h.ServeHTTP(w, r)
				if w.status != http.StatusAccepted {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

// discard is a publisher that takes everything and does nothing.
type discard struct{ Publisher }

func (discard) Publish(_ context.Context, _ Principal, _ Collection, a Addition) (Status, error) {
	s := Status{ID: boxID}
	for range a.Objects.Len() {
		s.Successes = append(s.Successes, StatusDetail{ID: indicatorID(1), Version: "2026-01-01T00:00:01.000Z", Message: "TX"})
	}
	return s, nil
}
