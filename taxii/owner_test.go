package taxii

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const asAda = "Authorization: Bearer tok-ada"

// The first Service Ledger's answer, from its documentation.
func TestAnAPIRootIsDescribed(t *testing.T) {
	f := newFixture(t)
	a := f.anonymous(http.MethodPost, "/acme", `{"title": "The Hospital","description": "Hospital Group"}`, jsonBody, asAda)
	a.want(t, http.StatusOK)
	want := fmt.Sprintf(`{"apiroot":{"id":%q,"title":"The Hospital","description":"Hospital Group","versions":["application/taxii+json;version=2.1"],`+
		`"max_content_length":104857600,"domain":%q,"slug":"acme","discoveryId":"taxii2"}}`, rootDigest("acme"), f.url)
	if string(a.body) != want {
		t.Errorf("got %s\nwant %s", a.body, want)
	}
	root := decode[RootResource](t, f.get("/acme/", "Accept: application/json"))
	if root.Title != "The Hospital" || root.Description != "Hospital Group" {
		t.Errorf("the root is %+v", root)
	}
	f.anonymous(http.MethodPost, "/acme", `{"title": "Another"}`, jsonBody, asAda).want(t, http.StatusOK)
	for body, status := range map[string]int{
		`{"title":""}`: 422, `{}`: 422, `{"title":7}`: 400, `[]`: 400, `{"title":"` + strings.Repeat("x", maxRootTitle+1) + `"}`: 422,
		`{"title":"x","description":"` + strings.Repeat("x", maxRootDescription+1) + `"}`: 422,
	} {
		f.anonymous(http.MethodPost, "/acme", body, jsonBody, asAda).want(t, status)
	}
	f.anonymous(http.MethodPost, "/acme", `title=x`, "Content-Type: application/x-www-form-urlencoded", asAda).want(t, http.StatusUnsupportedMediaType)
}

// The first Service Ledger's answer, from its documentation.
func TestACollectionIsMade(t *testing.T) {
	f := newFixture(t)
	a := f.anonymous(http.MethodPost, "/acme/collections", `{"title": "Attacks","alias": "attack"}`, jsonBody, asAda)
	a.want(t, http.StatusOK)
	c := decode[createdResource](t, a).Collection
	want := fmt.Sprintf(`{"collection":{"id":%q,"title":"Attacks","description":null,"alias":"attack","media_types":["application/taxii+json;version=2.1"],`+
		`"can_read":true,"can_write":true,"apiRootId":%q}}`, c.ID, rootDigest("acme"))
	if string(a.body) != want {
		t.Errorf("got %s\nwant %s", a.body, want)
	}
	if spec := f.backend.created[0]; spec.Readers != nil || spec.Contributors != nil {
		t.Errorf("somebody else reads it: %+v", spec)
	}
	f.do(http.MethodPost, "/acme/collections/attack/objects", `{"objects":[`+indicator(1, 1)+`]}`, jsonBody).want(t, http.StatusAccepted)
	if ids := f.get("/acme/collections/attack/objects?added_after=2023-01-01", "Accept: application/json").ids(t); len(ids) != 1 {
		t.Errorf("read %v", ids)
	}
	f.anonymous(http.MethodPost, "/acme/collections", `{"title":"Attacks","alias":"attack"}`, jsonBody, asAda).want(t, http.StatusConflict)
	f.anonymous(http.MethodPost, "/acme/collections", `{"alias":"x"}`, jsonBody, asAda).want(t, http.StatusUnprocessableEntity)
	f.anonymous(http.MethodPost, "/acme/collections", `{"title":"x","readers":"all"}`, jsonBody, asAda).want(t, http.StatusBadRequest)
}

func TestACollectionMayHaveReaders(t *testing.T) {
	f := newFixture(t)
	body := `{"title":"T","description":"D","readers":["borealis"],"contributors":["all"],"default_level":"amber","metadata":"sealed","padding":"coarse"}`
	f.anonymous(http.MethodPost, "/acme/collections/", body, jsonBody, asAda).want(t, http.StatusOK)
	got := f.backend.created[0]
	if got.Description != "D" || !slices.Equal(got.Readers, []string{"borealis"}) || !slices.Equal(got.Contributors, []string{"all"}) ||
		got.DefaultLevel != "amber" || got.Metadata != "sealed" || got.Padding != "coarse" {
		t.Errorf("asked for %+v", got)
	}
	if e := f.backend.named(EventCreateCollection); len(e) != 1 || e[0].Subject != "borealis" || e[0].Collection == "" {
		t.Errorf("the audit log has %+v", e)
	}
}

func TestAnAliasThatFitsNoPathIsMadeOneAsOfOld(t *testing.T) {
	for alias, want := range map[string]string{
		"": "", "attack": "attack", "ransom-ware.v2": "ransom-ware.v2", "My Attacks": "my_attacks", "a/b?": "ab", "café": "caf",
	} {
		if got := formerAlias(alias); got != want {
			t.Errorf("%q: %q, want %q", alias, got, want)
		}
	}
}

func TestAServerWithoutAnOwnerMakesNothing(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Owner = nil })
	f.anonymous(http.MethodPost, "/acme", `{"title":"x"}`, jsonBody, asAda).want(t, http.StatusMethodNotAllowed)
	f.anonymous(http.MethodPost, "/acme/collections", `{"title":"x"}`, jsonBody, asAda).want(t, http.StatusMethodNotAllowed)
}
