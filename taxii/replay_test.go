package taxii

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The requests of real clients, header by header as their sources make them (checklist T1 to T14).

// T1, T2, T3: taxii2client 2.3.0 pages with as_pages, first without a limit,
// then with the number of objects that it got, always with next.
func TestReplayTaxii2Client(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Pages = PageLimits{Default: 3, Max: 3} })
	headers := []string{"User-Agent: taxii2-client/2.3.0", "Accept: application/taxii+json;version=2.1", "Authorization: Token tok-paul"}
	get := func(path string) answer {
		t.Helper()
		a := f.anonymous(http.MethodGet, path, "", headers...)
		a.want(t, http.StatusOK)
		// valid_content_type: tokens split at ';', spaces dropped, compared exactly.
		tokens := strings.Split(strings.ReplaceAll(a.header.Get("Content-Type"), " ", ""), ";")
		if tokens[0] != "application/taxii+json" || !slices.Contains(tokens, "version=2.1") {
			t.Errorf("%s: Content-Type %q", path, a.header.Get("Content-Type"))
		}
		return a
	}
	d := decode[DiscoveryResource](t, get("/taxii2/"))
	if !slices.Contains(d.APIRoots, d.Default) {
		t.Errorf("server.default is None: %+v", d)
	}
	root := decode[RootResource](t, get(d.Default))
	if root.Title == "" || len(root.Versions) == 0 || root.MaxContentLength == 0 {
		t.Errorf("ValidationError of ApiRoot: %+v", root)
	}
	collection := decode[CollectionsResource](t, get("/acme/collections/")).Collections[0]
	url := "/acme/collections/" + collection.ID + "/"

	var objects []string
	for i := range 8 {
		objects = append(objects, indicator(i, 1))
	}
	a := f.anonymous(http.MethodPost, url+"objects/", `{"objects": [`+strings.Join(objects, ", ")+`]}`,
		"Accept: application/taxii+json;version=2.1", "Content-Type: application/taxii+json;version=2.1", "Authorization: Token tok-paul")
	a.want(t, http.StatusAccepted)
	status := decode[StatusResource](t, a)
	again := decode[StatusResource](t, get(path.Join(url, "../../status", status.ID)+"/"))
	if again.Status != "complete" || again.TotalCount != 8 {
		t.Errorf("status %+v", again)
	}
	for _, listing := range []string{"objects/", "manifest/"} {
		a := get(url + listing)
		ids := a.ids(t)
		per := len(ids)
		for pages := 1; decode[envelope](t, a).More; pages++ {
			if pages > 8 {
				t.Fatalf("%s: as_pages goes on for ever", listing)
			}
			a = get(url + listing + fmt.Sprintf("?limit=%d&next=%s", per, decode[envelope](t, a).Next))
			ids = append(ids, a.ids(t)...)
		}
		if len(ids) != 8 {
			t.Errorf("%s: %d objects of 8", listing, len(ids))
		}
	}
}

// T4: the ingester of the OpenCTI platform. It asks for one page a tick, keeps next, and else the last date cut to
// milliseconds, and always sends added_after as well.
func TestReplayOpenCTIIngester(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Pages.Default = 4 })
	var objects []string
	for i := range 10 {
		objects = append(objects, indicator(i, 1))
	}
	f.post(objects...)
	seen := make(map[string]bool)
	addedAfter, next := "2020-01-01T00:00:00.000Z", ""
	for tick := range 10 {
		if tick == 5 {
			f.post(indicator(10, 1), indicator(11, 1))
		}
		path := boxPath + "objects/?added_after=" + addedAfter
		if next != "" {
			path = boxPath + "objects/?next=" + next + "&added_after=" + addedAfter
		}
		a := f.get(path, "Accept: application/taxii+json;version=2.1", "User-Agent: axios/1.7")
		for _, id := range a.ids(t) {
			seen[id] = true
		}
		e := decode[envelope](t, a)
		if next = e.Next; e.More {
			continue
		}
		if len(e.Objects) > 0 {
			last := a.header.Get("x-taxii-date-added-last")
			addedAfter = last[:len("2026-01-01T00:00:00.000")] + "Z"
		}
	}
	if len(seen) != 12 {
		t.Errorf("saw %d objects of 12", len(seen))
	}
}

// T5: OpenCTI's connector stream/taxii-post: a bundle of one object for each event, with a spec_version of its own,
// created_by_ref and object_marking_refs taken out unless it is told not to; a delete sends the object once more.
func TestReplayOpenCTITaxiiPost(t *testing.T) {
	f := newFixture(t)
	object := `{"id": "` + indicatorID(1) + `", "spec_version": "2.1", "type": "indicator", "extensions": {"extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba": ` +
		`{"extension_type": "property-extension", "id": "8e0a5e7d-0001-4000-8000-000000000001", "type": "Indicator", "is_inferred": false}}, ` +
		`"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:01.000Z", "revoked": false, "confidence": 100, "lang": "en", ` +
		`"pattern": "[ipv4-addr:value = '198.51.100.1']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00.000Z"}`
	for _, credential := range []string{"Authorization: Bearer tok-paul", basic("paul", "pw-paul")} {
		a := f.anonymous(http.MethodPost, boxPath+"objects/",
			`{"type": "bundle", "spec_version": "2.1", "id": "bundle--`+boxID+`", "objects": [`+object+`]}`,
			"Content-Type: application/stix+json; version=2.1", "Accept: application/taxii+json; version=2.1",
			"User-Agent: python-requests/2.32", "Accept-Encoding: gzip, deflate", credential)
		a.want(t, http.StatusAccepted)
		if s := decode[StatusResource](t, a); s.SuccessCount != 1 {
			t.Errorf("status %s", a.body)
		}
	}
	if a := f.get(boxPath + "objects/"); string(a.body) != `{"objects":[`+object+`]}` {
		t.Errorf("it is there as %s", a.body)
	}
}

// T7, T8: OpenCTI's connector external-import/taxii2 over all collections of a root. Its filters are one dictionary for
// all requests that it ever makes: next is taken along to the next collection and to the next run. If neither the
// envelope nor the first object has a spec_version it takes the server for one of TAXII 2.0, and then expects objects
// in every answer. fillTwo adds objects to two collections.
func fillTwo(f *fixture) (ids []string) {
	for i, collection := range []string{boxID, feedID} {
		f.backend.add(collection, "ipv4-addr", fmt.Sprintf("ipv4-addr--%d", i), "", fmt.Appendf(nil, `{"type":"ipv4-addr","id":"ipv4-addr--%d","value":"198.51.100.1"}`, i))
		ids = append(ids, fmt.Sprintf("ipv4-addr--%d", i))
		for n := range 4 {
			id := indicatorID(10*i + n)
			f.backend.add(collection, "indicator", id, "2026-01-01T00:00:01.000Z", []byte(indicator(10*i+n, 1)))
			ids = append(ids, id)
		}
	}
	return ids
}

func TestReplayOpenCTITaxii2Connector(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Pages.Default = 2 })
	want := fillTwo(f)
	filters := make(url.Values)
	getObjects := func(collection string) map[string]any {
		a := f.anonymous(http.MethodGet, "/acme/collections/"+collection+"/objects/?"+filters.Encode(), "",
			"Accept: application/taxii+json;version=2.1", "Authorization: Token tok-paul", "User-Agent: taxii2-client/2.3.0")
		a.want(t, http.StatusOK)
		return decode[map[string]any](t, a)
	}
	poll := func(collection string) (objects []string) {
		response := getObjects(collection)
		for first := true; ; first = false {
			list, _ := response["objects"].([]any)
			if len(list) == 0 && first {
				return nil
			}
			if _, ok := response["spec_version"]; first && !ok {
				if _, ok := list[0].(map[string]any)["spec_version"]; !ok {
					t.Fatal("it assumes TAXII 2.0")
				}
			}
			for _, o := range list {
				objects = append(objects, o.(map[string]any)["id"].(string))
			}
			if response["more"] != true || len(objects) > 2*len(want) {
				return objects
			}
			if next, ok := response["next"].(string); ok {
				filters.Del("added_after")
				filters.Set("next", next)
			}
			response = getObjects(collection)
		}
	}
	run := func(addedAfter string) (objects []string) {
		filters.Set("added_after", addedAfter)
		for _, collection := range []string{boxID, feedID, boxID} { // the last under another root, say
			objects = append(objects, poll(collection)...)
		}
		return objects
	}
	got := run("2026-01-01T00:00:00.000000Z")
	slices.Sort(got)
	slices.Sort(want)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("the first run finds %v", got)
	}
	f.post(indicator(30, 1))
	if got := run(formatTimestamp(time.UnixMicro(f.backend.last - 1))); !slices.Contains(got, indicatorID(30)) {
		t.Errorf("the second run finds %v", got)
	}
}

// T9: MISP's TaxiiServer (CakePHP, no redirects) and its taxii_push.py.
func TestReplayMISP(t *testing.T) {
	f := newFixture(t)
	lower := strings.Replace(basic("paul", "pw-paul"), "Basic", "basic", 1)
	headers := []string{lower, "Accept: application/taxii+json;version=2.1", "Content-Type: application/taxii+json;version=2.1", "User-Agent: CakePHP"}
	for _, path := range []string{"/taxii2/", "/acme/", "/acme/collections/", "/acme/collections/" + boxID + "/objects/?limit=50&next="} {
		f.anonymous(http.MethodGet, path, "", headers...).want(t, http.StatusOK)
	}
	// The push sends observables without spec_version, and all of it again the next time.
	address := `{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.1"}`
	for range 2 {
		a := f.anonymous(http.MethodPost, boxPath+"objects/", `{"objects": [`+indicator(1, 1)+`, `+address+`]}`,
			"Accept: application/taxii+json;version=2.1", "Content-Type: application/taxii+json;version=2.1", basic("paul", "pw-paul"))
		a.want(t, http.StatusAccepted)
		if s := decode[StatusResource](t, a); s.SuccessCount != 2 {
			t.Errorf("status %s", a.body)
		}
	}
	if got := f.get(boxPath + "objects/").ids(t); len(got) != 2 {
		t.Errorf("after a push of the same: %v", got)
	}
}

// T10: XSOAR's TAXII2ApiModule asks for TAXII 2.0 when it gets a 406, and stops at the first page without objects.
func TestReplayXSOAR(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	f.get("/taxii2/", "Accept: application/vnd.oasis.taxii+json; version=2.0").wantProblem(t, http.StatusNotAcceptable)
	for _, credential := range []string{"Authorization: Token tok-paul", "X-API-Key: tok-paul", basic("paul", "pw-paul")} {
		a := f.anonymous(http.MethodGet, boxPath+"objects/?limit=100&match%5Btype%5D=indicator%2Crelationship&added_after=2020-01-01T00%3A00%3A00.000000Z", "",
			"Accept: application/taxii+json;version=2.1", credential)
		if got := a.ids(t); len(got) != 1 {
			t.Errorf("%s: %v", credential, got)
		}
	}
}

// T11, T12: Sentinel and Sumo Logic poll with Basic and no limit; Sumo Logic with an API key as the password.
func TestReplayPollers(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	for _, credential := range []string{basic("rita", "pw-rita"), basic("", "tok-rita")} {
		a := f.anonymous(http.MethodGet, "/acme/collections/"+boxID+"/objects/?added_after=2026-01-01T00:00:00.0000000Z", "",
			"Accept: application/taxii+json;version=2.1", credential)
		if got := a.ids(t); len(got) != 1 {
			t.Errorf("%s: %v", credential, got)
		}
	}
}

// T14: curl.
func TestReplayCurl(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	a := f.get(boxPath+"objects?match[type]=indicator&added_after=2020-01-01T00:00:00+00:00", "Accept: */*", "User-Agent: curl/8.5.0")
	if got := a.ids(t); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	f.do(http.MethodPost, boxPath+"objects", `{"objects":[]}`, "Accept: */*", "Content-Type: application/x-www-form-urlencoded").wantProblem(t, http.StatusUnsupportedMediaType)
	packed := struct{ io.Reader }{strings.NewReader(gzipped(t, `{"type":"bundle","objects":[`+indicator(2, 1)+`]}`))} // from standard input, so chunked
	f.doAs(http.DefaultClient, http.MethodPost, boxPath+"objects/", packed, "Authorization: Bearer tok-paul", "Accept: */*",
		"Content-Type: application/taxii+json;version=2.1", "Content-Encoding: gzip").want(t, http.StatusAccepted)
}

// The first Service Ledger's clients: plain JSON, no slash, alias or id, dates with slashes.
func TestReplayFirstServiceLedgerClients(t *testing.T) {
	f := newFixture(t)
	login := decode[map[string]any](t, f.anonymous(http.MethodPost, "/v1/login", `{"username": "paul","password": "pw-paul"}`, jsonBody))
	bearer := "Authorization: Bearer " + login["sl_token"].(string)
	a := f.anonymous(http.MethodPost, "/acme/collections/box/objects", `{"type":"bundle","id":"bundle--`+boxID+`","objects":[`+indicator(1, 1)+`]}`, jsonBody, bearer)
	a.want(t, http.StatusAccepted)
	if s := decode[StatusResource](t, a); s.SuccessCount != 1 || s.Successes[0].Message != "TX0" {
		t.Errorf("status %s", a.body)
	}
	a = f.anonymous(http.MethodGet, "/acme/collections/box/objects?added_after=2025/12/31&limit=2&match[type]=indicator", "", "Accept: application/json", bearer)
	if got := a.ids(t); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// The documentation for clients and the replays of them name one another.
func TestEveryClientInTheDocumentationIsReplayed(t *testing.T) {
	read := func(file, pattern string) []string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	named := read("../docs/CLIENTS.md", "`(TestReplay\\w+)`")
	replayed := read("replay_test.go", `(?m)^func (TestReplay\w+)\(`)
	if len(named) == 0 || !slices.Equal(named, replayed) {
		t.Errorf("the documentation names %v, replayed are %v", named, replayed)
	}
}
