// Package door is what all HTTP listeners of the node have in common: a bound on their connections, so that nobody can
// use up the files and the memory of the process, a look at the name that a browser calls them by, and a note of what
// was answered.
package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Listener is a listener whose connections are bounded and whose Accept fails only when it is closed. When it is full,
// a newcomer takes the place of another connection: of the address that has most of them, the one that has been of no
// use for longest. A connection on which somebody who is known is being answered (see [Keep]) is never taken away.
//
// So connections that do nothing cost others nothing, however many there are, and who holds them loses them first.
type Listener struct {
	net.Listener
	most int
	log  *slog.Logger

	ended chan struct{}
	end   sync.Once

	mu        sync.Mutex
	conns     map[*conn]struct{}
	byAddress map[string]int
}

// Limit bounds a listener to so many connections at a time.
func Limit(l net.Listener, most int, log *slog.Logger) *Listener {
	return &Listener{
		Listener: l, most: most, log: log, ended: make(chan struct{}), conns: map[*conn]struct{}{}, byAddress: map[string]int{},
	}
}

// The pauses after a connection that could not be accepted, for want of files or of memory.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			if admitted := l.admit(c); admitted != nil {
				return admitted, nil
			}
			_ = c.Close() // nothing was said on it
			continue
		}
		if errors.Is(err, net.ErrClosed) || l.hasEnded() {
			return nil, net.ErrClosed
		}
		if pause == 0 {
			l.log.Warn("a connection can't be accepted; it is tried again", "listen", l.Addr().String(), "error", err)
		}
		l.giveOneUp() // its file may be what is missing
		pause = min(max(2*pause, firstPause), lastPause)
		select {
		case <-l.ended:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
	}
}

// Close closes the listener. Connections stay.
func (l *Listener) Close() error {
	l.end.Do(func() { close(l.ended) })
	return l.Listener.Close()
}

func (l *Listener) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// admit counts a connection in. It is nil if there is no place for it.
func (l *Listener) admit(c net.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.most {
		spare := l.spare()
		if spare == nil {
			return nil
		}
		l.drop(spare)
	}
	admitted := &conn{Conn: c, listener: l, address: network(c.RemoteAddr()), since: time.Now()}
	l.conns[admitted] = struct{}{}
	l.byAddress[admitted.address]++
	return admitted
}

// giveOneUp takes a connection away that is of no use, if there is one.
func (l *Listener) giveOneUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if spare := l.spare(); spare != nil {
		l.drop(spare)
	}
}

// spare finds the connection to be taken away first. The lock is held.
func (l *Listener) spare() (spare *conn) {
	for c := range l.conns {
		if c.kept > 0 {
			continue
		}
		if spare == nil {
			spare = c
			continue
		}
		mine, its := l.byAddress[c.address], l.byAddress[spare.address]
		if mine > its || mine == its && c.since.Before(spare.since) {
			spare = c
		}
	}
	return spare
}

// drop closes a connection. The lock is held.
func (l *Listener) drop(c *conn) {
	l.forget(c)
	_ = c.Conn.Close() // who it was taken from finds out
}

// forget counts a connection out. The lock is held.
func (l *Listener) forget(c *conn) {
	if _, there := l.conns[c]; !there {
		return
	}
	delete(l.conns, c)
	if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
		delete(l.byAddress, c.address)
	}
}

// conn is a connection that is counted.
type conn struct {
	net.Conn
	listener *Listener
	address  string

	// Under the listener's lock.
	kept  int       // answers to somebody who is known
	since time.Time // when it was last of use: when it came, or the last such answer ended
}

// NetConn is the connection that is counted.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and gives its place away.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.forget(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

type connKey struct{}

// Context is the ConnContext of an HTTP server whose listener is a [Listener], with TLS or without.
func Context(ctx context.Context, c net.Conn) context.Context {
	own, ok := c.(*conn)
	if wrapped, is := c.(interface{ NetConn() net.Conn }); is && !ok { // a tls.Conn
		own, ok = wrapped.NetConn().(*conn)
	}
	if ok {
		return context.WithValue(ctx, connKey{}, own)
	}
	return ctx
}

// Keep says that the request with this context is made by somebody who is known: until release is called its
// connection is not taken away.
func Keep(ctx context.Context) (release func()) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return func() {}
	}
	c.keep(1)
	return func() { c.keep(-1) }
}

func (c *conn) keep(more int) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.kept += more
	c.since = time.Now()
}

// network is what connections are counted by: the address, of IPv6 the part that a network assigns to one customer.
func network(address net.Addr) string {
	if address == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return address.Network()
	}
	ip := at.Addr().Unmap().WithZone("")
	if prefix, err := ip.Prefix(64); err == nil && ip.Is6() {
		return prefix.String()
	}
	return ip.String()
}
