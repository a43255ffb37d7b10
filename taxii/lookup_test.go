package taxii

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// searching knows something of every value but "none".
type searching struct{}

func (searching) Lookup(_ context.Context, who Principal, texts []string) (LookupResource, error) {
	found := LookupResource{Whole: true, Answers: []any{}}
	for n, text := range texts {
		if text == "none" {
			return found, &InvalidError{Reason: fmt.Sprintf("value %d is none", n+1)}
		}
		found.Answers = append(found.Answers, map[string]any{"value": map[string]string{"kind": "domain", "value": text}, "members": []string{who.User}})
	}
	return found, nil
}

func TestWhatIsLookedUpIsInNoLog(t *testing.T) {
	f := newFixture(t)
	const canary = "canary-7f3a.example"
	asked := []answer{
		f.get("/v1/acme/lookup?value=" + canary + "&value=x"),
		f.do(http.MethodPost, "/v1/acme/lookup", `{"values":["`+canary+`","x","y"]}`, "Content-Type: application/json"),
		f.get("/v1/acme/lookup/?value=none&value=" + canary),
		f.get("/v1/other/lookup?value=" + canary),
		f.get("/v1/acme/lookup?value=%zz" + canary),
		f.anonymous(http.MethodGet, "/v1/acme/lookup?value="+canary, ""),
		f.do(http.MethodPost, "/v1/acme/lookup", `{"values":["`+canary+`"`, "Content-Type: application/json"),
	}
	for i, status := range []int{200, 200, 422, 404, 400, 401, 400} {
		if asked[i].status != status {
			t.Errorf("question %d is answered %d: %s", i, asked[i].status, asked[i].body)
		}
		if status != 200 && strings.Contains(string(asked[i].body), canary) {
			t.Errorf("the refusal of question %d quotes the value", i)
		}
	}
	events, err := json.Marshal(f.backend.events)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the log": f.log.String(), "the audit log": string(events)} {
		if strings.Contains(text, "canary") {
			t.Errorf("%s holds what was looked up:\n%s", where, text)
		}
	}
	var counts []int
	for _, e := range f.backend.events {
		if e.Name == EventLookup {
			counts = append(counts, e.Count)
		}
	}
	if fmt.Sprint(counts) != "[2 3]" {
		t.Errorf("the audit log counts %v", counts)
	}
	if !strings.Contains(f.log.String(), "path=/v1/acme/lookup") {
		t.Errorf("the log has no request:\n%s", f.log)
	}
}

func TestALookupTakesUpToAThousandValues(t *testing.T) {
	f := newFixture(t)
	body := func(n int) string {
		text, err := json.Marshal(lookupRequest{strings.Split(strings.Repeat("a ", n-1)+"a", " ")})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	f.do(http.MethodPost, "/v1/acme/lookup", body(MaxLookup), "Content-Type: application/json").want(t, http.StatusOK)
	f.do(http.MethodPost, "/v1/acme/lookup", body(MaxLookup+1), "Content-Type: application/json").want(t, http.StatusUnprocessableEntity)
	f.do(http.MethodPost, "/v1/acme/lookup", `{"values":["`+strings.Repeat("a", maxLookupBody)+`"]}`, "Content-Type: application/json").want(t, http.StatusBadRequest)
}
