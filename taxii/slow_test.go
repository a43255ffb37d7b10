package taxii

import (
	"bufio"
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

// pipes is a listener whose connections are pipes in memory, which take part in a synctest bubble's time.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// overPipe runs the client against a server in a bubble where time costs nothing.
func overPipe(t *testing.T, client func(*testing.T, net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, backend: newMemory(), clock: new(clock), log: new(waiting.Text)}
		server := NewServer(f.newHandler(), nil, slog.New(slog.DiscardHandler))
		listener := pipes{make(chan net.Conn), make(chan struct{})}
		done := make(chan error)
		go func() { done <- server.Serve(listener) }()
		near, far := net.Pipe()
		listener.accept <- far
		client(t, near)
		near.Close()
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func postHead(size int) string {
	return fmt.Sprintf("POST %sobjects/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok-paul\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", boxPath, size)
}

func readStatus(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	return response.StatusCode
}

// A large body on a slow line gets through, long after the server's own timeouts have passed.
func TestSlowUploadsGetThrough(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		body := `{"objects":[` + indicator(1, 1) + `]}`
		body += strings.Repeat(" ", 8<<20-len(body))
		start := time.Now()
		fmt.Fprint(conn, postHead(len(body)))
		for len(body) > 0 {
			time.Sleep(time.Second)
			n := min(len(body), 2*uploadRate)
			if _, err := io.WriteString(conn, body[:n]); err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			body = body[n:]
		}
		if status := readStatus(t, conn); status != http.StatusAccepted {
			t.Errorf("status %d", status)
		}
		if took := time.Since(start); took < 10*time.Minute {
			t.Errorf("the upload was not slow: %v", took)
		}
	})
}

// A body that stalls is given up, and the client is told.
func TestStalledUploadsEnd(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		start := time.Now()
		fmt.Fprint(conn, postHead(1000)+`{"objects":[`)
		if status := readStatus(t, conn); status != http.StatusRequestTimeout {
			t.Errorf("status %d", status)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A body that drips, byte by byte and never stalling, is given up too.
func TestDrippingUploadsEnd(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		start := time.Now()
		fmt.Fprint(conn, postHead(1_000_000))
		for time.Since(start) < 10*time.Minute {
			time.Sleep(time.Second)
			if _, err := io.WriteString(conn, " "); err != nil {
				break
			}
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// A client that stops reading does not hold its page for ever.
func TestStalledDownloadsEnd(t *testing.T) {
	overPipe(t, func(t *testing.T, conn net.Conn) {
		body := `{"objects":[` + strings.Repeat(indicator(1, 1)+",", 999) + indicator(1, 2) + `]}`
		go fmt.Fprint(conn, postHead(len(body))+body)
		response, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
		if err != nil || response.StatusCode != http.StatusAccepted {
			t.Fatal(response, err)
		}
		time.Sleep(10 * time.Minute) // with most of the status unread
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("the connection is still open")
		}
	})
}
