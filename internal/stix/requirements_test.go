package stix

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What the standard requires of each type beside what all have in common, and what an object that has none of it lacks.
func TestWhatATypeRequiresIsNotedWhereItIsMissing(t *testing.T) {
	const a, an = "is missing, which a ", "is missing, which an "
	for types, missing := range map[string][]string{
		"campaign course-of-action threat-actor tool vulnerability mutex software": {"name " + a},
		"attack-pattern identity incident infrastructure intrusion-set":            {"name " + an},
		"domain-name mac-addr url":            {"value " + a},
		"email-addr ipv4-addr ipv6-addr":      {"value " + an},
		"indicator":                           {"pattern " + an, "pattern_type " + an, "valid_from " + an},
		"relationship":                        {"relationship_type " + a, "source_ref " + a, "target_ref " + a},
		"sighting":                            {"sighting_of_ref " + a},
		"malware":                             {"is_family " + a},
		"report":                              {"name " + a, "published " + a, "object_refs " + a},
		"observed-data":                       {"first_observed " + an, "last_observed " + an, "number_observed " + an, "object_refs or objects " + an},
		"grouping":                            {"context " + a, "object_refs " + a},
		"note":                                {"content " + a, "object_refs " + a},
		"opinion":                             {"opinion " + an, "object_refs " + an},
		"location":                            {"region or country or latitude " + a},
		"malware-analysis":                    {"product " + a, "result or analysis_sco_refs " + a},
		"artifact":                            {"payload_bin or url " + an},
		"autonomous-system":                   {"number " + an},
		"directory":                           {"path " + a},
		"email-message":                       {"is_multipart " + an},
		"file":                                {"name or hashes " + a},
		"network-traffic":                     {"protocols " + a, "src_ref or dst_ref " + a},
		"language-content":                    {"object_ref " + a, "contents " + a},
		"process windows-registry-key x-acme": nil,
		"user-account x509-certificate":       nil,
	} {
		for _, typ := range strings.Fields(types) {
			var want []string
			for _, m := range missing {
				want = append(want, m+typ+" requires")
			}
			raw := fmt.Sprintf(`{"type":%q,"spec_version":"2.1","id":"%s--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"}`, typ, typ)
			o, err := Parse([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			if got := o.Notes(); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", typ, got, want)
			}
		}
	}
}

func TestAValueThatIsEmptyIsMissing(t *testing.T) {
	for value, missing := range map[string]bool{`""`: true, `null`: true, `[]`: true, `[ ]`: true, `{}`: true, `{ }`: true, `"x"`: false, ` "x"`: false, `[""]`: false, `0`: false, `false`: false} {
		o, err := Parse([]byte(`{"type":"tool","spec_version":"2.1","id":"tool--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","name":` + value + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.Notes()) == 1; got != missing {
			t.Errorf("%s is missing: %v (%q)", value, got, o.Notes())
		}
	}
}

// An object says no more than eight odd things of itself, and its confidence and times are as the standard has them.
func TestOddValuesAreNotedUpToABound(t *testing.T) {
	base := `{"type":"tool","spec_version":"2.1","id":"tool--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","name":"x"`
	for value, odd := range map[string]bool{"0": false, "100": false, "101": true, "-1": true, "50.0": true, `"50"`: true} {
		o, err := Parse([]byte(base + `,"confidence":` + value + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.Notes()) == 1 && strings.HasPrefix(o.Notes()[0], "confidence should be an integer from 0 to 100, not "); got != odd {
			t.Errorf("confidence %s: %q", value, o.Notes())
		}
	}
	names := []string{"valid_from", "valid_until", "first_observed", "last_observed", "first_seen", "last_seen", "published", "start_time", "stop_time"}
	for n := range names {
		text := base
		for _, name := range names[:n+1] {
			text += fmt.Sprintf(`,%q:"soon"`, name)
		}
		o, err := Parse([]byte(text + "}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.Notes()); got != min(n+1, 8) || !strings.HasPrefix(o.Notes()[0], "valid_from should be a timestamp like ") {
			t.Errorf("%d odd times: %q", n+1, o.Notes())
		}
	}
	if o, err := Parse([]byte(base + `,"valid_from":7,"valid_until":"2026-01-01T00:00:00Z"}`)); err != nil || len(o.Notes()) != 1 {
		t.Errorf("%q, %v", o.Notes(), err)
	}
}

func TestAMarkingIsOfAKind(t *testing.T) {
	definition := func(rest string) string {
		return `{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-01T00:00:00Z"` + rest + `}`
	}
	for rest, want := range map[string]string{
		`,"definition_type":"statement","definition":{"statement":"x"}`: KindStatement, `,"definition":{"statement":"x"}`: KindStatement, `,"name":"PAP:RED"`: KindPAP, `,"name":"PAP"`: KindPAP,
		`,"name":"TLP:RED"`: kindTLP, `,"name":"ACS:x"`: kindACS, `,"name":"X:RED"`: "", ``: "", `,"definition_type":"TLP:GREEN"`: kindTLP, `,"definition_type":" acme "`: "ACME",
		`,"definition_type":"` + strings.Repeat("x", 96) + `"`: strings.Repeat("X", 96), `,"definition_type":"` + strings.Repeat("x", 97) + `"`: "",
		`,"definition_type":"statement","x_opencti_definition_type":"PAP"`: KindPAP, `,"definition_type":"acme","x_opencti_definition_type":"PAP"`: "ACME", `,"x_opencti_definition_type":"PAP"`: KindPAP,
		`,"extensions":{"` + acsExtension + `":{"extension_type":"property-extension"}}`: kindACS, `,"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"red"}}`: kindTLP,
	} {
		o, err := Parse([]byte(definition(rest)))
		if err != nil {
			t.Fatal(rest, err)
		}
		if got := o.MarkingKind(); got != want {
			t.Errorf("%s is of the kind %q, want %q", rest, got, want)
		}
	}
	if got := (&Object{}).MarkingKind(); got != "" {
		t.Errorf("what is no marking is of the kind %q", got)
	}
	const red = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
	if !IsWellKnownMarking(red) || !IsWellKnownMarking(strings.ToUpper(red)) || IsWellKnownMarking(red[1:]) {
		t.Error("a marking that everybody knows is not known, or another is")
	}
}

func TestALevelIsCalledByItsName(t *testing.T) {
	for level, want := range map[Level]string{0: "no TLP level", Clear: "TLP:CLEAR", Green: "TLP:GREEN", Amber: "TLP:AMBER", AmberStrict: "TLP:AMBER+STRICT", Red: "TLP:RED", 6: "no TLP level"} {
		if got := level.String(); got != want {
			t.Errorf("%d is %q, want %q", level, got, want)
		}
	}
}

// TheHive's versions differ above 2.
func TestANumberIsTheLevelThatTheHiveMeans(t *testing.T) {
	for number, want := range map[string]Level{"0": Clear, "1": Green, "2": Amber, "3": Red, "4": Red, "-1": Red, "0.0": Red} {
		if got := numberedLevel(number); got != want {
			t.Errorf("%s is %s, want %s", number, got, want)
		}
	}
}

// What can be told of an object that is refused is its id and version, whatever else is wrong with it.
func TestADamagedObjectIsIdentifiedAsFarAsItGoes(t *testing.T) {
	for raw, want := range map[string][2]string{
		``: {}, `[]`: {}, `7`: {}, `{`: {}, `{"id":"a"`: {"a", ""}, `{"id":"a","id":"b"}`: {"a", ""}, `{"id":7,"id":"b"}`: {"b", ""}, `{"id":"a","created":"2026-01-01T00:00:00Z"}`: {"a", "2026-01-01T00:00:00Z"},
		`{"created":"2026-01-01T00:00:00Z","x":{"id":"no"},"modified":"2026-01-02T00:00:00Z","id":"a",]`: {"a", "2026-01-02T00:00:00Z"},
		`{"id":"a","created":"2026-01-01T00:00:00Z","modified":"soon"}`:                                  {"a", "2026-01-01T00:00:00Z"},
		`{"id":"a","modified":"soon"}`: {"a", ""}, `{"x":[,"id":"a"}`: {}, `{"id":"a\u001b"}`: {`a\x1b`, ""}, `{"id":"` + strings.Repeat("x", maxIDLen) + `"}`: {strings.Repeat("x", maxIDLen), ""},
		`{"id":"` + strings.Repeat("x", maxIDLen+1) + `"}`: {strings.Repeat("x", 93) + "...", ""},
	} {
		if id, version := Identify([]byte(raw)); id != want[0] || version != want[1] {
			t.Errorf("%.60s: %q, %q, want %q", raw, id, version, want)
		}
	}
}
