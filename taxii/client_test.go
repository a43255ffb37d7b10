package taxii

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func newTestClient(t *testing.T, url string, c ClientConfig) *Client {
	t.Helper()
	client, err := NewClient(url, c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestClientAndServerUnderstandEachOther(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for name, config := range map[string]ClientConfig{
		"token": {Token: "tok-paul"},
		"Basic": {User: "paul", Password: "pw-paul"},
	} {
		c := newTestClient(t, f.url, config)
		d, err := c.Discovery(ctx)
		if err != nil || d.Default != "/acme/" {
			t.Fatalf("%s: discovery %+v, %v", name, d, err)
		}
		collections, err := c.Collections(ctx, d.Default)
		if err != nil || len(collections) != 3 {
			t.Fatalf("%s: collections %+v, %v", name, collections, err)
		}
		var objects []string
		for i := range 7 {
			objects = append(objects, indicator(i, 1))
		}
		status, err := c.Add(ctx, d.Default, boxID, []byte(`{"objects":[`+strings.Join(objects, ",")+`]}`))
		if err != nil || status.SuccessCount != 7 || status.Successes[0].TxID != "TX0" {
			t.Fatalf("%s: status %+v, %v", name, status, err)
		}
		again, err := c.Status(ctx, d.Default, status.ID)
		if err != nil || again.ID != status.ID || again.TotalCount != 7 {
			t.Errorf("%s: status again %+v, %v", name, again, err)
		}
		var got []string
		pages := 0
		for page, err := range c.Objects(ctx, d.Default, boxID, Filter{Limit: 3, Types: []string{"indicator"}, Version: "last", AddedAfter: "2020-01-01T00:00:00Z"}) {
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, o := range page.Objects {
				got = append(got, string(o))
			}
		}
		if pages != 3 || !slices.Equal(got, objects) {
			t.Errorf("%s: %d pages, %d objects", name, pages, len(got))
		}
		var refused *ResponseError
		for _, err := range c.Objects(ctx, d.Default, "nowhere", Filter{}) {
			if !errors.As(err, &refused) || refused.Status != http.StatusNotFound || refused.Title != "Not Found" {
				t.Errorf("%s: error %v", name, err)
			}
		}
		if refused == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// script serves one answer after the other.
func script(t *testing.T, answers ...http.HandlerFunc) *Client {
	t.Helper()
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n++; n > len(answers) {
			t.Errorf("request %d: %s", n, r.URL)
			return
		}
		answers[n-1](w, r)
	}))
	t.Cleanup(server.Close)
	return newTestClient(t, server.URL, ClientConfig{User: "u", Password: "secret"})
}

func say(body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			w.Header().Set(name, value)
		}
		fmt.Fprint(w, body)
	}
}

// collect walks a collection and returns how many objects came before what error.
func collect(c *Client, f Filter) (n int, err error) {
	for page, err := range c.Objects(context.Background(), "/acme/", "c", f) {
		if err != nil {
			return n, err
		}
		n += len(page.Objects)
	}
	return n, nil
}

// Checklist T6 and what else servers do: the client reads on where it can, and
// ends with an error where the server leads in circles.
func TestClientLivesWithOtherServers(t *testing.T) {
	const one = `"objects":[{"id":"a"}]`
	const last = "X-TAXII-Date-Added-Last: 2026-01-01T00:00:00.000001Z"
	for _, test := range []struct {
		name    string
		answers []http.HandlerFunc
		n       int
		ok      bool
	}{
		{"no date headers, empty next", []http.HandlerFunc{say(`{"more":false,"next":"",` + one + `}`)}, 1, true},
		{"next though there is no more", []http.HandlerFunc{say(`{"more":false,"next":"x",` + one + `}`)}, 1, true},
		{"a number for next", []http.HandlerFunc{say(`{"more":true,"next":5,` + one + `}`), say(`{` + one + `}`)}, 2, true},
		{"a cursor that stays the same", []http.HandlerFunc{say(`{"more":true,"next":"x",` + one + `}`), say(`{"more":true,"next":"x","objects":[{"id":"b"}]}`), say(`{` + one + `}`)}, 3, true},
		{"null for next", []http.HandlerFunc{say(`{"next":null,` + one + `}`)}, 1, true},
		{"no next but dates", []http.HandlerFunc{say(`{"more":true,`+one+`}`, last), say(`{` + one + `}`)}, 2, true},
		{"an empty object", []http.HandlerFunc{say(`{}`)}, 0, true},
		{"an empty list", []http.HandlerFunc{say(`{"objects":[]}`)}, 0, true},
		{"repeated names", []http.HandlerFunc{say(`{"objects":[{"id":"a","id":"b"}]}`)}, 1, true},
		{"more without a way on", []http.HandlerFunc{say(`{"more":true,` + one + `}`)}, 1, false},
		{"pages that repeat", []http.HandlerFunc{say(`{"more":true,"next":"x",` + one + `}`), say(`{"more":true,"next":"x",` + one + `}`)}, 2, false},
		{"dates that are none", []http.HandlerFunc{say(`{"more":true,`+one+`}`, "X-TAXII-Date-Added-Last: undefined")}, 1, false},
		{"dates that stand still", []http.HandlerFunc{say(`{"more":true,`+one+`}`, last), say(`{"more":true,`+one+`}`, last)}, 2, false},
		{"an empty page with more", []http.HandlerFunc{say(`{"more":true,"next":"x"}`)}, 0, false},
		{"a web page", []http.HandlerFunc{say(`<html>`)}, 0, false},
		{"a list", []http.HandlerFunc{say(`[]`)}, 0, false},
	} {
		n, err := collect(script(t, test.answers...), Filter{})
		if n != test.n || (err == nil) != test.ok {
			t.Errorf("%s: %d objects, %v", test.name, n, err)
		}
	}
}

func TestClientTellsWhatTheServerAnswered(t *testing.T) {
	c := script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"title":"slow down","description":"really","http_status":429}`)
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, `<html>proxy</html>`)
	})
	_, err := c.Status(t.Context(), "/acme/", "id")
	var refused *ResponseError
	if !errors.As(err, &refused) || *refused != (ResponseError{Status: 429, Title: "slow down", Description: "really", RetryAfter: 7 * time.Second}) {
		t.Errorf("got %+v", err)
	}
	if _, err = c.Discovery(t.Context()); err == nil || !strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error holds the password: %v", err)
	}
}

func TestClientBoundsAnswers(t *testing.T) {
	server := httptest.NewServer(say(`{"title":"` + strings.Repeat("x", 1000) + `"}`))
	defer server.Close()
	c := newTestClient(t, server.URL, ClientConfig{MaxAnswer: 1000})
	if _, err := c.Discovery(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than 1000 bytes") {
		t.Errorf("got %v", err)
	}
}

// Credentials go to the server they are for and nowhere else.
func TestClientKeepsCredentialsToItsServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request reaches the other server: %s with %q", r.URL, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	c := script(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/taxii2/", http.StatusFound)
	}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere/", http.StatusFound)
	}, say(`{"title":"moved"}`))
	if _, err := c.Discovery(t.Context()); err == nil {
		t.Error("a redirect to another server is followed")
	}
	if d, err := c.Discovery(t.Context()); err != nil || d.Title != "moved" {
		t.Errorf("a redirect on the same server: %+v, %v", d, err)
	}
	if _, err := c.Collections(t.Context(), other.URL+"/acme/"); err == nil {
		t.Error("another server's API root is asked")
	}
	for _, base := range []string{"", "taxii.example", "ftp://taxii.example", "https://"} {
		if _, err := NewClient(base, ClientConfig{}); err == nil {
			t.Errorf("%q is taken for a server", base)
		}
	}
}

func TestClientReadsBothFormsOfRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"18446744073709551615":          maxRetryAfter,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:00:00 GMT": 0,
		"Fri, 02 Jan 2099 03:00:00 GMT": maxRetryAfter,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	// A date is by the server's clock, whatever ours says.
	header := http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:05:05 GMT"}, "Date": {"Fri, 02 Jan 2026 03:05:00 GMT"}}
	if got := RetryAfter(header, now.Add(-time.Hour)); got != 5*time.Second {
		t.Errorf("with the server's date: %s", got)
	}
}

func TestClientSendsItsHeadersToItsServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"title":%q}`, r.Header.Get("X-Api-Key"))
	}))
	defer server.Close()
	c := newTestClient(t, server.URL, ClientConfig{Header: http.Header{"X-Api-Key": {"key"}}})
	if d, err := c.Discovery(t.Context()); err != nil || d.Title != "key" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestClientBoundsTheObjectsOfAPage(t *testing.T) {
	body := `{"objects":[` + strings.Repeat("1,", maxPageObjects) + `1]}`
	if _, err := collect(script(t, say(body)), Filter{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}
