package taxii

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// ratedMembers has a card of bravo.
type ratedMembers struct{}

func (ratedMembers) Cards(_ context.Context, who Principal, member string) (MemberCards, error) {
	switch {
	case who.Limits.Any():
		return MemberCards{}, ErrForbidden
	case member != "" && member != "bravo":
		return MemberCards{}, ErrNotFound
	}
	return MemberCards{Cards: []MemberCard{{Member: "bravo", Reliability: "B", Means: "usually reliable", Weight: 0.85, Objects: 3, Proposal: "F", Reason: "too little"}}, Partial: true}, nil
}

func (ratedMembers) Rate(_ context.Context, _ Principal, member string, r Rating) error {
	switch {
	case member != "bravo":
		return ErrNotFound
	case r.Reliability == "Z":
		return &InvalidError{Reason: "reliability: it is no letter"}
	}
	return nil
}

func memberRequests() []describedRequest {
	return []describedRequest{
		{"get", "/v1/{org}/members", "/v1/acme/members", "", nil, "200"},
		{"get", "/v1/{org}/members/{member}", "/v1/acme/members/bravo", "", nil, "200"},
		{"get", "/v1/{org}/members/{member}", "/v1/acme/members/zulu", "", nil, "404"},
		{"post", "/v1/{org}/members/{member}", "/v1/acme/members/bravo", `{"reliability":"B","why":"x"}`, []string{jsonBody, asAda}, "200"},
		{"post", "/v1/{org}/members/{member}", "/v1/acme/members/bravo", `{"reliability":"Z"}`, []string{jsonBody, asAda}, "422"},
	}
}

func TestOnlyAdministratorsRateAndTheAuditLogSaysSo(t *testing.T) {
	f := newFixture(t)
	const rita = "Authorization: Bearer tok-rita"
	const body = `{"reliability":"C"}`
	f.do(http.MethodPost, "/v1/acme/members/bravo", body, rita, "Content-Type: application/json").want(t, http.StatusForbidden)
	f.do(http.MethodGet, "/v1/acme/members", "", rita).want(t, http.StatusOK)
	f.do(http.MethodGet, "/v1/other/members", "", rita).want(t, http.StatusNotFound)
	a := f.do(http.MethodPost, "/v1/acme/members/bravo", body, jsonBody, asAda)
	a.want(t, http.StatusOK)
	if !strings.Contains(string(a.body), `"member":"bravo"`) {
		t.Errorf("the answer is %s", a.body)
	}
	rated := 0
	for _, e := range f.backend.events {
		if e.Name == EventRate {
			rated++
			if e.Subject != "bravo" || e.Detail != "C" {
				t.Errorf("the audit log has %+v", e)
			}
		}
	}
	if rated != 1 {
		t.Errorf("the audit log has %d lines", rated)
	}
}
