// Package gateway is a proxy in front of any algod or indexer that answers in the server's place, or changes what it
// says, by rules: everything that gateways, caches, providers, restored databases and liars do to a node. It stands in
// front of the development chain and of a real network alike, so that one test runs on both.
package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Gateway stands before one server. Its methods are safe for concurrent use.
type Gateway struct {
	target  *url.URL
	url     string
	server  *http.Server
	forward *httputil.ReverseProxy
	client  *http.Client
	done    chan struct{}
	closed  chan struct{} // ends what is silent

	round atomic.Uint64 // the server's last, as far as it has told through here

	mu       sync.Mutex
	rules    []*rule
	requests []Request
	identity [2]string // a header and what it is for everybody who comes through
}

// Request is one that reached the gateway.
type Request struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // "GET /v2/transactions?limit=1000"
}

// Start puts a gateway before the server at a URL, on a free port of loopback or at the given address.
func Start(target string, listen ...string) (*Gateway, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a server", target)
	}
	listener, err := net.Listen("tcp", append(listen, "127.0.0.1:0")[0])
	if err != nil {
		return nil, fmt.Errorf("listening as a gateway: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.DisableCompression = true // what is changed must be readable
	g := &Gateway{
		target: u, url: "http://" + listener.Addr().String(), done: make(chan struct{}), closed: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: time.Minute},
	}
	g.forward = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: g.change,
		FlushInterval:  -1, // what is cut off shall be seen first
		ErrorLog:       log.New(io.Discard, "", 0),
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g.server = &http.Server{Handler: http.HandlerFunc(g.serve), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(g.done)
		_ = g.server.Serve(listener) // it ends when it is closed
	}()
	return g, nil
}

// URL is where the gateway is.
func (g *Gateway) URL() string { return g.url }

// Identify has everybody identify themselves to the server by a header, as where people may only come through here.
func (g *Gateway) Identify(header, token string) {
	g.mu.Lock()
	g.identity = [2]string{header, token}
	g.mu.Unlock()
}

// Close ends it, with all connections.
func (g *Gateway) Close() error {
	close(g.closed)
	err := g.server.Close()
	<-g.done
	return err
}

// Set puts rules in force, in the place of those before. Without any, the gateway is honest.
func (g *Gateway) Set(rules ...Rule) error {
	made := make([]*rule, len(rules))
	for i, r := range rules {
		pattern, err := regexp.Compile(r.Match)
		if err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
		made[i] = &rule{Rule: r, pattern: pattern}
		if r.Rate > 0 {
			made[i].rate = rate.NewLimiter(rate.Limit(r.Rate), max(1, int(r.Rate)))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rules = made
	return nil
}

// Requests lists those whose method, path and query match a regular expression, since the start or since Forget.
func (g *Gateway) Requests(pattern string) []Request {
	match := regexp.MustCompile(pattern)
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.requests), func(r Request) bool { return !match.MatchString(r.What) })
}

// Forget begins to count requests anew.
func (g *Gateway) Forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = nil
}

// maxRequests bounds what is remembered of them.
const maxRequests = 1 << 20

// due notes a request and gives the rules that apply to it.
func (g *Gateway) due(r *http.Request) (due []*rule) {
	what := r.Method + " " + r.URL.RequestURI()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.requests) < maxRequests {
		g.requests = append(g.requests, Request{time.Now(), what})
	}
	for _, one := range g.rules {
		if one.applies(what, g.round.Load()) {
			due = append(due, one)
		}
	}
	return due
}

// rulesKey is where a request carries the rules that change its answer.
type rulesKey struct{}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if header, token := g.identity[0], g.identity[1]; token != "" {
		r.Header.Set(header, token)
	}
	g.mu.Unlock()
	due := g.due(r)
	for _, one := range due {
		if !g.before(one, w, r) {
			return
		}
	}
	g.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), rulesKey{}, due)))
}

// change applies rules to the server's answer.
func (g *Gateway) change(response *http.Response) error {
	due, _ := response.Request.Context().Value(rulesKey{}).([]*rule)
	if len(due) == 0 && !g.needsRounds() {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	g.note(body)
	for _, one := range due {
		body = g.after(one, response, body)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	for _, one := range due {
		if one.CutAfter > 0 && one.CutAfter < len(body) { // the length that was promised stays
			response.Body = io.NopCloser(&cut{bytes.NewReader(body[:one.CutAfter])})
		}
	}
	return nil
}

// cut ends as a connection does that breaks.
type cut struct{ *bytes.Reader }

func (c *cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (g *Gateway) needsRounds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.rules, func(r *rule) bool { return r.From > 0 || r.Until > 0 })
}

var lastRound = regexp.MustCompile(`"(?:current-round|last-round)":\s*([0-9]+)`)

// note remembers the last round that an answer tells of.
func (g *Gateway) note(body []byte) {
	if found := lastRound.FindSubmatch(body); found != nil {
		if round, err := strconv.ParseUint(string(found[1]), 10, 64); err == nil && round > g.round.Load() {
			g.round.Store(round)
		}
	}
}

// ask asks the server itself, with the headers of a request, and reads what it answers as JSON.
func (g *Gateway) ask(r *http.Request, path string) (map[string]any, error) {
	u := *g.target
	u.Path += path
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Accept-Encoding")
	response, err := g.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return object(body), nil
}

// object reads JSON; nil if it is none. Numbers stay as they are: as floats, large ones would change.
func object(body []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var o map[string]any
	if decoder.Decode(&o) != nil {
		return nil
	}
	return o
}

// number is a JSON number as a round.
func number(v any) uint64 {
	n, _ := v.(json.Number)
	round, _ := strconv.ParseUint(n.String(), 10, 64)
	return round
}
