package taxii

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

var allFilters = filters{id: true, kind: true, specVersion: true, version: true}

func TestQueryParameters(t *testing.T) {
	micros := func(s string) int64 {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMicro()
	}
	latest := VersionMatch{Last: true}
	limits := PageLimits{Default: 100, Max: 1000}
	for _, test := range []struct {
		name, raw string
		want      listing
	}{
		{"9.2 nothing asks for the latest of all", "", listing{Query: Query{Limit: 100, Version: latest}}},
		{"9.4 a TAXII timestamp", "added_after=2026-01-02T03:04:05.678901Z", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05.678901Z")}}},
		{"9.4 milliseconds, as OpenCTI sends", "added_after=2026-01-02T03:04:05.678Z", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05.678Z")}}},
		{"9.4 no fraction", "added_after=2026-01-02T03:04:05Z", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05Z")}}},
		{"9.4 nine digits count down to the microsecond", "added_after=2026-01-02T03:04:05.678901999Z", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05.678901Z")}}},
		{"9.4 an offset, encoded", "added_after=2026-01-02T04:04:05%2B01:00", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05Z")}}},
		{"T14 an offset with a raw plus", "added_after=2026-01-02T03:04:05.5+00:00", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T03:04:05.5Z")}}},
		{"9.4 a date", "added_after=2026-01-02", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T00:00:00Z")}}},
		{"9.4 a date as the first Service Ledger had it", "added_after=2026/01/02", listing{Query: Query{Limit: 100, Version: latest, After: micros("2026-01-02T00:00:00Z")}}},
		{"9.4 long ago", "added_after=1815-12-10T00:00:00Z", listing{Query: Query{Limit: 100, Version: latest}}},
		{"9.5 a limit", "limit=7", listing{Query: Query{Limit: 7, Version: latest}}},
		{"9.5 the server's cap", "limit=1001", listing{Query: Query{Limit: 1000, Version: latest}}},
		{"9.5 a limit beyond any integer", "limit=99999999999999999999999", listing{Query: Query{Limit: 1000, Version: latest}}},
		{"9.7 a cursor", "next=abc", listing{Query: Query{Limit: 100, Version: latest}, next: "abc"}},
		{"9.7 an empty cursor is none (MISP)", "limit=50&next=", listing{Query: Query{Limit: 50, Version: latest}}},
		{"9.11 lists, with brackets and commas encoded", "match%5Bid%5D=a%2Cb&match[type]=c,d", listing{Query: Query{Limit: 100, Version: latest, IDs: []string{"a", "b"}, Types: []string{"c", "d"}}}},
		{"9.11 spec versions", "match[spec_version]=2.0,2.1", listing{Query: Query{Limit: 100, Version: latest, SpecVersions: []string{"2.0", "2.1"}}}},
		{"9.11 unknown fields and parameters are ignored", "match[shoe_size]=43&colour=red&colour=blue", listing{Query: Query{Limit: 100, Version: latest}}},
		{"9.11 all versions", "match[version]=all", listing{Query: Query{Limit: 100, Version: VersionMatch{All: true}}}},
		{"9.11 several versions", "match[version]=first,2026-03-02T01:01:01.123Z,last", listing{Query: Query{Limit: 100, Version: VersionMatch{
			First: true, Last: true, At: []time.Time{time.Date(2026, 3, 2, 1, 1, 1, 123e6, time.UTC)}}}}},
		{"T10 XSOAR's types", "limit=100&match[type]=indicator,relationship", listing{Query: Query{Limit: 100, Version: latest, Types: []string{"indicator", "relationship"}}}},
	} {
		got, err := parseListing(test.raw, allFilters, limits)
		if err != nil {
			t.Errorf("%s: %q: %v", test.name, test.raw, err)
			continue
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q\n got %+v\nwant %+v", test.name, test.raw, got, test.want)
		}
	}
}

// Checklist 9.4, 9.5, 9.11, 9.12: malformed is an error, never a guess.
func TestMalformedParametersAreErrors(t *testing.T) {
	for _, raw := range []string{
		"limit=0", "limit=-1", "limit=abc", "limit=1.5", "limit=", "limit=+1", "limit=%201", "limit=000", "limit=1&limit=1", "limit=0x10", "limit=١",
		"added_after=", "added_after=yesterday", "added_after=1767225600", "added_after=2026-13-01T00:00:00Z",
		"added_after=2026-01-01T00:00:00", "added_after=2026-01-01T1:00:00Z", "added_after=2026-01-01T00:00:00,5Z",
		"added_after=2026-01-01T00:00:00Z&added_after=2026-01-01T00:00:00Z",
		"added_after=2026-01-01T00:00:00Z,2026-01-02T00:00:00Z",
		"next=a&next=b",
		"match[id]=", "match[id]=,", "match[type]=", "match[version]=", "match[spec_version]=",
		"match[id]=a&match[id]=b", "match[type]=a&match%5Btype%5D=b", "match[shoe_size]=1&match[shoe_size]=2",
		"match[version]=all,last", "match[version]=last,last", "match[version]=first,first", "match[version]=newest",
		"match[version]=2026-01-01T00:00:00Z,2026-01-01T00:00:00.000Z", // one instant
		"match[version]=2026-01-01T01:00:00%2B01:00,2026-01-01T00:00:00Z",
		"limit=%zz", "a=1;b=2",
	} {
		if got, err := parseListing(raw, allFilters, PageLimits{Default: 100, Max: 1000}); err == nil {
			t.Errorf("%q is taken as %+v", raw, got)
		}
	}
}

// Checklist 10.4 and 11.1: fields that an endpoint does not define restrict nothing there.
func TestFieldsOfOtherEndpointsAreIgnored(t *testing.T) {
	got, err := parseListing("match[id]=a&match[type]=b&match[version]=nonsense&match[spec_version]=2.1",
		filters{specVersion: true}, PageLimits{Default: 1, Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := Query{Limit: 1, SpecVersions: []string{"2.1"}, Version: VersionMatch{All: true}}
	if !reflect.DeepEqual(got.Query, want) {
		t.Errorf("got %+v, want %+v", got.Query, want)
	}
}

// Checklist 9.11: long lists of ids work.
func TestHundredsOfIDs(t *testing.T) {
	ids := make([]string, 300)
	for i := range ids {
		ids[i] = indicatorID(i)
	}
	got, err := parseListing("match[id]="+strings.Join(ids, ","), allFilters, PageLimits{Default: 1, Max: 1})
	if err != nil || !reflect.DeepEqual(got.IDs, ids) {
		t.Errorf("%d ids, %v", len(got.IDs), err)
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1&next=x", "added_after=2026-01-01T00:00:00+00:00", "match[version]=first,last,2026-01-01T00:00:00Z",
		"match%5Bid%5D=a%2Cb", "limit=999999999999999999999", "match[version]=9999-12-31T23:59:59.999999999-23:59", "%", ";",
	} {
		f.Add(seed)
	}
	limits := PageLimits{Default: 10, Max: 100}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := parseListing(raw, allFilters, limits)
		if err != nil {
			return
		}
		v := got.Version
		switch {
		case got.Limit < 1 || got.Limit > limits.Max:
			t.Errorf("%q: limit %d", raw, got.Limit)
		case got.After < 0:
			t.Errorf("%q: after %d", raw, got.After)
		case !v.All && !v.First && !v.Last && len(v.At) == 0:
			t.Errorf("%q: matches no version", raw)
		case v.All && (v.First || v.Last || len(v.At) > 0):
			t.Errorf("%q: all does not stand alone", raw)
		}
		for _, list := range [][]string{got.IDs, got.Types, got.SpecVersions} {
			for _, value := range list {
				if value == "" || strings.Contains(value, ",") {
					t.Errorf("%q: value %q", raw, value)
				}
			}
		}
		if params, err := url.ParseQuery(raw); err != nil || params.Get("next") != got.next {
			t.Errorf("%q: next %q", raw, got.next)
		}
	})
}
