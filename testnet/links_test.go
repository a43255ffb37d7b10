package testnet

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// quality is how good the links to a node are.
type quality struct {
	delay time.Duration // of what is sent, each way
	cut   float64       // the share of the connections that are cut, every ten seconds
}

// link is the way to a node's swarm port, for the nodes that dial it: it counts, delays and cuts what goes over it.
type link struct {
	quality
	listener net.Listener
	target   string
	bytes    *atomic.Int64 // both ways
	cuts     *atomic.Int64
}

// newLink opens a way to a target, and gives the port to tell others in its place.
func newLink(t testing.TB, q quality, target string, bytes, cuts *atomic.Int64) (port string) {
	t.Helper()
	listener, err := listen()
	must(t, err)
	l := &link{quality: q, listener: listener, target: target, bytes: bytes, cuts: cuts}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.serve(ctx, &running) })
	t.Cleanup(func() { cancel(); _ = listener.Close(); running.Wait() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port
}

func (l *link) serve(ctx context.Context, running *sync.WaitGroup) {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return // it was closed
		}
		running.Go(func() { l.carry(ctx, from) })
	}
}

// carry goes on until either side closes or the connection is cut.
func (l *link) carry(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", l.target)
	if err != nil {
		return // the node is down
	}
	defer to.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		ways.Go(func() { defer cancel(); l.oneWay(ctx, way[0], way[1]) })
	}
	l.until(ctx)
	_, _ = from.Close(), to.Close() // so that the ways end
	ways.Wait()
}

// until returns when a connection ends or is to be cut.
func (l *link) until(ctx context.Context) {
	every := time.NewTicker(10 * time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if rand.Float64() < l.cut {
				l.cuts.Add(1)
				return
			}
		}
	}
}

// oneWay passes on what is read when it is due.
func (l *link) oneWay(ctx context.Context, from io.Reader, to io.Writer) {
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 1024) // what is on its way
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 16<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				l.bytes.Add(int64(n))
				select {
				case pieces <- piece{buffer[:n], time.Now().Add(l.delay)}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	for range pieces { // until the reader ends, which the end of the connection makes it do
	}
	reading.Wait()
}

func TestALinkDelaysCountsAndCuts(t *testing.T) {
	t.Parallel()
	target, err := listen()
	must(t, err)
	defer target.Close()
	go func() { // echoes
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	var bytes, cuts atomic.Int64
	port := newLink(t, quality{delay: 30 * time.Millisecond, cut: 1}, target.Addr().String(), &bytes, &cuts)
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	must(t, err)
	defer c.Close()
	begun := time.Now()
	_, err = c.Write([]byte("what is said"))
	must(t, err)
	answer := make([]byte, 12)
	_, err = io.ReadFull(c, answer)
	must(t, err)
	if took := time.Since(begun); string(answer) != "what is said" || took < 60*time.Millisecond {
		t.Errorf("%q after %v", answer, took)
	}
	if bytes.Load() != 24 {
		t.Errorf("%d bytes were counted", bytes.Load())
	}
	if _, err := c.Read(answer); err == nil || cuts.Load() != 1 {
		t.Errorf("the connection is not cut: %v, %d", err, cuts.Load())
	}
}
