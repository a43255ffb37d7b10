package taxii

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// Checklist 6.
func TestDiscoveryListsTheRoots(t *testing.T) {
	f := newFixture(t)
	got := decode[DiscoveryResource](t, f.get("/taxii2/"))
	want := DiscoveryResource{
		Title: "Acme's node", Contact: "soc@acme.example",
		Default: "/acme/", APIRoots: []string{"/acme/", "/consortium/"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	// 6.1: a default that is not among the roots is left out.
	other := newFixture(t, func(c *Config) { c.DefaultRoot = "consortium" })
	anonymous := decode[DiscoveryResource](t, other.anonymous(http.MethodGet, "/taxii2/", ""))
	if anonymous.Default != "" {
		t.Errorf("the default is %q of %v", anonymous.Default, anonymous.APIRoots)
	}
}

// Checklist 7: every required property, and the literal version.
func TestAPIRoot(t *testing.T) {
	f := newFixture(t)
	a := f.get("/acme/")
	a.want(t, http.StatusOK)
	want := `{"title":"Acme Ltd","description":"Acme's own","versions":["application/taxii+json;version=2.1"],"max_content_length":104857600}`
	if string(a.body) != want {
		t.Errorf("got %s", a.body)
	}
}

// Checklist 8.
func TestCollections(t *testing.T) {
	f := newFixture(t)
	a := f.get("/acme/collections/")
	got := decode[CollectionsResource](t, a).Collections
	if len(got) != 3 {
		t.Fatalf("%d collections: %s", len(got), a.body)
	}
	want := CollectionResource{
		ID: boxID, Title: "Box", Description: "What acme shares", Alias: "box",
		CanRead: true, CanWrite: true, MediaTypes: []string{"application/stix+json;version=2.1"},
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got %+v", got[0])
	}
	for _, path := range []string{boxPath, "/acme/collections/box/"} { // 8.3: by alias too
		if c := decode[CollectionResource](t, f.get(path)); !reflect.DeepEqual(c, want) {
			t.Errorf("%s is %+v", path, c)
		}
	}
	// 8.1: the rights are this client's, and never left out.
	var raw map[string]any
	if err := json.Unmarshal(f.get(boxPath, "Authorization: Bearer tok-rita").body, &raw); err != nil {
		t.Fatal(err)
	}
	if raw["can_read"] != true || raw["can_write"] != false {
		t.Errorf("rita may %v", raw)
	}
	// 8.4: none is an empty object, 4.3.
	if a := f.get("/consortium/collections/"); string(a.body) != "{}" {
		t.Errorf("no collections are %s", a.body)
	}
}

// Checklist 3.5: the rights table.
func TestRightsOnACollection(t *testing.T) {
	f := newFixture(t)
	body := `{"objects":[` + indicator(1, 1) + `]}`
	for _, test := range []struct {
		id          string
		read, write int
	}{
		{boxID, 200, 202},
		{feedID, 200, 403},
		{inboxID, 403, 202},
		{hiddenID, 404, 404},
	} {
		base := "/acme/collections/" + test.id
		if a := f.do(http.MethodPost, base+"/objects/", body); a.status != test.write {
			t.Errorf("POST to %s: %d, want %d", test.id, a.status, test.write)
		}
		for _, path := range []string{"/objects/", "/manifest/"} {
			if a := f.get(base + path); a.status != test.read {
				t.Errorf("GET %s: %d, want %d", base+path, a.status, test.read)
			}
		}
	}
	for _, path := range []string{"/", "/versions/"} {
		f.get(inboxPath+"objects/"+indicatorID(1)+path).wantProblem(t, http.StatusForbidden)
	}
	f.do(http.MethodPost, boxPath+"objects/", body, "Authorization: Bearer tok-rita").wantProblem(t, http.StatusForbidden)
	f.get(inboxPath).want(t, http.StatusOK)
}
