package taxii

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheAuditLogSaysWhoDidWhat(t *testing.T) {
	f := newFixture(t)
	s := f.post(indicator(1, 1), indicator(2, 2), `{"type":"indicator"}`)
	f.get(boxPath + "objects/?limit=1")
	f.get(boxPath + "manifest/")
	f.get(boxPath + "objects/" + indicatorID(1) + "/versions/")
	f.get(boxPath+"export?format=plain").want(t, http.StatusOK)
	f.get(boxPath + "objects/?added_after=2030-01-01") // nothing is handed out
	f.do(http.MethodDelete, boxPath+"objects/"+indicatorID(1)+"/", "").want(t, http.StatusOK)
	f.get("/acme/", basic("rita", "pw-rita"))
	f.get("/acme/", basic("rita", "pw-rita")) // remembered
	f.get("/acme/", basic("rita", "guess"))
	f.get("/acme/", "Authorization: Bearer guess")
	f.anonymous(http.MethodGet, "/acme/", "") // who shows nothing is no news
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, jsonBody)
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"guess"}`, jsonBody)
	f.anonymous(http.MethodPost, "/v1/signup/acme/user", `{"username":"sue","password":"long enough","role":"reader"}`, jsonBody, asAda)

	var got []string
	for _, e := range f.backend.events {
		if e.Time != f.clock.Now() || e.Remote != "127.0.0.1" || e.Request == "" {
			t.Errorf("%s: when and where: %+v", e.Name, e)
		}
		line := strings.Join([]string{e.Name, e.User, e.Role, e.Credential, e.Kind, e.Subject, e.Detail}, " ")
		if e.Collection != "" && (e.Collection != boxID || e.Root != "acme") {
			t.Errorf("%s: of %s in %s", e.Name, e.Collection, e.Root)
		}
		if e.Name == EventPublish && (e.Count != 3 || e.Failures != 1 || e.Status != s.ID) {
			t.Errorf("published: %+v", e)
		}
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"publish paul publisher test",
		"read paul publisher test objects", "read paul publisher test manifest", "read paul publisher test versions",
		"read paul publisher test export plain",
		"withdraw paul publisher test",
		"login rita reader test", "refused rita password", "refused token",
		"login paul publisher password for a token", "refused paul password",
		"sign-up ada admin test sue reader",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// No password, token, key or STIX id is in it, wherever a client puts one.
func TestTheAuditLogHoldsNoSecret(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	f.get(boxPath + "objects/" + indicatorID(1) + "/?match[id]=" + indicatorID(1))
	f.get("/acme/", basic("rita", "pw-rita"))
	f.get("/acme/", basic("rita", "wrong-secret"))
	f.get("/acme/", "X-API-Key: wrong-secret")
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, jsonBody)
	f.anonymous(http.MethodPost, "/v1/signup/acme/user", `{"username":"sue","password":"long secret"}`, jsonBody, asAda)
	events := slices.Clone(f.backend.events)
	for i := range events {
		if events[i].Name == EventPublish { // which says what was published, and nowhere else
			events[i].Objects = nil
		}
	}
	data, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"pw-", "tok-", "secret", "login-", "indicator--"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("%q is in %s", secret, data)
		}
	}
}

// Guesses that are not looked at leave no line each: the log can't be filled.
func TestRefusalsBeyondTheLimitAreNotRecorded(t *testing.T) {
	f := newFixture(t)
	for range 2 * failuresOfHost {
		f.get("/acme/", "Authorization: Bearer guess")
	}
	if n := len(f.backend.named(EventRefused)); n != failuresOfHost {
		t.Errorf("%d lines", n)
	}
}

func TestTheAuditLogIsHandedToAdministrators(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 1))
	f.clock.advance(time.Hour)
	f.get(boxPath + "objects/")
	read := func(query string) []Event {
		a := f.anonymous(http.MethodGet, "/v1/acme/audit"+query, "", asAda, "Accept: application/x-ndjson")
		a.want(t, http.StatusOK)
		if got := a.header.Get("Content-Type"); got != "application/x-ndjson" {
			t.Errorf("Content-Type %q", got)
		}
		var events []Event
		for line := range strings.Lines(string(a.body)) {
			var e Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
			events = append(events, e)
		}
		return events
	}
	if got := read(""); len(got) != 3 || got[0].Name != EventPublish || got[2].Name != EventReadAudit {
		t.Errorf("all of it: %+v", got)
	}
	if got := read("?event=read"); len(got) != 1 || got[0].User != "paul" {
		t.Errorf("reads: %+v", got)
	}
	if got := read("?since=" + f.clock.Now().Format(time.RFC3339) + "&user=paul"); len(got) != 1 || got[0].Name != EventRead {
		t.Errorf("since an hour ago: %+v", got)
	}
	if got := read("?until=" + f.clock.Now().Format(time.RFC3339)); len(got) != 1 || got[0].Name != EventPublish {
		t.Errorf("until an hour ago: %+v", got)
	}
	today := f.clock.Now().Format(time.DateOnly)
	if got, all := read("?until="+today+"&since="+today), read(""); len(got) != len(all)-1 || len(got) < 4 {
		t.Errorf("today: %+v of %d", got, len(all))
	}
	if got := read("?until=2020-01-01"); len(got) != 0 {
		t.Errorf("until a day that is over: %+v", got)
	}
	if got := read("?user=nobody"); len(got) != 0 {
		t.Errorf("of nobody: %+v", got)
	}
	for _, query := range []string{"?since=yesterday", "?until=tomorrow", "?until=2026-01-01&until=2026-01-02", "?event=a&event=b", "?limit=1", "?%zz"} {
		f.anonymous(http.MethodGet, "/v1/acme/audit"+query, "", asAda).want(t, http.StatusBadRequest)
	}
	if a := f.anonymous(http.MethodHead, "/v1/acme/audit", "", asAda); a.status != http.StatusOK || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %s", a.status, a.body)
	}
}
