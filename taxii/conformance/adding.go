package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

var adding = []Check{
	{"5.5", Must, "answers 202 to objects that it takes", func(t *trial) {
		t.want(t.post(`{"objects":[`+malware(newID("malware"))+`]}`), http.StatusAccepted)
	}},
	{"4.3.1", Must, "answers with a status resource", func(t *trial) {
		id := newID("malware")
		a := t.post(`{"objects":[` + malware(id) + `]}`)
		t.want(a, http.StatusAccepted, http.StatusOK)
		s := t.status(a)
		u, err := uuid.Parse(s.ID)
		switch {
		case err != nil || u.Version() != 4:
			t.fail("the id %q is not a UUID of version 4", s.ID)
		case s.Status != "complete" && s.Status != "pending":
			t.fail("status is %q", s.Status)
		case s.Total == nil || s.Success == nil || s.Failure == nil || s.Pending == nil:
			t.fail("a count is missing: %.200s", s.raw)
		case s.Timestamp != nil && !timestamp.MatchString(*s.Timestamp):
			t.fail("request_timestamp is %q", *s.Timestamp)
		case *s.Total != 1:
			t.fail("total_count is %d of 1", *s.Total)
		}
		for _, d := range slices.Concat(s.Successes, s.Failures, s.Pendings) {
			if _, text := d.Message.(string); d.ID != id || d.Version != "2026-01-01T00:00:00.000Z" || d.Message != nil && !text {
				t.fail("the object %s of version 2026-01-01T00:00:00.000Z is %+v", id, d)
			}
		}
	}},
	{"4.3.1", Interop, "gives counts and lists that agree (taxii2client)", func(t *trial) {
		s := t.added(malware(newID("malware")), malware(newID("malware")))
		if *s.Total != *s.Success+*s.Failure+*s.Pending {
			t.fail("%d is not %d + %d + %d", *s.Total, *s.Success, *s.Failure, *s.Pending)
		}
		for _, list := range []struct {
			count int
			given int
		}{{*s.Success, len(s.Successes)}, {*s.Failure, len(s.Failures)}, {*s.Pending, len(s.Pendings)}} {
			if list.given > 0 && list.given != list.count {
				t.fail("a list of %d with a count of %d", list.given, list.count)
			}
		}
	}},
	{"4.3", Must, "tells the status again", func(t *trial) {
		s := t.added(malware(newID("malware")))
		a := t.get(t.root + "status/" + s.ID + "/")
		t.want(a, http.StatusOK)
		if again := t.status(a); again.ID != s.ID || again.Status != "complete" {
			t.fail("%.200s", again.raw)
		}
	}},
	{"5.5", Must, "makes no error of an object that it has", func(t *trial) {
		if s := t.added(malware(t.seed.malware)); *s.Failure != 0 || *s.Success != 1 {
			t.fail("%.300s", s.raw)
		}
		if l, _ := t.list("objects/", "match[id]", t.seed.malware, "match[version]", "all"); len(l.ids) != 1 {
			t.fail("then it is there %d times", len(l.ids))
		}
	}},
	{"5.5", Interop, "takes a STIX bundle (OpenCTI)", func(t *trial) {
		id := newID("malware")
		a := t.post(`{"type":"bundle","id":"` + newID("bundle") + `","objects":[` + malware(id) + `]}`)
		t.want(a, http.StatusAccepted, http.StatusOK)
		t.followed(a)
		t.shows(id)
	}},
	{"5.5", Interop, "takes an observable without spec_version (MISP)", func(t *trial) {
		id := newID("ipv4-addr")
		t.added(object(`"type":"ipv4-addr","id":"`+id+`","value":"198.51.100.9"`, green))
		t.shows(id)
	}},
	{"5.5", Interop, "keeps the good objects of a request with a bad one", func(t *trial) {
		good := newID("malware")
		s := t.added(malware(good), object(`"type":"malware","spec_version":"2.1","name":"it has no id"`), `7`)
		if *s.Success != 1 || *s.Failure != 2 {
			t.fail("%.300s", s.raw)
		}
		t.shows(good)
	}},
	{"3.7", Interop, "gives custom properties and types back", func(t *trial) {
		id, custom := newID("indicator"), newID("x-conformance")
		text := indicator(id, "2026-01-01T00:00:01.000Z", `"x_conformance":{"list":[1,"two",null]}`, `"plain_custom":true`)
		t.added(text, object(fmt.Sprintf(`"type":"x-conformance","spec_version":"2.1","id":%q,"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"`, custom), green))
		if l := t.shows(id); !sameJSON([]byte(text), l.Objects[0]) {
			t.fail("%s", l.Objects[0])
		}
		t.shows(custom)
	}},
	{"3.7", Interop, "gives timestamps and numbers back as they were written", func(t *trial) {
		id := newID("indicator")
		t.added(indicator(id, "2026-01-01T00:00:01.12Z", `"x_number":1.50`, `"x_largest":9007199254740991`))
		l := t.shows(id)
		for _, text := range []string{"2026-01-01T00:00:01.12Z", "1.50", "9007199254740991"} {
			if !bytes.Contains(l.Objects[0], []byte(text)) {
				t.fail("%s is not in %s", text, l.Objects[0])
			}
		}
		if records, _ := t.manifest("match[id]", id); records[0].Version != "2026-01-01T00:00:01.12Z" {
			t.fail("the manifest has the version %s", records[0].Version)
		}
	}},
	{"5.5", Interop, "takes timestamps of any precision", func(t *trial) {
		for _, modified := range []string{"2026-01-01T00:00:01Z", "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.123456Z"} {
			id := newID("indicator")
			t.added(indicator(id, modified))
			t.shows(id)
		}
	}},
	{"5.5", Must, "answers 400 to what is not JSON", func(t *trial) {
		for _, body := range []string{"not JSON", `{"objects":[`, ``, `[]`} {
			t.want(t.post(body), http.StatusBadRequest, http.StatusUnprocessableEntity)
		}
	}},
	{"5.5", Must, "answers 413 beyond max_content_length, and not below", func(t *trial) {
		var root struct {
			Max int64 `json:"max_content_length"`
		}
		a := t.get(t.root)
		t.want(a, http.StatusOK)
		t.decode(a, &root)
		const most = 256 << 20
		if root.Max > most {
			t.skip("max_content_length is %d", root.Max)
		}
		post := func(length int64) *answer {
			text := envelope(malware(t.seed.malware))
			padding := io.LimitReader(spaces{}, length-text.Size())
			return t.do(request{method: http.MethodPost, path: t.session.collection + "objects/", body: io.MultiReader(text, padding), length: length})
		}
		t.want(post(root.Max+1024), http.StatusRequestEntityTooLarge)
		t.want(post(root.Max-1024), http.StatusAccepted, http.StatusOK)
	}},
}

// badInputs are bodies of which none may be answered with a 5xx.
var badInputs = map[string]string{
	"no objects":             `{}`,
	"an empty list":          `{"objects":[]}`,
	"objects that is null":   `{"objects":null}`,
	"objects that is a text": `{"objects":"x"}`,
	"an object by itself":    `{"type":"malware","id":"malware--00000000-0000-4000-8000-000000000001"}`,
	"a list":                 `[{"type":"malware"}]`,
	"a number":               `7`,
	"members of other kinds": `{"objects":[7,null,"x",[],{}]}`,
	"no type":                `{"objects":[{"id":"malware--00000000-0000-4000-8000-000000000001"}]}`,
	"an id that is a number": `{"objects":[{"type":"malware","id":7}]}`,
	"an id of another type":  `{"objects":[{"type":"malware","spec_version":"2.1","id":"tool--00000000-0000-4000-8000-000000000001","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}]}`,
	"STIX 2.0":               `{"type":"bundle","spec_version":"2.0","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[{"type":"tool","id":"tool--00000000-0000-4000-8000-000000000002","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z","labels":["x"],"name":"x"}]}`,
	"times that are empty":   `{"objects":[{"type":"tool","spec_version":"2.1","id":"tool--00000000-0000-4000-8000-000000000003","created":"","modified":"","name":"x","labels":[""]}]}`,
	"times with an offset":   `{"objects":[{"type":"tool","spec_version":"2.1","id":"tool--00000000-0000-4000-8000-000000000004","created":"2026-01-01T00:00:00+00:00","modified":"2026-01-01T00:00:00+00:00","name":"x"}]}`,
	"null properties":        `{"objects":[{"type":"tool","spec_version":"2.1","id":"tool--00000000-0000-4000-8000-000000000005","created":null,"modified":null,"name":null}]}`,
	"a repeated name":        `{"objects":[{"type":"tool","type":"malware","id":"tool--00000000-0000-4000-8000-000000000006"}]}`,
	"a lone surrogate":       `{"objects":[{"type":"tool","id":"tool--00000000-0000-4000-8000-000000000007","name":"\ud800"}]}`,
	"a huge integer":         `{"objects":[{"type":"tool","id":"tool--00000000-0000-4000-8000-000000000008","x_n":9007199254740993}]}`,
	"an endless number":      `{"objects":[{"type":"tool","id":"tool--00000000-0000-4000-8000-000000000009","x_n":1e999}]}`,
	"deep nesting":           `{"objects":[{"type":"tool","id":"tool--00000000-0000-4000-8000-00000000000a","x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}]}`,
	"deep nesting, cut":      `{"objects":` + strings.Repeat("[", 100_000),
	"bytes that are no text": "{\"objects\":[{\"type\":\"tool\",\"name\":\"\xff\xfe\"}]}",
	"a bundle in a bundle":   `{"objects":[{"type":"bundle","id":"bundle--00000000-0000-4000-8000-00000000000b","objects":[]}]}`,
	"an altered TLP:RED":     `{"objects":[{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed","created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:RED","definition":{"tlp":"white"}}]}`,
}

// spaces is a body without end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

var deleting = []Check{
	{"5.7", Must, "deletes an object from object, objects and manifest", func(t *trial) {
		id := newID("indicator")
		t.added(indicator(id, "2026-01-01T00:00:01.000Z"))
		t.shows(id)
		a := t.delete(id)
		if len(a.body) > 0 && a.status == http.StatusOK {
			t.fail("the answer has a body: %.100s", a.body)
		}
		t.want(t.get(t.session.collection+"objects/"+id+"/"), http.StatusNotFound)
		for _, listed := range []string{"objects/", "manifest/"} {
			if l, _ := t.list(listed, "match[id]", id, "match[version]", "all"); len(l.ids) > 0 {
				t.fail("it is still in %s", listed)
			}
		}
	}},
	{"5.7", Must, "deletes the version that is named", func(t *trial) {
		id := newID("indicator")
		for _, v := range t.seed.versions[:2] {
			t.added(indicator(id, v))
		}
		t.showsVersions(id, t.seed.versions[:2])
		t.delete(id, "match[version]", t.seed.versions[0])
		t.showsVersions(id, t.seed.versions[1:2])
	}},
	{"5.7", Must, "answers 404 to the deletion of what is not there", func(t *trial) {
		a := t.do(request{method: http.MethodDelete, path: t.session.collection + "objects/" + newID("malware") + "/"})
		t.offersDelete(a)
		t.want(a, http.StatusNotFound)
	}},
	{"5.7", Interop, "gives what is posted again after its deletion a new date_added", func(t *trial) {
		id := newID("indicator")
		t.added(indicator(id, "2026-01-01T00:00:01.000Z"))
		t.shows(id)
		first, _ := t.manifest("match[id]", id)
		t.delete(id)
		t.added(indicator(id, "2026-01-01T00:00:01.000Z"))
		t.shows(id)
		if second, _ := t.manifest("match[id]", id); !second[0].added.After(first[0].added) {
			t.fail("%s is not after %s", second[0].DateAdded, first[0].DateAdded)
		}
	}},
}

func (t *trial) delete(id string, query ...string) *answer {
	a := t.do(request{method: http.MethodDelete, path: t.at("objects/"+id+"/", query...)})
	t.offersDelete(a)
	if a.status == http.StatusAccepted { // it takes its time, as adding may
		t.followed(a)
		return a
	}
	t.want(a, http.StatusOK)
	return a
}

// offersDelete skips the check where this client may delete nothing.
func (t *trial) offersDelete(a *answer) {
	if a.status == http.StatusForbidden {
		t.skip("DELETE is answered with 403")
	}
}

func (t *trial) showsVersions(id string, want []string) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		l, _ := t.list("objects/" + id + "/versions/")
		if sameInstants(l.Versions, want) {
			return
		}
		if time.Now().After(deadline) {
			t.fail("versions %v, want %v", l.Versions, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var failing = []Check{
	{"3.6.1", Must, "answers errors with TAXII's media type, a title, and http_status as a string", func(t *trial) {
		for name, a := range map[string]*answer{
			"400": t.get(t.at("objects/", "limit", "0")),
			"401": t.do(request{path: t.root, anonymous: true}),
			"404": t.get(t.root + "collections/" + uuid.NewString() + "/"),
			"406": t.get(t.root, "Accept: text/html"),
			"415": t.post("x", "Content-Type: text/plain"),
		} {
			if a.status < 400 || len(a.body) == 0 {
				continue // it is no error here, or has no body, which is optional
			}
			t.carriesTAXII(a)
			var e struct {
				Title  *string         `json:"title"`
				Status json.RawMessage `json:"http_status"`
			}
			t.decode(a, &e)
			if e.Title == nil {
				t.fail("%s has no title: %.100s", name, a.body)
			}
			if e.Status != nil && string(e.Status) != fmt.Sprintf("%q", fmt.Sprint(a.status)) {
				t.fail("%d has the http_status %s", a.status, e.Status)
			}
		}
	}},
	{"3.6", Interop, "fails at nothing that is asked", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/", "objects/" + t.seed.versioned + "/", "objects/" + t.seed.versioned + "/versions/"} {
			for _, query := range []string{
				"limit=", "limit=99999999999999999999", "added_after=", "added_after=9999-99-99T99:99:99Z", "match[version]=", "match[type]=", "match[id]=",
				"match[version]=all,", "match[spec_version]=x", "match[]=x", "match[x]=y", "%zz", "match%5Bid%5D=%00", "next=%ff", "a=" + strings.Repeat("x", 6000),
			} {
				if a := t.get(t.session.collection + listed + "?" + query); a.status >= 500 {
					t.fail("%s?%s: %d", listed, clip(query), a.status)
				}
			}
		}
		for _, path := range []string{"objects/%00/", "objects/..%2f..%2f/", "objects/" + strings.Repeat("x", 3000) + "/", "nowhere/", "objects//"} {
			if a := t.get(t.session.collection + path); a.status >= 500 {
				t.fail("%s: %d", clip(path), a.status)
			}
		}
	}},
	{"5.5", Interop, "survives what clients get wrong", func(t *trial) {
		for name, body := range badInputs {
			if a := t.post(body); a.status >= 500 {
				t.fail("%s: %d", name, a.status)
			}
		}
		t.want(t.get(t.root), http.StatusOK)
		t.list("objects/")
	}},
}
