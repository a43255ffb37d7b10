package feed

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/stix"
)

const (
	amberMarking = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
	redMarking   = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
	greenMarking = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
)

func refs(ids ...string) string { return `,"object_marking_refs":["` + strings.Join(ids, `","`) + `"]` }

func TestMarkingsLetThroughTheLevelsAndDefinitionsThatAreNamed(t *testing.T) {
	definition, err := stix.Parse([]byte(defined))
	must(t, err)
	levels := stix.Levels{Resolve: func(id string) *stix.Object {
		if id == ownMarking {
			return definition // a statement, which says nothing of who may have the object
		}
		return nil
	}}
	unknown := strings.Replace(ownMarking, "aaaa", "bbbb", 1) // counts as red
	for _, c := range []struct {
		what    string
		wanted  []string
		further string
		lets    bool
	}{
		{"no filter", nil, refs(redMarking), true},
		{"its level", []string{"green", "amber"}, refs(amberMarking), true},
		{"another level", []string{"green", "amber"}, refs(redMarking), false},
		{"the stricter of two levels", []string{"green"}, refs(greenMarking, redMarking), false},
		{"a level in a label", []string{"green"}, `,"labels":["tlp:red"]`, false},
		{"no marking", []string{"green"}, "", true},
		{"no level", []string{"green"}, refs(ownMarking), true},
		{"an unknown marking", []string{"green"}, refs(unknown), false},
		{"an unknown marking as the level that it counts as", []string{"red"}, refs(unknown), true},
		{"a definition that is named", []string{unknown}, refs(unknown), true},
		{"one of two definitions", []string{"green", unknown}, refs(redMarking, unknown), true},
		{"another definition", []string{ownMarking}, refs(redMarking), false},
		{"the definition of its level", []string{redMarking}, refs(redMarking), true},
		{"a definition that it has in no marking", []string{redMarking}, `,"labels":["tlp:red"]`, false},
	} {
		o, err := stix.Parse([]byte(indicator(1, c.further)))
		must(t, err)
		if got := (Filter{Markings: c.wanted}).letsMarkings(o, levels); got != c.lets {
			t.Errorf("%s: let through is %v", c.what, got)
		}
	}
}

func TestAnObjectOfTheVeryMomentIsLetThrough(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	unversioned := `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`
	for _, c := range []struct {
		raw   string
		since time.Time
		over  string
	}{{indicator(1, ""), made, ""}, {indicator(1, ""), made.Add(1), "since"}, {unversioned, made.Add(1), ""}} {
		o, err := stix.Parse([]byte(c.raw))
		must(t, err)
		if over := (Filter{Since: c.since}).passesOver(o); over != c.over {
			t.Errorf("%s since %s: passed over by %q", o.ID, c.since, over)
		}
	}
}

// Who wants any confidence, the least one too, wants objects that state one.
func TestAnObjectStatesItsConfidenceOrHasNone(t *testing.T) {
	for further, want := range map[string]float64{
		"": -1, `,"confidence":0`: 0, `,"confidence":100`: 100, `,"confidence":0.5`: 0.5, `,"confidence":"7"`: -1, `,"confidence":[7]`: -1, `,"confidence":true`: -1,
	} {
		if got := confidence(&stix.Object{Raw: []byte(indicator(1, further))}); got != want {
			t.Errorf("%q states %v, want %v", further, got, want)
		}
	}
	if got := confidence(&stix.Object{Raw: []byte(`[7]`)}); got != -1 {
		t.Errorf("what is no object states %v", got)
	}
}

func TestAFilterNamesLevelsIdsAndNumbers(t *testing.T) {
	for _, c := range []struct {
		filter Filter
		wrong  string
	}{
		{Filter{}, ""}, {Filter{Markings: []string{"green", "TLP:AMBER+STRICT", ownMarking}}, ""}, {Filter{Authors: []string{"identity--1"}}, ""},
		{Filter{MinConfidence: 100}, ""}, {Filter{MinConfidence: 101}, "min_confidence"}, {Filter{MinConfidence: -1}, "min_confidence"},
		{Filter{Markings: []string{ownMarking, "purple"}}, "markings"}, {Filter{Markings: []string{""}}, "markings"},
		{Filter{Authors: []string{"identity--1", "identity-1"}}, "authors"},
	} {
		if err := c.filter.validate(); (err == nil) != (c.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), c.wrong) {
			t.Errorf("%+v: %v", c.filter, err)
		}
	}
}

func TestAReportTellsReasonsApartUpToABound(t *testing.T) {
	var r Report
	for n := range 99 {
		r.refuse(strings.Repeat("x", n+1), "first")
	}
	r.refuse("often", "an example")
	r.refuse("often", "another")
	r.refuse("the 101st", "a")
	r.refuse("the 102nd", "b")
	r.refuse("the 103rd", "c")
	r.note("", "nothing odd")
	r.note("odd", "an example")
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r.finish(ended, errors.New("why"))
	if r.Refused != 104 || len(r.refusals) != 101 || len(r.Reasons) != 10 || !r.Ended.Equal(ended) || r.Problem != "why" {
		t.Errorf("%d refused for %d reasons, of which %d are shown; %+v", r.Refused, len(r.refusals), len(r.Reasons), r)
	}
	for i, want := range []Reason{{"other reasons", 3, "a"}, {"often", 2, "an example"}, {"x", 1, "first"}, {"xx", 1, "first"}} {
		if r.Reasons[i] != want {
			t.Errorf("reason %d is %+v, want %+v", i, r.Reasons[i], want)
		}
	}
	if len(r.Remarks) != 1 || r.Remarks[0] != (Reason{"odd", 1, "an example"}) {
		t.Errorf("remarks: %+v", r.Remarks)
	}
	r.pass("types")
	r.pass("types")
	r.pass("since")
	if r.Passed["types"] != 2 || r.Passed["since"] != 1 {
		t.Errorf("passed over: %v", r.Passed)
	}
	var empty Report
	if empty.finish(ended, nil); empty.Problem != "" || empty.Reasons != nil {
		t.Errorf("a run with nothing to tell: %+v", empty)
	}
}
