package conformance

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fill is how many objects the benchmarks put into a collection first.
var fill = flag.Int("fill", 1000, "objects to put into each server's collection before it is measured")

// BenchmarkServers measures the servers named with -server, one after the other in one run, so that they can be
// compared: pages of a collection and requests that add to it, as a client sees them.
func BenchmarkServers(b *testing.B) {
	if len(servers) == 0 {
		b.Skip("no server is named with -server")
	}
	for _, target := range servers {
		target.HTTP = &http.Client{Timeout: 10 * time.Minute} // there are slow ones
		s, err := newSession(b.Context(), target)
		if err != nil {
			b.Fatal(err)
		}
		name := strings.ReplaceAll(target.Name, "/", "_")
		// The server shall be at rest when it is read from.
		outcome, detail := s.try(b.Context(), func(t *trial) {
			for left := *fill; left > 0; left -= 1000 {
				t.added(benchmarkObjects(min(left, 1000))...)
			}
		})
		if outcome != Passed {
			b.Fatal(detail)
		}
		for _, limit := range []int{100, 1000, 10_000} {
			if limit > *fill {
				continue
			}
			b.Run(fmt.Sprintf("%s/get=%d", name, limit), func(b *testing.B) {
				path := fmt.Sprintf("%sobjects/?limit=%d", s.collection, limit)
				for b.Loop() {
					s.benchmarkSend(b, request{path: path}, http.StatusOK)
				}
				b.ReportMetric(float64(limit)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
			})
		}
		b.Run(name+"/poll", func(b *testing.B) {
			for b.Loop() {
				s.benchmarkSend(b, request{path: s.collection + "objects/?added_after=2099-01-01T00:00:00.000000Z"}, http.StatusOK)
			}
		})
		for _, n := range []int{100, 1000, 10_000} {
			if n > *fill {
				continue
			}
			b.Run(fmt.Sprintf("%s/post=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					body := envelope(benchmarkObjects(n)...)
					s.benchmarkSend(b, request{method: http.MethodPost, path: s.collection + "objects/", body: body}, http.StatusAccepted)
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
			})
		}
	}
}

// benchmarkObjects makes objects of about a kilobyte that are not there yet.
func benchmarkObjects(n int) []string {
	objects := make([]string, n)
	for i := range objects {
		id := newID("indicator")
		objects[i] = indicator(id, "2026-01-01T00:00:01.000Z", fmt.Sprintf(`"description":%q`, strings.Repeat(id+" ", 12)))
	}
	return objects
}

// benchmarkSend makes a request and reads the answer without keeping it.
func (s *session) benchmarkSend(b *testing.B, q request, status int) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), q.method, s.URL+q.path, q.body)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Accept", mediaType)
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("Accept-Encoding", "identity")
	s.authorize(r)
	response, err := s.HTTP.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		b.Fatalf("%s %s: %s", r.Method, q.path, response.Status)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		b.Fatal(err)
	}
}
