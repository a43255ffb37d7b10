package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelServer is a TAXII collection with the faults of real servers, a choice of them at once.
type modelServer struct {
	random *rand.Rand
	now    time.Time
	stamp  time.Duration // to which dates added are cut
	shown  time.Duration // to which the headers cut them; 0: none are sent
	next   string        // "offset", "token" (stays the same, and forgets), "none"
	unsaid bool          // more is left out, a cursor says it
	always bool          // a cursor also at the end
	most   int           // objects of a page
	flaws  bool          // of single answers
	grows  bool          // while it is read

	objects []stamped
	tokens  map[string]*snapshot
	forgot  int
	former  []byte // the last answer
	header  http.Header
}

type stamped struct {
	raw  string
	date time.Time
}

type snapshot struct{ rest []stamped }

func (m *modelServer) add() {
	m.now = m.now.Add(time.Duration(m.random.Int64N(int64(3 * time.Second))))
	date := m.now.Truncate(m.stamp)
	if n := len(m.objects); n > 0 {
		if m.next == "none" { // no client can page through what has one date and no cursor
			date = maxTime(date, m.objects[n-1].date.Add(max(m.stamp, m.shown)))
			m.now = maxTime(m.now, date)
		}
		date = maxTime(date, m.objects[n-1].date)
	}
	m.objects = append(m.objects, stamped{indicator(len(m.objects), ""), date})
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (m *modelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", m.now.UTC().Format(http.TimeFormat))
	if m.flaws {
		switch m.random.IntN(12) {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 1:
			w.WriteHeader(http.StatusUnauthorized)
			return
		case 2:
			fmt.Fprint(w, `{"objects":[{"id":`) // cut off
			return
		case 3:
			if m.former != nil && r.URL.Query().Get("next") != "" { // the page before, again
				for name, value := range m.header {
					w.Header()[name] = value
				}
				_, _ = w.Write(m.former)
				return
			}
		}
	}
	if m.grows && len(m.objects) < 60 && m.random.IntN(3) == 0 {
		m.add()
	}
	query := r.URL.Query()
	after, _ := time.Parse(time.RFC3339, query.Get("added_after"))
	var all []stamped
	for _, o := range m.objects {
		if o.date.After(after) {
			all = append(all, o)
		}
	}
	limit := m.most
	if n, err := strconv.Atoi(query.Get("limit")); err == nil {
		limit = min(limit, n)
	}
	next := query.Get("next")
	var answer struct {
		More    *bool             `json:"more,omitempty"`
		Next    string            `json:"next,omitempty"`
		Objects []json.RawMessage `json:"objects,omitempty"`
	}
	rest := all
	switch {
	case next != "" && m.next == "offset":
		n, _ := strconv.Atoi(next)
		rest = all[min(n, len(all)):]
	case next != "":
		kept := m.tokens[next]
		// Where there are no dates, a client can do nothing about it but begin again, and no client does so for ever.
		if m.random.IntN(10) == 0 && (m.shown > 0 || m.forgot < maxRestarts) {
			m.forgot++
			kept = nil
		}
		if kept == nil {
			delete(m.tokens, next)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		rest = kept.rest
	}
	page := rest[:min(limit, len(rest))]
	rest = rest[len(page):]
	for _, o := range page {
		answer.Objects = append(answer.Objects, json.RawMessage(o.raw))
	}
	more := len(rest) > 0
	if !m.unsaid {
		answer.More = &more
	}
	if more || m.always {
		switch m.next {
		case "offset":
			n, _ := strconv.Atoi(next)
			answer.Next = strconv.Itoa(n + len(page))
		case "token":
			if answer.Next = next; next == "" {
				answer.Next = strconv.FormatUint(m.random.Uint64(), 36)
			}
			m.tokens[answer.Next] = &snapshot{rest}
		}
	}
	if m.shown > 0 && len(page) > 0 {
		layout := map[time.Duration]string{
			time.Microsecond: "2006-01-02T15:04:05.000000Z", time.Millisecond: "2006-01-02T15:04:05.000+00:00", time.Second: "2006-01-02T15:04:05Z",
		}[m.shown]
		w.Header().Set("X-TAXII-Date-Added-First", page[0].date.UTC().Format(layout))
		w.Header().Set("X-TAXII-Date-Added-Last", page[len(page)-1].date.UTC().Format(layout))
	}
	body, _ := json.Marshal(answer)
	m.former, m.header = body, w.Header().Clone()
	_, _ = w.Write(body)
}

// Whatever the pages, the cursors and the dates of a server are like, and whatever goes wrong on the way: each object
// is published, and once.
func TestNoObjectIsLostAndNoneTakenTwice(t *testing.T) {
	var model *modelServer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { model.ServeHTTP(w, r) }))
	defer server.Close()
	rapid.Check(t, func(t *rapid.T) {
		spans := []time.Duration{time.Microsecond, time.Millisecond, time.Second}
		model = &modelServer{
			random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), tokens: map[string]*snapshot{},
			stamp: rapid.SampledFrom(spans).Draw(t, "stamp"), next: rapid.SampledFrom([]string{"offset", "token", "none"}).Draw(t, "next"),
			most: rapid.IntRange(1, 9).Draw(t, "page"), flaws: rapid.Bool().Draw(t, "flaws"), grows: rapid.Bool().Draw(t, "grows"),
		}
		if model.next == "none" {
			model.shown = rapid.SampledFrom(spans).Draw(t, "shown")
			// Two dates that show as one, and one that a run asks for again, take a page of three.
			model.most = max(model.most, 3)
		} else {
			model.shown = rapid.SampledFrom(append(spans, 0)).Draw(t, "shown")
			model.unsaid, model.always = rapid.Bool().Draw(t, "unsaid"), rapid.Bool().Draw(t, "always")
		}
		config := taxiiConfig(server.URL)
		config.PageSize = rapid.IntRange(0, 12).Draw(t, "limit")
		config.MaxObjects = rapid.IntRange(1, 20).Draw(t, "budget")
		config.Credentials.Token = "tttt"
		memory, sink := memo{}, newLedger()
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			for range rapid.IntRange(0, 15).Draw(t, "new") {
				model.add()
			}
			f, _ := newFeed(t, config, memory)
			f.clock.now = func() time.Time { return model.now }
			report, err := f.Run(t.Context(), sink)
			if report.New > config.MaxObjects {
				t.Fatalf("a run published %d objects, it may %d", report.New, config.MaxObjects)
			}
			if err != nil && !model.flaws && !errors.Is(err, errCursor) {
				t.Fatal(err)
			}
		}
		model.flaws, model.grows = false, false
		for n := 0; ; n++ {
			f, _ := newFeed(t, config, memory)
			f.clock.now = func() time.Time { return model.now }
			report, err := f.Run(t.Context(), sink)
			if errors.Is(err, errCursor) && n < 100 { // the next run tries again
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if !report.Rest {
				break
			}
			if n > 100+len(model.objects) {
				t.Fatalf("there is no end: %+v", report)
			}
		}
		for i := range model.objects {
			if sink.raw[indicatorID(i)] == "" {
				t.Errorf("object %d of %d is lost", i, len(model.objects))
			}
		}
		for publication, n := range sink.published {
			if n != 1 {
				t.Errorf("%s was published %d times", publication, n)
			}
		}
	})
}
