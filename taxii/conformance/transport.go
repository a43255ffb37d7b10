package conformance

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
)

// endpoints are the paths that can be read, with what each answers.
func (t *trial) endpoints() []string {
	c := t.session.collection
	return []string{
		"/taxii2/", t.root, t.root + "collections/", c, c + "manifest/", c + "objects/",
		c + "objects/" + t.seed.malware + "/", c + "objects/" + t.seed.malware + "/versions/",
	}
}

var transport = []Check{
	{"8.2.1", Must, "serves discovery at /taxii2/", func(t *trial) {
		t.want(t.get("/taxii2/"), http.StatusOK)
	}},
	{"3.1", Must, "serves every endpoint", func(t *trial) {
		for _, path := range t.endpoints() {
			t.want(t.get(path), http.StatusOK)
		}
	}},
	{"3.1", Interop, "serves every endpoint without the trailing slash, by no redirect", func(t *trial) {
		for _, path := range t.endpoints() {
			t.want(t.get(strings.TrimSuffix(path, "/")), http.StatusOK)
		}
	}},
	{"3.1", Interop, "answers HEAD like GET, without a body", func(t *trial) {
		for _, path := range t.endpoints() {
			a := t.do(request{method: http.MethodHead, path: path})
			t.want(a, http.StatusOK)
			if len(a.body) > 0 {
				t.fail("HEAD %s has a body", path)
			}
		}
	}},
	{"3.1", Interop, "answers other methods with 405 and Allow", func(t *trial) {
		for _, path := range t.endpoints() {
			a := t.do(request{method: http.MethodPut, path: path})
			t.want(a, http.StatusMethodNotAllowed)
			if !strings.Contains(a.header.Get("Allow"), http.MethodGet) {
				t.fail("PUT %s: Allow is %q", path, a.header.Get("Allow"))
			}
		}
	}},
	{"8.2.1", Should, "serves requests without a User-Agent", func(t *trial) {
		t.want(t.get(t.root, "User-Agent"), http.StatusOK)
	}},
	{"5.5", Interop, "takes a chunked body", func(t *trial) {
		body := struct{ io.Reader }{envelope(malware(t.seed.malware))} // which hides its length
		t.want(t.do(request{method: http.MethodPost, path: t.session.collection + "objects/", body: body}), http.StatusAccepted, http.StatusOK)
	}},
	{"5.5", Interop, "takes a body in gzip, or says 415", func(t *trial) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.Copy(z, envelope(malware(t.seed.malware))) // a buffer takes everything
		_ = z.Close()
		t.want(t.post(b.String(), "Content-Encoding: gzip"), http.StatusAccepted, http.StatusOK, http.StatusUnsupportedMediaType)
	}},
	{"5.4", Interop, "compresses large answers for who takes it", func(t *trial) {
		a := t.get(t.at("objects/"), "Accept-Encoding: gzip")
		t.want(a, http.StatusOK)
		if len(a.body) > 0 && a.header.Get("Content-Encoding") != "gzip" {
			t.fail("%d bytes, Content-Encoding %q", len(a.body), a.header.Get("Content-Encoding"))
		}
	}},
}

var negotiation = []Check{
	{"3.1", Must, "names media type and version in Content-Type", func(t *trial) {
		for _, path := range t.endpoints() {
			a := t.get(path)
			t.want(a, http.StatusOK)
			t.carriesTAXII(a)
		}
	}},
	{"3.1", Must, "takes every Accept that names its media type", func(t *trial) {
		for _, path := range t.endpoints() {
			for _, accept := range []string{mediaType, "application/taxii+json; version=2.1", "application/taxii+json"} {
				t.want(t.get(path, "Accept: "+accept), http.StatusOK)
			}
		}
	}},
	{"5.3", Must, "takes the Accept that the manifest requires", func(t *trial) {
		t.want(t.get(t.session.collection+"manifest/", "Accept: application/taxii+json;version=2.1,application/stix+json;version=2.1"), http.StatusOK)
	}},
	{"3.1", Should, "answers an Accept without a version in its highest", func(t *trial) {
		a := t.get(t.root, "Accept: application/taxii+json")
		t.want(a, http.StatusOK)
		t.carriesTAXII(a)
	}},
	{"3.1", Interop, "takes Accept as browsers, curl and axios send it, and none", func(t *trial) {
		for _, accept := range []string{"Accept: */*", "Accept: application/*", "Accept: application/json, text/plain, */*", "Accept"} {
			t.want(t.get(t.root, accept), http.StatusOK)
		}
	}},
	{"3.1", Interop, "answers 406 to TAXII 2.0, by which clients know", func(t *trial) {
		for _, accept := range []string{"application/taxii+json;version=2.0", "application/vnd.oasis.taxii+json; version=2.0"} {
			t.want(t.get(t.root, "Accept: "+accept), http.StatusNotAcceptable)
		}
	}},
	{"3.1", Must, "takes every Content-Type that is its media type", func(t *trial) {
		for _, contentType := range []string{mediaType, "application/taxii+json", "application/taxii+json; version=2.1"} {
			a := t.do(request{method: http.MethodPost, path: t.session.collection + "objects/",
				body: envelope(malware(t.seed.malware)), headers: []string{"Content-Type: " + contentType}})
			if a.status == http.StatusUnsupportedMediaType {
				t.fail("415 for %s", contentType)
			}
			t.want(a, http.StatusAccepted, http.StatusOK)
		}
	}},
	{"3.1", Interop, "takes the Content-Type of STIX (OpenCTI)", func(t *trial) {
		t.want(t.post(`{"objects":[`+malware(t.seed.malware)+`]}`, "Content-Type: application/stix+json; version=2.1"), http.StatusAccepted, http.StatusOK)
	}},
	{"5.5", Interop, "answers 415 to text", func(t *trial) {
		t.want(t.post(`{"objects":[`+malware(t.seed.malware)+`]}`, "Content-Type: text/plain"), http.StatusUnsupportedMediaType)
	}},
}

// carriesTAXII wants a Content-Type that clients recognise: they compare its parts as texts.
func (t *trial) carriesTAXII(a *answer) {
	parts := strings.Split(strings.ReplaceAll(a.header.Get("Content-Type"), " ", ""), ";")
	if parts[0] != "application/taxii+json" || !slices.Contains(parts, "version=2.1") {
		t.fail("%s %s: %d with Content-Type %q", a.method, shown(a.path), a.status, a.header.Get("Content-Type"))
	}
}
