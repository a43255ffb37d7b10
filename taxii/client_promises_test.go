package taxii

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// asked is what a client sent.
type asked struct {
	method, path string
	query        url.Values
	header       http.Header
	body         string
}

// listening answers every request the same and keeps what it was asked.
func listening(t *testing.T, c ClientConfig, answer http.HandlerFunc) (*Client, *[]asked) {
	t.Helper()
	var requests []asked
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, asked{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header, string(body)})
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return newTestClient(t, server.URL, c), &requests
}

func TestClientAsksForWhatItsFilterSays(t *testing.T) {
	c, requests := listening(t, ClientConfig{}, say(`{}`))
	f := Filter{IDs: []string{"a", "b"}, Types: []string{"c", "d"}, Version: "all", AddedAfter: "2026-01-01T00:00:00Z", Next: "n", Limit: 1}
	for _, filter := range []Filter{f, {}} {
		if _, err := c.Page(t.Context(), "/acme/", "x/y", filter); err != nil {
			t.Fatal(err)
		}
	}
	want := url.Values{"match[id]": {"a,b"}, "match[type]": {"c,d"}, "match[version]": {"all"}, "added_after": {"2026-01-01T00:00:00Z"}, "next": {"n"}, "limit": {"1"}}
	first, second := (*requests)[0], (*requests)[1]
	if first.query.Encode() != want.Encode() || first.path != "/acme/collections/x%2Fy/objects/" || first.method != http.MethodGet || first.body != "" {
		t.Errorf("asked %+v", first)
	}
	if first.header.Get("Accept") != MediaType || first.header.Get("User-Agent") != "slnode/devel (commit unknown; wire 1)" || first.header.Get("Authorization") != "" {
		t.Errorf("with the headers %v", first.header)
	}
	if len(second.query) != 0 {
		t.Errorf("without a filter it asks for %v", second.query)
	}
}

func TestClientSendsObjectsAsTAXII(t *testing.T) {
	c, requests := listening(t, ClientConfig{}, say(`{"id":"s","total_count":1,"dry_run":true}`))
	if status, err := c.Add(t.Context(), "/acme/", "c", []byte(`{"objects":[]}`)); err != nil || status.ID != "s" {
		t.Errorf("%+v, %v", status, err)
	}
	if rehearsal, err := c.Rehearse(t.Context(), "/acme/", "c", []byte(`{"objects":[]}`)); err != nil || !rehearsal.DryRun || rehearsal.TotalCount != 1 {
		t.Errorf("%+v, %v", rehearsal, err)
	}
	for i, r := range *requests {
		if r.method != http.MethodPost || r.path != "/acme/collections/c/objects/" || r.header.Get("Content-Type") != MediaType || r.body != `{"objects":[]}` ||
			r.query.Get("dry_run") != map[int]string{0: "", 1: "true"}[i] {
			t.Errorf("request %d is %+v", i, r)
		}
	}
	for _, root := range []string{"http://elsewhere.example/acme/", "https" + strings.TrimPrefix(c.base.String(), "http") + "/acme/", "::"} {
		_, added := c.Add(t.Context(), root, "c", nil)
		_, rehearsed := c.Rehearse(t.Context(), root, "c", nil)
		_, exported := c.Export(t.Context(), root, "c", ExportQuery{}, io.Discard)
		_, paged := c.Page(t.Context(), root, "c", Filter{})
		if added == nil || rehearsed == nil || exported == nil || paged == nil {
			t.Errorf("%s: %v, %v, %v, %v", root, added, rehearsed, exported, paged)
		}
	}
	if len(*requests) != 2 {
		t.Errorf("%d requests", len(*requests))
	}
}

func TestClientShowsTheCredentialsThatItHas(t *testing.T) {
	userAlone, passwordAlone := basic("u", ""), basic("", "p")
	for want, config := range map[string]ClientConfig{
		"":                                    {},
		strings.Split(userAlone, ": ")[1]:     {User: "u"},
		strings.Split(passwordAlone, ": ")[1]: {Password: "p"},
		"Bearer t":                            {Token: "t", User: "u", Password: "p"},
		"Bearer h":                            {Token: "h", Header: http.Header{"X-Api-Key": {"k"}}},
	} {
		c, requests := listening(t, config, say(`{}`))
		if _, err := c.Discovery(t.Context()); err != nil {
			t.Fatal(err)
		}
		header := (*requests)[0].header
		if got := header.Get("Authorization"); got != want || (header.Get("X-Api-Key") != "") != (want == "Bearer h") {
			t.Errorf("%+v sends %q and the key %q", config, got, header.Get("X-Api-Key"))
		}
	}
}

type counting struct{ n int }

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n++
	return http.DefaultTransport.RoundTrip(r)
}

func TestClientGoesTheWayThatItIsGiven(t *testing.T) {
	way := &counting{}
	c, _ := listening(t, ClientConfig{HTTP: &http.Client{Transport: way}}, say(`{}`))
	if _, err := c.Discovery(t.Context()); err != nil || way.n != 1 {
		t.Errorf("%d requests, %v", way.n, err)
	}
}

func TestClientIsSentOnFiveTimes(t *testing.T) {
	for hops, good := range map[int]bool{5: true, 6: false} {
		left := hops
		c, _ := listening(t, ClientConfig{}, func(w http.ResponseWriter, r *http.Request) {
			if left == 0 {
				say(`{"title":"here"}`)(w, r)
				return
			}
			left--
			http.Redirect(w, r, "/taxii2/", http.StatusFound)
		})
		var answered *ResponseError
		d, err := c.Discovery(t.Context())
		if good && (err != nil || d.Title != "here") || !good && (!errors.As(err, &answered) || answered.Status != http.StatusFound) {
			t.Errorf("%d times: %+v, %v", hops, d, err)
		}
	}
	// What was to be posted must not become something that is asked for.
	c, requests := listening(t, ClientConfig{}, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other/", http.StatusFound) })
	if _, err := c.Add(t.Context(), "/acme/", "c", []byte("{}")); err == nil || len(*requests) != 1 {
		t.Errorf("%v after %d requests", err, len(*requests))
	}
}

func TestClientTakesEverySuccessAndNothingElse(t *testing.T) {
	for status, good := range map[int]bool{200: true, 202: true, 299: true, 300: false, 304: false, 404: false} {
		c, _ := listening(t, ClientConfig{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != 304 {
				fmt.Fprint(w, `{"title":"T"}`)
			}
		})
		_, err := c.Discovery(t.Context())
		if (err == nil) != good {
			t.Errorf("%d: %v", status, err)
		}
		if status == 404 && !strings.HasSuffix(err.Error(), "404 Not Found: T") {
			t.Errorf("without a description the title is told: %v", err)
		}
	}
}

func TestClientTakesAnAnswerOfJustTheSize(t *testing.T) {
	body := `{"title":"xy"}`
	for most, good := range map[int]bool{len(body): true, len(body) - 1: false} {
		c, _ := listening(t, ClientConfig{MaxAnswer: int64(most)}, say(body))
		if _, err := c.Discovery(t.Context()); (err == nil) != good {
			t.Errorf("%d bytes of %d: %v", len(body), most, err)
		}
	}
	for most, want := range map[int64]int64{0: 256 << 20, -1: 256 << 20, 1: 1} {
		if c := newTestClient(t, "http://taxii.example", ClientConfig{MaxAnswer: most}); c.answer != want {
			t.Errorf("with %d it takes %d bytes", most, c.answer)
		}
	}
	c, _ := listening(t, ClientConfig{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, body)
	})
	if _, err := c.Discovery(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that is cut off: %v", err)
	}
	if _, err := c.Export(t.Context(), "/acme/", "c", ExportQuery{}, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a list that is cut off: %v", err)
	}
}

// A cursor can be as good as a credential, and what is asked for can be a secret.
func TestClientsErrorsDoNotRepeatTheQuery(t *testing.T) {
	server := httptest.NewServer(nil)
	c := newTestClient(t, server.URL, ClientConfig{})
	server.Close()
	_, paged := c.Page(t.Context(), "/acme/", "c", Filter{Next: "geheim"})
	_, exported := c.Export(t.Context(), "/acme/", "c", ExportQuery{Format: "geheim"}, io.Discard)
	for _, err := range []error{paged, exported} {
		if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "GET /acme/collections/c/") {
			t.Errorf("%v", err)
		}
	}
}

func TestClientReadsWhatAPageSays(t *testing.T) {
	for body, want := range map[string]ObjectsPage{
		`{"more":true,"next":"n"}`:                {More: MoreYes, Next: "n"},
		`{"more":false,"next":5}`:                 {More: MoreNo, Next: "5"},
		`{"more":null,"next":null}`:               {},
		`{"more":"yes","next":true}`:              {},
		`{"objects":null}`:                        {},
		"{\"next\":\"a\",\"x\":\"\xff\",\"x\":1}": {Next: "a"},
	} {
		c, _ := listening(t, ClientConfig{}, say(body, "Date: Fri, 02 Jan 2026 03:05:05 GMT", "X-TAXII-Date-Added-First: 2026-01-01T00:00:00Z", "X-TAXII-Date-Added-Last: undefined"))
		got, err := c.Page(t.Context(), "/acme/", "c", Filter{})
		if err != nil || got.More != want.More || got.Next != want.Next || got.First != "2026-01-01T00:00:00Z" || got.Last != "" ||
			!got.Asked.Equal(time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC)) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{`{"objects":{}}`, `{"objects":"x"}`, `{"objects":[}`, `{"objects":[1`, `{"objects":[1 2]}`, `{"objects":[1,]}`} {
		c, _ := listening(t, ClientConfig{}, say(body))
		if page, err := c.Page(t.Context(), "/acme/", "c", Filter{}); err == nil {
			t.Errorf("%s: %+v", body, page)
		}
	}
}

func TestAListOfObjectsIsReadUpToItsBound(t *testing.T) {
	for text, want := range map[string]int{`[]`: 0, `[1, {"a" : 2}]`: 2, `[1,2,3]`: -1, `{}`: -1, `[1`: -1, `[1,`: -1, `[`: -1, `x`: -1} {
		list, err := AppendObjects(nil, jsontext.NewDecoder(bytes.NewReader([]byte(text))), 2)
		if (err == nil) != (want >= 0) || err == nil && len(list) != want {
			t.Errorf("%s: %s, %v", text, list, err)
		}
		if text == `[1,2,3]` && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if maxPageObjects != 100_000 {
		t.Errorf("a page has up to %d objects", maxPageObjects)
	}
}

func TestClientReadsOnAsLongAsItGetsFurther(t *testing.T) {
	const one = `"objects":[{"id":"a"}]`
	const last = "X-TAXII-Date-Added-Last: 2026-01-01T00:00:00.000001Z"
	// The same objects under another cursor are a page further on.
	if n, err := collect(script(t, say(`{"more":true,"next":"x",`+one+`}`), say(`{"more":true,"next":"y",`+one+`}`), say(`{`+one+`}`)), Filter{}); n != 3 || err != nil {
		t.Errorf("%d objects, %v", n, err)
	}
	// Where there is a cursor, the date is no way round it.
	if n, err := collect(script(t, say(`{"more":true,"next":"x",`+one+`}`, last), say(`{"more":true,"next":"x",`+one+`}`, last)), Filter{}); n != 2 || err == nil {
		t.Errorf("%d objects, %v", n, err)
	}
	// From a date on, only a later one leads further.
	if n, err := collect(script(t, say(`{"more":true,`+one+`}`, last)), Filter{AddedAfter: "2026-01-02T00:00:00Z"}); n != 1 || err == nil {
		t.Errorf("%d objects, %v", n, err)
	}
	if n, err := collect(script(t, say(`{"more":true,`+one+`}`, last), say(`{}`)), Filter{AddedAfter: "2025-12-31T00:00:00Z"}); n != 1 || err != nil {
		t.Errorf("%d objects, %v", n, err)
	}
	c := script(t, say(`{"more":true,"next":"x",`+one+`}`))
	for range c.Objects(t.Context(), "/acme/", "c", Filter{}) {
		break // and nothing more is asked for
	}
}

func TestClientAsksForAListAndWhatIsNotInIt(t *testing.T) {
	c, requests := listening(t, ClientConfig{}, say("evil.example\n", "X-Slnode-Skipped: 3", "X-Slnode-Skipped-Reliability: 2"))
	for i, q := range []ExportQuery{{Format: "plain", Kinds: []string{"ip", "domain"}, MinConfidence: 1, Score: 30}, {Format: "csv"}, {Format: "csv", Kinds: []string{"ip"}}} {
		var out bytes.Buffer
		if left, err := c.Export(t.Context(), "/acme/", "c", q, &out); err != nil || left != (LeftOut{3, 2}) || out.String() != "evil.example\n" {
			t.Errorf("%d, %q, %v", left, out.String(), err)
		}
		r := (*requests)[i]
		if want := []string{"format=plain&kind=ip%2Cdomain&min_confidence=1&score=30", "format=csv", "format=csv&kind=ip"}[i]; r.query.Encode() != want || r.path != "/acme/collections/c/export/" || r.header.Get("Accept") != "*/*" {
			t.Errorf("asked %+v, want %s", r, want)
		}
	}
	var answered *ResponseError
	c, _ = listening(t, ClientConfig{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"title":"T","description":"none"}`)
	})
	if _, err := c.Export(t.Context(), "/acme/", "c", ExportQuery{}, io.Discard); !errors.As(err, &answered) || answered.Status != 404 || answered.Description != "none" {
		t.Errorf("%v", err)
	}
	c, _ = listening(t, ClientConfig{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusNotFound)
	})
	if _, err := c.Export(t.Context(), "/acme/", "c", ExportQuery{}, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a refusal that is cut off: %v", err)
	}
	c, _ = listening(t, ClientConfig{}, say("evil.example\n"))
	if _, err := c.Export(t.Context(), "/acme/", "c", ExportQuery{}, io.Discard); err == nil || !strings.Contains(err.Error(), "leaves out") {
		t.Errorf("a list that does not tell: %v", err)
	}
	for most, good := range map[int64]bool{13: true, 12: false} { // a part of a list must not be taken for it
		c, _ = listening(t, ClientConfig{MaxAnswer: most}, say("evil.example\n", "X-Slnode-Skipped: 0"))
		if _, err := c.Export(t.Context(), "/acme/", "c", ExportQuery{}, io.Discard); (err == nil) != good || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("13 bytes of %d: %v", most, err)
		}
	}
}

func TestABaseIsTheURLOfAServer(t *testing.T) {
	for _, bad := range []string{"http://a b", "http://[::1", "https:", "http:opaque", "//taxii.example", "taxii.example:443"} {
		if _, err := NewClient(bad, ClientConfig{}); err == nil {
			t.Errorf("%q is one", bad)
		}
	}
	for _, good := range []string{"http://taxii.example", "https://taxii.example:8443/x"} {
		if _, err := NewClient(good, ClientConfig{}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for text, good := range map[string]bool{"2026-01-31T08:00:00.123Z": true, "2026-01-31 08:00": false, "": false} {
		if _, err := ParseDate(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if !slices.Equal([]bool{later("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), later("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), later("x", "2026-01-01T00:00:00Z"), later("2026-01-01T00:00:00Z", "x")},
		[]bool{true, false, false, true}) {
		t.Error("which date is later is wrong")
	}
}
