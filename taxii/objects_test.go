package taxii

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Checklist 9.1, 4.2, 4.3: an envelope of the objects byte for byte.
func TestObjectsComeBackAsTheyWerePosted(t *testing.T) {
	f := newFixture(t)
	if a := f.get(boxPath + "objects/"); string(a.body) != "{}" {
		t.Errorf("an empty collection is %s", a.body)
	}
	odd := "{ \"type\":\"x-odd\", \"id\" : \"x-odd--1\",\n \"html\":\"<&>\", \"n\": 1.50, \"e\":\"\\u00e9\", \"modified\":\"2026-01-01T00:00:00.1200Z\" }"
	f.post(odd, indicator(1, 1))
	a := f.get(boxPath + "objects/")
	a.want(t, http.StatusOK)
	if want := `{"spec_version":"2.1","objects":[` + odd + `,` + indicator(1, 1) + `]}`; string(a.body) != want {
		t.Errorf("got %s\nwant %s", a.body, want)
	}
	if got, want := fmt.Sprint(len(a.body)), a.header.Get("Content-Length"); got != want {
		t.Errorf("Content-Length %s of %s", want, got)
	}
}

// Checklist 9.2, 9.3, 4.1: ascending dates, of which the header tells two.
func TestDatesAdded(t *testing.T) {
	f := newFixture(t)
	a := f.get(boxPath + "objects/")
	if a.header.Get("X-TAXII-Date-Added-First") != "" || a.header.Get("X-TAXII-Date-Added-Last") != "" {
		t.Errorf("an empty page has dates: %v", a.header)
	}
	f.post(indicator(1, 1), indicator(2, 1), indicator(3, 1))
	const first, last = "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000003Z"
	for _, path := range []string{"objects/", "manifest/"} {
		a := f.get(boxPath + path)
		if got := a.ids(t); !slices.Equal(got, []string{indicatorID(1), indicatorID(2), indicatorID(3)}) {
			t.Errorf("%s: order %v", path, got)
		}
		if a.header.Get("X-TAXII-Date-Added-First") != first || a.header.Get("X-TAXII-Date-Added-Last") != last {
			t.Errorf("%s: dates %v", path, a.header)
		}
	}
	for _, path := range []string{"/", "/versions/"} {
		a := f.get(boxPath + "objects/" + indicatorID(2) + path)
		if a.header.Get("X-TAXII-Date-Added-First") != "2026-01-01T00:00:00.000002Z" {
			t.Errorf("%s: dates %v", path, a.header)
		}
	}
	// The dates are of the page, not of the collection.
	a = f.get(boxPath + "objects/?limit=1")
	if a.header.Get("X-TAXII-Date-Added-Last") != first {
		t.Errorf("dates of a page of one: %v", a.header)
	}
	// 9.4: exclusive.
	if got := f.get(boxPath + "objects/?added_after=" + first).ids(t); len(got) != 2 {
		t.Errorf("added after the first: %v", got)
	}
	if got := f.get(boxPath + "objects/?added_after=" + last); string(got.body) != "{}" {
		t.Errorf("added after the last: %s", got.body)
	}
}

// Checklist 9.5, 9.6, 9.7, 10.1, 10.4: every listing pages by next to its end, with more exactly where there is more.
func TestEveryListingPagesByNext(t *testing.T) {
	f := newFixture(t)
	const n = 10
	var objects []string
	for i := range n {
		objects = append(objects, indicator(i, 1), indicator(0, 10+i))
	}
	f.post(objects...)
	for _, test := range []struct {
		path  string
		total int
	}{
		{boxPath + "objects/?match[version]=all", 2 * n},
		{boxPath + "objects/?", n},
		{boxPath + "manifest/?match[version]=all", 2 * n},
		{boxPath + "objects/" + indicatorID(0) + "/?match[version]=all", n + 1},
		{boxPath + "objects/" + indicatorID(0) + "/versions/?", n + 1},
	} {
		for _, limit := range []int{1, 2, 3, n, n + 1, 2 * n, 100} {
			seen, next := 0, ""
			for pages := 1; ; pages++ {
				query := fmt.Sprintf("&limit=%d", limit)
				if next != "" {
					query += "&next=" + next
				}
				a := f.get(test.path + query)
				a.want(t, http.StatusOK)
				p := decode[struct {
					More              bool
					Next              string
					Objects, Versions []any
				}](t, a)
				got := len(p.Objects) + len(p.Versions)
				seen += got
				if want := min(limit, test.total-(pages-1)*limit); got != want {
					t.Fatalf("%s limit %d page %d: %d records, want %d", test.path, limit, pages, got, want)
				}
				if p.More != (seen < test.total) || (p.Next != "") != p.More {
					t.Fatalf("%s limit %d page %d: more %v next %q after %d of %d", test.path, limit, pages, p.More, p.Next, seen, test.total)
				}
				if next = p.Next; !p.More {
					break
				}
			}
			if seen != test.total {
				t.Errorf("%s limit %d: %d of %d", test.path, limit, seen, test.total)
			}
		}
	}
}

// Checklist 9.7, T1, T7: cursors may be used again, later, after a restart, at
// another limit, by alias; and nowhere else.
func TestCursorsKeep(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1), indicator(2, 1), indicator(3, 1), indicator(4, 1))
	next := decode[envelope](t, f.get(boxPath+"objects/?limit=2")).Next
	rest := []string{indicatorID(3), indicatorID(4)}

	for _, query := range []string{"?limit=2&next=", "?limit=1000&next=", "?next=", "?match[type]=indicator&next=", "?added_after=2026-01-01T00:00:00Z&next="} {
		for range 2 {
			if got := f.get(boxPath + "objects/" + query + next).ids(t); !slices.Equal(got, rest) {
				t.Errorf("%s: %v", query, got)
			}
		}
	}
	if got := f.get("/acme/collections/box/objects/?next=" + next).ids(t); !slices.Equal(got, rest) {
		t.Errorf("by alias: %v", got)
	}
	// An added_after beyond the cursor's position still holds (OpenCTI sends both).
	if got := f.get(boxPath + "objects/?added_after=2026-01-01T00:00:00.000003Z&next=" + next).ids(t); !slices.Equal(got, rest[1:]) {
		t.Errorf("with a later added_after: %v", got)
	}
	f.clock.advance(1000 * time.Hour)
	restarted := httptest.NewServer(f.newHandler())
	defer restarted.Close()
	if got := (&fixture{t: t, url: restarted.URL}).get(boxPath + "objects/?next=" + next).ids(t); !slices.Equal(got, rest) {
		t.Errorf("after a restart: %v", got)
	}

	// T7: a cursor of another listing is none.
	if got := f.get(boxPath + "manifest/?next=" + next).ids(t); len(got) != 4 {
		t.Errorf("in the manifest: %v", got)
	}
	if got := f.get(boxPath + "objects/" + indicatorID(1) + "/?next=" + next).ids(t); len(got) != 1 {
		t.Errorf("for one object: %v", got)
	}
	f.get(feedPath+"objects/?next="+next).want(t, http.StatusOK)

	for _, path := range []string{
		boxPath + "objects/?next=1",
		boxPath + "objects/?next=" + strings.ToUpper(next),
		boxPath + "objects/?next=" + url.QueryEscape(next+"\n"),
	} {
		f.get(path).wantProblem(t, http.StatusBadRequest)
	}
}

// Checklist 9.5, T12: without a limit the server's own holds.
func TestPagesAreCapped(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Pages = PageLimits{Default: 2, Max: 3} })
	f.post(indicator(1, 1), indicator(2, 1), indicator(3, 1), indicator(4, 1))
	for query, want := range map[string]int{"": 2, "?limit=1": 1, "?limit=3": 3, "?limit=1000000": 3} {
		if got := f.get(boxPath + "objects/" + query).ids(t); len(got) != want {
			t.Errorf("%q: %d objects, want %d", query, len(got), want)
		}
	}
}

// Checklist 9.10: a page that the store cuts short by size still leads on.
func TestPagesCutByBytesLeadOn(t *testing.T) {
	f := newFixture(t)
	f.backend.pageBytes = 1
	f.post(indicator(1, 1), indicator(2, 1), indicator(3, 1))
	e := decode[envelope](t, f.get(boxPath+"objects/"))
	if len(e.Objects) != 1 || !e.More || e.Next == "" {
		t.Errorf("got %+v", e)
	}
	if got := f.get(boxPath + "objects/?next=" + e.Next).ids(t); !slices.Equal(got, []string{indicatorID(2)}) {
		t.Errorf("the next is %v", got)
	}
}

// Checklist 9.11.
func TestFilters(t *testing.T) {
	f := newFixture(t)
	malware := `{"type":"malware","id":"malware--1","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}`
	marking := `{"type":"marking-definition","id":"marking-definition--1","created":"2017-01-20T00:00:00.000Z"}`
	address := `{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.1"}`
	f.post(indicator(1, 1), malware, marking, address)
	f.post(indicator(1, 3))
	f.post(indicator(1, 2)) // arrives late: 9.11, last and first are by version

	for query, want := range map[string][]string{
		"":                     {"malware--1", "marking-definition--1", "ipv4-addr--1", indicatorID(1)},
		"?match[type]=malware": {"malware--1"},
		"?match[type]=malware,ipv4-addr,x-unheard-of": {"malware--1", "ipv4-addr--1"},
		"?match[id]=malware--1,malware--2":            {"malware--1"},
		"?match[id]=malware--1&match[type]=ipv4-addr": nil,
		"?match[id]=" + indicatorID(1):                {indicatorID(1)},
		"?match[spec_version]=2.1":                    {"malware--1", "marking-definition--1", "ipv4-addr--1", indicatorID(1)},
		"?match[spec_version]=2.0":                    nil,
		"?match[version]=all&match[type]=indicator":   {indicatorID(1), indicatorID(1), indicatorID(1)},
		"?match[version]=2017-01-20T00:00:00Z":        {"marking-definition--1"},
		"?match[version]=1970-01-01T00:00:00Z":        {"ipv4-addr--1"}, // 10.3: accepted back
	} {
		for _, path := range []string{"objects/", "manifest/"} {
			if got := f.get(boxPath + path + query).ids(t); !slices.Equal(got, want) {
				t.Errorf("%s%s: %v, want %v", path, query, got, want)
			}
		}
	}
	for version, seconds := range map[string][]int{
		"last":                                {3},
		"first":                               {1},
		"first,last":                          {1, 3},
		"all":                                 {1, 3, 2},
		"2026-01-01T00:00:02Z":                {2}, // as an instant: it was written with .000
		"2026-01-01T00:00:02.000000Z,first":   {1, 2},
		"2026-01-01T01:00:02%2B01:00":         {2},
		"2026-01-01T00:00:09Z":                nil,
		"2026-01-01T00:00:03Z,last,first":     {1, 3},
		"first,2026-01-01T00:00:02.0001Z":     {1},
		"2026-01-01T00:00:02.000000001Z,last": {3},
	} {
		want := `{}`
		var objects []string
		for _, s := range seconds {
			objects = append(objects, indicator(1, s))
		}
		if len(objects) > 0 {
			want = `{"objects":[` + strings.Join(objects, ",") + `]}`
		}
		if a := f.get(boxPath + "objects/" + indicatorID(1) + "/?match[version]=" + version); string(a.body) != want {
			t.Errorf("version %s: %s\nwant %s", version, a.body, want)
		}
	}
	// Added v1, take T, added v2: only v2.
	a := f.get(boxPath + "objects/?match[type]=indicator&added_after=2026-01-01T00:00:00.000001Z")
	if string(a.body) != `{"objects":[`+indicator(1, 3)+`]}` {
		t.Errorf("the latest added after the first is %s", a.body)
	}
}

// Checklist 11.1.
func TestOneObject(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	path := boxPath + "objects/" + indicatorID(1) + "/"
	if a := f.get(path); string(a.body) != `{"objects":[`+indicator(1, 1)+`]}` {
		t.Errorf("got %s", a.body)
	}
	for _, query := range []string{"?match[version]=1999-01-01T00:00:00Z", "?match[spec_version]=2.0", "?added_after=2030-01-01T00:00:00Z"} {
		a := f.get(path + query)
		a.want(t, http.StatusOK)
		if string(a.body) != "{}" {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	for _, p := range []string{"/", "/versions/", "/?match[version]=all"} {
		f.get(boxPath+"objects/"+indicatorID(2)+p).wantProblem(t, http.StatusNotFound)
	}
}

// Checklist 10.
func TestManifest(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1), `{"type":"ipv4-addr","id":"ipv4-addr--1","value":"198.51.100.1"}`)
	want := `{"objects":[` +
		`{"id":"` + indicatorID(1) + `","date_added":"2026-01-01T00:00:00.000001Z","version":"2026-01-01T00:00:01.000Z","media_type":"application/stix+json;version=2.1",` +
		`"x_slnode_stored_at":"2026-01-01T00:00:00.000001Z","x_slnode_cid":"bafy0","x_slnode_asset_id":1,"x_slnode_txid":"TX0"},` +
		`{"id":"ipv4-addr--1","date_added":"2026-01-01T00:00:00.000002Z","version":"1970-01-01T00:00:00.000000Z","media_type":"application/stix+json;version=2.1",` +
		`"x_slnode_stored_at":"2026-01-01T00:00:00.000002Z","x_slnode_cid":"bafy1","x_slnode_asset_id":2,"x_slnode_txid":"TX1"}]}`
	if a := f.get(boxPath + "manifest/"); string(a.body) != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
	for _, q := range f.backend.queries {
		if q.WithObjects {
			t.Error("a manifest asks for the objects themselves")
		}
	}
	// 10.4: every version, in the order of date_added, as it was written.
	f.post(indicator(1, 5), indicator(1, 3))
	a := f.get(boxPath + "objects/" + indicatorID(1) + "/versions/")
	if want := `{"versions":["2026-01-01T00:00:01.000Z","2026-01-01T00:00:05.000Z","2026-01-01T00:00:03.000Z"]}`; string(a.body) != want {
		t.Errorf("got %s", a.body)
	}
}

// Checklist 1.10: large pages are compressed for who takes it.
func TestLargePagesAreCompressed(t *testing.T) {
	f := newFixture(t)
	var objects []string
	for i := range 100 {
		objects = append(objects, indicator(i, 1))
	}
	f.post(objects...)
	plain := f.get(boxPath+"objects/", "Accept-Encoding: identity")
	packed := f.get(boxPath+"objects/", "Accept-Encoding: gzip")
	if packed.header.Get("Content-Encoding") != "gzip" || len(packed.body)*3 > len(plain.body) {
		t.Fatalf("%d bytes of %d, %v", len(packed.body), len(plain.body), packed.header)
	}
	z, err := gzip.NewReader(strings.NewReader(string(packed.body)))
	if err != nil {
		t.Fatal(err)
	}
	inflated, err := io.ReadAll(z)
	if err != nil || string(inflated) != string(plain.body) {
		t.Errorf("inflated to %d bytes of %d, %v", len(inflated), len(plain.body), err)
	}
	if small := f.get("/taxii2/", "Accept-Encoding: gzip"); small.header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}
