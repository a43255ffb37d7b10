package conformance

import (
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// timestamp is TAXII's, of exactly six fraction digits (section 2).
var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

var information = []Check{
	{"4.1.1", Must, "describes itself in discovery", func(t *trial) {
		var d struct {
			Title   *string   `json:"title"`
			Default *string   `json:"default"`
			Roots   *[]string `json:"api_roots"`
		}
		a := t.get("/taxii2/")
		t.want(a, http.StatusOK)
		t.decode(a, &d)
		switch {
		case d.Title == nil:
			t.fail("no title")
		case d.Roots != nil && len(*d.Roots) == 0:
			t.fail("api_roots is an empty list")
		case d.Default != nil && (d.Roots == nil || !slices.Contains(*d.Roots, *d.Default)):
			t.fail("the default %q is not an item of api_roots", *d.Default)
		case d.Roots == nil:
			t.skip("no api_roots")
		}
		for _, root := range *d.Roots {
			u, err := url.Parse(root)
			relative := strings.HasPrefix(root, "/") && !strings.HasPrefix(root, "//")
			if err != nil || u.RawQuery != "" || !relative && u.Scheme != "https" {
				t.fail("the API root %q is neither an https URL nor a path from /", root)
			}
		}
	}},
	{"4.2.1", Must, "describes its API root", func(t *trial) {
		var root struct {
			Title    *string  `json:"title"`
			Versions []string `json:"versions"`
			Max      *float64 `json:"max_content_length"`
		}
		a := t.get(t.root)
		t.want(a, http.StatusOK)
		t.decode(a, &root)
		switch {
		case root.Title == nil:
			t.fail("no title")
		case !slices.Contains(root.Versions, mediaType):
			t.fail("versions %q lack %s", root.Versions, mediaType)
		case root.Max == nil || *root.Max < 1 || *root.Max != float64(int64(*root.Max)):
			t.fail("max_content_length is not a positive integer")
		}
	}},
	{"4.2", Must, "knows no API root that is not there", func(t *trial) {
		t.want(t.get("/no-root-of-that-name/"), http.StatusNotFound)
		t.want(t.get("/no-root-of-that-name/collections/"), http.StatusNotFound)
	}},
	{"4.3", Must, "knows no status that is not there", func(t *trial) {
		t.want(t.get(t.root+"status/"+uuid.NewString()+"/"), http.StatusNotFound)
	}},
}

var collections = []Check{
	{"5.2.1", Must, "describes its collections", func(t *trial) {
		list := t.collections(t.root)
		if len(list) == 0 {
			t.fail("collections is an empty list")
		}
		for _, c := range list {
			switch id, err := uuid.Parse(c.ID); {
			case err != nil || id.Version() != 4:
				t.fail("the id %q is not a UUID of version 4", c.ID)
			case c.Title == "":
				t.fail("%s has no title", c.ID)
			case c.CanRead == nil || c.CanWrite == nil:
				t.fail("%s does not say what can be done with it", c.ID)
			case c.MediaTypes != nil && len(c.MediaTypes) == 0:
				t.fail("%s has an empty list of media types", c.ID)
			}
		}
	}},
	{"3.3", Must, "lists its collections in the same order", func(t *trial) {
		sameID := func(a, b collection) bool { return a.ID == b.ID }
		first := t.collections(t.root)
		for range 3 {
			if !slices.EqualFunc(first, t.collections(t.root), sameID) {
				t.fail("the order changes")
			}
		}
	}},
	{"5.2", Must, "describes one collection as in the list", func(t *trial) {
		t.isDescribed(t.described.ID)
	}},
	{"5.2.1", Interop, "finds a collection by its alias", func(t *trial) {
		if t.described.Alias == "" {
			t.skip("the collection has no alias")
		}
		t.isDescribed(t.described.Alias)
	}},
	{"5.2", Must, "knows no collection that is not there", func(t *trial) {
		nowhere := t.root + "collections/" + uuid.NewString() + "/"
		for _, path := range []string{"", "manifest/", "objects/", "objects/" + t.seed.malware + "/", "objects/" + t.seed.malware + "/versions/"} {
			t.want(t.get(nowhere+path), http.StatusNotFound)
		}
		t.want(t.do(request{method: http.MethodPost, path: nowhere + "objects/", body: envelope(malware(newID("malware")))}), http.StatusNotFound)
	}},
	{"5.4", Must, "lets nobody read where can_read is false", func(t *trial) {
		c := t.other(false, true)
		for _, path := range []string{"manifest/", "objects/", "objects/" + t.seed.malware + "/", "objects/" + t.seed.malware + "/versions/"} {
			t.want(t.get(c+path), http.StatusForbidden, http.StatusNotFound)
		}
	}},
	{"5.5", Must, "lets nobody write where can_write is false", func(t *trial) {
		t.want(t.do(request{method: http.MethodPost, path: t.other(true, false) + "objects/", body: envelope(malware(newID("malware")))}), http.StatusForbidden, http.StatusNotFound)
	}},
}

func (t *trial) collections(root string) []collection {
	var list struct {
		Collections []collection `json:"collections"`
	}
	a := t.get(root + "collections/")
	t.want(a, http.StatusOK)
	t.decode(a, &list)
	return list.Collections
}

func (t *trial) isDescribed(name string) {
	a := t.get(t.root + "collections/" + name + "/")
	t.want(a, http.StatusOK)
	var c collection
	t.decode(a, &c)
	if !reflect.DeepEqual(c, t.described) {
		t.fail("it is %.200s", a.body)
	}
}

// other is the path of a collection with these rights, in any API root.
func (t *trial) other(read, write bool) string {
	var d struct {
		Roots []string `json:"api_roots"`
	}
	a := t.get("/taxii2/")
	t.want(a, http.StatusOK)
	t.decode(a, &d)
	for _, root := range append(d.Roots, t.root) {
		u, err := url.Parse(root)
		if err != nil || u.Host != "" { // it may be another server's
			continue
		}
		for _, c := range t.collections(u.Path) {
			if c.can(read, write) {
				return u.Path + "collections/" + c.ID + "/"
			}
		}
	}
	t.skip("there is no collection with can_read %v and can_write %v", read, write)
	return ""
}
