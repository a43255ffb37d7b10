package taxii

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/waiting"
)

// Checklist 1.4: with and without the slash, by no redirect.
func TestPathsWorkWithAndWithoutTrailingSlash(t *testing.T) {
	f := newFixture(t)
	s := f.post(indicator(1, 1))
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, path := range []string{
		"/taxii2", "/acme", "/acme/status/" + s.ID, "/acme/collections", "/acme/collections/" + boxID, "/acme/collections/box",
		boxPath + "manifest", boxPath + "objects", boxPath + "objects/" + indicatorID(1), boxPath + "objects/" + indicatorID(1) + "/versions",
	} {
		for _, path := range []string{path, path + "/"} {
			a := f.doAs(direct, http.MethodGet, path, nil, "Authorization: Bearer tok-paul")
			if a.status != http.StatusOK || a.header.Get("Content-Type") != MediaType {
				t.Errorf("GET %s: %d %s", path, a.status, a.header.Get("Content-Type"))
			}
		}
	}
	for _, path := range []string{boxPath + "objects", boxPath + "objects/"} {
		f.do(http.MethodPost, path, `{"objects":[`+indicator(1, 1)+`]}`).want(t, http.StatusAccepted)
	}
}

// Checklist 1.7: HEAD says what GET says, without the body.
func TestHeadAnswersLikeGetWithoutBody(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	for _, path := range []string{"/taxii2/", "/acme/", boxPath, boxPath + "objects/", boxPath + "manifest/", "/acme/collections/nowhere/"} {
		get, head := f.get(path), f.do(http.MethodHead, path, "")
		if head.status != get.status || len(head.body) != 0 {
			t.Errorf("HEAD %s: %d with %d bytes, GET %d", path, head.status, len(head.body), get.status)
		}
		for _, name := range []string{"Content-Type", "X-TAXII-Date-Added-First", "Content-Length"} {
			if name == "Content-Length" && get.status != http.StatusOK {
				continue // the error ids differ
			}
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("HEAD %s: %s %q, GET %q", path, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
}

// Checklist 1.7: other methods are answered with 405 and Allow, OPTIONS with Allow.
func TestOtherMethodsAreToldWhatIsAllowed(t *testing.T) {
	f := newFixture(t)
	object := boxPath + "objects/" + indicatorID(1) + "/"
	for _, test := range []struct{ path, allow string }{
		{"/taxii2/", "GET, HEAD, OPTIONS"},
		{"/acme/", "GET, HEAD, OPTIONS, POST"},
		{"/acme/collections/", "GET, HEAD, OPTIONS, POST"},
		{boxPath + "manifest/", "GET, HEAD, OPTIONS"},
		{boxPath + "objects/", "GET, HEAD, OPTIONS, POST"},
		{object, "DELETE, GET, HEAD, OPTIONS"},
	} {
		for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete, "PROPFIND"} {
			if strings.Contains(test.allow, method) {
				continue
			}
			a := f.do(method, test.path, "")
			a.wantProblem(t, http.StatusMethodNotAllowed)
			if got := a.header.Get("Allow"); got != test.allow {
				t.Errorf("%s %s: Allow %q, want %q", method, test.path, got, test.allow)
			}
		}
		a := f.do(http.MethodOptions, test.path, "")
		a.want(t, http.StatusNoContent)
		if got := a.header.Get("Allow"); got != test.allow {
			t.Errorf("OPTIONS %s: Allow %q, want %q", test.path, got, test.allow)
		}
	}
}

// Checklist 1.5.
func TestRequestsWithoutUserAgentAreServed(t *testing.T) {
	newFixture(t).get("/acme/", "User-Agent: ").want(t, http.StatusOK)
}

// Checklist 2.1, 5.1: errors of every kind are error resources.
func TestErrorsAreErrorResources(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 1000 })
	for _, test := range []struct {
		name string
		answer
		status int
	}{
		{"400", f.get(boxPath + "objects/?limit=0"), 400},
		{"401", f.anonymous(http.MethodGet, "/acme/", ""), 401},
		{"403", f.get(inboxPath + "objects/"), 403},
		{"404 nowhere", f.get("/a/b/c/d/e/f/g/h"), 404},
		{"404 top", f.get("/"), 404},
		{"404 double slash", f.get("//acme/"), 404},
		{"404 root", f.get("/other/"), 404},
		{"404 collection", f.get("/acme/collections/" + hiddenID + "/"), 404},
		{"404 status", f.get("/acme/status/5b4f6cf0-8d27-4f33-8f1c-0d7c2f6b9aff/"), 404},
		{"404 status that is no id", f.get("/acme/status/x/"), 404},
		{"405", f.do(http.MethodPut, "/acme/", ""), 405},
		{"406", f.get("/acme/", "Accept: application/taxii+json;version=2.0"), 406},
		{"413", f.do(http.MethodPost, boxPath+"objects/", strings.Repeat(" ", 1001)), 413},
		{"415", f.do(http.MethodPost, boxPath+"objects/", "{}", "Content-Type: text/plain"), 415},
		{"422", f.do(http.MethodPost, boxPath+"objects/", "{}"), 422},
	} {
		t.Run(test.name, func(t *testing.T) { test.wantProblem(t, test.status) })
	}
}

// Checklist 2.4: what is checked first.
func TestChecksAreMadeInTheOrderThatLeaksLeast(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 100 })
	const badAccept, badType = "Accept: text/html", "Content-Type: text/plain"
	large := strings.Repeat("x", 200)
	for _, test := range []struct {
		name string
		answer
		status int
	}{
		{"401 before 404 of a path", f.anonymous(http.MethodGet, "/no/such/path", ""), 401},
		{"401 before 404 of a root", f.anonymous(http.MethodGet, "/other/", "", badAccept), 401},
		{"401 before 405", f.anonymous(http.MethodDelete, "/acme/", ""), 401},
		{"401 of OPTIONS", f.anonymous(http.MethodOptions, "/acme/", ""), 401},
		{"401 before 413", f.anonymous(http.MethodPost, boxPath+"objects/", large), 401},
		{"404 of a root before 406", f.get("/other/", badAccept), 404},
		{"406 before 404 of a collection", f.get("/acme/collections/none/objects/", badAccept), 406},
		{"404 of a collection before 415", f.do(http.MethodPost, "/acme/collections/none/objects/", "", badType), 404},
		{"403 before 415", f.do(http.MethodPost, feedPath+"objects/", large, badType), 403},
		{"415 before 413", f.do(http.MethodPost, boxPath+"objects/", large, badType), 415},
		{"413 before 400", f.do(http.MethodPost, boxPath+"objects/", large), 413},
		{"404 of a collection before 400", f.get("/acme/collections/none/objects/?limit=0"), 404},
	} {
		if test.status != test.answer.status {
			t.Errorf("%s: got %d", test.name, test.answer.status)
		}
	}
}

// Checklist 5.3, 5.4: what fails inside shows in the log and not outside.
func TestFailuresInsideSayNothingOutside(t *testing.T) {
	f := newFixture(t)
	f.backend.fail = errors.New("disk /var/secret is full")
	for _, a := range []answer{
		f.get(boxPath + "objects/"),
		f.do(http.MethodPost, boxPath+"objects/", `{"objects":[{}]}`),
	} {
		p := a.wantProblem(t, http.StatusInternalServerError)
		if strings.Contains(string(a.body), "secret") {
			t.Errorf("the answer says %s", a.body)
		}
		if log := f.log.String(); !strings.Contains(log, p.ErrorID) || !strings.Contains(log, "disk /var/secret is full") {
			t.Errorf("the log does not tell what failed: %s", log)
		}
	}
	f.backend.fail = fmt.Errorf("outbox: %w", &RetryAfterError{After: 1500e6})
	a := f.do(http.MethodPost, boxPath+"objects/", `{"objects":[{}]}`)
	a.wantProblem(t, http.StatusServiceUnavailable)
	if got := a.header.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q", got)
	}
	f.backend.fail = fmt.Errorf("%w: 7 MiB of /var/secret are free", ErrFull)
	a = f.do(http.MethodPost, boxPath+"objects/", `{"objects":[{}]}`)
	if p := a.wantProblem(t, http.StatusInsufficientStorage); !strings.Contains(p.Description, "disk is full") || a.header.Get("Retry-After") != "60" ||
		strings.Contains(string(a.body), "secret") {
		t.Errorf("Retry-After %q, %s", a.header.Get("Retry-After"), a.body)
	}
}

func TestPanicsBecomeErrorsAndTheServerLives(t *testing.T) {
	f := newFixture(t)
	f.backend.panics = true
	f.get("/acme/").wantProblem(t, http.StatusInternalServerError)
	if !strings.Contains(f.log.String(), "the store is on fire") {
		t.Error("the panic is not in the log")
	}
	f.backend.panics = false
	f.get("/acme/").want(t, http.StatusOK)
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	f := newFixture(t)
	f.get(boxPath+"objects/?match[id]=ipv4-addr--secret-of-a-query", "Authorization: Bearer tok-paul")
	f.get("/acme/", "Authorization: Bearer wrong-token-value")
	f.anonymous(http.MethodGet, "/acme/", "", "X-API-Key: wrong-key-value")
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, "Content-Type: application/json")
	log := f.log.String()
	for _, secret := range []string{"tok-paul", "wrong-token-value", "wrong-key-value", "pw-paul", "secret-of-a-query", "login-"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, fact := range []string{"user=paul", "status=401", "path=/v1/login", "request_id="} {
		if !strings.Contains(log, fact) {
			t.Errorf("the log lacks %q:\n%s", fact, log)
		}
	}
}

func TestAnswersCarrySecurityHeaders(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/taxii2/", "/nowhere/"} {
		header := f.get(path).header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Cache-Control":          "no-store",
			"Referrer-Policy":        "no-referrer",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s %q", path, name, got)
			}
		}
		if header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("other origins are let in by default")
		}
	}
}

// Checklist 1.7: browsers' scripts, where they are wanted.
func TestCrossOriginRequests(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.AllowedOrigins = []string{"https://app.example"} })
	preflight := []string{"Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}

	a := f.anonymous(http.MethodOptions, boxPath+"objects/", "", append(preflight, "Origin: https://app.example")...)
	a.want(t, http.StatusNoContent)
	if a.header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight answered with %v", a.header)
	}
	a = f.get("/acme/", "Origin: https://app.example")
	a.want(t, http.StatusOK)
	if a.header.Get("Access-Control-Allow-Origin") != "https://app.example" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "X-TAXII-Date-Added-Last") {
		t.Errorf("answered with %v", a.header)
	}

	a = f.anonymous(http.MethodOptions, boxPath+"objects/", "", append(preflight, "Origin: https://evil.example")...)
	a.want(t, http.StatusUnauthorized)
	if a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin is let in")
	}
	f.anonymous(http.MethodGet, "/acme/", "", "Origin: https://app.example").wantProblem(t, http.StatusUnauthorized)
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	m := newMemory()
	for name, c := range map[string]Config{
		"no store":         {Publisher: m, Authenticator: m, CursorKey: make([]byte, 32)},
		"no publisher":     {Store: m, Authenticator: m, CursorKey: make([]byte, 32)},
		"no authenticator": {Store: m, Publisher: m, CursorKey: make([]byte, 32)},
		"no cursor key":    {Store: m, Publisher: m, Authenticator: m},
	} {
		if _, err := NewHandler(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// leaving is a publisher that waits until its client leaves.
type leaving struct {
	Publisher
	called, done chan struct{}
}

func (p leaving) Publish(ctx context.Context, _ Principal, _ Collection, a Addition) (Status, error) {
	close(p.called)
	<-ctx.Done()
	close(p.done)
	return Status{}, fmt.Errorf("waiting: %w", ctx.Err())
}

func TestClientsThatLeaveAreNoFailures(t *testing.T) {
	p := leaving{called: make(chan struct{}), done: make(chan struct{})}
	f := newFixture(t, func(c *Config) { c.Publisher = p })
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+boxPath+"objects/", strings.NewReader(`{"objects":[{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer tok-paul")
	r.Header.Set("Content-Type", MediaType)
	go func() {
		<-p.called
		cancel()
	}()
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-p.done
	waiting.Until(t, "the request is logged", func() bool { return strings.Contains(f.log.String(), "path="+boxPath) })
	if log := f.log.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "status=0 ") {
		t.Errorf("it is logged as a failure: %s", log)
	}
}
