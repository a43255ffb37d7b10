package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is one of a manifest.
type record struct {
	ID        string `json:"id"`
	DateAdded string `json:"date_added"`
	Version   string `json:"version"`
	MediaType string `json:"media_type"`
	added     time.Time
}

// manifest lists the seeds' records.
func (t *trial) manifest(query ...string) ([]record, *answer) {
	l, a := t.list("manifest/", query...)
	var records []record
	for _, o := range l.Objects {
		var r record
		if err := json.Unmarshal(o, &r); err != nil {
			t.fail("the manifest has the record %.100s", o)
		}
		var err error
		if r.added, err = time.Parse(time.RFC3339, r.DateAdded); err != nil {
			t.fail("the manifest has the date_added %q", r.DateAdded)
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		t.fail("the manifest has no records: %.100s", a.body)
	}
	return records, a
}

func idsOf(records []record) (ids []string) {
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

var listings = []Check{
	{"3.7", Must, "gives objects back in an envelope, with all that was posted", func(t *trial) {
		l, _ := t.list("objects/")
		if len(l.Objects) != len(t.seed.ids()) {
			t.fail("%d objects of %d", len(l.Objects), len(t.seed.ids()))
		}
		posted := map[string]string{t.seed.malware: malware(t.seed.malware), t.seed.address: address(t.seed.address)}
		for _, id := range t.seed.batch {
			posted[id] = indicator(id, "2026-01-01T00:00:01.000Z")
		}
		for i, id := range l.ids {
			if want, ok := posted[id]; ok && !sameJSON([]byte(want), l.Objects[i]) {
				t.fail("posted was %s, given is %s", want, l.Objects[i])
			}
		}
	}},
	{"3.3", Must, "lists objects and manifest in the order of date_added", func(t *trial) {
		records, _ := t.manifest("match[version]", "all")
		if !slices.IsSortedFunc(records, func(a, b record) int { return a.added.Compare(b.added) }) {
			t.fail("the dates of the manifest are not ascending")
		}
		l, _ := t.list("objects/", "match[version]", "all")
		for i, r := range records {
			if i < len(l.ids) && l.ids[i] != r.ID && dateOf(records, l.ids[i]) != r.DateAdded {
				t.fail("object %d is %s, which was added at %s; the manifest has %s there", i, l.ids[i], dateOf(records, l.ids[i]), r.DateAdded)
			}
		}
		if len(l.ids) != len(records) {
			t.fail("%d objects, %d records", len(l.ids), len(records))
		}
	}},
	{"3.2", Must, "names the dates of the first and last object in the headers", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			for _, limit := range []string{"3", "100"} {
				records, _ := t.manifest("limit", limit)
				_, a := t.list(listed, "limit", limit)
				first, last := a.header.Get("X-TAXII-Date-Added-First"), a.header.Get("X-TAXII-Date-Added-Last")
				if first != records[0].DateAdded || last != records[len(records)-1].DateAdded {
					t.fail("%s with limit %s: %q and %q, the manifest has %s and %s", listed, limit, first, last, records[0].DateAdded, records[len(records)-1].DateAdded)
				}
			}
		}
		for _, path := range []string{"objects/" + t.seed.malware + "/", "objects/" + t.seed.malware + "/versions/"} {
			_, a := t.list(path)
			if a.header.Get("X-TAXII-Date-Added-First") == "" || a.header.Get("X-TAXII-Date-Added-Last") == "" {
				t.fail("%s has none", path)
			}
		}
	}},
	{"2", Must, "writes its timestamps with six digits and Z", func(t *trial) {
		records, a := t.manifest()
		for _, text := range []string{records[0].DateAdded, a.header.Get("X-TAXII-Date-Added-First"), a.header.Get("X-TAXII-Date-Added-Last")} {
			if !timestamp.MatchString(text) {
				t.fail("%q", text)
			}
		}
	}},
	{"2", Must, "answers with no empty list", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			a := t.get(t.at(listed, "match[id]", newID("malware")))
			t.want(a, http.StatusOK)
			var found map[string]json.RawMessage
			t.decode(a, &found)
			if _, there := found["objects"]; there {
				t.fail("%s: %.100s", listed, a.body)
			}
		}
	}},
	{"3.4", Must, "lists what was added after added_after and nothing else", func(t *trial) {
		records, _ := t.manifest()
		for _, at := range []int{0, len(records) / 2, len(records) - 1} {
			var want []string
			for _, r := range records {
				if r.added.After(records[at].added) {
					want = append(want, r.ID)
				}
			}
			for _, listed := range []string{"objects/", "manifest/"} {
				l, _ := t.list(listed, "added_after", records[at].DateAdded)
				if !sameSet(l.ids, want) {
					t.fail("%s after record %d of %d: %d, want %d", listed, at+1, len(records), len(l.ids), len(want))
				}
			}
		}
	}},
	{"3.4", Interop, "takes added_after in any precision and offset", func(t *trial) {
		for _, after := range []string{"2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.0000000Z", "2020-01-01T00:00:00+00:00"} {
			l, _ := t.list("objects/", "added_after", after)
			if len(l.ids) != len(t.seed.ids()) {
				t.fail("%s: %d objects", after, len(l.ids))
			}
		}
	}},
	{"3.4", Must, "answers 400 to a malformed added_after", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			for _, after := range []string{"yesterday", "2020-13-01T00:00:00.000000Z", "1577836800"} {
				t.want(t.get(t.at(listed, "added_after", after)), http.StatusBadRequest)
			}
		}
	}},
	{"3.4", Must, "answers 400 to a second added_after", func(t *trial) {
		t.want(t.get(t.at("objects/", "added_after", "2020-01-01T00:00:00.000000Z", "added_after", "2021-01-01T00:00:00.000000Z")), http.StatusBadRequest)
	}},
}

func dateOf(records []record, id string) string {
	for _, r := range records {
		if r.ID == id {
			return r.DateAdded
		}
	}
	return ""
}

// sameJSON compares two values, whatever their spelling.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	first, err1 := json.Marshal(x)
	second, err2 := json.Marshal(y)
	return err1 == nil && err2 == nil && bytes.Equal(first, second)
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

var paging = []Check{
	{"3.4", Must, "lists no more than limit, and all if it fits", func(t *trial) {
		n := len(t.seed.ids())
		for _, listed := range []string{"objects/", "manifest/"} {
			for _, limit := range []int{1, 3, n, n + 1, 1000} {
				l, _ := t.list(listed, "limit", strconv.Itoa(limit))
				if len(l.ids) != min(limit, n) {
					t.fail("%s with limit %d: %d", listed, limit, len(l.ids))
				}
			}
		}
	}},
	{"3.4", Must, "answers 400 to a limit that is not a positive integer", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			for _, limit := range []string{"0", "-1", "abc", "1.5"} {
				t.want(t.get(t.at(listed, "limit", limit)), http.StatusBadRequest)
			}
		}
	}},
	{"3.5", Must, "says more exactly when there is more", func(t *trial) {
		n := len(t.seed.ids())
		for _, listed := range []string{"objects/", "manifest/"} {
			for _, limit := range []int{1, n - 1, n, n + 1} {
				if l, _ := t.list(listed, "limit", strconv.Itoa(limit)); l.More != (limit < n) {
					t.fail("%s with limit %d of %d: more is %v", listed, limit, n, l.More)
				}
			}
		}
	}},
	{"3.5", Interop, "gives next with more, on every listing", func(t *trial) {
		for _, path := range []string{"objects/", "manifest/"} {
			if l, _ := t.list(path, "limit", "1"); l.Next == nil || l.Next == "" {
				t.fail("%s has none", path)
			}
		}
		if l, _ := t.list("objects/"+t.seed.versioned+"/versions/", "limit", "1"); l.Next == nil || l.Next == "" {
			t.fail("versions have none")
		}
	}},
	{"3.7", Must, "gives next as a string", func(t *trial) {
		for _, path := range []string{"objects/", "manifest/"} {
			l, _ := t.list(path, "limit", "1")
			if _, text := l.Next.(string); l.Next != nil && !text {
				t.fail("%s: %v", path, l.Next)
			}
		}
	}},
	{"3.5", Must, "leads through all objects by next, where it gives one", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			if l, _ := t.list(listed, "limit", "1"); l.Next == nil || l.Next == "" {
				continue
			}
			t.walk(listed, func(l listing, _ *answer) []string { return []string{"limit", "3", "next", t.nextOf(l)} })
		}
	}},
	{"3.5", Must, "leads through all objects by added_after", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/"} {
			t.walk(listed, func(_ listing, a *answer) []string {
				return []string{"limit", "3", "added_after", a.header.Get("X-TAXII-Date-Added-Last")}
			})
		}
	}},
	{"3.5", Interop, "takes next again, with another limit, and without", func(t *trial) {
		first, _ := t.list("objects/", "limit", "3")
		next := t.nextOf(first)
		for _, limit := range []string{"3", "3", "5", ""} {
			query := []string{"next", next}
			if limit != "" {
				query = append(query, "limit", limit)
			}
			l, _ := t.list("objects/", query...)
			if len(l.ids) == 0 || slices.Contains(first.ids, l.ids[0]) {
				t.fail("limit %q: %d objects, of which the first was on the page before", limit, len(l.ids))
			}
		}
	}},
	{"3.5", Interop, "takes an empty next as none (MISP)", func(t *trial) {
		if l, _ := t.list("objects/", "limit", "50", "next", ""); len(l.ids) != len(t.seed.ids()) {
			t.fail("%d objects", len(l.ids))
		}
	}},
	{"3.4", Must, "answers 400 to a next that it did not give", func(t *trial) {
		for _, next := range []string{"x", "9999999999", strings.Repeat("A", 2000), "2020-01-01T00:00:00.000000Z,nonsense"} {
			t.want(t.get(t.at("objects/", "next", next)), http.StatusBadRequest)
		}
	}},
}

// nextOf is the next of a page that has more after it.
func (t *trial) nextOf(l listing) string {
	text, _ := l.Next.(string)
	if text == "" {
		t.fail("there is no next, with more %v", l.More)
	}
	return text
}

// walk goes through the pages of a listing of the seeds, three at a time, and wants each of them once.
func (t *trial) walk(listed string, follow func(listing, *answer) []string) {
	seen := make(map[string]int)
	query := []string{"limit", "3"}
	for page := 0; ; page++ {
		l, a := t.list(listed, query...)
		for _, id := range l.ids {
			seen[id]++
		}
		if !l.More {
			break
		}
		if page > len(t.seed.ids()) {
			t.fail("%s: the pages do not end; %d of %d were seen", listed, len(seen), len(t.seed.ids()))
		}
		query = follow(l, a)
	}
	for _, id := range t.seed.ids() {
		if seen[id] != 1 {
			t.fail("%s: %d of %d were seen, %s %d times", listed, len(seen), len(t.seed.ids()), id, seen[id])
		}
	}
}
