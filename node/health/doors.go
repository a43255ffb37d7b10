package health

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"
)

// The paths at which anybody is told whether the node works, without credentials: they say nothing that is secret.
const (
	HealthzPath = "/healthz" // the process answers
	ReadyzPath  = "/readyz"  // what is served is what the chain says
	MetricsPath = "/metrics"
)

// Before answers the two questions after a node's health before another handler is asked.
func (o *Observer) Before(next http.Handler) http.Handler {
	return &before{Handler: next, ours: o.questions()}
}

type before struct {
	http.Handler
	ours http.Handler
}

func (b *before) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case HealthzPath, ReadyzPath:
		b.ours.ServeHTTP(w, r)
	default:
		b.Handler.ServeHTTP(w, r)
	}
}

// EndStreams ends the streams of the handler that is asked, where it has any: a server calls it when it is shut down.
func (b *before) EndStreams() {
	if h, has := b.Handler.(interface{ EndStreams() }); has {
		h.EndStreams()
	}
}

// Handler is what is answered at the address of the metrics: these, and the two questions.
func (o *Observer) Handler() http.Handler {
	router := o.questions()
	router.Handle(MetricsPath, o.metrics()).Methods(http.MethodGet, http.MethodHead)
	return router
}

func (o *Observer) questions() *mux.Router {
	router := mux.NewRouter()
	router.HandleFunc(HealthzPath, func(w http.ResponseWriter, _ *http.Request) { say(w, nil) }).Methods(http.MethodGet, http.MethodHead)
	router.HandleFunc(ReadyzPath, func(w http.ResponseWriter, _ *http.Request) { say(w, o.Ready()) }).Methods(http.MethodGet, http.MethodHead)
	return router
}

// say answers 200, or 503 and what is wrong.
func say(w http.ResponseWriter, wrong error) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if wrong != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, wrong) // who is gone needs no answer
		return
	}
	fmt.Fprintln(w, "ok")
}

// readyLag is for how long a view may be without what the chain has.
const readyLag = 2 * time.Minute

// Ready says why what is served may not be what the chain says; nil if it is. It asks nobody.
func (o *Observer) Ready() error {
	w := o.Watcher.State()
	switch {
	case w.Problem != "":
		return fmt.Errorf("the chain is not followed: %s", w.Problem) // its detail may name servers
	case !w.CaughtUp:
		return fmt.Errorf("the chain is followed up to round %d of %d", w.Cursor, w.Tip)
	case w.Lag.Time > readyLag:
		return fmt.Errorf("the chain is followed up to round %d of %d, %s behind", w.Cursor, w.Tip, w.Lag.Time.Round(time.Second))
	}
	return nil
}
