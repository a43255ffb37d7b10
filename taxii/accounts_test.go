package taxii

import (
	"net/http"
	"strings"
	"testing"
)

const jsonBody = "Content-Type: application/json"

// The first Service Ledger's answer to a login, and the token's life.
func TestLoginGivesATokenUntilLogout(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/v1/login", "/v1/login/"} {
		a := f.anonymous(http.MethodPost, path, `{"username":"paul","password":"pw-paul"}`, jsonBody)
		a.want(t, http.StatusOK)
		token := decode[map[string]any](t, a)["sl_token"].(string)
		want := `{"name":"paul","id":"` + accountUUID + `","metadata":{"organisation":"acme","role":"user"},"role":"publisher","sl_token":"` + token + `","expires_at":"2027-01-01T00:00:00Z"}`
		if string(a.body) != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s", a.body)
		}
		bearer := "Authorization: Bearer " + token
		f.anonymous(http.MethodGet, "/acme/", "", bearer).want(t, http.StatusOK)
		f.anonymous(http.MethodPost, "/v1/logout", "", bearer).want(t, http.StatusNoContent)
		f.anonymous(http.MethodGet, "/acme/", "", bearer).want(t, http.StatusUnauthorized)
	}
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"wrong"}`, jsonBody).want(t, http.StatusUnauthorized)
	f.anonymous(http.MethodPost, "/v1/logout", "").want(t, http.StatusUnauthorized)
	f.anonymous(http.MethodPost, "/v1/logout", "", basic("paul", "pw-paul")).want(t, http.StatusBadRequest)
}

func TestTheFirstAdministratorSignsUpOnce(t *testing.T) {
	f := newFixture(t)
	delete(f.backend.accounts, "ada")
	body := `{"org_name":"acme","username":"ada","password":"long enough"}`
	f.anonymous(http.MethodPost, "/v1/signup/admin", strings.Replace(body, "acme", "other", 1), jsonBody).want(t, http.StatusConflict)
	a := f.anonymous(http.MethodPost, "/v1/signup/admin", body, jsonBody)
	a.want(t, http.StatusOK)
	group := groupID("acme")
	want := `{"organisation":{"name":"acme","id":"` + group + `","creation_time":"2026-01-01T00:00:00.000000Z","policies":["acme"],` +
		`"vault":{"message":"The node keeps the organisation's keys in its repository"},"algorand":{"account_address":"ALGOADDRESS"}},` +
		`"entity":{"name":"ada","id":"` + accountUUID + `","metadata":{"organisation":"acme","role":"admin"},"role":"admin","policies":["default","sl-admins"],` +
		`"creation_time":"2026-01-01T00:00:00.000000Z","group_ids":["` + group + `"]}}`
	if string(a.body) != want {
		t.Errorf("got %s", a.body)
	}
	again := f.anonymous(http.MethodPost, "/v1/signup/admin", body, jsonBody)
	again.want(t, http.StatusConflict)
	if p := decode[ErrorResource](t, again); !strings.Contains(p.Description, "this node has its administrator") {
		t.Errorf("the refusal says %+v", p)
	}
	f.get("/acme/", basic("ada", "long enough")).want(t, http.StatusOK)
}

func TestAnAdministratorSignsUpUsers(t *testing.T) {
	f := newFixture(t)
	admin := "Authorization: Bearer tok-ada"
	for _, test := range []struct {
		name, path, body, credential string
		status                       int
		role                         string
	}{
		{"a publisher unless said", "acme", `{"username":"u1","password":"long enough"}`, admin, 200, "publisher"},
		{"a reader", "acme", `{"username":"u2","password":"long enough","role":"reader"}`, admin, 200, "reader"},
		{"a user of old", "acme", `{"username":"u3","password":"long enough","role":"user"}`, admin, 200, "publisher"},
		{"a name that is taken", "acme", `{"username":"u1","password":"long enough"}`, admin, 409, ""},
		{"no such role", "acme", `{"username":"u4","password":"long enough","role":"root"}`, admin, 422, ""},
		{"a short password", "acme", `{"username":"u4","password":"short"}`, admin, 422, ""},
		{"a name with a colon", "acme", `{"username":"u:4","password":"long enough"}`, admin, 422, ""},
		{"another organisation", "other", `{"username":"u4","password":"long enough"}`, admin, 403, ""},
		{"by a publisher", "acme", `{"username":"u4","password":"long enough"}`, "Authorization: Bearer tok-paul", 403, ""},
		{"by nobody", "acme", `{"username":"u4","password":"long enough"}`, "X-Other: 1", 401, ""},
	} {
		a := f.anonymous(http.MethodPost, "/v1/signup/"+test.path+"/user", test.body, jsonBody, test.credential)
		if a.status != test.status {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
			continue
		}
		if a.status != http.StatusOK {
			continue
		}
		former := strings.Replace(test.role, "publisher", "user", 1) // the first Service Ledger's word
		if got := decode[signupResource](t, a).Entity; got.Metadata != (metadataResource{"acme", former}) || got.Role != test.role {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	f.get("/acme/", basic("u2", "long enough")).want(t, http.StatusOK)
}

func TestAccountRequestsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", MaxAccountField+1)
	for _, test := range []struct {
		name, body, contentType string
		status                  int
	}{
		{"a form", `username=paul&password=pw-paul`, "application/x-www-form-urlencoded", 415},
		{"plain text, as a web page can send", `{"username":"paul","password":"pw-paul"}`, "text/plain", 415},
		{"no JSON", `{`, "application/json", 400},
		{"a list", `[]`, "application/json", 400},
		{"a number for a name", `{"username":7,"password":"pw-paul"}`, "application/json", 400},
		{"a name twice", `{"username":"paul","username":"ada","password":"pw-paul"}`, "application/json", 400},
		{"a lone surrogate", `{"username":"\ud800","password":"pw-paul"}`, "application/json", 400},
		{"a large body", `{"username":"paul","password":"pw-paul","x":"` + strings.Repeat("x", maxAccountBody) + `"}`, "application/json", 400},
		{"no user", `{"password":"pw-paul"}`, "application/json", 422},
		{"no password", `{"username":"paul"}`, "application/json", 422},
		{"a long user", `{"username":"` + long + `","password":"pw-paul"}`, "application/json", 422},
		{"a long password", `{"username":"paul","password":"` + long + `"}`, "application/json", 422},
		{"a mnemonic", `{"username":"paul","password":"pw-paul","algorand_account_mnemonic":"abandon"}`, "application/json", 422},
	} {
		a := f.anonymous(http.MethodPost, "/v1/login", test.body, "Content-Type: "+test.contentType)
		if a.status != test.status || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", test.name, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
	f.anonymous(http.MethodPost, "/v1/signup/admin", `{"username":"paul","password":"long enough"}`, jsonBody).want(t, http.StatusUnprocessableEntity)
	f.anonymous(http.MethodGet, "/v1/login", "").want(t, http.StatusMethodNotAllowed)
	f.anonymous(http.MethodGet, "/v1/signup/acme/user", "").want(t, http.StatusUnauthorized)
	f.get("/v1/nothing/here").wantProblem(t, http.StatusNotFound)
}

func TestANodeWithoutAccountsHasNoAccountsAPI(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Accounts = nil })
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, jsonBody).want(t, http.StatusUnauthorized)
	f.do(http.MethodPost, "/v1/login", `{}`, jsonBody).want(t, http.StatusNotFound)
}

// The first Service Ledger's answers, from its documentation and sources.
func TestAnAdministratorListsAndRemovesUsers(t *testing.T) {
	f := newFixture(t)
	admin := "Authorization: Bearer tok-ada"
	a := f.anonymous(http.MethodGet, "/v1/acme/users", "", admin, "Accept: application/json")
	a.want(t, http.StatusOK)
	if got := string(a.body); got != `{"users":["ada","paul","rita"]}` {
		t.Errorf("users: %s", got)
	}
	a = f.anonymous(http.MethodDelete, "/v1/acme/users/rita", "", admin)
	a.want(t, http.StatusOK)
	want := `{"organisation":{"name":"acme","authentication":{"message":"UserPass authentication revoked for user rita"},"entity":{"message":"Entity rita deleted successfully"}}}`
	if string(a.body) != want {
		t.Errorf("removal: %s", a.body)
	}
	f.anonymous(http.MethodDelete, "/v1/acme/users/rita", "", admin).want(t, http.StatusNotFound)
	f.anonymous(http.MethodDelete, "/v1/acme/users/ada", "", admin).want(t, http.StatusConflict)
	a = f.anonymous(http.MethodGet, "/v1/acme/users/", "", admin)
	if got := string(a.body); got != `{"users":["ada","paul"]}` {
		t.Errorf("users: %s", got)
	}
	if e := f.backend.named(EventRemoveUser); len(e) != 1 || e[0].Subject != "rita" || e[0].User != "ada" {
		t.Errorf("the audit log has %+v", e)
	}
}

func TestTheAddressOfTheAccountIsAllThatIsToldOfIt(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/v1/acme/algo_account", "/v1/acme/admin/algo_account"} {
		a := f.anonymous(http.MethodGet, path, "", "Authorization: Bearer tok-ada")
		a.want(t, http.StatusOK)
		if got := string(a.body); got != `{"algorand":{"account_address":"ALGOADDRESS"}}` {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestOnlyItsAdministratorsAdministerAnOrganisation(t *testing.T) {
	f := newFixture(t)
	for _, resource := range []struct{ method, path string }{
		{http.MethodPost, "/v1/signup/ORG/user"}, {http.MethodGet, "/v1/ORG/users"}, {http.MethodDelete, "/v1/ORG/users/rita"},
		{http.MethodGet, "/v1/ORG/algo_account"}, {http.MethodGet, "/v1/ORG/audit"}, {http.MethodPost, "/ORG/"}, {http.MethodPost, "/ORG/collections/"},
	} {
		path := strings.Replace(resource.path, "ORG", "acme", 1)
		other := strings.Replace(resource.path, "ORG", "consortium", 1)
		f.anonymous(resource.method, path, "{}", jsonBody).want(t, http.StatusUnauthorized)
		for _, user := range []string{"paul", "rita"} {
			f.anonymous(resource.method, path, "{}", jsonBody, "Authorization: Bearer tok-"+user).want(t, http.StatusForbidden)
		}
		f.anonymous(resource.method, other, "{}", jsonBody, "Authorization: Bearer tok-ada").want(t, http.StatusForbidden)
	}
}
