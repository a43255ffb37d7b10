package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var silent = slog.New(slog.DiscardHandler)

// script is a listener that gives what a test says.
type script struct {
	gives  chan any // a net.Conn or an error
	closed chan struct{}
	once   sync.Once
}

func newScript() *script { return &script{gives: make(chan any), closed: make(chan struct{})} }

func (s *script) Accept() (net.Conn, error) {
	select {
	case one := <-s.gives:
		if err, bad := one.(error); bad {
			return nil, err
		}
		return one.(net.Conn), nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *script) Close() error   { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// from is a connection of an address.
type from struct {
	net.Conn
	address string
	closed  chan struct{}
	once    sync.Once
}

func newFrom(address string) *from { return &from{address: address, closed: make(chan struct{})} }

func (f *from) RemoteAddr() net.Addr {
	at, err := net.ResolveTCPAddr("tcp", f.address)
	if err != nil {
		panic(err)
	}
	return at
}
func (f *from) Close() error { f.once.Do(func() { close(f.closed) }); return nil }

func (f *from) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

// visit has a connection accepted.
func visit(t *testing.T, s *script, l *Listener, f *from) net.Conn {
	t.Helper()
	go func() { s.gives <- f }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond) // in a bubble: the next comes later
	return c
}

func TestAFullListenerTakesThePlaceOfWhoHasMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 5, silent)
		quiet := newFrom("192.0.2.1:1000")
		visit(t, s, l, quiet)
		var crowd []*from
		for i := range 20 {
			crowd = append(crowd, newFrom(fmt.Sprintf("192.0.2.9:%d", 1000+i)))
			visit(t, s, l, crowd[i])
		}
		other := newFrom("192.0.2.2:1000")
		visit(t, s, l, other)
		if quiet.isClosed() || other.isClosed() {
			t.Error("who has one connection lost it to who has many")
		}
		for i, c := range crowd {
			if c.isClosed() != (i < 17) { // three places are left to it, for the newest
				t.Errorf("connection %d of the crowd: closed is %v", i, c.isClosed())
			}
		}
	})
}

// Of IPv6, a customer has more addresses than anybody can count.
func TestAnIPv6NetworkCountsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 3, silent)
		quiet := newFrom("[2001:db8:1::1]:1")
		visit(t, s, l, quiet)
		for i := range 10 {
			visit(t, s, l, newFrom(fmt.Sprintf("[2001:db8:2:0:%x::1]:1", i)))
		}
		if quiet.isClosed() {
			t.Error("one network took all places, with an address for each")
		}
	})
}

func TestWhoIsBeingAnsweredKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 2, silent)
		busy := newFrom("192.0.2.1:1")
		release := Keep(Context(t.Context(), visit(t, s, l, busy)))
		idle := newFrom("192.0.2.1:2")
		visit(t, s, l, idle)
		third := newFrom("192.0.2.1:3")
		Keep(Context(t.Context(), visit(t, s, l, third)))
		if busy.isClosed() || !idle.isClosed() {
			t.Error("the connection that was answered on lost its place, or the idle one did not")
		}
		fourth := newFrom("192.0.2.1:4")
		go func() { s.gives <- fourth }()
		go func() { <-fourth.closed; s.gives <- errors.New("end of the script"); s.Close() }()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a place was found where there is none: %v", err)
		}
		release()
		if !fourth.isClosed() || busy.isClosed() {
			t.Error("the one too many is open, or the first is not")
		}
	})
}

func TestAClosedConnectionGivesItsPlaceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 1, silent)
		for i := range 3 {
			c := visit(t, s, l, newFrom(fmt.Sprintf("192.0.2.1:%d", i+1)))
			c.Close()
			c.Close() // twice is once
		}
		if len(l.conns) != 0 || len(l.byAddress) != 0 {
			t.Errorf("counted still: %d connections, %d addresses", len(l.conns), len(l.byAddress))
		}
	})
}

// No error of an accept ends a server: neither a process that has used up its files nor a machine that has.
func TestAcceptGoesOnAfterEveryError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 10, silent)
		idle := newFrom("192.0.2.1:1")
		visit(t, s, l, idle)
		errs := []error{
			&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
			syscall.ECONNABORTED, syscall.EPERM, syscall.EPROTO, errors.New("who knows"),
		}
		next := newFrom("192.0.2.2:1")
		go func() {
			for _, err := range errs {
				s.gives <- err
			}
			s.gives <- next
		}()
		start := time.Now()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().String() != "192.0.2.2:1" {
			t.Fatal(c, err)
		}
		if took := time.Since(start); took < 100*time.Millisecond || took > time.Minute {
			t.Errorf("it was tried again for %v: without a pause, or with too long ones", took)
		}
		if !idle.isClosed() {
			t.Error("no file was given back")
		}
	})
}

func TestClosingEndsAnAcceptThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 10, silent)
		go func() {
			s.gives <- syscall.EMFILE
			l.Close()
		}()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// The whole way through a real server: the context of a request leads to its connection.
func TestARequestKeepsItsConnection(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, 8, silent)
	kept := make(chan int, 1)
	server := &http.Server{ConnContext: Context, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer Keep(r.Context())()
		c := r.Context().Value(connKey{}).(*conn)
		l.mu.Lock()
		defer l.mu.Unlock()
		kept <- c.kept
	})}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	response, err := http.Get("http://" + inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if n := <-kept; n != 1 {
		t.Errorf("kept %d times", n)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// The pauses between attempts double up to a second, and one line is enough for all of them.
func TestAcceptIsTriedAgainLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := newScript()
		l := Limit(s, 10, slog.New(slog.NewTextHandler(&log, nil)))
		go func() {
			for range 10 {
				s.gives <- syscall.EMFILE
			}
			s.gives <- newFrom("192.0.2.1:1")
		}()
		began := time.Now()
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3275*time.Millisecond { // 5, 10, 20, … 640, 1000, 1000
			t.Errorf("ten attempts took %s", took)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("%d lines: %s", lines, &log)
		}
	})
}

func TestAListenerThatWasClosedAcceptsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 10, silent)
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
		s.closed = make(chan struct{}) // whatever else it says
		go func() { s.gives <- errors.New("a use of something closed") }()
		began := time.Now()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || time.Since(began) != 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// Among those of whom nobody has more than the others, it is the one that has been of no use for longest.
func TestTheLongestIdleLosesItsPlace(t *testing.T) {
	for range 20 { // whatever the order of a map is
		synctest.Test(t, func(t *testing.T) {
			s := newScript()
			l := Limit(s, 3, silent)
			first, second, third := newFrom("192.0.2.1:1"), newFrom("192.0.2.2:1"), newFrom("192.0.2.3:1")
			answered := visit(t, s, l, first)
			visit(t, s, l, second)
			visit(t, s, l, third)
			Keep(Context(t.Context(), answered))()
			visit(t, s, l, newFrom("192.0.2.4:1"))
			if first.isClosed() || !second.isClosed() || third.isClosed() {
				t.Errorf("lost their places: %v, %v, %v", first.isClosed(), second.isClosed(), third.isClosed())
			}
		})
	}
}

func TestClosingAConnectionClosesWhatIsBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		below := newFrom("192.0.2.1:1")
		if err := visit(t, s, Limit(s, 1, silent), below).Close(); err != nil || !below.isClosed() {
			t.Errorf("closed is %v, %v", below.isClosed(), err)
		}
	})
}

func TestAnAddressIsCountedUntilItsLastConnectionCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		l := Limit(s, 9, silent)
		one, two := visit(t, s, l, newFrom("192.0.2.1:1")), visit(t, s, l, newFrom("192.0.2.1:2"))
		for left, c := range []net.Conn{two, one} {
			if n := l.byAddress["192.0.2.1"]; n != 2-left {
				t.Errorf("%d are counted, want %d", n, 2-left)
			}
			c.Close()
		}
	})
}

func TestByWhatConnectionsAreCounted(t *testing.T) {
	for _, c := range []struct {
		address net.Addr
		want    string
	}{
		{nil, ""},
		{&net.UnixAddr{Name: "/run/slnode.sock", Net: "unix"}, "unix"},
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}, "192.0.2.1"},
		{text("[::ffff:192.0.2.1]:1"), "192.0.2.1"},
		{text("[2001:db8:1:2:3::4]:1"), "2001:db8:1:2::/64"},
		{text("[fe80::1%eth0]:1"), "fe80::/64"},
	} {
		if got := network(c.address); got != c.want {
			t.Errorf("%v is counted as %q, want %q", c.address, got, c.want)
		}
	}
}

// text is an address as it is written.
type text string

func (t text) Network() string { return "tcp" }
func (t text) String() string  { return string(t) }

// secured is a connection with TLS, as far as the server looks at it.
type secured struct {
	net.Conn
	below net.Conn
}

func (s secured) NetConn() net.Conn { return s.below }

func TestARequestLeadsToItsConnectionThroughTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		c := visit(t, s, Limit(s, 1, silent), newFrom("192.0.2.1:1"))
		ctx := Context(t.Context(), secured{below: c})
		release := Keep(ctx)
		if kept := c.(*conn).kept; kept != 1 {
			t.Errorf("kept %d times", kept)
		}
		release()
		if kept := c.(*conn).kept; kept != 0 {
			t.Errorf("kept %d times after the answer", kept)
		}
		foreign := newFrom("192.0.2.1:2")
		if ctx := Context(t.Context(), foreign); ctx != t.Context() {
			t.Error("a connection that is not counted is remembered")
		}
		Keep(t.Context())() // a request on such a one is answered as any other
	})
}
