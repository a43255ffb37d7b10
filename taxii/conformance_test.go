package taxii

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/taxii/conformance"
)

// The server does all of what the suite asks, what the standard demands and
// what it does not. Each kind of credential is tried.
func TestTheServerConforms(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxContentLength = 4 << 20 })
	for name, target := range map[string]conformance.Target{
		"user and token": {User: "paul", Password: "pw-paul", Token: "tok-paul"},
		"user":           {User: "paul", Password: "pw-paul"},
		"token":          {Token: "tok-paul"},
	} {
		t.Run(name, func(t *testing.T) {
			target.URL = f.url
			results, err := conformance.Run(t.Context(), target, conformance.Checks())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				switch r.Outcome {
				case conformance.Failed:
					t.Errorf("%s %s %s: %s", r.Section, r.Level, r.Title, r.Detail)
				case conformance.Skipped:
					if name == "user and token" {
						t.Errorf("%s %s %s was not tried: %s", r.Section, r.Level, r.Title, r.Detail)
					}
				}
			}
		})
	}
}

// The suite finds what is wrong with servers that are a little wrong each.
// rewrite puts other text in the place of some in an answer.
func rewrite(from, to string) func(*http.Response) error {
	return func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = bytes.ReplaceAll(body, []byte(from), []byte(to))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
}

func TestTheSuiteFindsFaults(t *testing.T) {
	for title, fault := range map[string]func(*http.Response) error{
		"names media type and version in Content-Type":                                 func(r *http.Response) error { r.Header.Set("Content-Type", "application/json"); return nil },
		"names the dates of the first and last object in the headers":                  func(r *http.Response) error { r.Header.Del("X-TAXII-Date-Added-Last"); return nil },
		"gives next with more, on every listing":                                       rewrite(`"next":`, `"x_next":`),
		"says more exactly when there is more":                                         rewrite(`"more":true`, `"more":false`),
		"writes its timestamps with six digits and Z":                                  rewrite(`Z","version"`, `0Z","version"`),
		"gives objects back in an envelope, with all that was posted":                  rewrite(`"is_family":false`, `"is_family":true`),
		"gives timestamps and numbers back as they were written":                       rewrite("1.50", "1.5"),
		"describes its API root":                                                       rewrite("max_content_length", "maximum"),
		"describes its collections":                                                    rewrite(`"can_read":true`, `"can_read":null`),
		"answers requests without credentials with 401 and WWW-Authenticate, or 404":   func(r *http.Response) error { r.Header.Del("WWW-Authenticate"); return nil },
		"answers errors with TAXII's media type, a title, and http_status as a string": rewrite(`"http_status":"404"`, `"http_status":404`),
		"answers with a status resource":                                               rewrite(`"total_count"`, `"total"`),
		"answers 202 to objects that it takes": func(r *http.Response) error {
			if r.StatusCode == http.StatusAccepted {
				r.StatusCode, r.Status = http.StatusOK, ""
			}
			return nil
		},
		"answers 400 to a limit that is not a positive integer": func(r *http.Response) error {
			if strings.Contains(r.Request.URL.RawQuery, "limit=abc") {
				r.StatusCode, r.Status = http.StatusInternalServerError, ""
			}
			return nil
		},
	} {
		t.Run(title, func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.MaxContentLength = 1 << 20 })
			behind, err := url.Parse(f.url)
			if err != nil {
				t.Fatal(err)
			}
			faulty := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) {
					r.SetURL(behind)
					r.Out.URL.RawQuery = r.In.URL.RawQuery
					r.Out.Header.Del("Accept-Encoding") // so that faults can be written into the answers
				},
				ModifyResponse: fault,
			})
			defer faulty.Close()
			checks := slices.DeleteFunc(conformance.Checks(), func(c conformance.Check) bool { return c.Title != title })
			target := conformance.Target{URL: faulty.URL, Root: "/acme/", Collection: boxID, Token: "tok-paul"}
			results, err := conformance.Run(t.Context(), target, checks)
			if err != nil || len(results) != 1 {
				t.Fatalf("%v of %d checks", err, len(results))
			}
			if results[0].Outcome != conformance.Failed || results[0].Detail == "" {
				t.Errorf("%+v", results[0])
			}
		})
	}
}
