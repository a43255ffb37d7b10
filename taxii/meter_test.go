package taxii

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
)

// meter writes down what it is told.
type meter struct {
	mu   sync.Mutex
	told []string
}

func (m *meter) Served(method, route string, status int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = append(m.told, fmt.Sprintf("%s %s %d %t", method, route, status, took > 0))
}

func (m *meter) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// A client can't make up what requests are counted under, but for the method.
func TestRequestsAreToldByTheirRoutes(t *testing.T) {
	m := &meter{}
	f := newFixture(t, func(c *Config) { c.Meter = m })
	f.get(boxPath+"objects/?match[id]=x", "Authorization: Bearer tok-paul")
	f.get(strings.TrimSuffix(boxPath, "/"), "Authorization: Bearer tok-paul")
	f.anonymous(http.MethodGet, "/acme/", "")
	f.anonymous(http.MethodGet, "/a/b/c/d/e", "")
	f.anonymous("SPY", "/taxii2", "")
	want := []string{
		"GET /{root}/collections/{collection}/objects 200 true", "GET /{root}/collections/{collection} 200 true", "GET /{root} 401 true", "GET  401 true", "SPY /taxii2 405 true",
	}
	waiting.See(t, func() (bool, string) { return len(m.all()) == len(want), fmt.Sprint(m.all()) })
	if got := m.all(); !slices.Equal(got, want) {
		t.Errorf("it is told %q, want %q", got, want)
	}
}

// The log tells what was refused; what went well is counted.
func TestRequestsThatWentWellAreLoggedAtDebugOnly(t *testing.T) {
	f := newFixture(t)
	f.get("/acme/", "Authorization: Bearer tok-paul").want(t, http.StatusOK)
	f.anonymous(http.MethodGet, "/acme/", "")
	waiting.Until(t, "both are logged", func() bool { return strings.Count(f.log.String(), "http request") == 2 })
	log := f.log.String()
	if first, second, _ := strings.Cut(log, "\n"); !strings.Contains(first, "level=DEBUG") || !strings.Contains(second, "level=INFO") || !strings.Contains(second, "status=401") {
		t.Errorf("the log says %s", log)
	}
}
