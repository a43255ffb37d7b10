package testnet

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// proxy stands between a node and algod: a test sees every request and decides what happens.
type proxy struct {
	url string

	mu     sync.Mutex
	before func(*http.Request) bool // false: the request is not passed on and its connection is cut
	after  func(*http.Request)      // when algod has answered, before the node knows
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	must(t, err)
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorLog: nil,
		ModifyResponse: func(r *http.Response) error {
			p.mu.Lock()
			after := p.after
			p.mu.Unlock()
			if after != nil {
				after(r.Request)
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		before := p.before
		p.mu.Unlock()
		if before != nil && !before(r) {
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	})}
	listener, err := listen()
	must(t, err)
	p.url = "http://" + listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { must(t, server.Close()); <-done })
	return p
}

// set changes what the proxy does.
func (p *proxy) set(before func(*http.Request) bool, after func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

func cut(*http.Request) bool { return false }
