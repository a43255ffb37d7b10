package taxii

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// described is the description as far as the tests read it.
type described struct {
	OpenAPI    string `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage
	Components map[string]map[string]json.RawMessage
}

type operation struct {
	OperationID string `json:"operationId"`
	Parameters  []parameter
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]response
}

type parameter struct {
	Ref, Name, In string
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]media
}

type media struct {
	Schema  json.RawMessage
	Example json.RawMessage
}

var verbs = []string{"get", "post", "put", "patch", "delete"}

func description(t *testing.T) described {
	t.Helper()
	var d described
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" {
		t.Fatalf("OpenAPI %q", d.OpenAPI)
	}
	return d
}

// operations visits the operations of the description.
func (d described) operations(t *testing.T, visit func(path, verb string, o operation)) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, verb := range verbs {
			raw, ok := d.Paths[path][verb]
			if !ok {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatalf("%s %s: %v", verb, path, err)
			}
			visit(path, verb, o)
		}
	}
}

// schemas compiles schemas of the description by the JSON pointer to them.
type schemas struct {
	t        *testing.T
	compiler *jsonschema.Compiler
}

// newSchemas reads the description. If strict is set, an object has no members but those that its schema lists.
func newSchemas(t *testing.T, strict bool) schemas {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		t.Fatal(err)
	}
	if strict {
		closeObjects(document)
	}
	s := schemas{t, jsonschema.NewCompiler()}
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	return s
}

func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, ok := node["properties"].(map[string]any); ok && node["type"] == "object" {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// check validates a value against the schema that the steps lead to.
func (s schemas) check(what string, value []byte, steps ...string) {
	s.t.Helper()
	pointer := "openapi.json#"
	for _, step := range steps {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	schema, err := s.compiler.Compile(pointer)
	if err != nil {
		s.t.Errorf("%s: %v", what, err)
		return
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		s.t.Errorf("%s: %v in %s", what, err, value)
		return
	}
	if err := schema.Validate(decoded); err != nil {
		s.t.Errorf("%s: %v\n%s", what, err, value)
	}
}

// routesOf lists the paths of a handler as the description writes them, and their methods.
func routesOf(t *testing.T, f *fixture) map[string][]string {
	t.Helper()
	fill := strings.NewReplacer("{root}", "acme", "{org}", "acme", "{collection}", boxID, "{object}", indicatorID(1),
		"{status}", "5b4f6cf0-8d27-4f33-8f1c-0d7c2f6b9aff", "{username}", "nobody", "{member}", "bravo")
	routes := map[string][]string{}
	err := f.handler.router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		path := strings.TrimSuffix(template, "{slash:/?}")
		a := f.anonymous(http.MethodOptions, fill.Replace(path), "", asAda)
		a.want(t, http.StatusNoContent)
		for method := range strings.SplitSeq(a.header.Get("Allow"), ", ") {
			if method != http.MethodOptions && method != http.MethodHead {
				routes[path] = append(routes[path], strings.ToLower(method))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func TestEveryRouteIsDescribedAndEveryDescribedRouteExists(t *testing.T) {
	routes := routesOf(t, newFixture(t))
	ids := map[string]bool{}
	description(t).operations(t, func(path, verb string, o operation) {
		if !slices.Contains(routes[strings.TrimSuffix(path, "/")], verb) {
			t.Errorf("%s %s is described and does not exist", verb, path)
		}
		if ids[o.OperationID] {
			t.Errorf("two operations are called %s", o.OperationID)
		}
		ids[o.OperationID] = true
		if len(o.Responses["401"].Ref) == 0 || len(o.Responses["429"].Ref) == 0 {
			t.Errorf("%s %s: wrong credentials and too many requests are not described", verb, path)
		}
	})
	known := description(t).Paths
	for path, methods := range routes {
		for _, method := range methods {
			if known[path][method] == nil && known[path+"/"][method] == nil {
				t.Errorf("%s %s is not described in openapi.json", method, path)
			}
		}
	}
}

// Nothing refers to nothing, and every variable of a path is described.
func TestTheDescriptionIsWhole(t *testing.T) {
	var document any
	if err := json.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				at := document
				for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					object, _ := at.(map[string]any)
					at = object[step]
				}
				if at == nil {
					t.Errorf("%s is not there", ref)
				}
			}
			for _, child := range node {
				walk(child)
			}
		case []any:
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(document)
	d := description(t)
	for path, item := range d.Paths {
		var shared []struct {
			Ref  string `json:"$ref"`
			Name string
			In   string
		}
		if raw, ok := item["parameters"]; ok {
			if err := json.Unmarshal(raw, &shared); err != nil {
				t.Fatal(err)
			}
		}
		for _, part := range strings.Split(path, "/") {
			name, variable := strings.CutPrefix(strings.TrimSuffix(part, "}"), "{")
			if !variable {
				continue
			}
			found := false
			for _, p := range shared {
				found = found || p.Name == name && p.In == "path" || strings.HasSuffix(p.Ref, "/"+name)
			}
			if !found {
				t.Errorf("%s: the variable %s is not described", path, name)
			}
		}
	}
}

func TestTheExamplesAreAsDescribed(t *testing.T) {
	s := newSchemas(t, false)
	examples := 0
	description(t).operations(t, func(path, verb string, o operation) {
		if o.RequestBody != nil {
			for kind, m := range o.RequestBody.Content {
				if m.Example == nil {
					t.Errorf("%s %s: the body has no example", verb, path)
					continue
				}
				examples++
				s.check(verb+" "+path, m.Example, "paths", path, verb, "requestBody", "content", kind, "schema")
			}
		}
		for status, r := range o.Responses {
			for kind, m := range r.Content {
				if m.Example != nil {
					examples++
					s.check(fmt.Sprint(verb, " ", path, " ", status), m.Example, "paths", path, verb, "responses", status, "content", kind, "schema")
				}
			}
		}
	})
	if examples < 20 {
		t.Errorf("only %d examples", examples)
	}
}

// What the server answers has a status that is described, of a media type that is described, and no member that is not.
// describedRequest is a request to one of the described operations, and the status that it is answered with.
type describedRequest struct {
	verb, path, request, body string
	headers                   []string
	status                    string
}

const (
	objectsPath = "/{root}/collections/{collection}/objects/"
	sue         = `{"username":"sue","password":"long enough"}`
)

func describedRequests() []describedRequest {
	oneMore := `{"objects":[` + indicator(3, 3) + `]}`
	return []describedRequest{
		{"get", "/taxii2/", "/taxii2/", "", nil, "200"},
		{"get", "/taxii2/", "/taxii2/", "", []string{"Authorization: Bearer wrong"}, "401"},
		{"get", "/taxii2/", "/taxii2/", "", []string{"Accept: text/html"}, "406"},
		{"get", "/{root}/", "/acme/", "", nil, "200"},
		{"get", "/{root}/", "/nowhere/", "", nil, "404"},
		{"post", "/{root}/", "/acme/", `{"title":"The Hospital","description":"Hospital Group"}`, []string{asAda, jsonBody}, "200"},
		{"post", "/{root}/", "/acme/", `{}`, []string{asAda, jsonBody}, "422"},
		{"post", "/{root}/", "/acme/", `{}`, []string{jsonBody}, "403"},
		{"get", "/{root}/status/{status}/", "/acme/status/{posted}/", "", nil, "200"},
		{"get", "/{root}/collections/", "/acme/collections/", "", nil, "200"},
		{"post", "/{root}/collections/", "/acme/collections/", `{"title":"Attacks","alias":"attack"}`, []string{asAda, jsonBody}, "200"},
		{"post", "/{root}/collections/", "/acme/collections/", `{"title":"Attacks","alias":"attack"}`, []string{asAda, jsonBody}, "409"},
		{"post", "/{root}/collections/", "/acme/collections/", `[]`, []string{asAda, jsonBody}, "400"},
		{"get", "/{root}/collections/{collection}/", boxPath, "", nil, "200"},
		{"get", "/{root}/collections/{collection}/manifest/", boxPath + "manifest/?limit=1", "", nil, "200"},
		{"get", "/{root}/collections/{collection}/manifest/", boxPath + "manifest/?limit=0", "", nil, "400"},
		{"get", objectsPath, boxPath + "objects/?limit=1", "", nil, "200"},
		{"get", objectsPath, boxPath + "objects/?added_after=2100-01-01", "", nil, "200"},
		{"get", objectsPath, inboxPath + "objects/", "", nil, "403"},
		{"post", objectsPath, boxPath + "objects/", oneMore, nil, "202"},
		{"post", objectsPath, boxPath + "objects/?dry_run=true", oneMore, nil, "200"},
		{"post", objectsPath, boxPath + "objects/", oneMore, []string{"Content-Type: text/plain"}, "415"},
		{"post", objectsPath, boxPath + "objects/", "{}", nil, "422"},
		{"get", objectsPath + "{object}/", boxPath + "objects/" + indicatorID(1) + "/", "", nil, "200"},
		{"get", objectsPath + "{object}/versions/", boxPath + "objects/" + indicatorID(1) + "/versions/", "", nil, "200"},
		{"delete", objectsPath + "{object}/", boxPath + "objects/" + indicatorID(2) + "/", "", nil, "200"},
		{"get", "/{root}/collections/{collection}/export", boxPath + "export?format=plain", "", nil, "200"},
		{"get", "/{root}/collections/{collection}/export", boxPath + "export?nonsense=1", "", nil, "400"},
		{"get", "/{root}/collections/{collection}/stream", boxPath + "stream", "", nil, "200"},
		{"get", "/v1", "/v1", "", nil, "200"},
		{"get", "/v1/openapi.json", "/v1/openapi.json", "", nil, "200"},
		{"post", "/v1/login", "/v1/login", `{"username":"paul","password":"pw-paul"}`, []string{jsonBody}, "200"},
		{"post", "/v1/login", "/v1/login", `{"username":"paul","password":"wrong"}`, []string{jsonBody}, "401"},
		{"post", "/v1/logout", "/v1/logout", "", []string{basic("rita", "pw-rita")}, "400"},
		{"post", "/v1/logout", "/v1/logout", "", []string{"Authorization: Bearer tok-rita"}, "204"},
		{"post", "/v1/signup/admin", "/v1/signup/admin", `{"org_name":"other","username":"eve","password":"long enough"}`, []string{jsonBody}, "409"},
		{"post", "/v1/signup/{org}/user", "/v1/signup/acme/user", sue, []string{asAda, jsonBody}, "200"},
		{"post", "/v1/signup/{org}/user", "/v1/signup/acme/user", sue, []string{asAda, jsonBody}, "409"},
		{"get", "/v1/{org}/users", "/v1/acme/users", "", []string{asAda}, "200"},
		{"delete", "/v1/{org}/users/{username}", "/v1/acme/users/sue", "", []string{asAda}, "200"},
		{"delete", "/v1/{org}/users/{username}", "/v1/acme/users/sue", "", []string{asAda}, "404"},
		{"get", "/v1/{org}/algo_account", "/v1/acme/algo_account", "", []string{asAda}, "200"},
		{"get", "/v1/{org}/admin/algo_account", "/v1/acme/admin/algo_account", "", []string{asAda}, "200"},
		{"get", "/v1/{org}/lookup", "/v1/acme/lookup?value=203.0.113.7&value=evil.example", "", nil, "200"},
		{"get", "/v1/{org}/lookup", "/v1/acme/lookup", "", nil, "422"},
		{"get", "/v1/{org}/lookup", "/v1/acme/lookup?q=x", "", nil, "400"},
		{"get", "/v1/{org}/lookup", "/v1/other/lookup?value=x", "", nil, "404"},
		{"post", "/v1/{org}/lookup", "/v1/acme/lookup", `{"values":["203.0.113.7"]}`, []string{jsonBody}, "200"},
		{"post", "/v1/{org}/lookup", "/v1/acme/lookup", `{"values":[]}`, []string{jsonBody}, "422"},
		{"post", "/v1/{org}/lookup", "/v1/acme/lookup", `{"values":["x"]}`, []string{"Content-Type: text/plain"}, "415"},
		{"get", "/v1/{org}/audit", "/v1/acme/audit", "", []string{asAda}, "200"},
		{"get", "/v1/{org}/audit", "/v1/acme/audit", "", nil, "403"},
		{"post", "/v1/signup/admin", "/v1/signup/admin", `{"org_name":"acme","username":"ada","password":"long enough"}`, []string{jsonBody, "X-Remove: ada"}, "200"},
	}
}

func TestTheAnswersAreAsDescribed(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Rehearser = rehearsing{} })
	posted := f.post(indicator(1, 1), indicator(2, 2), `{"type":"indicator"}`)
	s := newSchemas(t, true)
	d := description(t)
	operations := map[string]operation{}
	d.operations(t, func(path, verb string, o operation) { operations[verb+" "+path] = o })
	seen := map[string]bool{}
	for _, c := range slices.Concat(describedRequests(), feedbackRequests(), sightingRequests(), memberRequests(), watchRequests()) {
		name := strings.Join([]string{c.verb, c.request, c.status}, " ")
		if slices.Contains(c.headers, "X-Remove: ada") {
			delete(f.backend.accounts, "ada")
		}
		method := strings.ToUpper(c.verb)
		if strings.HasSuffix(c.request, "/stream") { // it does not end
			method = http.MethodHead
		}
		a := f.do(method, strings.ReplaceAll(c.request, "{posted}", posted.ID), c.body, c.headers...)
		if fmt.Sprint(a.status) != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		seen[c.verb+" "+c.path] = true
		c.isDescribed(t, name, a, d, operations[c.verb+" "+c.path], s)
	}
	for name := range operations {
		if !seen[name] {
			t.Errorf("%s was not tried", name)
		}
	}
}

// isDescribed holds an answer against the description of its operation.
func (c describedRequest) isDescribed(t *testing.T, name string, a answer, d described, o operation, s schemas) {
	t.Helper()
	response, ok := o.Responses[c.status]
	if !ok {
		t.Errorf("%s is not described", name)
		return
	}
	steps := []string{"paths", c.path, c.verb, "responses", c.status}
	if component, ok := strings.CutPrefix(response.Ref, "#/components/responses/"); ok {
		steps = []string{"components", "responses", component}
		if err := json.Unmarshal(d.Components["responses"][component], &response); err != nil {
			t.Fatal(err)
		}
	}
	if len(response.Content) == 0 {
		if len(a.body) != 0 {
			t.Errorf("%s: a body is not described: %s", name, a.body)
		}
		return
	}
	kind := a.header.Get("Content-Type")
	base, _, _ := mime.ParseMediaType(kind)
	if text, _, _ := strings.Cut(base, "/"); text == "text" {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(response.Content)), func(k string) bool { return strings.HasPrefix(k, base) }) {
			t.Errorf("%s: %q is not described", name, kind)
		}
		return
	}
	if _, ok := response.Content[kind]; !ok {
		t.Errorf("%s: %q is not described", name, kind)
		return
	}
	bodies := [][]byte{a.body}
	if base == "application/x-ndjson" {
		bodies = bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
	}
	for _, body := range bodies {
		s.check(name, body, append(steps, "content", kind, "schema")...)
	}
}

func TestTheDescriptionIsOpen(t *testing.T) {
	f := newFixture(t)
	a := f.anonymous(http.MethodGet, "/v1/openapi.json", "")
	a.want(t, http.StatusOK)
	if !bytes.Equal(a.body, openAPI) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %d bytes", a.header.Get("Content-Type"), len(a.body))
	}
}

func TestWhichProgramThisIsIsToldToThoseWhoAreLetInOnly(t *testing.T) {
	f := newFixture(t)
	f.anonymous(http.MethodGet, "/v1", "").want(t, http.StatusUnauthorized)
	for _, path := range []string{"/v1", "/v1/"} {
		a := f.get(path)
		a.want(t, http.StatusOK)
		if !strings.Contains(string(a.body), `"wire":1`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}
