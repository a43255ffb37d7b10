package taxii

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// sightedThings counts hits of everything but "unknown".
type sightedThings struct{ reports []HitReport }

func (s *sightedThings) Report(_ context.Context, who Principal, r HitReport) (taken HitsTaken, err error) {
	if who.Role < RolePublisher && !strings.HasPrefix(who.User, "key:") {
		return taken, ErrForbidden
	}
	s.reports = append(s.reports, r)
	for _, hit := range r.Hits {
		if hit.Value == "unknown" {
			taken.Unknown++
			continue
		}
		taken.Counted, taken.Indicators = taken.Counted+1, 1
	}
	return taken, nil
}

var oneCounter = HitCounter{Indicator: saidID, Title: "x", Member: "bravo", Count: 3, First: "2026-11-02", Last: "2026-11-03", Days: []HitDay{{"2026-11-03", 3}}}

func (s *sightedThings) Hits(_ context.Context, _ Principal, q HitsQuery) (HitList, error) {
	return HitList{Hits: []HitCounter{oneCounter}[:min(1, q.Limit-1)], Share: "no"}, nil
}

func (s *sightedThings) Seen(_ context.Context, _ Principal, object string) (SeenResource, error) {
	if object == "none" {
		return SeenResource{}, ErrNotFound
	}
	return SeenResource{Object: object, Seen: map[string]any{"count": 3}, Here: &oneCounter}, nil
}

const linesBody = "Content-Type: application/x-ndjson"

func sightingRequests() []describedRequest {
	return []describedRequest{
		{"get", "/v1/{org}/hits", "/v1/acme/hits?since=2026-11-01&limit=5", "", nil, "200"},
		{"get", "/v1/{org}/hits", "/v1/acme/hits?x=1", "", nil, "400"},
		{"post", "/v1/{org}/hits", "/v1/acme/hits", `{"value":"203.0.113.7"}`, []string{linesBody}, "200"},
		{"post", "/v1/{org}/hits", "/v1/acme/hits", "{}\n", []string{linesBody}, "200"},
		{"post", "/v1/{org}/hits", "/v1/acme/hits", "", []string{linesBody}, "422"},
		{"get", "/v1/{org}/sightings", "/v1/acme/sightings?object=" + saidID, "", nil, "200"},
		{"get", "/v1/{org}/sightings", "/v1/acme/sightings?object=none", "", nil, "404"},
	}
}

func TestHitsAreForThoseWhoMay(t *testing.T) {
	f := newFixture(t)
	const rita = "Authorization: Bearer tok-rita"
	for _, c := range []struct {
		method, path, body string
		headers            []string
		want               int
	}{
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{linesBody}, http.StatusOK},
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{"Content-Type: application/json; charset=utf-8"}, http.StatusOK},
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{linesBody, rita}, http.StatusForbidden},
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{"Content-Type: text/plain"}, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{linesBody, "Content-Encoding: br"}, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/v1/acme/hits", `{"value":"x"}`, []string{linesBody, "Idempotency-Key: " + strings.Repeat("x", 201)}, http.StatusBadRequest},
		{http.MethodPost, "/v1/acme/hits", strings.Repeat(" ", 5000), []string{linesBody}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/acme/hits", strings.Repeat("{}\n", MaxHits+1), []string{linesBody}, http.StatusUnprocessableEntity},
		{http.MethodPost, "/v1/other/hits", `{"value":"x"}`, []string{linesBody}, http.StatusNotFound},
		{http.MethodGet, "/v1/acme/hits?limit=1001", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/hits?limit=1&limit=2", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/hits?since=yesterday", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/hits", "", []string{rita}, http.StatusOK},
		{http.MethodGet, "/v1/acme/sightings", "", nil, http.StatusBadRequest},
		{http.MethodGet, "/v1/acme/sightings?object=" + saidID, "", []string{rita}, http.StatusOK},
	} {
		if a := f.do(c.method, c.path, c.body, c.headers...); a.status != c.want {
			t.Errorf("%s %s %.40s is answered %d: %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	hits := 0
	for _, e := range f.backend.events {
		if e.Name == EventHits {
			hits += e.Count
		}
	}
	if hits != 2 {
		t.Errorf("the audit log tells of %d hits", hits)
	}
}

func TestLinesThatCantBeReadFailAlone(t *testing.T) {
	var taken HitsTaken
	hits, err := ReadHits(strings.NewReader("\xef\xbb\xbf{\"value\":\"a\",\"more\":1}\r\n\n"+`{"indicator":"b","time":"2026-11-03T12:00:00+02:00","count":3}
{"value":"a","indicator":"b"}
{"value":"a","count":1.5}
{"value":"a","count":1e9}
{"value":"a","count":-1}
{"value":"a","time":"today"}
{"value":7}
nonsense`), &taken)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(hits); got != fmt.Sprint([]Hit{{1, "a", "", time.Time{}, 1}, {3, "", "b", time.Date(2026, 11, 3, 10, 0, 0, 0, time.UTC), 3}}) {
		t.Errorf("%s", got)
	}
	if taken.Failed != 7 || len(taken.Failures) != 7 || taken.Failures[0].Line != 4 || taken.Failures[6].Line != 10 {
		t.Errorf("%+v", taken)
	}
}

// Whatever is sent, no line counts twice, nothing of it is in an answer, and counts are bounded.
func FuzzReadHits(f *testing.F) {
	f.Add([]byte(`{"value":"a","count":3}`))
	f.Add([]byte("\n\n{}\n"))
	f.Add([]byte(`{"indicator":"b","time":"2026-11-03T12:00:00+02:00"}`))
	f.Add([]byte(`{"value":"a","count":99999999999999999999}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var taken HitsTaken
		hits, err := ReadHits(strings.NewReader(string(body)), &taken)
		if err != nil {
			return
		}
		lines := strings.Count(string(body), "\n") + 1
		if len(hits)+taken.Failed > lines || len(taken.Failures) > MaxHitFailures {
			t.Fatalf("%d lines are %d hits and %d failures", lines, len(hits), taken.Failed)
		}
		last := 0
		for _, h := range hits {
			if h.Line <= last || h.Count < 1 || h.Count > maxHitCount || (h.Value == "") == (h.Indicator == "") {
				t.Fatalf("%+v after line %d", h, last)
			}
			last = h.Line
		}
	})
}
