// Package taxii is a TAXII 2.1 server and client.
//
// The server, a [Handler], serves the whole of the standard's section 4 and 5 over what a [Store] holds, passes objects
// that are added to a [Publisher], and offers accounts under /v1. Beyond the standard, a collection has an export for
// firewalls and the like, and a stream of what enters it. It knows nothing of where objects come from or go to, and
// holds no state of its own that a restart would lose.
//
// Where the standard leaves a choice or contradicts itself:
//
//   - A page comes with next whenever it comes with more, also of manifests and
//     versions: clients that get no next start again from the first page.
//   - An empty page has no X-TAXII-Date-Added headers, as it has no dates.
//   - Versions are listed in the order of their date_added, like objects.
//   - An object or version path of an unknown object is a 404; if the object is
//     there and a filter hides it, the answer is empty.
//   - An envelope without objects is refused with 422.
//   - Adding objects takes no parameters: one that asked for less than
//     publishing them must not be ignored.
//   - DELETE takes every version of an object out unless match[version] says
//     which; what it leaves nothing to delete of is a 404.
//   - DELETE takes the standard's parameters only, for the same reason.
//   - Where withdrawing takes longer than a request may wait, DELETE is answered
//     with 202 and a status resource, like POST.
package taxii

import (
	"compress/gzip"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/semaphore"

	"github.com/serviceledger/slnode/internal/door"
)

// Config is what a [Handler] is made of. Store, Publisher, Authenticator and CursorKey are required.
type Config struct {
	// Title, Description and Contact are shown by discovery. Title is "TAXII server" if it is empty.
	Title, Description, Contact string
	// DefaultRoot is the name of the API root that discovery names as the default, to those who may know of it.
	DefaultRoot string

	Store         Store
	Publisher     Publisher
	Withdrawer    Withdrawer // nil: DELETE is answered with 405
	Rehearser     Rehearser  // nil: dry_run is no parameter
	Searcher      Searcher   // nil: nothing is looked up
	Feedback      Feedback   // nil: nothing is said of objects
	Sightings     Sightings  // nil: nothing is seen
	Members       Members    // nil: nobody is rated
	Watch         Watch      // nil: nothing is watched for
	Exporter      Exporter   // nil: collections have no export
	Remover       Remover    // nil: streams don't tell what left
	Observer      Observer   // nil: collections have no stream
	Authenticator Authenticator
	Accounts      Accounts // nil: there are no accounts under /v1
	Owner         Owner    // nil: collections are not made over HTTP
	Auditor       Auditor  // nil: nobody keeps an audit log
	Meter         Meter    // nil: nobody counts

	// CursorKey is a secret of at least 16 bytes that the cursors of pages are made with. It must outlive restarts, as
	// clients keep cursors for days.
	CursorKey []byte
	// Spool is the folder in which the bodies of large requests are while they are worked on, encrypted; that for
	// temporary files if it is empty. Room says whether its disk has room for more; nil: it does.
	Spool string
	Room  func() error
	// MaxContentLength bounds the body of a request, in bytes, inflated. 100 MiB if it is 0.
	MaxContentLength int64
	// Pages bounds the length of pages.
	Pages PageLimits
	// RateLimit is how many requests a second one credential, or one address
	// without a good one, may make; twice as many at once. 0 is no limit.
	RateLimit int
	// TrustedProxies are networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix
	// Hosts are the names by which browsers may call the server.
	Hosts door.Hosts
	// AllowedOrigins lists the web origins whose scripts may use the server (CORS); "*" is any. None if it is empty.
	AllowedOrigins []string

	Log *slog.Logger     // slog's default if nil
	Now func() time.Time // time.Now if nil
}

// PageLimits is how many records a page holds at most.
type PageLimits struct {
	Default int // if the client sets no limit; 1,000 if 0
	Max     int // whatever the client's limit; 10,000 if 0
}

// Handler serves TAXII 2.1 and the accounts API. Its methods may be called concurrently.
type Handler struct {
	title, description, contact, defaultRoot string

	store      Store
	publisher  Publisher
	withdrawer Withdrawer
	rehearser  Rehearser
	searcher   Searcher
	feedback   Feedback
	sightings  Sightings
	members    Members
	watch      Watch
	exporter   Exporter
	remover    Remover
	observer   Observer
	streams    *streams
	accounts   Accounts
	owner      Owner
	audit      Auditor
	meter      Meter
	gate       *gate
	cursors    cursors
	pages      PageLimits
	hosts      door.Hosts
	origins    []string
	log        *slog.Logger
	now        func() time.Time

	spool            string
	room             func() error
	maxContentLength int64
	requests         *seats              // of those who are known
	bodies           *budget             // bytes of request bodies at once
	answers          *budget             // … of answers
	statuses         *semaphore.Weighted // that are made at once
	exports          *budget             // … lists
	compressing      *semaphore.Weighted // answers
	gzips            sync.Pool

	router *mux.Router
}

// NewHandler makes a handler, or says what the configuration lacks.
func NewHandler(c Config) (*Handler, error) {
	switch {
	case c.Store == nil, c.Publisher == nil, c.Authenticator == nil:
		return nil, errors.New("taxii: a handler needs a store, a publisher and an authenticator")
	case len(c.CursorKey) < 16:
		return nil, errors.New("taxii: the cursor key is shorter than 16 bytes")
	}
	c = c.withDefaults()
	h := &Handler{
		title:            c.Title,
		description:      c.Description,
		contact:          c.Contact,
		defaultRoot:      c.DefaultRoot,
		store:            limited{c.Store},
		publisher:        c.Publisher,
		withdrawer:       c.Withdrawer,
		rehearser:        c.Rehearser,
		searcher:         c.Searcher,
		feedback:         c.Feedback,
		sightings:        c.Sightings,
		members:          c.Members,
		watch:            c.Watch,
		exporter:         c.Exporter,
		remover:          c.Remover,
		observer:         c.Observer,
		streams:          newStreams(),
		accounts:         c.Accounts,
		owner:            c.Owner,
		audit:            c.Auditor,
		meter:            c.Meter,
		cursors:          cursors{key: slices.Clone(c.CursorKey)},
		pages:            c.Pages,
		hosts:            c.Hosts,
		origins:          slices.Clone(c.AllowedOrigins),
		log:              c.Log,
		now:              c.Now,
		spool:            c.Spool,
		room:             c.Room,
		maxContentLength: c.MaxContentLength,
	}
	h.gate = newGate(c.Authenticator, c.RateLimit, slices.Clone(c.TrustedProxies), h.now)
	h.requests = newSeats(requestsAtOnce, requestsOfUser)
	h.bodies = newBudget(bodiesAtOnce*h.maxContentLength, bodiesOfUser*h.maxContentLength)
	h.answers = newBudget(answersBytes, answersOfUser)
	h.exports = newBudget(exportsAtOnce, exportsOfUser)
	h.statuses = semaphore.NewWeighted(statusesAtOnce)
	h.compressing = semaphore.NewWeighted(gzipsAtOnce)
	h.gzips.New = func() any {
		z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // fails only for a level that does not exist
		return z
	}
	h.router = h.routes()
	return h, nil
}

// SetRateLimit changes how many requests a second one credential may make.
func (h *Handler) SetRateLimit(rate int) { h.gate.limit(rate) }

// withDefaults fills in what the configuration leaves open.
func (c Config) withDefaults() Config {
	if c.Title == "" {
		c.Title = "TAXII server"
	}
	if c.Pages.Max <= 0 {
		c.Pages.Max = 10_000
	}
	if c.Pages.Default <= 0 {
		c.Pages.Default = 1_000
	}
	c.Pages.Default = min(c.Pages.Default, c.Pages.Max)
	if c.MaxContentLength <= 0 {
		c.MaxContentLength = 100 << 20
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Forget makes the handler ask its authenticator again about the user's credentials. Call it when an account is removed
// or its password or role changes, after the change is durable.
func (h *Handler) Forget(user string) { h.gate.known.forget(user) }

// slash is the end of every route.
const slash = "{slash:/?}"

// routes maps paths to what is there. The standard's paths end in a slash; they work without it too, and not by a
// redirect, which turns a POST into a GET.
func (h *Handler) routes() *mux.Router {
	r := mux.NewRouter().SkipClean(true)
	add := func(path string, serve endpoint) {
		r.Handle(path+slash, serve)
	}
	add("/taxii2", h.open(methods{http.MethodGet: h.getDiscovery}))
	add("/v1", h.account(methods{http.MethodGet: h.getVersion}))
	add("/v1/openapi.json", h.entrance(methods{http.MethodGet: h.getOpenAPI}))
	if h.accounts != nil {
		add("/v1/login", h.entrance(methods{http.MethodPost: h.postLogin}))
		add("/v1/logout", h.account(methods{http.MethodPost: h.postLogout}))
		add("/v1/signup/admin", h.entrance(methods{http.MethodPost: h.postSignupAdmin}))
		add("/v1/signup/{org}/user", h.administered(methods{http.MethodPost: h.postSignupUser}))
		add("/v1/{org}/users", h.administered(methods{http.MethodGet: h.getUsers}))
		add("/v1/{org}/users/{username}", h.administered(methods{http.MethodDelete: h.deleteUser}))
		for _, path := range []string{"/v1/{org}/algo_account", "/v1/{org}/admin/algo_account"} { // the latter in its first release
			add(path, h.administered(methods{http.MethodGet: h.getAlgoAccount}))
		}
	}
	if h.audit != nil {
		add("/v1/{org}/audit", h.administered(methods{http.MethodGet: h.getAudit}))
	}
	h.appraisals(add)
	root, collections := methods{http.MethodGet: h.getRoot}, methods{http.MethodGet: h.getCollections}
	if h.owner != nil {
		root[http.MethodPost], collections[http.MethodPost] = h.postRoot, h.postCollection
	}
	const collection = "/{root}/collections/{collection}"
	add("/{root}", h.rooted(root))
	add("/{root}/status/{status}", h.rooted(methods{http.MethodGet: h.getStatus}))
	add("/{root}/collections", h.rooted(collections))
	add(collection, h.rooted(methods{http.MethodGet: h.getCollection}))
	add(collection+"/manifest", h.rooted(methods{http.MethodGet: h.getManifest}))
	add(collection+"/objects", h.rooted(methods{http.MethodGet: h.getObjects, http.MethodPost: h.postObjects}))
	object := methods{http.MethodGet: h.getObject}
	if h.withdrawer != nil {
		object[http.MethodDelete] = h.deleteObject
	}
	add(collection+"/objects/{object}", h.rooted(object))
	add(collection+"/objects/{object}/versions", h.rooted(methods{http.MethodGet: h.getVersions}))
	if h.exporter != nil {
		add(collection+"/export", h.rootedIn(anyMedia, methods{http.MethodGet: h.getExport}))
	}
	if h.observer != nil {
		add(collection+"/stream", h.rootedIn(anyMedia, methods{http.MethodGet: h.getStream}))
	}
	r.NotFoundHandler = endpoint(h.nowhere)
	return r
}

// appraisals are the resources of what objects are worth: who says the same, who has seen it, whom it concerns.
func (h *Handler) appraisals(add func(path string, serve endpoint)) {
	if h.searcher != nil {
		add("/v1/{org}/lookup", h.account(methods{http.MethodGet: h.getLookup, http.MethodPost: h.postLookup}))
	}
	if h.feedback != nil {
		add("/v1/{org}/feedback", h.account(methods{http.MethodGet: h.getGiven, http.MethodPost: h.postFeedback}))
		add("/v1/{org}/inbox", h.account(methods{http.MethodGet: h.getInbox, http.MethodPost: h.postAnswer}))
	}
	if h.sightings != nil {
		add("/v1/{org}/hits", h.account(methods{http.MethodGet: h.getHits, http.MethodPost: h.postHits}))
		add("/v1/{org}/sightings", h.account(methods{http.MethodGet: h.getSightings}))
	}
	if h.watch != nil {
		add("/v1/{org}/watch", h.account(methods{http.MethodGet: h.getWatch, http.MethodPost: h.postWatch}))
		add("/v1/{org}/watch/matches", h.account(methods{http.MethodGet: h.getWatchMatches}))
	}
	if h.members != nil {
		add("/v1/{org}/members", h.account(methods{http.MethodGet: h.getMembers}))
		add("/v1/{org}/members/{member}", h.account(methods{http.MethodGet: h.getMembers, http.MethodPost: h.postMember}))
	}
}

// methods is what a resource does, by HTTP method. HEAD goes as GET.
type methods map[string]endpoint

// allow lists the methods for the Allow header.
func (m methods) allow() string {
	allowed := []string{http.MethodOptions}
	for method := range m {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return strings.Join(allowed, ", ")
}

// serve does what the request's method asks for.
func (m methods) serve(x *exchange) error { return m.serveIn(acceptsTAXII, x) }

// anyMedia is for resources that are in a media type of their own, whatever the
// client says: most of those that ask for them say nothing of use.
func anyMedia(http.Header) bool { return true }

// serveIn is serve for resources whose media type the client must accept.
func (m methods) serveIn(accepts func(http.Header) bool, x *exchange) error {
	method := x.r.Method
	switch method {
	case http.MethodOptions:
		x.w.Header().Set("Allow", m.allow())
		x.w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodHead:
		method = http.MethodGet
	}
	do, ok := m[method]
	if !ok {
		return problemf(http.StatusMethodNotAllowed, "This resource answers %s.", m.allow()).with("Allow", m.allow())
	}
	if !accepts(x.r.Header) {
		return problemf(http.StatusNotAcceptable, "This server answers in %s only.", MediaType)
	}
	return do(x)
}

// open serves a resource that needs no credentials. Wrong ones are refused all
// the same, so that whoever checks theirs here is not misled.
func (h *Handler) open(m methods) endpoint {
	return func(x *exchange) error {
		if err := h.authenticate(x); err != nil && !errors.Is(err, errNoCredentials) {
			return err
		}
		return m.serve(x)
	}
}

// rooted serves a resource of an API root. Nothing about it shows without
// credentials, and nothing about the root to whom it is not known.
func (h *Handler) rooted(m methods) endpoint { return h.rootedIn(acceptsTAXII, m) }

// rootedIn is rooted for resources whose media type the client must accept.
func (h *Handler) rootedIn(accepts func(http.Header) bool, m methods) endpoint {
	return func(x *exchange) error {
		err := h.authenticate(x)
		if err != nil {
			return err
		}
		if x.root, err = h.store.Root(x.r.Context(), x.who, x.variable("root")); err != nil {
			return err
		}
		return m.serveIn(accepts, x)
	}
}

// nowhere answers for the paths where there is nothing.
func (h *Handler) nowhere(x *exchange) error {
	if err := h.authenticate(x); err != nil {
		return err
	}
	return ErrNotFound
}

// authenticate finds out who makes the request, and counts it.
func (h *Handler) authenticate(x *exchange) error {
	login, err := h.identify(x)
	if limit := h.gate.admit(x.r, x.who); limit != nil {
		return limit
	}
	switch {
	case err != nil:
		user, credential := claimed(x.r)
		h.noteRefusal(x, user, credential, err)
	case login:
		h.note(x, Event{Name: EventLogin})
	}
	if err != nil {
		return err
	}
	return h.attend(x)
}

// requestsAtOnce is how many requests are answered at a time, and requestsOfUser how many of one user's: each holds
// some memory for as long as its answer is read.
const (
	requestsAtOnce = 1024
	requestsOfUser = 128
)

// attend gives somebody who is known a place, and keeps the connection from being given to another.
func (h *Handler) attend(x *exchange) error {
	leave, ok := h.requests.take(x.who.User)
	if !ok {
		return retryLater(http.StatusTooManyRequests, time.Second, "Too many requests are open at once.")
	}
	letGo := door.Keep(x.r.Context())
	x.leave = func() {
		letGo()
		leave()
	}
	return nil
}

// identify finds out who makes the request. login is as [gate.authenticate] tells it.
func (h *Handler) identify(x *exchange) (login bool, err error) {
	x.who, login, err = h.gate.authenticate(x.r)
	return login, err
}
