package taxii

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/internal/waiting"
)

// event is a server-sent event.
type event struct{ id, kind, data string }

// subscription reads a stream as the HTML standard has it (section 9.2.6).
type subscription struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
	lastID   string
}

func (f *fixture) subscribe(query, lastID string) *subscription {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), waiting.Limit)
	f.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+boxPath+"stream"+query, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer tok-paul")
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		f.t.Fatalf("%s, %s", response.Status, response.Header)
	}
	s := &subscription{t: f.t, response: response, lines: bufio.NewScanner(response.Body), lastID: lastID}
	s.lines.Buffer(nil, 1<<20)
	s.block() // which names the place
	return s
}

// block reads up to an empty line. It is false at the end.
func (s *subscription) block() (e event, ok bool) {
	var data []string
	kind := ""
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			e.id, e.kind, e.data = s.lastID, kind, strings.Join(data, "\n")
			return e, true
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			s.lastID = value
		case "data":
			data = append(data, value)
		case "event":
			kind = value
		case "", "retry":
		default:
			s.t.Errorf("the line %q", line)
		}
	}
	return event{}, false
}

// next gives the next event that has data.
func (s *subscription) next() event {
	s.t.Helper()
	for {
		e, ok := s.block()
		if !ok {
			s.t.Fatalf("the stream ended: %v", s.lines.Err())
		}
		if e.data != "" {
			return e
		}
	}
}

func (s *subscription) wants(objects ...string) {
	s.t.Helper()
	for _, object := range objects {
		if e := s.next(); e.data != object {
			s.t.Fatalf("the event is %s, want %s", e.data, object)
		}
	}
}

func TestAStreamShowsWhatComesAfterItsBeginning(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0))
	live, all := f.subscribe("", ""), f.subscribe("?added_after=2020-01-01T00:00:00Z", "")
	some := f.subscribe("?added_after=2020-01-01&match[id]="+indicatorID(2), "")
	pretty := "{\"type\":\"indicator\",\r\n \"id\":\"" + indicatorID(3) + "\",\r\"modified\":\"2026-01-01T00:00:00Z\"\n}"
	f.post(indicator(2, 0), pretty)
	shown := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(pretty)
	live.wants(indicator(2, 0), shown)
	all.wants(indicator(1, 0), indicator(2, 0), shown)
	some.wants(indicator(2, 0))
	if live.lastID != formatTimestamp(time.UnixMicro(f.backend.last)) {
		t.Errorf("the id is %s", live.lastID)
	}
}

func TestAStreamTellsWhatLeft(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0), indicator(2, 0))
	live, malware := f.subscribe("", ""), f.subscribe("?match[type]=malware", "")
	f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "").want(t, http.StatusOK)
	f.post(indicator(3, 0))
	f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(3)+"/", "").want(t, http.StatusOK)
	f.post(indicator(4, 0))
	removed := func(e event, id string) {
		t.Helper()
		var r Removal
		if err := json.Unmarshal([]byte(e.data), &r); err != nil || e.kind != "removed" || r.ID != id || !r.Gone || r.Collection != boxID || len(r.Values) != 1 || r.Version == "" || r.Type != "indicator" {
			t.Fatalf("the event is %+v, %v, want that %s left", e, err, id)
		}
	}
	first := live.next()
	removed(first, indicatorID(1))
	for e := live.next(); e.data != indicator(4, 0); e = live.next() { // whether it sees the third depends on who is faster
		if e.kind == "removed" {
			removed(e, indicatorID(3))
		}
	}
	again := f.subscribe("", first.id) // resumes over what left
	removed(again.next(), indicatorID(3))
	again.wants(indicator(4, 0))
	f.post(`{"type":"malware","id":"malware--00000000-0000-4000-8000-000000000001","modified":"2026-01-01T00:00:00Z"}`)
	if e := malware.next(); e.kind != "" || !strings.Contains(e.data, "malware--") {
		t.Errorf("a stream of malware has %+v", e)
	}
}

// However many left, a stream tells of each once and in its place.
func TestAStreamGoesOnOverManyRemovals(t *testing.T) {
	f := newFixture(t)
	const many = 3*removalPage + 5
	f.post(indicator(1, 0))
	f.backend.mu.Lock()
	h := f.backend.holds[boxID]
	for range many {
		f.backend.last++
		h.left = append(h.left, Removal{Time: time.UnixMicro(f.backend.last).UTC(), ID: "x", Type: "indicator", Values: []RemovedValue{}})
	}
	f.backend.touch(h)
	f.backend.mu.Unlock()
	f.post(indicator(2, 0))
	s := f.subscribe("?added_after=2020-01-01", "")
	s.wants(indicator(1, 0))
	last := ""
	for n := range many {
		e := s.next()
		if e.kind != "removed" || e.id <= last {
			t.Fatalf("event %d is %+v after %s", n, e, last)
		}
		last = e.id
	}
	s.wants(indicator(2, 0))
}

func TestAStreamNeedsTheRightToReadAndSense(t *testing.T) {
	f := newFixture(t)
	f.anonymous(http.MethodGet, boxPath+"stream", "").wantProblem(t, http.StatusUnauthorized)
	f.get(inboxPath+"stream").wantProblem(t, http.StatusForbidden)
	f.get(boxPath+"stream", "Last-Event-ID: 7").wantProblem(t, http.StatusBadRequest)
	f.get(boxPath+"stream?added_after=x").wantProblem(t, http.StatusBadRequest)
	if a := f.do(http.MethodHead, boxPath+"stream", ""); a.status != http.StatusOK {
		t.Errorf("HEAD is answered %d", a.status)
	}
}

// Clients that are cut again and again see every object once and in order, while others write.
func TestAResumedStreamLosesAndRepeatsNothing(t *testing.T) {
	f := newFixture(t)
	const writers, each = 4, 60
	start := f.subscribe("", "")
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range each {
				f.backend.mu.Lock()
				id := indicatorID(w*each + n)
				f.backend.add(boxID, "indicator", id, "2026-01-01T00:00:00Z", []byte(`{"id":"`+id+`"}`))
				f.backend.mu.Unlock()
			}
		})
	}
	var seen, ids []string
	for lastID, cut := start.lastID, 1; len(seen) < writers*each; cut = cut%7 + 1 {
		s := f.subscribe("", lastID)
		for range min(cut, writers*each-len(seen)) {
			e := s.next()
			seen, ids = append(seen, e.data), append(ids, e.id)
		}
		lastID = ids[len(ids)-1]
		s.response.Body.Close()
	}
	group.Wait()
	f.backend.mu.Lock()
	defer f.backend.mu.Unlock()
	for i, r := range f.backend.holds[boxID].records {
		if seen[i] != string(r.Object) {
			t.Fatalf("event %d is %s, want %s", i, seen[i], r.Object)
		}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != writers*each {
		t.Error("the ids do not grow")
	}
}

func TestAStreamEndsWithItsServerAndWithTheRightToIt(t *testing.T) {
	f := newFixture(t)
	f.handler.streams.heartbeat = 10 * time.Millisecond
	revoked := f.subscribe("", "")
	f.backend.mu.Lock()
	delete(f.backend.tokens, "tok-paul")
	f.backend.mu.Unlock()
	if _, err := io.ReadAll(revoked.response.Body); err != nil {
		t.Errorf("the stream of a token that ended does not end well: %v", err)
	}
	f.backend.mu.Lock()
	f.backend.tokens["tok-paul"] = Principal{User: "paul", Org: "acme", Role: RolePublisher}
	f.backend.mu.Unlock()

	f = newFixture(t)
	s := f.subscribe("", "")
	f.handler.EndStreams()
	f.handler.EndStreams()
	if _, err := io.ReadAll(s.response.Body); err != nil {
		t.Errorf("the stream does not end well: %v", err)
	}
}

func TestAShutdownDoesNotWaitForStreams(t *testing.T) {
	f := newFixture(t)
	server := NewServer(f.newHandler(), nil, f.handler.log)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	f.url = "http://" + listener.Addr().String()
	s := f.subscribe("", "")
	ctx, cancel := context.WithTimeout(t.Context(), waiting.Limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if _, err := io.ReadAll(s.response.Body); err != nil {
		t.Error(err)
	}
}

func TestAStreamEndsWhenItsClientIsGone(t *testing.T) {
	f := newFixture(t)
	near, far := net.Pipe()
	defer near.Close()
	x := &exchange{w: &door.Recorder{ResponseWriter: &pipeWriter{far}}}
	x.r, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, boxPath, nil)
	x.control = http.NewResponseController(x.w.ResponseWriter)
	f.post(indicator(1, 0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.handler.follow(x, Collection{ID: boxID}, Query{Version: VersionMatch{All: true}, Limit: 1, WithObjects: true})
	}()
	far.Close() // what the deadline does, sooner
	waiting.Receive(t, "the end of the stream", done)
}

// pipeWriter is a ResponseWriter on a pipe.
type pipeWriter struct{ net.Conn }

func (*pipeWriter) Header() http.Header { return http.Header{} }
func (*pipeWriter) WriteHeader(int)     {}
func (*pipeWriter) Flush()              {}

func TestStreamsAreCounted(t *testing.T) {
	f := newFixture(t)
	var leave []func()
	for range streamsOfUser {
		l, ok := f.handler.streams.take("paul")
		if !ok {
			t.Fatal("a stream of one who has few is refused")
		}
		leave = append(leave, l)
	}
	if a := f.get(boxPath + "stream"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many is answered %d", a.status)
	}
	if _, ok := f.handler.streams.take("rita"); !ok {
		t.Error("another user's streams count")
	}
	leave[0]()
	f.post(indicator(1, 0))
	var o map[string]any
	if err := json.Unmarshal([]byte(f.subscribe("?added_after=2020-01-01", "").next().data), &o); err != nil {
		t.Error(err)
	}
}
