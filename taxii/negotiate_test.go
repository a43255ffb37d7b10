package taxii

import (
	"net/http"
	"testing"
)

// Checklist 2.2: what clients really send as Accept.
func TestAcceptThatNamesTAXII21IsNeverRefused(t *testing.T) {
	for _, accept := range []string{
		"application/taxii+json;version=2.1",
		"application/taxii+json; version=2.1",
		`application/taxii+json; version="2.1"`,
		"Application/TAXII+JSON;Version=2.1",
		"application/taxii+json",
		"application/taxii+json;version=2.1,application/stix+json;version=2.1", // section 5.3
		"application/stix+json;version=2.1",
		"application/json",
		"application/json, text/plain, */*", // axios
		"*/*",                               // curl
		"application/*",
		"text/html;q=0.9, application/taxii+json;version=2.1;q=0.1",
		"application/vnd.oasis.taxii+json; version=2.0, application/taxii+json",
		"",
		"   ",
		`text/html;x="a,b", */*`,
	} {
		if !acceptsTAXII(http.Header{"Accept": {accept}}) {
			t.Errorf("Accept %q is refused", accept)
		}
	}
	if !acceptsTAXII(http.Header{}) {
		t.Error("no Accept at all is refused")
	}
	if !acceptsTAXII(http.Header{"Accept": {"text/html", "application/taxii+json"}}) {
		t.Error("the second of two Accept lines is not read")
	}
}

func TestAcceptOfOtherThingsIsRefused(t *testing.T) {
	for _, accept := range []string{
		"application/taxii+json;version=2.0",
		"application/taxii+json;version=9.9",
		"application/vnd.oasis.taxii+json",
		"application/vnd.oasis.taxii+json; version=2.0",
		"application/vnd.oasis.stix+json; version=2.0",
		"application/stix+json;version=2.0",
		"text/html",
		"application/taxii+json;version=2.1;q=0",
		"application/taxii+json;version=2.1;q=NaN",
		"application/taxii+json;version=2.1;q=-1",
		`text/html;x=", */*`, // all inside of the open quote
		",,,",
	} {
		if acceptsTAXII(http.Header{"Accept": {accept}}) {
			t.Errorf("Accept %q is let through", accept)
		}
	}
}

// Checklist 2.3.
func TestContentTypesOfObjects(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/taxii+json;version=2.1":                 true,
		"application/taxii+json":                             true,
		"APPLICATION/TAXII+JSON ; VERSION=2.1":               true,
		"application/taxii+json; version=2.1; charset=utf-8": true,
		"application/stix+json; version=2.1":                 true, // OpenCTI taxii-post
		"application/stix+json":                              true,
		"application/vnd.oasis.stix+json":                    true,
		"application/json":                                   true,
		"application/json; charset=utf-8":                    true,
		"application/taxii+json;version=2.0":                 false,
		"application/vnd.oasis.stix+json; version=2.0":       false,
		"application/x-www-form-urlencoded":                  false,
		"text/plain":                                         false,
		"":                                                   false,
		"application/taxii+json;version":                     false,
	} {
		if got := carriesSTIX(contentType); got != want {
			t.Errorf("Content-Type %q: %v, want %v", contentType, got, want)
		}
	}
}

func TestAcceptEncoding(t *testing.T) {
	for header, want := range map[string]bool{
		"":                    false,
		"gzip":                true,
		"gzip, deflate, br":   true,
		"deflate, GZIP;q=0.5": true,
		"*":                   true,
		"gzip;q=0, *":         false,
		"*, gzip;q=0":         false,
		"*;q=0":               false,
		"identity":            false,
		"gzip;q=2":            false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("Accept-Encoding %q: %v, want %v", header, got, want)
		}
	}
}

// Whatever else an Accept header holds, adding the media type admits it.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"*/*", "a/b;q=0.1", `a/b;c="d,e\"f"`, ",;=\"", "application/taxii+json;version=2.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		acceptsTAXII(http.Header{"Accept": {accept}})
		acceptsGzip(http.Header{"Accept-Encoding": {accept}})
		carriesSTIX(accept)
		if !acceptsTAXII(http.Header{"Accept": {accept, MediaType}}) {
			t.Errorf("%q takes the acceptance of a further line away", accept)
		}
	})
}

// Whoever takes nothing but HTML is told so, rather than given what they can't show; a browser takes anything beside
// it.
func TestTextHTMLAloneIsNotAcceptable(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/taxii2/", "/acme/", boxPath + "objects/"} {
		f.get(path, "Accept: text/html").wantProblem(t, http.StatusNotAcceptable)
		f.get(path, "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").want(t, http.StatusOK)
	}
}
