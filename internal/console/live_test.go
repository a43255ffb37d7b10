package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is news that a test gives.
type wire struct {
	mu      sync.Mutex
	came    map[string]int // what who asks is told of
	changed chan struct{}
}

func (w *wire) Since(_ context.Context, by By, _ time.Time, most int) (Came, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.came[by.User]
	return Came{Objects: min(n, most), More: n > most}, nil
}

func (w *wire) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// brings has something come in.
func (w *wire) brings(who string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.came[who] += n
	close(w.changed)
	w.changed = make(chan struct{})
}

// listener is a browser that is told of news.
type listener struct {
	t      *testing.T
	events *bufio.Scanner
}

func (w *world) listen(who string) listener {
	w.t.Helper()
	server := httptest.NewServer(w.c)
	w.t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, server.URL+"/-/live?after=1", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	request.AddCookie(&http.Cookie{Name: w.c.logins.cookie, Value: who})
	answer, err := server.Client().Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		w.t.Fatalf("the stream is answered with %s, %s", answer.Status, kind)
	}
	return listener{w.t, bufio.NewScanner(answer.Body)}
}

// next gives the data of the next event; "" after the last one.
func (l listener) next() string {
	for l.events.Scan() {
		if data, is := strings.CutPrefix(l.events.Text(), "data: "); is {
			return data
		}
	}
	return ""
}

func newWire(w *wire) func(*Config) {
	w.came, w.changed = map[string]int{}, make(chan struct{})
	return func(c *Config) { c.Rooms.News = w }
}

func TestAnOpenPageIsToldWhatCameForItsVisitor(t *testing.T) {
	t.Parallel()
	news := &wire{}
	w := newWorld(t, newWire(news))
	reader, limited := w.listen("reader"), w.listen("limited")
	for _, one := range []struct {
		who  string
		from listener
	}{{"reader", reader}, {"limited", limited}} {
		if got := one.from.next(); got != `{"new":0,"more":false}` {
			t.Errorf("%s is told %q first", one.who, got)
		}
	}
	news.brings("reader", 3)
	if got := reader.next(); got != `{"new":3,"more":false}` {
		t.Errorf("the reader is told %q", got)
	}
	news.brings("reader", liveMost)
	news.brings("limited", 1)
	if got := reader.next(); got != fmt.Sprintf(`{"new":%d,"more":true}`, liveMost) {
		t.Errorf("the reader is told %q", got)
	}
	if got := limited.next(); got != `{"new":1,"more":false}` {
		t.Errorf("who may read less is told %q", got)
	}
}

func TestAStreamEndsWithTheLoginAndWithTheServer(t *testing.T) {
	t.Parallel()
	news := &wire{}
	w := newWorld(t, newWire(news))
	reader, admin := w.listen("reader"), w.listen("admin")
	reader.next()
	admin.next()
	w.clerk.mu.Lock()
	w.clerk.ended["reader"] = true
	w.clerk.mu.Unlock()
	news.brings("reader", 3)
	if got := reader.next(); got != "" {
		t.Errorf("whose login has ended is told %q", got)
	}
	w.c.EndStreams()
	if got := admin.next(); got != "" {
		t.Errorf("after the end is told %q", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	news := &wire{}
	w := newWorld(t, newWire(news))
	for range liveStreams {
		w.listen("reader").next()
	}
	answer := w.ask("reader", "live?after=1", nil, func(r *http.Request) { r.Header.Set("Accept", "text/event-stream") })
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many is answered with %d", answer.Code)
	}
	if answer := w.ask("reader", "", nil); answer.Code != http.StatusOK {
		t.Errorf("meanwhile a page is answered with %d", answer.Code)
	}
}

func TestNewsIsToldOnceToWhoTakesNoStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var is struct {
		New  int
		More bool
	}
	answer := w.ask("reader", "live?after=1", nil)
	if err := json.Unmarshal(answer.Body.Bytes(), &is); err != nil || is.New != 4 || is.More {
		t.Errorf("what is told is %s, %v", answer.Body, err)
	}
	for _, after := range []string{"", "x", "-1"} {
		if answer := w.ask("reader", "live?after="+after, nil); answer.Code != http.StatusUnprocessableEntity {
			t.Errorf("after %q is answered with %d", after, answer.Code)
		}
	}
}

func TestWhatCameSinceTheLastVisitIsCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var jar []*http.Cookie
	visit := func(later time.Duration) string {
		w.now = w.now.Add(later)
		answer := w.ask("reader", "", nil, func(r *http.Request) {
			for _, c := range jar {
				r.AddCookie(c)
			}
		})
		if set := answer.Result().Cookies(); len(set) > 0 {
			jar = set
		}
		return answer.Body.String()
	}
	first := w.now
	has(t, visit(0), "In the last 24 hours", "<strong>4 objects</strong>", `href="search?type=indicator">3 indicators</a>`, `1 threat actor</a>`, `href="search?member=bravo"><bdi>bravo</bdi></a> 3`)
	has(t, visit(59*time.Minute), "Since your last visit", first.Add(-24*time.Hour).Format(time.RFC3339))
	has(t, visit(0), `<tr data-plain="evil.example">`, "evil[.]example", `href="search?type=indicator"`, `href="search?member=bravo"`, ">70<")
	second := w.now
	has(t, visit(61*time.Minute), "Since your last visit", second.Format(time.RFC3339))
	has(t, visit(time.Minute), "Since your last visit", second.Format(time.RFC3339))
	has(t, visit(visitAge), "In the last 24 hours")
	for _, hostile := range []string{"x y", "1", "9223372036854775807 1", "1 9223372036854775807", "-9223372036854775808 1", " "} {
		jar = []*http.Cookie{{Name: w.c.logins.cookie + "-visit", Value: strings.ReplaceAll(hostile, " ", "+")}}
		has(t, visit(0), "In the last 24 hours")
	}
}

func TestTrendsAreDrawnWithTheirTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	page := w.ask("reader", "trends", nil).Body.String()
	has(t, page, "By day and member", "By day and type", "threat actors</li>", "From publication to readable here", "Half of them could be read here within 1 s; more than one in ten took longer than an hour.", `<th scope="row">30 Jan 2026</th>`, "≤ 1 min",
		`<th scope="row">longer</th><td class="number">21</td>`)
	if n := strings.Count(page, `role="img"`); n != 3 {
		t.Errorf("there are %d pictures", n)
	}
}

// slowFeeds answers when a time has passed.
type slowFeeds struct {
	room
	time time.Duration
}

func (s slowFeeds) TestFeed(ctx context.Context, _ By, _ string) (FeedTrial, error) {
	select {
	case <-ctx.Done():
		return FeedTrial{}, ctx.Err()
	case <-time.After(s.time):
		return FeedTrial{Reached: true}, nil
	}
}

// The chain takes its time, another's server does, and the server's limits are for those who send and don't read.
func TestAnActionMayTakeLongerThanTheServersLimits(t *testing.T) {
	const limit = 50 * time.Millisecond
	w := newWorld(t, func(c *Config) { c.Rooms.Feeds = slowFeeds{time: 4 * limit} })
	server := httptest.NewUnstartedServer(w.c)
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/-/feed?name=otx", strings.NewReader("do=test&sudo=right"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", server.URL)
	request.Header.Set("Accept", "text/html")
	request.AddCookie(&http.Cookie{Name: w.c.logins.cookie, Value: "admin"})
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", answer.Status, err, page)
	}
}
