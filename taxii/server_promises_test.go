package taxii

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/door"
)

// unlimited is a store with one collection that may be read and written, or an error.
type unlimited struct {
	Store
	err error
}

func (u unlimited) Collections(context.Context, Principal, string) ([]Collection, error) {
	c, err := u.Collection(context.Background(), Principal{}, "", "")
	return []Collection{c}, err
}

func (u unlimited) Collection(context.Context, Principal, string, string) (Collection, error) {
	return Collection{ID: "c", CanRead: true, CanWrite: true}, u.err
}

func (u unlimited) Objects(context.Context, Principal, Collection, Query) (Page, error) {
	return Page{}, u.err
}

// The store itself narrows what a principal sees, so that it does not take an endpoint to think of it.
func TestNoCollectionBeyondTheLimitsLeavesTheStore(t *testing.T) {
	failed := errors.New("the disk is gone")
	for what, c := range map[string]struct {
		limits      Limits
		read, write bool
	}{
		"none":           {Limits{}, true, true},
		"this one":       {Limits{Read: []string{"x", "c"}, Write: []string{"c"}}, true, true},
		"reading it":     {Limits{Write: []string{}}, true, false},
		"writing it":     {Limits{Read: []string{"x"}}, false, true},
		"others":         {Limits{Read: []string{"x"}, Write: []string{"x"}}, false, false},
		"nothing at all": {Limits{Read: []string{}, Write: []string{}}, false, false},
	} {
		who, s := Principal{User: "paul", Limits: c.limits}, limited{unlimited{}}
		one, err := s.Collection(t.Context(), who, "acme", "c")
		if (errors.Is(err, ErrNotFound)) != (!c.read && !c.write) || err == nil && (one.CanRead != c.read || one.CanWrite != c.write) {
			t.Errorf("%s: %+v, %v", what, one, err)
		}
		list, err := s.Collections(t.Context(), who, "acme")
		if err != nil || (len(list) == 1) != (c.read || c.write) || len(list) == 1 && (list[0].CanRead != c.read || list[0].CanWrite != c.write) {
			t.Errorf("%s: %+v, %v", what, list, err)
		}
		if _, err := s.Objects(t.Context(), who, Collection{ID: "c", CanRead: true}, Query{}); (err == nil) != c.read || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: its objects: %v", what, err)
		}
		s = limited{unlimited{err: failed}}
		_, oneErr := s.Collection(t.Context(), who, "acme", "c")
		_, listErr := s.Collections(t.Context(), who, "acme")
		if !errors.Is(oneErr, failed) || !errors.Is(listErr, failed) {
			t.Errorf("%s: the store's error becomes %v and %v", what, oneErr, listErr)
		}
	}
	if _, err := (limited{unlimited{}}).Objects(t.Context(), Principal{}, Collection{ID: "c"}, Query{}); err != nil {
		t.Errorf("without limits the rights are the store's own business: %v", err)
	}
}

// RFC 7540, appendix A, names the suites that HTTP/2 must not use; the rest of TLS 1.2 are these.
func TestAServerSpeaksOnlyGoodTLS(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	given := &tls.Config{MinVersion: tls.VersionTLS10}
	server := NewServer(nil, given, quiet)
	want := []uint16{0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8}
	if got := server.TLSConfig; got.MinVersion != tls.VersionTLS12 || !slices.Equal(got.CipherSuites, want) {
		t.Errorf("from %#x, with %#x", got.MinVersion, got.CipherSuites)
	}
	if given.MinVersion != tls.VersionTLS10 || given.CipherSuites != nil {
		t.Error("the configuration that was given has changed")
	}
	if got := NewServer(nil, &tls.Config{MinVersion: tls.VersionTLS13}, quiet).TLSConfig.MinVersion; got != tls.VersionTLS13 {
		t.Errorf("TLS 1.3 becomes %#x", got)
	}
	if plain := NewServer(nil, nil, quiet); plain.TLSConfig != nil || plain.MaxHeaderBytes != 64<<10 || plain.ReadHeaderTimeout != 10*time.Second {
		t.Errorf("%+v", plain)
	}
}

func TestListsOfHeadersAreSplitOutsideOfQuotes(t *testing.T) {
	for text, want := range map[string][]string{
		"": {""}, "a,b": {"a", "b"}, `a;x="1,2",b`: {`a;x="1,2"`, "b"}, `a;x="\",",b`: {`a;x="\","`, "b"}, `a\,b`: {`a\`, "b"}, `a;x="1]",b`: {`a;x="1]"`, "b"},
		`a;x="\\",b`: {`a;x="\\"`, "b"}, "a,": {"a", ""},
	} {
		if got := splitList(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]float64{"": 1, "0": 0, "1": 1, "0.5": 0.5, "1.1": 0, "-0.1": 0, "x": 0, "NaN": 0} {
		params := map[string]string{"q": text}
		if text == "" {
			params = nil
		}
		if got := quality(params); got != want {
			t.Errorf("q=%s weighs %v", text, got)
		}
	}
	for header, want := range map[string]bool{"gzip": true, "gzip;q=0": false, "x-gzip": true, "*": true, "*;q=0": false, "*, gzip;q=0": false, "br, ;;, gzip": true, "": false, "identity": false, "br;q=1;;x, *": true} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("%q admits gzip: %v", header, got)
		}
	}
	for header, want := range map[string]bool{"": true, ";;, application/json": true, "application/taxii+json;q=1": true, "application/taxii+json;version=2.0": false, "text/html": false, ";;": false, "application/json;q=0": false} {
		if got := acceptsTAXII(http.Header{"Accept": {header}}); got != want {
			t.Errorf("%q admits TAXII: %v", header, got)
		}
	}
	for kind, want := range map[string]bool{"application/json": true, "application/json; charset=utf-8": true, "text/plain": false, ";": false, "application/json;": true} {
		if got := isJSON(kind); got != want {
			t.Errorf("%q is JSON: %v", kind, got)
		}
	}
}

func TestAUserAndAPasswordAreKnownApart(t *testing.T) {
	c := newCredentials(time.Minute, time.Now)
	key := c.keyOf("ann", "secret", "::1")
	for _, other := range [][3]string{
		{"an", "nsecret", "::1"}, {"anns", "ecret", "::1"}, {"", "annsecret", "::1"}, {"bob", "secret", "::1"}, {"ann", "other", "::1"},
		{"ann", "secret", "::2"}, {"::1ann", "secret", ""},
	} {
		if c.keyOf(other[0], other[1], other[2]) == key {
			t.Errorf("%q passes for ann", other)
		}
	}
	if newCredentials(time.Minute, time.Now).keyOf("ann", "secret", "::1") == key {
		t.Error("another process knows a password by the same key")
	}
	// Who logged in under another spelling is forgotten by the account's own name, and the other way round.
	for _, forgotten := range []string{"ann", "ANN"} {
		c := newCredentials(time.Minute, time.Now)
		other := c.keyOf("bob", "x", "::1")
		c.put(key, "ANN", Principal{User: "ann"}, 0)
		c.put(other, "bob", Principal{User: "bob"}, 0)
		c.forget(forgotten)
		_, _, known := c.get(key)
		if _, _, still := c.get(other); known || !still {
			t.Errorf("forgetting %s: ann is known: %v, bob: %v", forgotten, known, still)
		}
	}
}

func TestCursorsAreOfOneLengthAndSpelling(t *testing.T) {
	c := cursors{key: []byte("a key of sixteen bytes")}
	s := scope{"objects", "one", ""}
	cursor := c.encode(s, 42)
	if len(cursor) != 38 { // of 8 bytes for the position, 4 for the listing and 16 for the MAC
		t.Errorf("%q has %d characters", cursor, len(cursor))
	}
	last := cursor[37]
	for _, bad := range []string{cursor[:36] + "\n" + cursor[37:], cursor[:37] + "\n", cursor[:37] + "!", cursor + "A", cursor[:37]} {
		if _, err := c.decode(s, bad); !errors.Is(err, errCursor) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for i := range cursor { // and no bit of it can be changed
		for _, r := range "AQgw" {
			if changed := cursor[:i] + string(r) + cursor[i+1:]; changed != cursor {
				if _, err := c.decode(s, changed); err == nil {
					t.Errorf("%q is taken (the last was %q)", changed, last)
				}
			}
		}
	}
	if slices.Equal(c.hash("one purpose", []byte("x")), c.hash("another", []byte("x"))) {
		t.Error("a hash for one purpose is good for another")
	}
}

func TestAConnectionIsNotSecureForAStrangersWord(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("127.0.0.1/32")}
	for what, r := range map[string]*http.Request{
		"the proxy speaks of http": {RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-Proto": {"http"}}},
		"the proxy says nothing":   {RemoteAddr: "127.0.0.1:1"},
		"nobody knows who it is":   {RemoteAddr: "@", Header: http.Header{"X-Forwarded-Proto": {"https"}}},
	} {
		if trusted.secure(r) {
			t.Errorf("%s, and it is called secure", what)
		}
	}
}

func TestScriptsOfOtherOriginsAreToldNothing(t *testing.T) {
	const here, there = "https://console.example", "https://evil.example"
	for what, c := range map[string]struct {
		origins   []string
		method    string
		origin    string
		preflight bool
		allowed   bool
		status    int
	}{
		"no origins":          {nil, http.MethodGet, here, false, false, 200},
		"a known origin":      {[]string{here}, http.MethodGet, here, false, true, 200},
		"another origin":      {[]string{here}, http.MethodGet, there, false, false, 200},
		"no origin":           {[]string{here}, http.MethodGet, "", false, false, 200},
		"any origin":          {[]string{"*"}, http.MethodGet, there, false, true, 200},
		"a preflight":         {[]string{here}, http.MethodOptions, here, true, true, 204},
		"another's preflight": {[]string{here}, http.MethodOptions, there, true, false, 0},
		"OPTIONS without it":  {[]string{here}, http.MethodOptions, here, false, true, 0},
		"GET with its header": {[]string{here}, http.MethodGet, here, true, true, 200},
	} {
		f := newFixture(t, func(config *Config) { config.AllowedOrigins = c.origins })
		headers := []string{"Authorization: Bearer tok-paul"}
		if c.origin != "" {
			headers = append(headers, "Origin: "+c.origin)
		}
		if c.preflight {
			headers = append(headers, "Access-Control-Request-Method: POST")
		}
		a := f.anonymous(c.method, "/acme/", "", headers...)
		allowed := a.header.Get("Access-Control-Allow-Origin")
		if (allowed != "") != c.allowed || c.allowed && allowed != c.origin || c.status != 0 && a.status != c.status {
			t.Errorf("%s: %d, allowed %q", what, a.status, allowed)
		}
		if varies := slices.Contains(a.header.Values("Vary"), "Origin"); varies != (c.origin != "" && c.origins != nil) {
			t.Errorf("%s: it varies with the origin: %v", what, varies)
		}
		if (a.header.Get("Access-Control-Allow-Methods") == "GET, HEAD, POST, DELETE" && a.header.Get("Access-Control-Max-Age") == "600") != (c.status == 204) {
			t.Errorf("%s: %v", what, a.header)
		}
	}
}

func TestEveryAnswerTellsBrowsersToKeepOut(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/taxii2/", "/acme/", "/nowhere/"} {
		header := f.get(path).header
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
}

func TestWhatIsPostedBesideObjectsIsNotPassedOver(t *testing.T) {
	body := `{"objects":[` + indicator(1, 1) + `]}`
	for query, want := range map[string]int{
		"": 202, "?dry_run=true": 200, "?dry_run=false": 202, "?dry_run=1": 400, "?dry_run=true&dry_run=true": 400, "?dry_run": 400, "?match[type]=x": 400, "?%zz": 400, "?a=1&dry_run=true": 400,
	} {
		f := newFixture(t, func(c *Config) { c.Rehearser = rehearsing{} })
		if a := f.do(http.MethodPost, boxPath+"objects/"+query, body); a.status != want {
			t.Errorf("%q: %d, want %d", query, a.status, want)
		}
	}
	f := newFixture(t)
	if a := f.do(http.MethodPost, boxPath+"objects/?dry_run=true", body); a.status != 400 {
		t.Errorf("where nobody can tell: %d", a.status)
	}
}

func TestARehearsalTellsOfEveryObject(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := Rehearsal{Extra: 1000, Objects: []RehearsedObject{
		{ID: "a", Version: "v", Readers: []string{"acme"}, Cost: 100}, {Failure: "no"}, {ID: "c", Version: "v", Cost: 10, TxID: "TX"},
	}}.resource(at)
	if got.TotalCount != 3 || got.RefusedCount != 1 || got.Cost != 1110 || len(got.Objects) != 3 || !got.DryRun {
		t.Errorf("%+v", got)
	}
	if second := got.Objects[1]; second.ID != "unidentified" || second.Version != "2026-01-02T03:04:05.000000Z" || second.Readers == nil || second.Message != "no" {
		t.Errorf("%+v", second)
	}
	if third := got.Objects[2]; third.ID != "c" || third.Version != "v" || third.TxID != "TX" || third.Message != "" {
		t.Errorf("%+v", third)
	}
}

func TestALimitIsANumberAboveZero(t *testing.T) {
	page := PageLimits{Default: 7, Max: 100}
	for text, want := range map[string]int{"1": 1, "9": 9, "100": 100, "101": 100, "99999999999999999999": 100, "007": 7, "0": 0, "00": 0, "": 0, "-1": 0, "1.0": 0, "x": 0, ":": 0, "1 ": 0} {
		got, err := parseLimit(url.Values{"limit": {text}}, page)
		if (err == nil) != (want > 0) || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	if got, err := parseLimit(nil, page); got != 7 || err != nil {
		t.Errorf("none: %d, %v", got, err)
	}
	for text, good := range map[string]bool{"all": true, "all,all": false, "all,first": false, "first,last": true, "first,first": false, "last,last": false, "2026-01-01T00:00:00Z,2026-01-01T01:00:00+01:00": false, "2026-01-01T00:00:00Z,first": true, ",": false, "x": false} {
		if _, err := parseVersionMatch(url.Values{"match[version]": {text}}); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNamesOfAccountsAndRootsAreBounded(t *testing.T) {
	long := strings.Repeat("x", MaxAccountField)
	for body, want := range map[string]int{
		`{"username":"` + long + `","password":"p"}`: 401, `{"username":"` + long + `x","password":"p"}`: 422, `{"username":"","password":"p"}`: 422,
		`{"username":"u","password":"` + long + `"}`: 401, `{"username":"u","password":"` + long + `x"}`: 422, `{"username":"u","password":""}`: 422,
		`{"username":"u","password":"p"}` + strings.Repeat(" ", 16<<10-31): 401, `{"username":"u","password":"p"}` + strings.Repeat(" ", 16<<10-30): 400,
	} {
		f := newFixture(t)
		if a := f.anonymous(http.MethodPost, "/v1/login", body, jsonBody); a.status != want {
			t.Errorf("%.60s, %d bytes: %d, want %d", body, len(body), a.status, want)
		}
	}
	for body, want := range map[string]int{
		`{"title":"` + strings.Repeat("ä", 200) + `"}`: 200, `{"title":"` + strings.Repeat("ä", 201) + `"}`: 422, `{"title":"x"}`: 200,
		`{"title":"x","description":"` + strings.Repeat("ä", 2000) + `"}`: 200, `{"title":"x","description":"` + strings.Repeat("ä", 2001) + `"}`: 422,
	} {
		f := newFixture(t)
		a := f.anonymous(http.MethodPost, "/acme", body, jsonBody, asAda)
		if a.status != want || want == 422 && !strings.Contains(string(a.body), "1 to 200 characters, description at most 2000") {
			t.Errorf("%.60s: %d %s", body, a.status, a.body)
		}
		if n := len(f.backend.named(EventDescribeRoot)); (n == 1) != (want == 200) {
			t.Errorf("%.60s: %d lines in the audit log", body, n)
		}
	}
}

func TestTheLogTellsHowAnswersCameOut(t *testing.T) {
	var b *broken
	f := newFixture(t, func(c *Config) {
		b = &broken{memory: c.Authenticator.(*memory)}
		c.Authenticator = b
	})
	line := func() string {
		all := strings.Split(strings.TrimSpace(f.log.String()), "\n")
		return all[len(all)-1]
	}
	f.get("/acme/")
	if got := line(); !strings.Contains(got, "level=DEBUG") || !strings.Contains(got, "status=200") || !strings.Contains(got, "user=paul") || strings.Contains(got, "bytes=0 ") {
		t.Error(got)
	}
	f.get("/acme/collections/nowhere/")
	if got := line(); !strings.Contains(got, "level=INFO") || !strings.Contains(got, "status=404") {
		t.Error(got)
	}
	f.get("/acme/" + strings.Repeat("x", 1000) + "/")
	if got := line(); !strings.Contains(got, "/acme/"+strings.Repeat("x", 256-len("/acme/"))+" ") {
		t.Error(got)
	}
	b.token = errors.New("the disk is gone")
	f.get("/acme/")
	if got := line(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "status=500") || !strings.Contains(got, "the disk is gone") {
		t.Error(got)
	}
	recorded := &door.Recorder{ResponseWriter: httptest.NewRecorder()}
	if n, err := recorded.Write([]byte("abc")); n != 3 || err != nil || recorded.Status != http.StatusOK || recorded.Bytes != 3 {
		t.Errorf("recorded %+v, %v", recorded, err)
	}
	recorded.WriteHeader(http.StatusTeapot)
	if recorded.Status != http.StatusOK {
		t.Errorf("an answer that has begun becomes %d", recorded.Status)
	}
}

func TestTheAccountsAPISpeaksPlainJSONWhenItRefuses(t *testing.T) {
	f := newFixture(t)
	for path, headers := range map[string][]string{
		"/v1/acme/users": {"Authorization: Bearer tok-paul"}, "/v1/acme/algo_account": {"Authorization: Bearer nonsense"},
	} {
		if a := f.anonymous(http.MethodGet, path, "", headers...); a.status < 400 || a.header.Get("Content-Type") != plainJSON {
			t.Errorf("%s: %d as %s", path, a.status, a.header.Get("Content-Type"))
		}
	}
	if a := f.anonymous(http.MethodPost, "/acme", `{"title":"x"}`, jsonBody, "Authorization: Bearer tok-paul"); a.status != 403 || a.header.Get("Content-Type") != plainJSON {
		t.Errorf("%d as %s", a.status, a.header.Get("Content-Type"))
	}
}

func TestProblemsKeepTheirCauseForTheLogAlone(t *testing.T) {
	cause := errors.New("the disk is gone")
	p := problemOf(cause)
	if p.status != 500 || strings.Contains(p.description, "disk") || p.Error() != cause.Error() || !errors.Is(p, cause) {
		t.Errorf("%+v", p)
	}
	if q := problemf(404, "none"); q.Error() != "none" || q.Unwrap() != nil {
		t.Errorf("%+v", q)
	}
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60"} {
		if got := retryLater(429, after, "x").header.Get("Retry-After"); got != want {
			t.Errorf("%s: %s", after, got)
		}
	}
}
