package algorand

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
)

// server answers as a test says, and counts the requests.
type server struct {
	*httptest.Server
	requests atomic.Int64
}

func newServer(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) client(t *testing.T, token string, header ...string) *algod.Client {
	t.Helper()
	c, err := NewAlgod(s.URL, token, header...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func status(t *testing.T, c *algod.Client, patience time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := c.Status().Do(ctx)
	return err
}

func answer(code int, kind, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

const jsonType = "application/json; charset=UTF-8"

func TestWhatIsNotTheServersOwnWordsIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"HTML with status 200":     {answer(200, "text/html", "<html>sign in</html>"), "status 200 with an HTML page"},
		"HTML with status 502":     {answer(502, "text/html", "<html>Bad Gateway</html>"), "status 502 with an HTML page"},
		"HTML with status 404":     {answer(404, "text/html", "<html>nginx</html>"), "status 404 with an HTML page"},
		"nothing with status 404":  {answer(404, "", ""), "status 404 with nothing in it"},
		"a redirect":               {answer(307, "text/html", "", "Location", "https://elsewhere.example/k-secret?key=abcdefgh"), "a redirect to https://elsewhere.example,"},
		"text with status 200":     {answer(200, "text/plain", "OK"), "content of the type text/plain"},
		"JSON in another's form":   {answer(404, jsonType, `{"error":"no such route"}`), "status 404"},
		"no content, with success": {answer(204, jsonType, ""), "status 204"},
	} {
		t.Run(name, func(t *testing.T) {
			err := status(t, newServer(t, c.answer).client(t, "token"), time.Minute)
			var foreign *ForeignError
			if !errors.As(err, &foreign) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestOnlyTheServersOwnWordsSayThatThereIsNoSuchThing(t *testing.T) {
	for body, want := range map[string]bool{
		`{"message":"` + NoBlock + `"}`:                    true,
		`{"message":"Not Found"}`:                          false, // algod's, of a path that it doesn't know
		`{"message":"no Route matched with those values"}`: false, // a gateway's
	} {
		err := status(t, newServer(t, answer(404, jsonType, body)).client(t, ""), time.Minute)
		if err == nil || NotFound(err, NoBlock) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestTheTokenDoesNotFollowARedirect(t *testing.T) {
	thief := newServer(t, answer(200, jsonType, "{}"))
	gateway := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusFound)
	})
	if err := status(t, gateway.client(t, "a secret token"), time.Minute); err == nil || thief.requests.Load() != 0 {
		t.Errorf("it was followed: %v", err)
	}
}

func TestTheTokenGoesInTheHeaderThatIsConfigured(t *testing.T) {
	for _, c := range []struct{ header, token, name, value string }{
		{"", "abc", "X-Algo-API-Token", "abc"},
		{"X-API-Key", "abc", "X-Api-Key", "abc"},
		{"authorization", "abc", "Authorization", "Bearer abc"},
		{"Authorization", "Basic YTpi", "Authorization", "Basic YTpi"},
	} {
		var got http.Header
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Clone()
			answer(200, jsonType, "{}")(w, r)
		})
		if err := status(t, s.client(t, c.token, c.header), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got.Get(c.name) != c.value || c.name != "X-Algo-API-Token" && got.Values("X-Algo-API-Token") != nil {
			t.Errorf("%+v: the request has %v", c, got)
		}
	}
}

func TestKeysInAURLReachTheServerAndNoError(t *testing.T) {
	var got *http.Request
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		answer(500, jsonType, fmt.Sprintf(`{"message":"cannot %s %s for %s"}`, r.Method, r.URL, r.Header.Get("X-Algo-API-Token")))(w, r)
	})
	url := strings.Replace(s.URL, "http://", "http://user:pass-word@", 1) + "/path-key-1234/?apikey=query-key-1234"
	c, err := NewAlgod(url, "token-1234")
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		for _, secret := range []string{"pass-word", "path-key", "query-key", "token-1234"} {
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows %s: %v", secret, err)
			}
		}
	}
	check(status(t, c, time.Minute))
	if _, password, _ := got.BasicAuth(); got.URL.Path != "/path-key-1234/v2/status" || got.URL.Query().Get("apikey") != "query-key-1234" || password != "pass-word" {
		t.Errorf("the request is for %s, with %v", got.URL, got.Header)
	}
	// What net/http says of an answer that is none, in which the server sends back what it was sent.
	echo := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 %s%s\r\n\r\n", r.URL.RequestURI(), r.Header.Get("X-Algo-API-Token"))
	})
	echoing, err := NewAlgod(strings.Replace(url, strings.TrimPrefix(s.URL, "http://"), strings.TrimPrefix(echo.URL, "http://"), 1), "token-1234")
	if err != nil {
		t.Fatal(err)
	}
	check(status(t, echoing, time.Minute))
	s.Close()
	check(status(t, c, time.Minute)) // … and of a request that fails
	for _, bad := range []string{"http://user:pass-word@\x7f/", "ftp://path-key-1234", "path-key-1234"} {
		_, err := NewAlgod(bad, "token-1234")
		check(err)
	}
}

func TestAnErrorsBodyIsShortened(t *testing.T) {
	for name, body := range map[string]string{
		"its own": `{"message":"` + strings.Repeat("x", 8000) + `"}`, "another's": strings.Repeat("x\n\x1b[31m", 1<<20), "a page": "<html>" + strings.Repeat("x", 1<<20),
	} {
		err := status(t, newServer(t, answer(500, jsonType, body)).client(t, ""), time.Minute)
		if err == nil || len(err.Error()) > maxMessage+100 || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: the error has %d bytes", name, len(fmt.Sprint(err)))
		}
	}
}

func TestBothFormsOfRetryAfterAreRead(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		retry, date string
		want        time.Duration
	}{
		{"20", "", 20 * time.Second},
		{"Sun, 22 Nov 2026 09:00:30 GMT", "", 30 * time.Second},
		{"Sun, 22 Nov 2026 11:00:30 GMT", "Sun, 22 Nov 2026 11:00:00 GMT", 30 * time.Second}, // our clock is wrong
		{"Sun, 22 Nov 2026 08:00:00 GMT", "", 0},
		{"Sunday, 22-Nov-26 09:00:07 GMT", "", 7 * time.Second}, // the obsolete form, which is to be read, too
		{"100000", "", maxRetryAfter},
		{"99999999999999999999", "", 0},
		{"-5", "", 0},
		{"soon", "", 0},
		{"", "", 0},
	} {
		header := http.Header{}
		header.Set("Retry-After", c.retry)
		header.Set("Date", c.date)
		if got := retryAfter(header, now); got != c.want {
			t.Errorf("Retry-After %q at %q: %s, want %s", c.retry, c.date, got, c.want)
		}
	}
}

func TestRetryAfterIsHeededByWhoeverAsksNext(t *testing.T) {
	s := newServer(t, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.requests.Add(1) == 1 {
			answer(429, "text/plain", "slow down", "Retry-After", "1")(w, r)
			return
		}
		answer(200, jsonType, "{}")(w, r)
	})
	c := s.client(t, "")
	began := time.Now()
	if after, throttled := IsThrottled(status(t, c, time.Minute)); !throttled || after != time.Second {
		t.Fatalf("throttled %v, after %s", throttled, after)
	}
	if _, throttled := IsThrottled(status(t, c, 2*time.Second)); !throttled || s.requests.Load() != 1 {
		t.Errorf("who can't wait is not told so; %d requests", s.requests.Load())
	}
	if err := status(t, c, time.Minute); err != nil || time.Since(began) < time.Second || s.requests.Load() != 2 {
		t.Errorf("after %s and %d requests: %v", time.Since(began), s.requests.Load(), err)
	}
}

func TestRequestsGoFurtherApartWhenAServerRefusesThemWithoutSayingForHowLong(t *testing.T) {
	const rate = 20 // a second
	var last atomic.Int64
	refused := 0
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if now := time.Now().UnixNano(); now-last.Swap(now) < int64(time.Second/rate) {
			answer(429, jsonType, `{"message":"too many"}`)(w, r)
			return
		}
		answer(200, jsonType, "{}")(w, r)
	})
	c := s.client(t, "")
	for range 30 {
		if status(t, c, time.Minute) != nil {
			refused++
		}
	}
	if refused > 15 {
		t.Errorf("%d of 30 requests were refused", refused)
	}
}

func TestACertificateOutOfItsTimeIsBlamedOnTheClock(t *testing.T) {
	s := httptest.NewTLSServer(answer(200, jsonType, "{}"))
	defer s.Close()
	base, tr, err := newTransport("algod", s.URL, "", algodHeader, nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	tr.next.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, Time: func() time.Time { return s.Certificate().NotBefore.Add(-time.Hour) }}
	c, err := algod.MakeClientWithTransport(base, "", nil, tr)
	if err != nil {
		t.Fatal(err)
	}
	if err := status(t, c, time.Minute); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("the error is %v", err)
	}
}
