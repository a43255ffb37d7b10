package devchain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// shutdownGrace is how long Close waits for requests that are being answered.
const shutdownGrace = 500 * time.Millisecond

// endpoint serves a handler on one loopback address. It can vanish from there and come back.
type endpoint struct {
	handler http.Handler

	mu      sync.Mutex
	address string       // never changes once it is known
	server  *http.Server // nil while it is down
	closed  bool
	cancel  context.CancelFunc
	served  chan struct{}
	conns   sync.WaitGroup
}

// newEndpoint listens on an address, whose port may be 0.
func newEndpoint(address string, h http.Handler) (*endpoint, error) {
	if err := mustBeLoopback(address); err != nil {
		return nil, err
	}
	e := &endpoint{handler: h, address: address}
	return e, e.up()
}

func mustBeLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address %q is not on loopback: a development chain is for this machine alone", address)
	}
	return nil
}

func (e *endpoint) url() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return "http://" + e.address
}

// up starts to serve unless it serves already.
func (e *endpoint) up() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("the development chain is closed")
	}
	if e.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", e.address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	e.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           e.handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * waitForBlock, // it would end the context of a request that waits longer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				e.conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				e.conns.Done()
			}
		},
	}
	e.server, e.cancel, e.served = server, cancel, make(chan struct{})
	go func(served chan struct{}) {
		defer close(served)
		_ = server.Serve(listener) // always ends with ErrServerClosed: only down ends it
	}(e.served)
	return nil
}

// down stops to serve, cuts every connection, after grace where a request is being answered, and waits until
// nothing of it runs any more.
func (e *endpoint) down(grace time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil
	}
	e.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = e.server.Close()
	}
	<-e.served
	e.conns.Wait()
	e.server = nil
	return err
}

// close ends it for good.
func (e *endpoint) close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	return e.down(shutdownGrace)
}

// gate applies an endpoint's faults to each request before the handler sees it.
func gate(hinder func() hindrance, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := hinder()
		if h.latency > 0 {
			timer := time.NewTimer(h.latency)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // an answer would be taken for one
			}
		}
		if h.status == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if h.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(h.retryAfter))
		}
		writeJSON(w, h.status, map[string]string{"message": http.StatusText(h.status)})
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the reader went away: nobody is left to tell
}
