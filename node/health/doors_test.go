package health

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/node/internal/nodetest"
)

// answer asks a handler, without credentials.
func answer(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	text, err := io.ReadAll(w.Body)
	nodetest.Must(t, err)
	return w.Code, string(text)
}

func TestANodeIsReadyOnceTheChainWasFollowedToItsEndAndWhileItIs(t *testing.T) {
	for name, c := range map[string]struct {
		chain chainwatch.State
		says  string
	}{
		"it has not begun":         {chainwatch.State{}, "the chain is followed up to round 0 of 0"},
		"it catches up":            {chainwatch.State{Cursor: 5, Tip: 9}, "the chain is followed up to round 5 of 9"},
		"it is at the end":         {chainwatch.State{Cursor: 9, Tip: 9, CaughtUp: true}, ""},
		"a round comes":            {chainwatch.State{Cursor: 9, Tip: 10, CaughtUp: true, Lag: chainwatch.Lag{Rounds: 1, Time: 2 * time.Second}}, ""},
		"the indexer is away":      {chainwatch.State{Cursor: 9, Tip: 9, CaughtUp: true, Problem: "indexer", Detail: "https://secret.example"}, "the chain is not followed: indexer"},
		"it falls behind silently": {chainwatch.State{Cursor: 9, Tip: 99, CaughtUp: true, Lag: chainwatch.Lag{Rounds: 90, Time: 252 * time.Second}}, "round 9 of 99, 4m12s behind"},
	} {
		o := newObserved(t)
		o.parts.chain = c.chain
		code, text := answer(t, o.Handler(), http.MethodGet, ReadyzPath)
		want := http.StatusOK
		if c.says != "" {
			want = http.StatusServiceUnavailable
		}
		if code != want || !strings.Contains(text, c.says) || strings.Contains(text, "secret") {
			t.Errorf("%s: %d %q", name, code, text)
		}
		if code, text := answer(t, o.Handler(), http.MethodGet, HealthzPath); code != http.StatusOK || text != "ok\n" {
			t.Errorf("%s: the process answers %d %q", name, code, text)
		}
	}
}

func TestNothingElseIsAnsweredWhereTheMetricsAre(t *testing.T) {
	o := newObserved(t)
	for path, want := range map[string]int{
		"/metrics": 200, "/healthz": 200, "/readyz": 503, "/": 404, "/metrics/": 404, "/metrics/x": 404, "/admin/status": 404, "/healthz/": 404,
		"/debug/pprof/": 404, "/taxii2/": 404,
	} {
		if code, text := answer(t, o.Handler(), http.MethodGet, path); code != want {
			t.Errorf("%s is answered %d: %.80s", path, code, text)
		}
		if code, _ := answer(t, o.Handler(), http.MethodPost, path); code == http.StatusOK {
			t.Errorf("a POST to %s succeeds", path)
		}
	}
}

func TestClientsAreServedAsBeforeBesideTheQuestionsAfterHealth(t *testing.T) {
	o := newObserved(t)
	h := o.Before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "taxii "+r.URL.EscapedPath()) }))
	for _, path := range []string{"/", "/taxii2/", "/metrics", "/healthz/", "//healthz", "/acme//x/", "/acme/a%2Fb/"} {
		if code, text := answer(t, h, http.MethodGet, path); code != http.StatusOK || text != "taxii "+path {
			t.Errorf("%s is answered %d %q", path, code, text)
		}
	}
	if code, text := answer(t, h, http.MethodGet, HealthzPath); code != http.StatusOK || text != "ok\n" {
		t.Errorf("the process answers %d %q", code, text)
	}
	if code, _ := answer(t, h, http.MethodGet, ReadyzPath); code != http.StatusServiceUnavailable {
		t.Errorf("a node that follows nothing is ready: %d", code)
	}
}
