package taxii

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// watched watches for what one indicator is about.
type watched struct{}

const watchedNumber = 4711

var ourNetwork = Asset{Kind: "ipv4", Value: "203.0.113.0/24"}

func (*watched) Assets(_ context.Context, who Principal) ([]Asset, error) {
	if who.Limits.Any() {
		return nil, ErrForbidden
	}
	return []Asset{ourNetwork}, nil
}

func (w *watched) ChangeAssets(ctx context.Context, who Principal, c AssetChange) (done AssetsChanged, err error) {
	if len(c.Add)+len(c.Remove) == 0 {
		return done, &InvalidError{Reason: "there is nothing to add or to remove"}
	}
	done = AssetsChanged{Added: len(c.Add), Removed: len(c.Remove), Assets: 1}
	done.Matches, err = w.AssetMatches(ctx, who)
	return done, err
}

func (*watched) AssetMatches(context.Context, Principal) (AssetMatches, error) {
	return AssetMatches{Whole: true, Matches: []AssetMatch{{
		Concern: Concern{Asset: ourNetwork, How: ConcernIn, Value: "203.0.113.7"}, Object: saidID, Version: "2026-01-02T03:04:05.678Z", Type: "indicator", Title: "x",
		Member: "bravo", Standing: "in force", Added: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}}}, nil
}

func (*watched) Concerns(object []byte) []Concern {
	if !bytes.Contains(object, []byte(indicatorID(watchedNumber))) {
		return nil
	}
	return []Concern{{Asset: ourNetwork, How: ConcernIn, Value: "203.0.113.7"}}
}

func watchRequests() []describedRequest {
	return []describedRequest{
		{"get", "/v1/{org}/watch", "/v1/acme/watch", "", nil, "200"},
		{"post", "/v1/{org}/watch", "/v1/acme/watch", `{"add":["203.0.113.0/24"],"note":"x"}`, []string{jsonBody}, "200"},
		{"post", "/v1/{org}/watch", "/v1/acme/watch", `{}`, []string{jsonBody}, "422"},
		{"get", "/v1/{org}/watch/matches", "/v1/acme/watch/matches", "", nil, "200"},
	}
}

func TestTheAuditLogSaysThatTheWatchWasChangedAndNotToWhat(t *testing.T) {
	f := newFixture(t)
	const rita, form = "Authorization: Bearer tok-rita", "Content-Type: application/json"
	const body = `{"add":["203.0.113.0/24","acme.example"],"remove":["b.example"]}`
	f.do(http.MethodPost, "/v1/acme/watch", body, rita, form).want(t, http.StatusForbidden)
	f.do(http.MethodGet, "/v1/acme/watch", "", rita).want(t, http.StatusOK)
	f.do(http.MethodGet, "/v1/other/watch", "", rita).want(t, http.StatusNotFound)
	f.do(http.MethodPost, "/v1/acme/watch", body, form).want(t, http.StatusOK)
	changes := 0
	for _, e := range f.backend.events {
		if e.Name != EventWatch {
			continue
		}
		if changes++; e.Count != 3 || e.Detail != "2 added, 1 removed" || e.Subject != "" || e.Objects != nil {
			t.Errorf("the audit log has %+v", e)
		}
	}
	if changes != 1 {
		t.Errorf("the audit log has %d lines", changes)
	}
	if said := f.log.String(); bytes.Contains([]byte(said), []byte("acme.example")) {
		t.Errorf("the log has what is watched for: %s", said)
	}
}

func TestAStreamSaysThatAnObjectConcernsTheOrganisation(t *testing.T) {
	f := newFixture(t)
	f.post(indicator(1, 0), indicator(watchedNumber, 0), indicator(2, 0))
	s := f.subscribe("?added_after=2020-01-01", "")
	var got []event
	for range 4 {
		got = append(got, s.next())
	}
	if got[0].kind != "" || got[1].kind != "watch.matched" || !strings.Contains(got[1].data, `"how":"in"`) || !strings.Contains(got[1].data, indicatorID(watchedNumber)) || got[2].data != indicator(watchedNumber, 0) || got[3].kind != "" {
		t.Errorf("the stream has %+v", got)
	}
	if got[1].id != got[0].id {
		t.Errorf("who loses the connection after %s does not get what it is about", got[1].id)
	}
}
