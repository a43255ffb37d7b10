// Package console is the node's web page for people, at /-/: an organisation's name can't be "-", so it never stands in
// the way of an API root. It is Go's html/template, one style sheet and a little JavaScript, with nothing from
// elsewhere and nothing to be built. It knows no repository, peers or chain: what it shows it asks of small interfaces,
// which the node implements.
//
// A page is one file page_NAME.go with its model, its handlers and the interface that it asks; templates/NAME.html,
// which defines "main" (and "title", if it is not the route's); one line in [routes] (routes.go), one in [Rooms]
// (rooms.go) for its interface, and one in models_test.go, which makes the tests run it as everybody and with hostile
// data. In a template the dot is a [view], and .Model is what the handler gave to [visit.render]. All links are
// relative, pages are one segment deep, and what they are about stands in the query: that works behind any prefix, and
// no log has it. Anything unsafe is impossible rather than forbidden: there is no template.HTML, no inline script, no
// style attribute (write classes, or attributes of SVG), and GET changes nothing.
//
// console.go mounts, routes.go and rooms.go say what there is, guard.go who may ask, session.go who it is, page.go
// makes the answer.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/taxii"
)

// Prefix is the path below which the console is.
const Prefix = "/-/"

// Config says what a console is about. All but Origins, Clear, Meter and Now are needed.
type Config struct {
	Organisation string // its name
	Title        string // … for people
	Consortium   string // its name
	Node         string // what no other node has, for the name of its cookies: browsers send those of all on the same host

	Clients Clients
	Rooms   Rooms
	Hosts   door.Hosts    // the names by which it is called
	Origins []string      // further origins whose forms are taken, of proxies that rewrite Host: "https://name"
	Clear   bool          // everything would go over the network in the clear: nothing is answered but why not
	Stay    time.Duration // for how long an operator who came with a ticket is let in
	Log     *slog.Logger
	Meter   taxii.Meter
	Now     func() time.Time // time.Now if nil
}

// Clients knows who uses the node, under the limits and in the audit log of its other clients. A [taxii.Handler] is
// one.
type Clients interface {
	// Enter trades a password for a token.
	Enter(r *http.Request, user, password string) (taxii.Session, error)
	// Who tells whose a token is.
	Who(r *http.Request, token string) (taxii.Principal, error)
	// Confirm finds out whether a password is the user's.
	Confirm(r *http.Request, who taxii.Principal, password string) error
	// Leave ends a token.
	Leave(r *http.Request, who taxii.Principal, token string) error
	// Note records what somebody did.
	Note(r *http.Request, who taxii.Principal, e taxii.Event)
	// Secure tells whether the browser's connection is encrypted.
	Secure(r *http.Request) bool
	// Remote is the browser's address.
	Remote(r *http.Request) string
}

// Console answers browsers. Its methods may be called concurrently.
type Console struct {
	Config
	guard   guard
	pages   *pages
	logins  *logins
	order   []route // of the menu
	routes  map[string]route
	running chan struct{} // a place for each request that is answered
	streams chan struct{} // … and for each page that is told of news
	ended   chan struct{} // is closed when streams are to end
}

// requestsAtOnce bounds how many requests are answered at a time.
const requestsAtOnce = 64

// New makes a console.
func New(c Config) (*Console, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Clients == nil || c.Log == nil || c.Node == "" {
		return nil, errors.New("console: it needs clients, a log and the node's name")
	}
	made := &Console{
		Config: c, logins: newLogins(c.Node, c.Now), order: routes(), routes: map[string]route{},
		running: make(chan struct{}, requestsAtOnce), streams: make(chan struct{}, liveStreams), ended: make(chan struct{}),
	}
	var err error
	if made.guard, err = newGuard(c.Hosts, c.Origins); err != nil {
		return nil, err
	}
	if made.pages, err = parsePages(); err != nil {
		return nil, err
	}
	for _, one := range made.order {
		made.routes[one.path] = one
	}
	return made, nil
}

// EndStreams ends what is still being answered. It is called once, when the server shuts down.
func (c *Console) EndStreams() { close(c.ended) }

// Ticket makes a ticket with which who can read the repository comes in, once, within a minute.
func (c *Console) Ticket() (string, error) {
	if c.Clear {
		return "", errClear
	}
	return c.logins.issue(), nil
}

// ServeHTTP answers a request for [Prefix] or what is below it.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := &visit{console: c, w: &door.Recorder{ResponseWriter: w}, r: r, id: uuid.NewString()}
	c.guard.headers(w.Header())
	start := time.Now()
	err := door.Safely(func() error { return c.run(v) })
	begun := v.w.Status != 0
	if err != nil {
		err = c.sorry(v, err)
	}
	c.logAccess(v, time.Since(start), err)
	if err != nil && begun {
		panic(http.ErrAbortHandler) // the browser must see that its answer is not whole
	}
}

// run answers.
func (c *Console) run(v *visit) error {
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
	default:
		return &refusal{status: http.StatusServiceUnavailable, title: "Busy", text: "Too many pages are asked for at once. Try again."}
	}
	if c.Clear {
		return errClear
	}
	if err := c.guard.check(v.r, c.logins.has(v.r)); err != nil {
		return err
	}
	return c.dispatch(v)
}

// dispatch finds what is asked for, and whether this visitor may.
func (c *Console) dispatch(v *visit) error {
	path, under := strings.CutPrefix(v.r.URL.Path, Prefix)
	if !under { // "/-"
		return v.see("-/")
	}
	if file, is := strings.CutPrefix(path, "static/"); is {
		return c.pages.static(v, file)
	}
	one, there := c.routes[path]
	if !there {
		return taxii.ErrNotFound
	}
	v.route = one
	do := one.get
	switch v.r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		do = one.post
	default:
		do = nil
	}
	if do == nil {
		return &refusal{status: http.StatusMethodNotAllowed, title: "Not possible", text: "This page does not take that."}
	}
	letIn, err := c.identify(v)
	if err != nil || !letIn {
		return err
	}
	defer door.Keep(v.r.Context())()
	if v.r.Method == http.MethodPost {
		if proceed, err := c.read(v); err != nil || !proceed {
			return err
		}
		if err := v.takesTime(); err != nil {
			return err
		}
	}
	return do(c, v)
}

// actionTime is how long the answer to an action may take: the chain, or another's server, has the last word.
const actionTime = 10 * time.Minute

// takesTime lifts the server's limits: the one for reading would end the request, which has been read.
func (v *visit) takesTime() error {
	control := http.NewResponseController(v.w)
	err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Now().Add(actionTime)))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// identify finds out who asks. It is false if the answer was given: who is not known is sent to the login.
func (c *Console) identify(v *visit) (bool, error) {
	known, err := c.logins.who(v, c.Clients)
	switch {
	case v.route.role == taxii.RoleNone:
		return true, nil // a login that has ended is no obstacle to another one
	case errors.Is(err, taxii.ErrUnauthorized), err == nil && !known:
		c.logins.forget(v)
		return false, v.see("login" + thenOf(v.r))
	case err != nil:
		return false, err
	case !v.route.lets(v.who):
		return false, taxii.ErrForbidden
	}
	return true, nil
}

// Mount puts the console before what else is at the same address: it has /-/, and browsers that ask for / find it.
func (c *Console) Mount(rest http.Handler) http.Handler { return &mounted{c, rest} }

type mounted struct {
	console *Console
	rest    http.Handler
}

func (m *mounted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, Prefix), r.URL.Path == strings.TrimSuffix(Prefix, "/"):
		m.console.ServeHTTP(w, r)
	case r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html"):
		w.Header().Set("Location", "-/")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusSeeOther)
	default:
		m.rest.ServeHTTP(w, r)
	}
}

// EndStreams ends the streams of both: a server calls it when it shuts down, and it can't see through this.
func (m *mounted) EndStreams() {
	m.console.EndStreams()
	if rest, has := m.rest.(interface{ EndStreams() }); has {
		rest.EndStreams()
	}
}

// logAccess says what was asked for and what came of it. Queries, which name objects, and forms are in no log.
func (c *Console) logAccess(v *visit, took time.Duration, err error) {
	level, attrs := slog.LevelDebug, []slog.Attr{
		slog.String("request_id", v.id), slog.String("method", v.r.Method), slog.String("route", Prefix+v.route.path),
		slog.Int("status", v.w.Status), slog.Duration("took", took), slog.String("user", v.who.User), slog.String("remote", v.r.RemoteAddr),
	}
	if v.w.Status >= http.StatusBadRequest {
		level = slog.LevelInfo
	}
	failed := v.w.Status >= http.StatusInternalServerError || v.w.Status == http.StatusOK // in the midst of the answer
	if err != nil && failed && !errors.Is(err, context.Canceled) {
		level, attrs = slog.LevelError, append(attrs, slog.Any("error", err))
	}
	c.Log.LogAttrs(v.r.Context(), level, "console request", attrs...)
	if c.Meter != nil {
		c.Meter.Served(v.r.Method, Prefix+v.route.path, v.w.Status, took)
	}
}
