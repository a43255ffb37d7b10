package taxii

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
)

// fixture is a handler over a memory, served on loopback.
type fixture struct {
	t       *testing.T
	backend *memory
	handler *Handler
	url     string
	clock   *clock
	log     *waiting.Text
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, backend: newMemory(), clock: &clock{now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, log: new(waiting.Text)}
	f.handler = f.newHandler(change...)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(f.handler, nil, slog.New(slog.NewTextHandler(f.log, nil)))
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// newHandler makes a handler over the fixture's backend, as a restart does.
func (f *fixture) newHandler(change ...func(*Config)) *Handler {
	f.t.Helper()
	c := Config{
		Title: "Acme's node", Contact: "soc@acme.example", DefaultRoot: "acme",
		Store: f.backend, Publisher: f.backend, Withdrawer: f.backend, Exporter: f.backend, Observer: f.backend, Remover: f.backend, Authenticator: f.backend,
		Accounts: f.backend, Owner: f.backend, Auditor: f.backend, Searcher: searching{}, Feedback: said{}, Sightings: &sightedThings{}, Members: ratedMembers{}, Watch: &watched{},
		CursorKey: []byte("sixteen bytes or more"),
		Log:       slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:       f.clock.Now,
	}
	for _, set := range change {
		set(&c)
	}
	h, err := NewHandler(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes a request as paul, a publisher, unless a header says otherwise. The headers are given as "Name: value".
func (f *fixture) do(method, path, body string, headers ...string) answer {
	f.t.Helper()
	return f.doAs(http.DefaultClient, method, path, strings.NewReader(body), append([]string{"Authorization: Bearer tok-paul"}, headers...)...)
}

func (f *fixture) get(path string, headers ...string) answer {
	f.t.Helper()
	return f.do(http.MethodGet, path, "", headers...)
}

// anonymous makes a request without credentials, other than in its headers.
func (f *fixture) anonymous(method, path, body string, headers ...string) answer {
	f.t.Helper()
	return f.doAs(http.DefaultClient, method, path, strings.NewReader(body), headers...)
}

func (f *fixture) doAs(client *http.Client, method, path string, body io.Reader, headers ...string) answer {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", MediaType)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: read}
}

// post adds objects to the box, and wants it to succeed.
func (f *fixture) post(objects ...string) StatusResource {
	f.t.Helper()
	a := f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+strings.Join(objects, ",")+`]}`)
	a.want(f.t, http.StatusAccepted)
	return decode[StatusResource](f.t, a)
}

func (a answer) want(t *testing.T, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %.300s", a.status, status, a.body)
	}
}

// wantProblem checks a status and that the body is an error resource.
func (a answer) wantProblem(t *testing.T, status int) ErrorResource {
	t.Helper()
	a.want(t, status)
	if got := a.header.Get("Content-Type"); got != MediaType {
		t.Errorf("Content-Type %q, want %q", got, MediaType)
	}
	p := decode[ErrorResource](t, a)
	if p.Title == "" || p.HTTPStatus != fmt.Sprint(status) || p.ErrorID != a.header.Get("X-Request-Id") {
		t.Errorf("error resource %s", a.body)
	}
	return p
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v in %.300s", err, a.body)
	}
	return v
}

// envelope is what reading objects returns.
type envelope struct {
	More    bool
	Next    string
	Objects []json.RawMessage
}

// ids lists the ids of the answer's objects, be it an envelope or a manifest.
func (a answer) ids(t *testing.T) []string {
	t.Helper()
	a.want(t, http.StatusOK)
	var ids []string
	for _, o := range decode[envelope](t, a).Objects {
		var v struct{ ID string }
		if err := json.Unmarshal(o, &v); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	return ids
}

// indicatorID is the id of the n-th indicator of the tests.
func indicatorID(n int) string { return fmt.Sprintf("indicator--00000000-0000-4000-8000-%012d", n) }

// indicator is the n-th indicator, modified in the given second.
func indicator(n, second int) string {
	return fmt.Sprintf(`{"type":"indicator","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:%02d.000Z","pattern":"[ipv4-addr:value = '198.51.100.%d']"}`,
		indicatorID(n), second, n%256)
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// versionsResource is an answer as a client reads it.
type versionsResource struct {
	Versions []string `json:"versions"`
}
