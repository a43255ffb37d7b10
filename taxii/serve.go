package taxii

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/serviceledger/slnode/internal/door"
)

// ServeHTTP answers a request. It gives it an id, runs the endpoint of its path, turns an error or a panic into an
// error resource, and logs what came of it. No credential and no query string is logged.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{
		w:       &door.Recorder{ResponseWriter: w},
		control: http.NewResponseController(w),
		id:      uuid.NewString(),
	}
	x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	setHeaders(w.Header(), x.id)

	start := time.Now()
	var err error
	defer func() {
		if x.leave != nil {
			x.leave()
		}
		took := time.Since(start)
		h.logAccess(x, took, err)
		if h.meter != nil {
			h.meter.Served(x.r.Method, routeOf(x.r), x.w.Status, took)
		}
	}()
	err = door.Safely(func() error { return h.run(x) })
	switch {
	case err == nil:
	case x.w.Status != 0, x.left(err):
		// Either the client must see that its answer is not whole, or it is not there to see one.
		panic(http.ErrAbortHandler)
	default:
		h.sendProblem(x, problemOf(err))
	}
}

// Meter counts requests.
type Meter interface {
	// Served is told the path as the protocol writes it, such as "/{root}/collections", or "" if there is none like it,
	// and the answer's status, or 0 if there was none. Only the method is the client's own word.
	Served(method, route string, status int, took time.Duration)
}

// routeOf is the route by which a request was answered.
func routeOf(r *http.Request) string {
	route := mux.CurrentRoute(r)
	if route == nil {
		return ""
	}
	path, err := route.GetPathTemplate()
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, slash)
}

// left tells whether the request failed because the client is gone.
func (x *exchange) left(err error) bool {
	return errors.Is(err, context.Canceled) && x.r.Context().Err() != nil
}

// run serves the request.
func (h *Handler) run(x *exchange) error {
	if h.hosts.Misdirected(x.r, !carriesCredentials(x.r)) {
		return problemf(http.StatusMisdirectedRequest, "%s", door.Remedy(x.r))
	}
	if h.crossOrigin(x) {
		return nil
	}
	h.router.ServeHTTP(x.w, x.r)
	return x.err
}

// exchange is one request and the answer to it.
type exchange struct {
	w       *door.Recorder
	r       *http.Request
	control *http.ResponseController
	id      string // stands in the log and in error resources

	who      Principal
	leave    func() // gives its place away, if it has one
	root     Root   // of paths below an API root
	accounts bool   // the path is one of the accounts API
	err      error  // what its endpoint returned
}

// variable returns the part of the path that has the name in the route.
func (x *exchange) variable(name string) string { return mux.Vars(x.r)[name] }

type exchangeKey struct{}

// endpoint serves a path. Its error becomes the answer.
type endpoint func(*exchange) error

// ServeHTTP is how the router runs an endpoint, inside of [Handler.ServeHTTP].
func (e endpoint) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	x := r.Context().Value(exchangeKey{}).(*exchange)
	x.r = r // with what the router found out
	x.err = e(x)
}

// setHeaders sets the headers that every answer has. What is served is of
// concern to its reader alone and nothing that a browser should interpret.
func setHeaders(header http.Header, id string) {
	header.Set("X-Request-Id", id)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
}

// maxLoggedPath bounds what a hostile path adds to the log.
const maxLoggedPath = 256

func (h *Handler) logAccess(x *exchange, took time.Duration, err error) {
	path := x.r.URL.Path
	attrs := []slog.Attr{
		slog.String("request_id", x.id),
		slog.String("method", x.r.Method),
		slog.String("path", path[:min(len(path), maxLoggedPath)]),
		slog.Int("status", x.w.Status),
		slog.Int64("bytes", x.w.Bytes),
		slog.Duration("took", took),
		slog.String("user", x.who.User),
		slog.String("remote", x.r.RemoteAddr),
	}
	level := slog.LevelDebug // what goes well is counted; who did what is in the audit log
	if x.w.Status >= http.StatusBadRequest {
		level = slog.LevelInfo
	}
	if err != nil && !x.left(err) && problemOf(err).status == http.StatusInternalServerError {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", err))
	}
	h.log.LogAttrs(x.r.Context(), level, "http request", attrs...)
}
