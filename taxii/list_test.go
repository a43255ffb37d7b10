package taxii

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
)

// fill puts n indicators into the box.
func (f *fixture) fill(n int) {
	f.t.Helper()
	var list []string
	for i := range n {
		list = append(list, indicator(i+1, 1))
	}
	f.post(list...)
}

func TestAPageInChunksIsTheSameAsAWhole(t *testing.T) {
	f := newFixture(t)
	f.fill(57)
	for second := range 20 {
		f.post(indicator(1, second+10))
	}
	paths := []string{
		"objects/", "objects/?limit=30", "objects/?match[type]=malware", "manifest/?match[version]=all", "manifest/?limit=1",
		"objects/" + indicatorID(1) + "/versions/", "objects/" + indicatorID(1) + "/?match[version]=all", "objects/" + indicatorID(2) + "/",
	}
	for _, path := range paths {
		f.backend.chunk = 0
		whole := f.get(boxPath + path)
		whole.want(t, http.StatusOK)
		for _, chunk := range []int{1, 7, 29, 100} {
			f.backend.chunk = chunk
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := f.do(method, boxPath+path, "")
				want := whole.body
				if method == http.MethodHead {
					want = nil
				}
				if !bytes.Equal(got.body, want) || got.status != whole.status {
					t.Errorf("%s %s in chunks of %d: %d %.200s, want %.200s", method, path, chunk, got.status, got.body, want)
				}
				for _, name := range []string{"Content-Type", "X-Taxii-Date-Added-First", "X-Taxii-Date-Added-Last"} {
					if got.header.Get(name) != whole.header.Get(name) {
						t.Errorf("%s %s in chunks of %d: %s is %q, want %q", method, path, chunk, name, got.header.Get(name), whole.header.Get(name))
					}
				}
			}
			packed := f.get(boxPath+path, "Accept-Encoding: gzip")
			if packed.header.Get("Content-Encoding") != "gzip" {
				continue // it is short
			}
			z, err := gzip.NewReader(bytes.NewReader(packed.body))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, whole.body) {
				t.Errorf("%s in gzip and chunks of %d: %v, %.200s", path, chunk, err, plain)
			}
		}
	}
}

// What is withdrawn while a page is sent is not in it any more, and the page is what JSON calls one.
func TestWhatIsWithdrawnMeanwhileIsLeftOut(t *testing.T) {
	f := newFixture(t)
	f.fill(30)
	f.backend.chunk = 10
	withdraw := func(from, to int) {
		h := f.backend.holds[boxID]
		for i := from; i < to; i++ {
			h.records[i].withdrawn = true
		}
	}
	store := &betweenReads{Store: f.backend, after: func() { withdraw(15, 30) }}
	f.handler = f.newHandler(func(c *Config) { c.Store = store })
	recorder := f.serve(http.MethodGet, boxPath+"objects/")
	if got := recorder.ids(t); len(got) != 15 || got[14] != indicatorID(15) {
		t.Errorf("%d objects: %v", len(got), got)
	}
}

// betweenReads does something when a page was looked up and not yet read.
type betweenReads struct {
	Store
	after func()
}

func (b *betweenReads) Objects(ctx context.Context, who Principal, c Collection, q Query) (Page, error) {
	page, err := b.Store.Objects(ctx, who, c, q)
	b.after()
	return page, err
}

// A part that can't be read cuts the connection: nobody takes the rest for the whole.
func TestAPageThatBreaksOffIsNotTakenForAWhole(t *testing.T) {
	f := newFixture(t)
	f.fill(30)
	f.backend.chunk, f.backend.failAt = 10, 2
	r, err := http.NewRequest(http.MethodGet, f.url+boxPath+"objects/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer tok-paul")
	response, err := http.DefaultClient.Do(r)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	if err == nil {
		t.Error("the client noticed nothing")
	}
}

// stalled opens connections that ask for a page and read nothing of it.
func stalled(t *testing.T, f *fixture, n int, token string, headers string) (close func(), ended func() int) {
	server := NewServer(f.handler, nil, slog.New(slog.DiscardHandler))
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	var conns []net.Conn
	for range n {
		near, far := net.Pipe()
		listener.accept <- far
		fmt.Fprintf(near, "GET %sobjects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n", boxPath, token, headers)
		conns = append(conns, near)
	}
	ended = func() (n int) {
		for _, c := range conns {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.Write([]byte("x")); errors.Is(err, io.ErrClosedPipe) {
				n++
			}
		}
		return n
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
		server.Close()
		<-done
	}, ended
}

// Sixty readers that don't read hold a chunk of the page each, not the page,
// and no more compressors than there are for all.
func TestReadersThatDoNotReadHoldLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
		f.handler = f.newHandler()
		random := make([]byte, 1000)
		for i := range 400 {
			rand.Read(random)
			f.backend.add(boxID, "indicator", indicatorID(i), "2026-01-01T00:00:00Z", bytes.Clone(random))
		}
		f.backend.chunk = 4
		const readers = 60
		end, ended := stalled(t, f, readers, "tok-rita", "Accept-Encoding: gzip\r\n")
		synctest.Wait()
		// What the connection's own buffers take is a matter of some chunks.
		if perReader := f.backend.chunks / readers; perReader > 25 {
			t.Errorf("%d chunks of 100 were read for each reader", perReader)
		}
		if f.handler.compressing.TryAcquire(1) {
			t.Error("fewer compressors are at work than may be")
		}
		time.Sleep(2 * writeTime)
		synctest.Wait()
		if n := ended(); n != readers {
			t.Errorf("%d of %d connections were given up", n, readers)
		}
		if !f.handler.compressing.TryAcquire(gzipsAtOnce) || f.handler.requests.taken != 0 {
			t.Error("what they held was not given back")
		}
		end()
	})
}

// downloading is a connection on which a list with an object of so many bytes was asked for. The server ends with end.
func downloading(t *testing.T, size int) (near net.Conn, end func()) {
	t.Helper()
	f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
	f.handler = f.newHandler()
	f.backend.add(boxID, "indicator", indicatorID(1), "2026-01-01T00:00:00Z", bytes.Repeat([]byte("x"), size))
	server := NewServer(f.handler, nil, slog.New(slog.DiscardHandler))
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	near, far := net.Pipe()
	listener.accept <- far
	fmt.Fprintf(near, "GET %sobjects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok-rita\r\n\r\n", boxPath)
	return near, func() {
		near.Close()
		server.Close()
		<-done
	}
}

// A client that takes a byte now and then does not hold its place for hours.
func TestDrippingDownloadsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, end := downloading(t, 1<<20)
		begun := time.Now()
		block := make([]byte, 64)
		for {
			if _, err := near.Read(block); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(begun); took > 5*time.Minute {
			t.Errorf("it was fed for %v", took)
		}
		end()
	})
}

// … but a slow line that keeps moving gets all of it.
func TestSlowDownloadsGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, end := downloading(t, 4<<20)
		begun := time.Now()
		response, err := http.ReadResponse(bufio.NewReaderSize(&slowly{near}, 2*downloadRate), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n < 4<<20 {
			t.Errorf("%d bytes came in %v: %v", n, time.Since(begun), err)
		}
		end()
	})
}

// slowly reads a little more than the least rate.
type slowly struct{ net.Conn }

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return io.ReadAtLeast(s.Conn, p[:min(len(p), 3*downloadRate/2)], 1)
}

// Of large objects one user holds no more than a part of the memory, so that others get theirs.
func TestOneUsersLargeObjectsDoNotKeepOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
		f.handler = f.newHandler()
		for i := range 20 {
			f.backend.add(boxID, "indicator", indicatorID(i), "2026-01-01T00:00:00Z", bytes.Repeat([]byte("x"), 100_000))
		}
		f.backend.chunk, f.backend.chunkSize = 1, answersOfUser/4
		end, _ := stalled(t, f, 50, "tok-rita", "")
		synctest.Wait()
		if held := f.handler.answers.size - f.freeAnswers(); held > answersOfUser {
			t.Errorf("one user holds %d bytes", held)
		}
		recorder := f.serve(http.MethodGet, boxPath+"objects/") // as paul
		if recorder.status != http.StatusOK || !strings.HasSuffix(string(recorder.body), "]}") {
			t.Errorf("another is answered %d", recorder.status)
		}
		end()
		synctest.Wait()
		if f.freeAnswers() != answersBytes || len(f.handler.answers.users) != 0 {
			t.Errorf("%d bytes are free in the end", f.freeAnswers())
		}
	})
}

// freeAnswers is what is left of the memory for answers, to a fortieth.
func (f *fixture) freeAnswers() (free int64) {
	const step = answersBytes / 96
	for f.handler.answers.all.TryAcquire(step) {
		free += step
	}
	f.handler.answers.all.Release(free)
	return free
}

// serve runs a request as paul, without a network.
func (f *fixture) serve(method, path string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, "http://127.0.0.1"+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header.Set("Authorization", "Bearer tok-paul")
	w := &recorded{header: http.Header{}}
	f.handler.ServeHTTP(w, r)
	return answer{status: w.status, header: w.header, body: w.body.Bytes()}
}

type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header         { return r.header }
func (r *recorded) WriteHeader(status int)      { r.status = status }
func (r *recorded) Write(p []byte) (int, error) { return r.body.Write(p) }

// One user can't take all places; the places are given back.
func TestRequestsOfOneUserAreCounted(t *testing.T) {
	f := newFixture(t)
	var leave []func()
	for range requestsOfUser {
		l, ok := f.handler.requests.take("paul")
		if !ok {
			t.Fatal("one who has few is refused")
		}
		leave = append(leave, l)
	}
	if a := f.get(boxPath); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many is answered %d", a.status)
	}
	f.get(boxPath, "Authorization: Bearer tok-rita").want(t, http.StatusOK)
	leave[0]()
	for range 3 {
		f.get(boxPath).want(t, http.StatusOK)
	}
}

// Whoever doesn't read the lists that are made for them keeps only themselves waiting.
func TestOneUsersListsDoNotKeepOthersWaiting(t *testing.T) {
	f := newFixture(t)
	for range exportsOfUser {
		if _, err := f.handler.exports.take(t.Context(), "rita", 1); err != nil {
			t.Fatal(err)
		}
	}
	f.get(boxPath+"export?format=plain").want(t, http.StatusOK)
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
		f.handler = f.newHandler()
		for range exportsOfUser {
			if _, err := f.handler.exports.take(t.Context(), "paul", 1); err != nil {
				t.Fatal(err)
			}
		}
		if a := f.serve(http.MethodGet, boxPath+"export?format=plain"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("one list too many is answered %d", a.status)
		}
	})
}

// A body of one user waits for that user's others, and not for all.
func TestOneUsersBodiesDoNotKeepOthersWaiting(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 1000 })
	for range bodiesOfUser {
		if _, err := f.handler.bodies.take(t.Context(), "paul", 1000); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := f.handler.bodies.take(ctx, "paul", 1); err == nil {
		t.Error("one user has more than a share")
	}
	f.do(http.MethodPost, boxPath+"objects/", `{"objects":[`+indicator(1, 1)+`]}`, "Authorization: Bearer tok-ada").want(t, http.StatusAccepted)
	if len(f.handler.bodies.users) != 1 {
		t.Errorf("%d users are remembered", len(f.handler.bodies.users))
	}
}
