package algorand

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/common"
)

// carrier is what answers in a server's place.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// said is an answer without a connection.
func said(status int, header http.Header, body io.Reader) carrier {
	return func(*http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body)}, nil
	}
}

func newTestTransport(t *testing.T, base, token string, next carrier) *transport {
	t.Helper()
	_, tr, err := newTransport("algod", base, token, algodHeader, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.next = next
	return tr
}

// ask makes a request that came from the SDK.
func (t *transport) ask(query string) (*http.Response, error) {
	return t.RoundTrip(httptest.NewRequest(http.MethodGet, "http://host.example/v2/thing?"+query, nil))
}

func TestAServersURLIsOneOfHTTP(t *testing.T) {
	for text, want := range map[string]string{
		"http://host.example": "http://host.example", "https://host.example:4001/path?key=x": "https://host.example:4001", "http://user:pass@host.example/": "http://host.example",
		"": "", "host.example": "", "ftp://host.example": "", "http://": "", "https:///path": "", "http://host.example:port": "", "://": "",
	} {
		base, _, err := newTransport("algod", text, "", algodHeader, nil)
		if base != want || (err == nil) != (want != "") {
			t.Errorf("%q: the server is %q, want %q: %v", text, base, want, err)
		}
		if want == "" {
			if _, err := NewIndexer(text, ""); err == nil {
				t.Errorf("%q is an indexer's", text)
			}
		}
	}
}

func TestAURLIsShownWithoutWhatCouldBeAKey(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:pass@host.example:4001/key?key=x#key": "https://host.example:4001",
		"host.example/key": "(a URL that can't be read)", "http://key\x7f": "(a URL that can't be read)", "": "(a URL that can't be read)",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestARequestIsCompletedWithWhatIsConfigured(t *testing.T) {
	for _, c := range []struct {
		base, query, want, user string
	}{
		{"http://host.example", "", "http://host.example/v2/thing", ""},
		{"http://host.example/", "a=b", "http://host.example/v2/thing?a=b", ""},
		{"http://host.example/base/", "", "http://host.example/base/v2/thing", ""},
		{"http://host.example/ba%2Fse", "", "http://host.example/ba/se/v2/thing", ""},
		{"https://host.example/base?key=x", "", "https://host.example/base/v2/thing?key=x", ""},
		{"https://host.example/base?key=x", "a=b", "https://host.example/base/v2/thing?key=x&a=b", ""},
		{"http://user:pass@host.example", "", "http://host.example/v2/thing", "user:pass"},
		{"http://user@host.example", "", "http://host.example/v2/thing", "user:"},
	} {
		var got *http.Request
		tr := newTestTransport(t, c.base, "", func(r *http.Request) (*http.Response, error) {
			got = r
			return nil, errors.New("enough")
		})
		request := httptest.NewRequest(http.MethodGet, "http://host.example/v2/thing?"+c.query, nil)
		request.Header.Set(algodHeader, "the SDK's")
		if _, err := tr.RoundTrip(request); err == nil {
			t.Fatal("an error is dropped")
		}
		want := ""
		if c.user != "" {
			want = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user))
		}
		if got.URL.String() != c.want || got.Header.Get("Authorization") != want || got.Header.Values(algodHeader) != nil {
			t.Errorf("with %s it asks for %s with %v, want %s and %q", c.base, got.URL, got.Header, c.want, want)
		}
		if tr.base.String() != c.base {
			t.Errorf("what is configured has become %s", tr.base)
		}
	}
}

// A URL has a user, and the request something else to say who asks.
func TestCredentialsOfARequestStay(t *testing.T) {
	var got *http.Request
	tr := newTestTransport(t, "http://user:pass@host.example", "", func(r *http.Request) (*http.Response, error) {
		got = r
		return nil, errors.New("enough")
	})
	request := httptest.NewRequest(http.MethodGet, "http://host.example/", nil)
	request.Header.Set("Authorization", "Bearer x")
	_, _ = tr.RoundTrip(request)
	if got.Header.Get("Authorization") != "Bearer x" {
		t.Errorf("it asks as %q", got.Header.Get("Authorization"))
	}
}

func TestTheIndexersTokenGoesInTheIndexersHeader(t *testing.T) {
	var got http.Header
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		answer(200, jsonType, `{"round":7}`)(w, r)
	})
	c, err := NewIndexer(s.URL, "abc")
	if err != nil {
		t.Fatal(err)
	}
	health, err := c.HealthCheck().Do(t.Context())
	if err != nil || health.Round != 7 || got.Get("X-Indexer-API-Token") != "abc" || got.Values("X-Algo-API-Token") != nil {
		t.Errorf("round %d, %v; the request has %v", health.Round, err, got)
	}
}

func TestWhatIsLongEnoughForAKeyIsNotShown(t *testing.T) {
	for _, c := range []struct{ base, token, shown, want string }{
		{"http://host.example", "sixsix", "a sixsix b", "a … b"},
		{"http://host.example", "fives", "a fives b", "a fives b"}, // its letters are everywhere
		{"http://host.example", "Bearer to/ken", "to/ken, to%2Fken", "…, …"},
		{"http://host.example", "to ken+x", "to+ken%2Bx, to%20ken+x", "…, …"},
		{"http://username:password@host.example/path-key/more?k=query-key&k=other-key", "", "username password path-key more query-key other-key", "… … … more … …"},
		{"http://username@host.example", "", "username password", "… password"},
	} {
		tr := newTestTransport(t, c.base, c.token, nil)
		if got := tr.show([]byte(c.shown)); got != c.want {
			t.Errorf("%q is shown as %q, want %q", c.shown, got, c.want)
		}
		if err := tr.explain(errors.New(c.shown)); err.Error() != c.want {
			t.Errorf("the error %q is shown as %q, want %q", c.shown, err, c.want)
		}
	}
}

func TestAnErrorWithoutSecretsStaysWhatItIs(t *testing.T) {
	tr := newTestTransport(t, "http://host.example", "a token", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	if _, err := tr.ask(""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the error is %v", err)
	}
	now := time.Now()
	cert := &x509.Certificate{NotBefore: now, NotAfter: now}
	for reason, clock := range map[error]bool{
		x509.CertificateInvalidError{Reason: x509.Expired, Cert: cert}:              true,
		x509.CertificateInvalidError{Reason: x509.TooManyIntermediates, Cert: cert}: false,
		x509.CertificateInvalidError{Reason: x509.Expired}:                          false, // nobody knows from when on it was valid
		x509.UnknownAuthorityError{}:                                                false,
	} {
		err := tr.explain(reason)
		if strings.Contains(err.Error(), "clock") != clock || !errors.Is(err, reason) {
			t.Errorf("%v is explained as %v", reason, err)
		}
	}
}

func TestTextOfOthersIsPrintableAndShort(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", " \tx\n": "x", "a\x1b[31mb": "a [31mb", "a\xffb": "ab", "a\u202eb": "a b",
		"1234567890": "1234567890", "12345678901": "1234567890…", "123456789é": "123456789…", "12345678é": "12345678é",
	} {
		if got := printable(text, 10); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestAnAnswerBeginsAsTheServersDo(t *testing.T) {
	for _, c := range []struct {
		query, start string
		its          bool
	}{
		{"", "{}", true}, {"", " \r\n\t{}", true}, {"", "[]", false}, {"", "", false}, {"", "x{", false}, {"", "\x80", false},
		{"format=msgpack", "\x80", true}, {"format=msgpack", "\x8f...", true}, {"format=msgpack", "\xde\x00\x10", true}, {"format=msgpack", "\xdf", true},
		{"format=msgpack", "\x7f", false}, {"format=msgpack", "\x90", false}, {"format=msgpack", "\xdd", false}, {"format=msgpack", "\xe0", false},
		{"format=msgpack", "{}", false}, {"format=msgpack", "", false}, {"format=json", "{}", true},
	} {
		tr := newTestTransport(t, "http://host.example", "", said(http.StatusOK, nil, strings.NewReader(c.start)))
		tr.gate.gap = firstGap
		response, err := tr.ask(c.query)
		var foreign *ForeignError
		if (err == nil) != c.its || err != nil && !errors.As(err, &foreign) {
			t.Errorf("%q with %q: %v", c.start, c.query, err)
			continue
		}
		if (tr.gate.gap < firstGap) != c.its {
			t.Errorf("%q with %q: the gap is %s", c.start, c.query, tr.gate.gap)
		}
		if c.its {
			if left := response.Body.(*boundedBody).left; left != 64<<20 {
				t.Errorf("%d bytes of it may be read", left)
			}
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != c.start {
				t.Errorf("%q is passed on as %q, %v", c.start, body, err)
			}
		}
	}
}

func TestAnAnswerThatBreaksOffAtItsBeginningIsAnError(t *testing.T) {
	broken := errors.New("the line is cut")
	for _, status := range []int{http.StatusOK, http.StatusNotFound} {
		tr := newTestTransport(t, "http://host.example", "", said(status, nil, iotest.ErrReader(broken)))
		var foreign *ForeignError
		if _, err := tr.ask(""); !errors.Is(err, broken) || errors.As(err, &foreign) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestABodyIsReadUpToItsBound(t *testing.T) {
	for length, whole := range map[int]bool{4: true, 5: true, 6: false} {
		b := &boundedBody{Reader: strings.NewReader(strings.Repeat("x", length)), left: 5}
		got := make([]byte, min(length, 5))
		if _, err := io.ReadFull(b, got); err != nil {
			t.Errorf("of %d bytes the first 5 can't be read: %v", length, err)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || err == nil || (err != io.EOF) == (whole && length < 5) {
			t.Errorf("of %d bytes one more than 5 is read: %d, %v", length, n, err)
		}
	}
	if maxBody != 64<<20 {
		t.Errorf("a full block and a page have their place in %d bytes?", maxBody)
	}
}

func TestWhatIsNotTheServersIsDescribed(t *testing.T) {
	for _, c := range []struct{ kind, start, want string }{
		{"text/html; charset=utf-8", "x", "an HTML page"}, {"", "\n <html>", "an HTML page"}, {"text/plain", "<", "an HTML page"}, {"text/html", "", "an HTML page"},
		{"", "", "nothing in it"}, {"text/plain", "", "nothing in it"},
		{"", "x", "something else than its answers"}, {"application/json", "x", "something else than its answers"},
		{"application/msgpack", "x", "something else than its answers"},
		{"text/plain", "x", "content of the type text/plain"}, {"text/" + strings.Repeat("x", 99), "x", "content of the type text/" + strings.Repeat("x", 35) + "…"},
	} {
		if got := describe(c.kind, []byte(c.start)); got != c.want {
			t.Errorf("%q of type %q is %q, want %q", c.start, c.kind, got, c.want)
		}
	}
}

func TestARefusalMeansWhatItsStatusAndItsWordsSay(t *testing.T) {
	const its = `{"message":"reason"}`
	for _, c := range []struct {
		status             int
		after, body        string
		throttled, foreign bool
	}{
		{status: 429, body: its, throttled: true}, {status: 503, body: "<html>", throttled: true}, {status: 403, body: "quota", throttled: true},
		{status: 500, after: "3", body: its, throttled: true}, {status: 307, after: "3", throttled: true},
		{status: 300, body: its, foreign: true}, {status: 399, body: its, foreign: true},
		{status: 201, body: its, foreign: true}, {status: 299, body: its, foreign: true}, {status: 404, body: "reason", foreign: true},
		{status: 404, body: `{"message":"reason","message":7}`, foreign: true}, {status: 404, body: `{"message":null}`, foreign: true}, {status: 502, body: "<html>", foreign: true},
		{status: 400, body: its}, {status: 404, body: its}, {status: 500, body: its},
	} {
		header := http.Header{}
		header.Set("Retry-After", c.after)
		tr := newTestTransport(t, "http://host.example", "", said(c.status, header, strings.NewReader(c.body)))
		response, err := tr.ask("")
		var throttled *Throttled
		var foreign *ForeignError
		if errors.As(err, &throttled) != c.throttled || errors.As(err, &foreign) != c.foreign || (err == nil) == (c.throttled || c.foreign) {
			t.Errorf("status %d with %q: %v", c.status, c.body, err)
			continue
		}
		if redirected := c.status >= 300 && c.status < 400; c.foreign && strings.Contains(err.Error(), "a redirect to ") != redirected {
			t.Errorf("status %d: %v", c.status, err)
		}
		if c.throttled && (throttled.Status != c.status || tr.gate.why != *throttled) {
			t.Errorf("status %d with %q: %+v, and the next one hears %+v", c.status, c.body, throttled, tr.gate.why)
		}
		if err == nil {
			if text, _ := io.ReadAll(response.Body); string(text) != "reason" || response.ContentLength != 6 || response.StatusCode != c.status {
				t.Errorf("status %d: it says %q, of %d bytes", c.status, text, response.ContentLength)
			}
		}
	}
}

// Who reads the error of a server that was configured wrongly is told which key to look at.
func TestAMistakeInTheConfigurationIsNamedByItsKey(t *testing.T) {
	denied := said(http.StatusUnauthorized, nil, strings.NewReader(`{"message":"Invalid API Token"}`))
	_, err := newTestTransport(t, "http://host.example", "", denied).ask("")
	var refused *DeniedError
	if !errors.As(err, &refused) || err.Error() != "algod refuses the token, with status 401; look at algorand.algod_token and algorand.algod_token_header: Invalid API Token" {
		t.Errorf("a wrong token: %v", err)
	}
	page := said(http.StatusUnauthorized, nil, strings.NewReader("<html>"))
	if _, err := newTestTransport(t, "http://host.example", "", page).ask(""); !errors.As(err, &refused) {
		t.Errorf("a gateway's word for it: %v", err)
	}
	forbidden := said(http.StatusForbidden, nil, strings.NewReader(`{"message":"no"}`))
	if _, err := newTestTransport(t, "http://host.example", "", forbidden).ask(""); err == nil || !strings.Contains(err.Error(), "algorand.algod_token") {
		t.Errorf("a quota, or a wrong token: %v", err)
	}
	_, indexer, err := newTransport(indexerServer, "http://127.0.0.1:1", "", indexerHeader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := indexer.ask(""); err == nil || !strings.Contains(err.Error(), "is algorand.indexer_url right?") {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestOfARedirectItsHostIsShown(t *testing.T) {
	for to, want := range map[string]string{
		"https://elsewhere.example/key?key=x":                 "a redirect to https://elsewhere.example, which",
		"https://" + strings.Repeat("x", 92) + "/key":         "a redirect to https://" + strings.Repeat("x", 92) + ", which",
		"https://" + strings.Repeat("x", 93) + ".example/key": "a redirect to https://" + strings.Repeat("x", 92) + "…, which",
	} {
		tr := newTestTransport(t, "http://host.example", "", said(http.StatusFound, http.Header{"Location": {to}}, strings.NewReader("")))
		if _, err := tr.ask(""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func TestOfAnErrorsBodySixteenKiBAreRead(t *testing.T) {
	for length, its := range map[int]bool{16 << 10: true, 16<<10 + 1: false} {
		body := `{"message":"reason"` + strings.Repeat(" ", length-20) + `}`
		tr := newTestTransport(t, "http://host.example", "", said(http.StatusInternalServerError, nil, strings.NewReader(body)))
		if _, err := tr.ask(""); (err == nil) != its {
			t.Errorf("an error of %d bytes: %v", length, err)
		}
	}
	tr := newTestTransport(t, "http://host.example", "", nil)
	for length, want := range map[int]int{1000: 1000, 1001: 1000 + len("…")} {
		if got := tr.show([]byte(strings.Repeat("x", length))); len(got) != want {
			t.Errorf("of %d bytes %d are shown, want %d", length, len(got), want)
		}
	}
}

type closer struct {
	io.Reader
	closed *bool
}

func (c closer) Close() error {
	*c.closed = true
	return nil
}

func TestNothingIsLeftOpen(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   io.Reader
	}{
		"an answer of somebody else": {http.StatusOK, strings.NewReader("x")},
		"a refusal":                  {http.StatusNotFound, strings.NewReader(`{"message":"x"}`)},
		"a broken answer":            {http.StatusOK, iotest.ErrReader(io.ErrUnexpectedEOF)},
	} {
		closed := false
		tr := newTestTransport(t, "http://host.example", "", func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: closer{c.body, &closed}}, nil
		})
		if _, _ = tr.ask(""); !closed {
			t.Errorf("%s is left open", name)
		}
	}
	closed := false // a request that is not made
	tr := newTestTransport(t, "http://host.example", "", nil)
	tr.gate.refused(&Throttled{Status: 503, After: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://host.example/", nil)
	request.Body = closer{strings.NewReader("x"), &closed}
	if _, err := tr.RoundTrip(request); err == nil || !closed {
		t.Errorf("a request's body is left open: %v", err)
	}
	request.Body = nil
	if _, err := tr.RoundTrip(request); err == nil {
		t.Error("a request is made before its time")
	}
}

func TestErrorsOfTheSDKAreToldApart(t *testing.T) {
	missing := fmt.Errorf("asking: %w", common.NotFound{HTTPError: common.HTTPError{Message: "HTTP 404: " + NoTransaction}})
	if !NotFound(missing, NoBlock, NoTransaction) || NotFound(missing, NoBlock) || NotFound(missing) || NotFound(errors.New(NoBlock), NoBlock) {
		t.Error("what the server does not have is not told from the rest")
	}
	if message, bad := BadRequest(fmt.Errorf("asking: %w", common.BadRequest{HTTPError: common.HTTPError{Message: "why"}})); message != "why" || !bad {
		t.Errorf("a bad request is %q, %v", message, bad)
	}
	if message, bad := BadRequest(missing); message != "" || bad {
		t.Errorf("what is missing is a bad request: %q", message)
	}
	for want, err := range map[string]*ForeignError{
		"what answered is not algod; is algorand.algod_url right? (a page)":                 {Server: "algod", What: "a page"},
		"what answered is not algod; is algorand.algod_url right? (status 200 with a page)": {Server: "algod", Status: 200, What: "a page"},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

func TestATransportWaitsLongerThanAlgodHoldsARequest(t *testing.T) {
	_, tr, err := newTransport("algod", "http://host.example", "", algodHeader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if next := tr.next.(*http.Transport); next.ResponseHeaderTimeout <= time.Minute || next.ResponseHeaderTimeout > 2*time.Minute ||
		next.MaxResponseHeaderBytes > 64<<10 || next.MaxResponseHeaderBytes == 0 || next.MaxIdleConnsPerHost != 8 {
		t.Errorf("the transport is bounded by %+v", next)
	}
}
