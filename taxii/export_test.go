package taxii

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const exportPath = boxPath + "export?format=plain"

func TestAnExportIsTheListThatTheBackendMakes(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0), indicator(2, 0))
	want := indicatorID(1) + "\n" + indicatorID(2) + "\n"
	// No client that asks for a list accepts TAXII.
	a := f.get(exportPath, "Accept: text/plain")
	a.want(t, http.StatusOK)
	if string(a.body) != want || a.header.Get("X-Slnode-Skipped") != "3" || a.header.Get("Content-Type") != "text/plain" || a.header.Get("ETag") == "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	a = f.get(exportPath, "Accept-Encoding: gzip")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != want || a.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%s, %v", plain, err)
	}
	if a := f.do(http.MethodHead, exportPath, ""); a.status != http.StatusOK || len(a.body) > 0 || a.header.Get("X-Slnode-Skipped") != "3" {
		t.Errorf("HEAD is answered %d %v", a.status, a.header)
	}
}

func TestAPollThatFindsNothingNewCostsNoExport(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0))
	f.backend.until = f.clock.Now().Add(time.Hour)
	tag := f.get(exportPath).header.Get("ETag")
	again := func(path, tag string, want int) string {
		t.Helper()
		before := f.backend.exports
		a := f.get(path, "If-None-Match: "+tag)
		a.want(t, want)
		if made := f.backend.exports - before; made != 0 && want == http.StatusNotModified || want == http.StatusNotModified && len(a.body) > 0 {
			t.Errorf("%d lists were made for a %d", made, want)
		}
		return a.header.Get("ETag")
	}
	for _, known := range []string{tag, `"x", ` + tag, strings.TrimPrefix(tag, "W/"), strings.TrimSuffix(tag, `"`) + `-gzip"`} {
		again(exportPath, known, http.StatusNotModified)
	}
	again(exportPath, "*", http.StatusOK)
	again(exportPath, `"1-2"`, http.StatusOK)
	again(exportPath+"&kind=ip", tag, http.StatusOK)
	again(exportPath+"&min_confidence=1", tag, http.StatusOK)
	again(feedPath+"export?format=plain", tag, http.StatusOK)

	f.clock.advance(time.Hour) // an indicator ends
	f.backend.until = time.Time{}
	tag = again(exportPath, tag, http.StatusOK)
	f.clock.advance(1000 * time.Hour)
	again(exportPath, tag, http.StatusNotModified)
	f.post(indicator(2, 0))
	tag = again(exportPath, tag, http.StatusOK)
	f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "").want(t, http.StatusOK)
	if again(exportPath, tag, http.StatusOK) == tag {
		t.Error("what was withdrawn leaves the tag as it was")
	}
}

func TestAnExportNeedsTheRightToReadAndSense(t *testing.T) {
	f := newFixture(t)
	f.anonymous(http.MethodGet, exportPath, "").wantProblem(t, http.StatusUnauthorized)
	f.get(inboxPath+"export?format=plain").wantProblem(t, http.StatusForbidden)
	f.get("/acme/collections/"+hiddenID+"/export?format=plain").wantProblem(t, http.StatusNotFound)
	for _, query := range []string{"", "?format=exe", "?format=plain&format=plain", "?format=plain&limit=1", "?format=plain&min_confidence=101", "?format=plain&min_confidence=x", "?format=plain&score=101", "?format=plain&score=-1", "?format=plain&score=30&score=40", "?%zz"} {
		if a := f.get(boxPath + "export" + query); a.status != http.StatusBadRequest {
			t.Errorf("%s is answered %d", query, a.status)
		}
	}
	f.do(http.MethodPost, exportPath, "{}").wantProblem(t, http.StatusMethodNotAllowed)
}

func TestABrokenExportDoesNotLookWhole(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0))
	for _, coding := range []string{"identity", "gzip"} {
		r, err := http.NewRequest(http.MethodGet, f.url+boxPath+"export?format=broken", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer tok-paul")
		r.Header.Set("Accept-Encoding", coding)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			continue // cut before the header
		}
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("%s: the answer ends well", coding)
		}
		response.Body.Close()
	}
}

func TestTheClientExports(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0))
	client, err := NewClient(f.url, ClientConfig{Token: "tok-rita"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	left, err := client.Export(t.Context(), "/acme/", boxID, ExportQuery{Format: "plain", Kinds: []string{"ip"}, MinConfidence: 5}, &out)
	if err != nil || left.All != 3 || out.String() != indicatorID(1)+"\n" {
		t.Errorf("%d, %v: %s", left, err, out.String())
	}
	_, err = client.Export(t.Context(), "/acme/", boxID, ExportQuery{Format: "exe"}, &out)
	if err == nil || !strings.Contains(err.Error(), "no such format") {
		t.Errorf("%v", err)
	}
}

func FuzzExportTag(f *testing.F) {
	f.Add(`W/"1-2-abc", "3-0-abc"`, "format=plain&kind=ip,domain&min_confidence=3&score=30")
	f.Fuzz(func(t *testing.T, header, query string) {
		tag := exportTag{changed: 1, query: "abc"}
		if known, ok := tag.among([]string{header}, time.Unix(1, 0)); ok && !strings.Contains(known, "abc") {
			t.Fatalf("%q matches", known)
		}
		if q, err := parseExport(query); err == nil && (min(q.MinConfidence, q.Score) < 0 || max(q.MinConfidence, q.Score) > 100) {
			t.Fatalf("%+v", q)
		}
	})
}
