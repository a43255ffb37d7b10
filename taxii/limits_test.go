package taxii

import (
	"net/http"
	"slices"
	"testing"
)

// as gives a user limits and returns its credentials.
func (f *fixture) as(user string, limits Limits) string {
	f.backend.mu.Lock()
	defer f.backend.mu.Unlock()
	who := f.backend.tokens["tok-"+user]
	who.Limits = limits
	f.backend.tokens["limited-"+user] = who
	return "Authorization: Bearer limited-" + user
}

func TestLimitsNarrowWhatARoleMayDo(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	read, write := []string{boxID, feedID}, []string{boxID, inboxID}
	for _, test := range []struct {
		name         string
		limits       Limits
		listed       []string
		get, post    int // of the box
		getFeed, add int // of the feed, of the inbox
	}{
		{"none", Limits{}, []string{boxID, feedID, inboxID}, 200, 202, 200, 202},
		{"reads the feed", Limits{Read: read[1:]}, []string{boxID, feedID, inboxID}, 403, 202, 200, 202},
		{"reads the feed, writes nothing", Limits{Read: read[1:], Write: []string{}}, []string{feedID}, 404, 404, 200, 404},
		{"writes the inbox", Limits{Write: write[1:]}, []string{boxID, feedID, inboxID}, 200, 403, 200, 202},
		{"the box only", Limits{Read: read[:1], Write: write[:1]}, []string{boxID}, 200, 202, 404, 404},
		{"nothing", Limits{Read: []string{}, Write: []string{}}, nil, 404, 404, 404, 404},
		{"unknown ones", Limits{Read: []string{"box"}, Write: []string{"box"}}, nil, 404, 404, 404, 404}, // an alias is no id
	} {
		who := f.as("paul", test.limits)
		var listed []string
		for _, c := range decode[CollectionsResource](t, f.get("/acme/collections/", who)).Collections {
			listed = append(listed, c.ID)
		}
		if !slices.Equal(listed, test.listed) {
			t.Errorf("%s: listed %v", test.name, listed)
		}
		body := `{"objects":[` + indicator(2, 2) + `]}`
		for what, got := range map[string][2]int{
			"GET box":          {f.get(boxPath+"objects/", who).status, test.get},
			"GET box by alias": {f.get("/acme/collections/box/manifest/", who).status, test.get},
			"GET object":       {f.get(boxPath+"objects/"+indicatorID(1)+"/", who).status, test.get},
			"GET versions":     {f.get(boxPath+"objects/"+indicatorID(1)+"/versions/", who).status, test.get},
			"POST box":         {f.do(http.MethodPost, boxPath+"objects/", body, who).status, test.post},
			"GET feed":         {f.get(feedPath+"objects/", who).status, test.getFeed},
			"POST inbox":       {f.do(http.MethodPost, inboxPath+"objects/", body, who).status, test.add},
		} {
			if got[0] != got[1] {
				t.Errorf("%s, %s: %d, want %d", test.name, what, got[0], got[1])
			}
		}
	}
}

// A collection that another principal's rights were worked out for is no way round.
func TestObjectsOfACollectionBeyondTheLimitsAreRefused(t *testing.T) {
	m := newMemory()
	who := Principal{User: "paul", Role: RolePublisher, Limits: Limits{Read: []string{feedID}}}
	if _, err := (limited{m}).Objects(t.Context(), who, m.collections[0], Query{Limit: 1}); err != ErrForbidden {
		t.Errorf("the box is read: %v", err)
	}
}

func TestALimitedAdministratorMakesNoCollections(t *testing.T) {
	f := newFixture(t)
	who := f.as("ada", Limits{Write: []string{boxID}})
	f.anonymous(http.MethodPost, "/acme/collections", `{"title":"Attacks"}`, jsonBody, who).want(t, http.StatusForbidden)
}
