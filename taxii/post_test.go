package taxii

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/waiting"
)

// Checklist 12.1, 12.4, 12.5, 4.4: the status, property by property.
func TestPostAnswersWithAStatus(t *testing.T) {
	f := newFixture(t)
	bad := `{"type":"malware","id":"malware--2","id":"malware--3"}`
	a := f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+indicator(1, 1)+`,`+bad+`]}`)
	a.want(t, http.StatusAccepted)
	if got := a.header.Get("Content-Type"); got != MediaType {
		t.Errorf("Content-Type %q", got)
	}
	s := decode[StatusResource](t, a)
	if id, err := uuid.Parse(s.ID); err != nil || id.Version() != 4 {
		t.Errorf("id %q", s.ID)
	}
	want := `{"id":"` + s.ID + `","status":"complete","request_timestamp":"2026-01-01T00:00:00.000000Z","total_count":2,` +
		`"success_count":1,"successes":[{"id":"` + indicatorID(1) + `","version":"2026-01-01T00:00:01.000Z","message":"TX0",` +
		`"x_slnode_stored_at":"2026-01-01T00:00:00.000001Z","x_slnode_cid":"bafy0","x_slnode_asset_id":1,"x_slnode_txid":"TX0"}],` +
		`"failure_count":1,"failures":[{"id":"unidentified","version":"2026-01-01T00:00:00.000000Z","message":"duplicate object member name \"id\""}],` +
		`"pending_count":0}`
	if string(a.body) != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	if again := f.get("/acme/status/" + s.ID + "/"); string(again.body) != want { // 12.8
		t.Errorf("asked again: %s", again.body)
	}
	f.get("/consortium/status/"+s.ID+"/").wantProblem(t, http.StatusNotFound)

	// 12.1: posting it again is no error.
	again := f.post(indicator(1, 1))
	if again.SuccessCount != 1 || again.Successes[0].Message != "TX0" {
		t.Errorf("posted again: %+v", again)
	}
}

// Checklist 12.6: what is not final shows as pending.
func TestPendingObjectsArePending(t *testing.T) {
	f := newFixture(t)
	f.backend.pending = true
	s := f.post(indicator(1, 1), indicator(2, 1))
	if s.Status != "pending" || s.PendingCount != 2 || len(s.Pendings) != 2 || s.TotalCount != 2 {
		t.Errorf("got %+v", s)
	}
}

// Checklist 12.5: counts and lists agree whatever the outcome; no list is empty, no version is left out.
func TestStatusCountsAgree(t *testing.T) {
	details := []StatusDetail{{ID: "a"}, {Version: "v"}, {}}
	for i := range 64 {
		s := Status{ID: "x", Successes: details[:i%4], Failures: details[:i/4%4], Pendings: details[:i/16]}
		body, err := json.Marshal(s.resource())
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Status                        string
			Total                         int `json:"total_count"`
			Success                       int `json:"success_count"`
			Failure                       int `json:"failure_count"`
			Pending                       int `json:"pending_count"`
			Successes, Failures, Pendings []map[string]any
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		if m.Total != m.Success+m.Failure+m.Pending || m.Success != len(m.Successes) || m.Failure != len(m.Failures) || m.Pending != len(m.Pendings) {
			t.Errorf("counts do not agree: %s", body)
		}
		if bytes.Contains(body, []byte("[]")) || (m.Status == "pending") != (m.Pending > 0) {
			t.Errorf("got %s", body)
		}
		for _, list := range [][]map[string]any{m.Successes, m.Failures, m.Pendings} {
			for _, d := range list {
				if d["id"] == "" || d["version"] == "" || d["id"] == nil || d["version"] == nil {
					t.Errorf("detail %v", d)
				}
			}
		}
	}
}

// Checklist 2.3, 12.2: what clients really send.
func TestPostTakesEnvelopesAndBundlesOfManyTypes(t *testing.T) {
	f := newFixture(t)
	envelope := `{"objects":[` + indicator(1, 1) + `]}`
	bundle := `{"type":"bundle","id":"bundle--` + boxID + `","objects":[` + indicator(1, 1) + `]}`
	for _, contentType := range []string{MediaType, "application/taxii+json", "application/taxii+json; version=2.1; charset=utf-8", "application/stix+json; version=2.1", "application/vnd.oasis.stix+json", "application/json"} {
		for _, body := range []string{envelope, bundle} {
			if a := f.do(http.MethodPost, boxPath+"objects/", body, "Content-Type: "+contentType); a.status != http.StatusAccepted {
				t.Errorf("%s: %d %s", contentType, a.status, a.body)
			}
		}
	}
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/taxii+json;version=2.0", ""} {
		f.do(http.MethodPost, boxPath+"objects/", envelope, "Content-Type: "+contentType).wantProblem(t, http.StatusUnsupportedMediaType)
	}
}

// What asks for less than publishing must not be ignored.
func TestPostTakesNoParameters(t *testing.T) {
	f := newFixture(t)
	f.do(http.MethodPost, boxPath+"objects/?dry_run=true", `{"objects":[`+indicator(1, 1)+`]}`).wantProblem(t, http.StatusBadRequest)
	if got := f.get(boxPath + "objects/"); string(got.body) != "{}" {
		t.Errorf("it was published: %s", got.body)
	}
}

// Checklist 12.3: nothing of a body that is not JSON is taken.
func TestNothingIsTakenFromABrokenBody(t *testing.T) {
	f := newFixture(t)
	f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+indicator(1, 1)+`,`).wantProblem(t, http.StatusBadRequest)
	if got := f.get(boxPath + "objects/"); string(got.body) != "{}" {
		t.Errorf("taken: %s", got.body)
	}
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Checklist 1.9: chunked and compressed bodies.
func TestPostTakesChunkedAndCompressedBodies(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 10_000 })
	body := `{"objects":[` + indicator(1, 1) + `]}`
	paul := "Authorization: Bearer tok-paul"
	chunked := struct{ io.Reader }{strings.NewReader(body)} // hides its length
	f.doAs(http.DefaultClient, http.MethodPost, boxPath+"objects/", chunked, paul).want(t, http.StatusAccepted)
	chunked = struct{ io.Reader }{strings.NewReader(gzipped(t, body))}
	f.doAs(http.DefaultClient, http.MethodPost, boxPath+"objects/", chunked, paul, "Content-Encoding: gzip").want(t, http.StatusAccepted)
	for _, test := range []struct {
		encoding, body string
		status         int
	}{
		{"gzip", gzipped(t, body), 202},
		{"GZIP", gzipped(t, body), 202},
		{"x-gzip", gzipped(t, body), 202},
		{"identity", body, 202},
		{"gzip", gzipped(t, strings.Repeat(" ", 10_000-len(body))+body), 202},
		{"br", body, 415},
		{"gzip, gzip", gzipped(t, gzipped(t, body)), 415},
		{"gzip", gzipped(t, body)[:40], 400},
		{"gzip", "not gzip at all", 400},
		{"gzip", "", 400},
		{"gzip", gzipped(t, body) + "trailing", 400},
		{"gzip", gzipped(t, "["), 400},
		{"gzip", gzipped(t, strings.Repeat(" ", 10_001)), 413}, // small as sent
		{"gzip", gzipped(t, strings.Repeat(" ", 4<<20)), 413},
	} {
		a := f.do(http.MethodPost, boxPath+"objects/", test.body, "Content-Encoding: "+test.encoding)
		if a.status != test.status {
			t.Errorf("%s of %d bytes: %d, want %d: %s", test.encoding, len(test.body), a.status, test.status, a.body)
		}
		if a.status == http.StatusUnsupportedMediaType && a.header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("%s: the answer does not say what is taken", test.encoding)
		}
	}
}

// Checklist 7.2: up to max_content_length and no further; the answer arrives.
func TestMaxContentLength(t *testing.T) {
	const limit = 1 << 20
	f := newFixture(t, func(c *Config) { c.MaxContentLength = limit })
	body := func(size int) string {
		s := `{"objects":[` + indicator(1, 1) + `]}`
		return s + strings.Repeat(" ", size-len(s))
	}
	f.do(http.MethodPost, boxPath+"objects/", body(limit)).want(t, http.StatusAccepted)
	f.do(http.MethodPost, boxPath+"objects/", body(limit+1)).wantProblem(t, http.StatusRequestEntityTooLarge)
	chunked := struct{ io.Reader }{strings.NewReader(body(limit + 1))}
	f.doAs(http.DefaultClient, http.MethodPost, boxPath+"objects/", chunked, "Authorization: Bearer tok-paul").wantProblem(t, http.StatusRequestEntityTooLarge)
	if !f.handler.bodies.all.TryAcquire(bodiesAtOnce * limit) {
		t.Error("memory for bodies was not given back")
	}
}

// Checklist 7.2: a client that sends all of its body before it reads finds the refusal, whatever it was refused for.
func TestRefusalsReachClientsThatSendFirst(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 4 << 20 })
	for token, want := range map[string]string{"tok-paul": "413", "nonsense": "401", "tok-rita": "403"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const size = 6 << 20 // more than sockets buffer
		fmt.Fprintf(conn, "POST %sobjects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", boxPath, token, size)
		if _, err := conn.Write(bytes.Repeat([]byte(" "), size)); err != nil {
			t.Fatalf("%s: sending: %v", want, err)
		}
		if err := conn.SetReadDeadline(waiting.End()); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 12)
		if _, err := io.ReadFull(conn, head); err != nil || !strings.HasSuffix(string(head), want) {
			t.Errorf("want %s, got %q, %v", want, head, err)
		}
	}
}

// Who asks first (Expect: 100-continue) is refused without sending the body.
func TestRefusalsComeBeforeTheBodyIfAsked(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 1000 })
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %sobjects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok-paul\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n", boxPath)
	if err := conn.SetReadDeadline(waiting.End()); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 413" {
		t.Errorf("got %q, %v", head, err)
	}
}

// Bodies beyond what memory is set aside for wait for their turn and give it back.
func TestBodiesShareBoundedMemory(t *testing.T) {
	const limit = 1000
	f := newFixture(t, func(c *Config) { c.MaxContentLength = limit })
	if !f.handler.bodies.all.TryAcquire(bodiesAtOnce * limit) {
		t.Fatal("the memory is taken at the start")
	}
	done := make(chan answer)
	go func() { done <- f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+indicator(1, 1)+`]}`) }()
	select {
	case a := <-done:
		t.Fatalf("it did not wait: %d", a.status)
	case <-time.After(50 * time.Millisecond):
	}
	f.handler.bodies.all.Release(bodiesAtOnce * limit)
	(<-done).want(t, http.StatusAccepted)
}

// chunked is a status whose chunks have the first of these details, then two, then none, and so on.
func chunked(n int) (s Status) {
	s = Status{ID: boxID, RequestedAt: time.UnixMicro(1).UTC()}
	for at := 0; at < n; at += 2 {
		var part Status
		for i := at; i < min(at+2, n); i++ {
			detail := StatusDetail{ID: indicatorID(i), Version: "2026-01-01T00:00:01.000Z", Message: fmt.Sprint("detail ", i)}
			switch i % 5 {
			case 0:
				part.Failures = append(part.Failures, detail)
			case 1:
				part.Pendings = append(part.Pendings, detail)
			default:
				part.Successes = append(part.Successes, detail)
			}
		}
		if at == 0 {
			s.Successes, s.Failures, s.Pendings = part.Successes, part.Failures, part.Pendings
			continue
		}
		s.Rest = append(s.Rest, StatusChunk{Successes: len(part.Successes), Failures: len(part.Failures), Pendings: len(part.Pendings),
			Read: func() (Status, error) { return part, nil }})
	}
	return s
}

// telling is a publisher that gives a status.
type telling struct {
	Publisher
	status Status
}

func (p telling) Publish(context.Context, Principal, Collection, Addition) (Status, error) {
	return p.status, nil
}

func (p telling) Status(context.Context, Principal, string, string) (Status, error) {
	return p.status, nil
}

// A status that is not in memory is answered like one that is.
func TestAStatusIsAnsweredInPartsAsAWhole(t *testing.T) {
	for n := range 12 {
		s := chunked(n)
		whole := s
		whole.Rest = nil
		for _, chunk := range s.Rest {
			part, err := chunk.Read()
			if err != nil {
				t.Fatal(err)
			}
			whole.Successes, whole.Failures, whole.Pendings = append(whole.Successes, part.Successes...), append(whole.Failures, part.Failures...), append(whole.Pendings, part.Pendings...)
		}
		f := newFixture(t)
		h := f.newHandler(func(c *Config) { c.Publisher = telling{c.Publisher, s} })
		for _, r := range []*http.Request{
			httptest.NewRequest(http.MethodGet, "/acme/status/"+boxID+"/", nil),
			httptest.NewRequest(http.MethodPost, boxPath+"objects/", strings.NewReader(`{"objects":[{}]}`)),
		} {
			r.Header.Set("Authorization", "Bearer tok-paul")
			r.Header.Set("Content-Type", MediaType)
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, r)
			var got StatusResource
			if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code/100 != 2 {
				t.Fatalf("%d details are answered with %d: %s, %v", n, answer.Code, answer.Body, err)
			}
			if want := whole.resource(); !reflect.DeepEqual(got, want) {
				t.Errorf("%d details are\n%+v, want\n%+v", n, got, want)
			}
			if strings.Contains(answer.Body.String(), "[]") {
				t.Errorf("an empty list: %s", answer.Body)
			}
		}
	}
}

// Who is told half of a status must see that it is half.
func TestAStatusThatCannotBeReadToItsEndIsNotEnded(t *testing.T) {
	s := chunked(12)
	s.Rest[len(s.Rest)-1].Read = func() (Status, error) { return Status{}, errors.New("the disk is gone") }
	f := newFixture(t)
	h := f.newHandler(func(c *Config) { c.Publisher = telling{c.Publisher, s} })
	r := httptest.NewRequest(http.MethodGet, "/acme/status/"+boxID+"/", nil)
	r.Header.Set("Authorization", "Bearer tok-paul")
	defer func() {
		if thrown := recover(); thrown != http.ErrAbortHandler {
			t.Errorf("the connection goes on: %v", thrown)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), r)
}
