package conformance

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

var filters = []Check{
	{"3.4.1", Must, "filters by id", func(t *trial) {
		t.finds([]string{t.seed.malware}, "match[id]", t.seed.malware)
		t.finds([]string{t.seed.malware, t.seed.address}, "match[id]", t.seed.malware+","+newID("malware")+","+t.seed.address)
		t.finds(nil, "match[id]", newID("malware"))
	}},
	{"3.4.1", Must, "filters by type", func(t *trial) {
		t.finds([]string{t.seed.malware}, "match[type]", "malware")
		t.finds([]string{t.seed.malware, t.seed.address}, "match[type]", "malware,ipv4-addr")
		t.finds(nil, "match[type]", "campaign")
	}},
	{"3.4", Must, "finds what all of several filters let through", func(t *trial) {
		t.finds(t.seed.batch[:1], "match[id]", t.seed.batch[0]+","+t.seed.malware, "match[type]", "indicator", "match[spec_version]", "2.1")
		t.finds(nil, "match[id]", t.seed.malware, "match[type]", "indicator")
	}},
	{"3.4", Interop, "reads brackets and commas as they are and encoded", func(t *trial) {
		ids := t.seed.malware + "," + t.seed.address
		for _, query := range []string{"match[id]=" + ids, "match%5Bid%5D=" + strings.ReplaceAll(ids, ",", "%2C"), "match%5bid%5d=" + ids} {
			a := t.get(t.session.collection + "objects/?" + query)
			t.want(a, http.StatusOK)
			var l listing
			if t.decode(a, &l); len(l.Objects) != 2 {
				t.fail("%s: %d objects", shown(query), len(l.Objects))
			}
		}
	}},
	{"3.4.1", Must, "makes no error of any type", func(t *trial) {
		for _, kind := range []string{"attack-pattern", "language-content", "windows-registry-key", "x-no-such-type"} {
			t.finds(nil, "match[type]", kind)
		}
	}},
	{"3.4.1", Must, "filters by spec_version", func(t *trial) {
		t.finds(t.seed.ids(), "match[spec_version]", "2.1")
		t.finds(t.seed.ids(), "match[spec_version]", "2.0,2.1")
		t.finds(nil, "match[spec_version]", "2.0")
	}},
	{"3.4", Must, "answers 400 to a field that is given twice", func(t *trial) {
		t.want(t.get(t.at("objects/", "match[type]", "malware", "match[type]", "indicator")), http.StatusBadRequest)
	}},
	{"3.4", Interop, "takes a list of 200 ids", func(t *trial) {
		ids := []string{t.seed.malware}
		for range 199 {
			ids = append(ids, newID("indicator"))
		}
		t.finds([]string{t.seed.malware}, "match[id]", strings.Join(ids, ","))
	}},
	{"3.4.1", Must, "finds the latest version by modified, unless asked otherwise", func(t *trial) {
		v := t.seed.versions
		t.findsVersions(v[2:])
		t.findsVersions(v[2:], "match[version]", "last")
	}},
	{"3.4.1", Must, "finds the first version, all, and several", func(t *trial) {
		v := t.seed.versions
		t.findsVersions(v[:1], "match[version]", "first")
		t.findsVersions(v, "match[version]", "all")
		t.findsVersions([]string{v[0], v[2]}, "match[version]", "first,last")
		t.findsVersions(v[1:2], "match[version]", v[1])
		t.findsVersions(v[:2], "match[version]", v[0]+","+v[1])
		t.findsVersions(nil, "match[version]", "1999-01-01T00:00:00.000Z")
	}},
	{"3.4.1", Interop, "takes a version for its instant, however it is written", func(t *trial) {
		for _, spelling := range []string{"2026-01-01T00:00:02Z", "2026-01-01T00:00:02.000000Z"} {
			t.findsVersions(t.seed.versions[1:2], "match[version]", spelling)
		}
	}},
	{"3.4.1", Must, "answers 400 to versions that are malformed, repeated or beside all", func(t *trial) {
		for _, listed := range []string{"objects/", "manifest/", "objects/" + t.seed.versioned + "/"} {
			for _, version := range []string{"nonsense", "first,first", "all,last", t.seed.versions[0] + "," + t.seed.versions[0]} {
				t.want(t.get(t.at(listed, "match[version]", version)), http.StatusBadRequest)
			}
		}
	}},
}

// finds wants both listings of the seeds to hold just these.
func (t *trial) finds(want []string, query ...string) {
	for _, listed := range []string{"objects/", "manifest/"} {
		if l, a := t.list(listed, query...); !sameSet(l.ids, want) {
			t.fail("%s: %d found, want %d", shown(a.path), len(l.ids), len(want))
		}
	}
}

// findsVersions wants these versions of the object that has several.
func (t *trial) findsVersions(want []string, query ...string) {
	id := t.seed.versioned
	for _, listed := range []string{"objects/", "manifest/", "objects/" + id + "/"} {
		about := query
		if listed != "objects/"+id+"/" {
			about = slices.Concat([]string{"match[id]", id}, query)
		}
		l, a := t.list(listed, about...)
		var got []string
		for _, o := range l.Objects {
			var version struct {
				Modified string `json:"modified"`
				Version  string `json:"version"`
			}
			t.decode(&answer{request: a.request, body: o}, &version)
			got = append(got, version.Modified+version.Version)
		}
		if !sameInstants(got, want) {
			t.fail("%s: versions %v, want %v", shown(a.path), got, want)
		}
	}
}

// sameInstants compares versions without regard to how they are written, which is another check's business.
func sameInstants(a, b []string) bool {
	instants := func(texts []string) (written []string) {
		for _, text := range texts {
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				text = at.UTC().Format(time.RFC3339Nano)
			}
			written = append(written, text)
		}
		return written
	}
	return sameSet(instants(a), instants(b))
}

var manifests = []Check{
	{"5.3.1", Must, "lists a record for each version, with modified as its version", func(t *trial) {
		records, _ := t.manifest("match[id]", t.seed.versioned, "match[version]", "all")
		var got []string
		for _, r := range records {
			got = append(got, r.Version)
		}
		if !sameSet(got, t.seed.versions) {
			t.fail("versions %v, want %v as they were written", got, t.seed.versions)
		}
	}},
	{"5.3.1", Must, "gives every record its id, date and version", func(t *trial) {
		records, _ := t.manifest()
		if !sameSet(idsOf(records), t.seed.ids()) {
			t.fail("%d records of %d objects", len(records), len(t.seed.ids()))
		}
		for _, r := range records {
			if r.Version == "" || !timestamp.MatchString(r.DateAdded) {
				t.fail("the record of %s has the version %q and the date %q", r.ID, r.Version, r.DateAdded)
			}
		}
	}},
	{"5.3.1", Must, "names media types that the collection has", func(t *trial) {
		types := t.described.MediaTypes
		if types == nil {
			types = []string{"application/stix+json"}
		}
		records, _ := t.manifest()
		for _, r := range records {
			if r.MediaType != "" && !slices.Contains(types, r.MediaType) {
				t.fail("%q is not one of %q", r.MediaType, types)
			}
		}
	}},
	{"5.3.1", Should, "gives an observable a version that can be asked for", func(t *trial) {
		records, _ := t.manifest("match[id]", t.seed.address)
		for range 2 {
			again, _ := t.manifest("match[id]", t.seed.address, "match[version]", records[0].Version)
			if again[0].Version != records[0].Version {
				t.fail("%q and then %q", records[0].Version, again[0].Version)
			}
		}
	}},
}

var single = []Check{
	{"5.6", Must, "gives one object in an envelope", func(t *trial) {
		l, _ := t.list("objects/" + t.seed.malware + "/")
		if len(l.Objects) != 1 || !sameJSON([]byte(malware(t.seed.malware)), l.Objects[0]) {
			t.fail("%d objects: %.200s", len(l.Objects), l.Objects)
		}
	}},
	{"5.6", Must, "answers 404 for an object that is not there", func(t *trial) {
		t.want(t.get(t.session.collection+"objects/"+newID("malware")+"/"), http.StatusNotFound)
	}},
	{"5.6", Must, "takes limit and next for one object", func(t *trial) {
		path := "objects/" + t.seed.versioned + "/"
		l, _ := t.list(path, "match[version]", "all", "limit", "2")
		if len(l.Objects) != 2 || !l.More {
			t.fail("%d of 3 versions, more is %v", len(l.Objects), l.More)
		}
		if l, _ = t.list(path, "match[version]", "all", "limit", "2", "next", t.nextOf(l)); len(l.Objects) != 1 || l.More {
			t.fail("then %d, more is %v", len(l.Objects), l.More)
		}
	}},
	{"5.8", Must, "lists the versions of an object as they were written", func(t *trial) {
		l, _ := t.list("objects/" + t.seed.versioned + "/versions/")
		if !sameSet(l.Versions, t.seed.versions) || l.More {
			t.fail("versions %v, want %v", l.Versions, t.seed.versions)
		}
	}},
	{"5.8", Must, "takes added_after and limit for versions", func(t *trial) {
		records, _ := t.manifest("match[id]", t.seed.versioned, "match[version]", "all")
		path := "objects/" + t.seed.versioned + "/versions/"
		if l, _ := t.list(path, "limit", "1"); len(l.Versions) != 1 || !l.More {
			t.fail("limit 1: %d, more is %v", len(l.Versions), l.More)
		}
		if l, _ := t.list(path, "added_after", records[0].DateAdded); len(l.Versions) != 2 {
			t.fail("after the first: %v", l.Versions)
		}
	}},
	{"5.8", Must, "answers 404 for the versions of an object that is not there", func(t *trial) {
		t.want(t.get(t.session.collection+"objects/"+newID("malware")+"/versions/"), http.StatusNotFound)
	}},
}
