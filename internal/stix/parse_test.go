package stix

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

const (
	randomUUID = "8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	times      = `"created":"2024-01-01T00:00:00.000Z","modified":"2024-01-02T00:00:00.000Z"`
	hugeNumber = "9007199254740992" // 2^53
)

// domainObject is an indicator with more properties, as `"name":value,...`.
func domainObject(more string) string {
	return object(`"type":"indicator","spec_version":"2.1","id":"indicator--`+randomUUID+`"`, times, more)
}

// observable is a domain name with more properties.
func observable(more string) string {
	return object(`"type":"domain-name","id":"domain-name--3c10e93f-798e-5a26-a0c1-08156efab7f5","value":"example.com"`, more)
}

func object(members ...string) string {
	return "{" + strings.Join(slices.DeleteFunc(members, func(s string) bool { return s == "" }), ",") + "}"
}

func mustParse(t testing.TB, raw string) *Object {
	t.Helper()
	o, err := Parse([]byte(raw))
	if err != nil {
		t.Fatalf("%v\nin %s", err, raw)
	}
	return o
}

func TestParseReadsWhatTheNodeNeeds(t *testing.T) {
	text := object(`"type":"indicator","spec_version":"2.1","id":"indicator--`+randomUUID+`"`,
		`"created":"2024-01-01T00:00:00Z","modified":"2024-01-01T00:00:00.5Z","revoked":true`,
		`"created_by_ref":"identity--2c2a05b5-239e-4033-aa22-7c51cbf620f0","labels":["a","TLP:RED"]`,
		`"object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"]`,
		`"granular_markings":[{"lang":"de","selectors":["name"]},`+
			`{"marking_ref":"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82","selectors":["pattern"]},`+
			`{"marking_ref":"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da","selectors":["name"]}]`,
		`"x_nested":{"deep":[{"other_refs":["malware--`+randomUUID+`","",null,"nonsense",["tool--`+randomUUID+`"]]}]}`,
		`"extensions":{"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d":{"extension_type":"property-extension"}}`)
	o := mustParse(t, " \r\n\t"+text+"\n")

	if string(o.Raw) != text {
		t.Errorf("Raw is %s", o.Raw)
	}
	if o.Type != "indicator" || o.ID != "indicator--"+randomUUID || o.SpecVersion != "2.1" || !o.Revoked ||
		o.Created != "2024-01-01T00:00:00Z" || o.Modified != "2024-01-01T00:00:00.5Z" ||
		o.CreatedByRef != "identity--2c2a05b5-239e-4033-aa22-7c51cbf620f0" || !slices.Equal(o.Labels, []string{"a", "TLP:RED"}) {
		t.Errorf("common properties: %+v", o)
	}
	markings := []string{"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"}
	if !slices.Equal(o.Markings, markings) {
		t.Errorf("Markings are %q", o.Markings)
	}
	refs := []string{"identity--2c2a05b5-239e-4033-aa22-7c51cbf620f0", markings[0], markings[1],
		"malware--" + randomUUID, "tool--" + randomUUID, "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"}
	if !slices.Equal(o.Refs(), refs) {
		t.Errorf("Refs are %q", o.Refs())
	}
	if o.Version() != o.Modified || o.VersionTime().Nanosecond() != 5e8 {
		t.Errorf("version %s at %v", o.Version(), o.VersionTime())
	}
}

func TestVersionIsModifiedElseCreatedElseNone(t *testing.T) {
	for _, c := range []struct{ raw, version string }{
		{domainObject(""), "2024-01-02T00:00:00.000Z"},
		{object(`"type":"marking-definition","spec_version":"2.1","id":"marking-definition--` + randomUUID + `","created":"2024-01-01T00:00:00Z"`), "2024-01-01T00:00:00Z"},
		{observable(""), ""},
		{observable(`"version":"1.0"`), ""}, // as software has, which is another thing
	} {
		if o := mustParse(t, c.raw); o.Version() != c.version || o.VersionTime().IsZero() != (c.version == "") {
			t.Errorf("version %q at %v of %s", o.Version(), o.VersionTime(), c.raw)
		}
	}
}

func TestOnlyVersion4CountsAsRandom(t *testing.T) {
	for uuid, random := range map[string]bool{
		"8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f": true,
		"8E2E2D2B-17D4-4CBF-938F-98EE46B3CD3F": true,
		"3c10e93f-798e-5a26-a0c1-08156efab7f5": false, // 5: a hash of the value
		"3c10e93f-798e-3a26-a0c1-08156efab7f5": false, // 3: the same
		"7e2c2f48-1a3c-11ef-9262-0242ac120002": false, // 1: a time and an address
	} {
		o := mustParse(t, object(`"type":"domain-name","id":"domain-name--`+uuid+`"`))
		if o.IDIsRandom() != random {
			t.Errorf("%s: random is %v", uuid, !random)
		}
	}
}

// What must be accepted: checklist 13, "must accept".
func TestParseAcceptsWhatProducersSend(t *testing.T) {
	for name, raw := range map[string]string{
		"custom properties":                    domainObject(`"x_acme_score":7,"x_mitre_platforms":["Windows"],"acme":null,"X-Odd Näme":[]`),
		"custom type with times":               object(`"type":"x-mitre-tactic","spec_version":"2.1","id":"x-mitre-tactic--`+randomUUID+`"`, times),
		"custom type without times":            object(`"type":"user-agent","spec_version":"2.1","id":"user-agent--` + randomUUID + `","value":"curl"`),
		"custom type without spec_version":     object(`"type":"cryptocurrency-wallet","id":"cryptocurrency-wallet--` + randomUUID + `"`),
		"custom domain type without times":     object(`"type":"label","spec_version":"2.1","id":"label--` + randomUUID + `","extensions":{"extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba":{"extension_type":"new-sdo"}}`),
		"type of two letters":                  object(`"type":"tv","id":"tv--` + randomUUID + `"`),
		"type with two hyphens in a row":       object(`"type":"x--y","id":"x--y--` + randomUUID + `"`),
		"unknown extension":                    domainObject(`"extensions":{"extension-definition--` + randomUUID + `":{"extension_type":"toplevel-property-extension"}}`),
		"extension type misspelt":              domainObject(`"extensions":{"extension-definition--` + randomUUID + `":{"extension_type":"property_extension"}}`),
		"predefined extension":                 observable(`"extensions":{"windows-pebinary-ext":{"pe_type":"exe"}}`),
		"no extensions":                        domainObject(`"extensions":null`),
		"dangling reference":                   domainObject(`"created_by_ref":"identity--` + randomUUID + `"`),
		"reference that is empty":              domainObject(`"created_by_ref":"","x_ref":""`),
		"marking that is absent":               domainObject(`"object_marking_refs":["marking-definition--` + randomUUID + `"]`),
		"empty lists and labels":               domainObject(`"labels":[""],"object_marking_refs":[],"granular_markings":[]`),
		"null for absent properties":           domainObject(`"labels":null,"object_marking_refs":null,"granular_markings":null,"revoked":null,"created_by_ref":null,"lang":null`),
		"UUID version 1":                       object(`"type":"tool","spec_version":"2.1","id":"tool--7e2c2f48-1a3c-11ef-9262-0242ac120002"`, times),
		"UUID version 5":                       object(`"type":"tool","spec_version":"2.1","id":"tool--3c10e93f-798e-5a26-a0c1-08156efab7f5"`, times),
		"UUID in upper case":                   object(`"type":"tool","spec_version":"2.1","id":"tool--3C10E93F-798E-5A26-A0C1-08156EFAB7F5"`, times),
		"no fraction":                          object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID+`"`, `"created":"2024-01-01T00:00:00Z","modified":"2024-01-01T00:00:00Z"`),
		"fractions of different length":        object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID+`"`, `"created":"2024-01-01T00:00:00.1234Z","modified":"2024-01-01T00:00:00.123456789Z"`),
		"modified at the instant of created":   object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID+`"`, `"created":"2024-01-01T00:00:00.100Z","modified":"2024-01-01T00:00:00.1Z"`),
		"observable without spec_version":      observable(""),
		"observable with an id of another way": observable(`"spec_version":"2.1"`),
		"observable with times":                observable(`"created":"2024-01-02T00:00:00Z","modified":"2024-01-01T00:00:00Z"`),
		"observable with times left empty":     observable(`"created":"","modified":""`),
		"largest exact integers":               domainObject(`"x_n":[9007199254740991,-9007199254740991,0,-0,1.5,1e300,-0.0]`),
		"large object":                         domainObject(`"description":"` + strings.Repeat("x", 216_533) + `"`),
		"nesting up to the bound":              domainObject(`"x_deep":` + strings.Repeat("[", MaxDepth-1) + strings.Repeat("]", MaxDepth-1)),
		"escaped text and names":               `{"\u0074ype":"tool","spec_version":"2.1","id":"tool--` + randomUUID + `",` + times + `,"name":"\ud83d\ude00 \u00e9 é"}`,
		"statement marking":                    object(`"type":"marking-definition","spec_version":"2.1","id":"marking-definition--` + randomUUID + `","created":"2024-01-01T00:00:00Z","definition_type":"statement","definition":{"statement":"(c) Acme"}`),
		"language content":                     object(`"type":"language-content","spec_version":"2.1","id":"language-content--`+randomUUID+`"`, times),
		"extension definition": object(`"type":"extension-definition","spec_version":"2.1","id":"extension-definition--`+randomUUID+`"`, times,
			`"created_by_ref":"identity--`+randomUUID+`","name":"n","schema":"https://example.org/s","version":"1.0","extension_types":["new-sdo","property-extension"]`),
	} {
		t.Run(name, func(t *testing.T) { mustParse(t, raw) })
	}
}

// The numbers are those of the TAXII and STIX checklist, then sections of the standard.
func TestParseRefuses(t *testing.T) {
	id := `"id":"tool--` + randomUUID + `"`
	tool := `"type":"tool","spec_version":"2.1",` + id
	marking := `"type":"marking-definition","spec_version":"2.1","id":"marking-definition--` + randomUUID + `"`
	definition := `"type":"extension-definition","spec_version":"2.1","id":"extension-definition--` + randomUUID + `",` + times
	for _, c := range []struct{ name, raw, property, rule string }{
		// RFC 7493, and the bounds
		{"nothing", ``, "", "is not valid JSON: unexpected EOF"},
		{"white space", " \n", "", "is not valid JSON: unexpected EOF"},
		{"cut short", `{"type":"tool"`, "", "is not valid JSON"},
		{"text after the object", object(tool, times) + "x", "", "is not valid JSON"},
		{"byte order mark", "\ufeff" + object(tool, times), "", "is not valid JSON"},
		{"a trailing comma", `{"type":"tool",}`, "", "is not valid JSON"},
		{"property name twice", domainObject(`"x":1,"x":1`), "x", "appears twice"},
		{"property name twice by escapes", domainObject(`"x":1,"\u0078":1`), "x", "appears twice"},
		{"property name twice inside", domainObject(`"x":[{"a":1,"a":2}]`), "x/0/a", "appears twice"},
		{"type twice", object(tool, times, `"type":"tool"`), "type", "appears twice"},
		{"lone surrogate", domainObject(`"name":"\ud800"`), "name", "is not valid JSON: invalid surrogate"},
		{"invalid UTF-8", domainObject("\"name\":\"\xff\""), "name", "is not valid JSON: invalid UTF-8"},
		{"integer of 2^53", domainObject(`"x":{"n":[0,` + hugeNumber + `]}`), "x/n/1", "a number that a 64-bit float holds"},
		{"integer of -2^53", domainObject(`"x":-` + hugeNumber), "x", "a number that a 64-bit float holds"},
		{"integer of many digits", domainObject(`"x":1` + strings.Repeat("0", 400)), "x", "a number that a 64-bit float holds"},
		{"infinite number", domainObject(`"x":1e999`), "x", "a number that a 64-bit float holds"},
		{"nesting beyond the bound", domainObject(`"x":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)), "", "must not nest deeper"},
		{"objects beyond the bound", domainObject(strings.Repeat(`"x":{`, MaxDepth) + strings.Repeat("}", MaxDepth)), "", "must not nest deeper"},
		{"nesting without end", domainObject(`"x":` + strings.Repeat("[", 1<<20)), "", "must not nest deeper"},
		{"deep value for a text", domainObject(`"created_by_ref":` + strings.Repeat("[", 1<<20)), "created_by_ref", "must be a string"},
		{"too large", domainObject(`"x":"` + strings.Repeat("x", MaxSize) + `"`), "", "is larger than 8388608 bytes"},
		{"too many labels", domainObject(`"labels":[""` + strings.Repeat(`,""`, maxLabels) + `]`), "labels", "must be no more than 1024"},
		{"too many markings", domainObject(`"object_marking_refs":[` + numbered(maxMarkings+1) + `]`), "object_marking_refs", "must name no more than 256"},

		{"too many properties", domainObject(`"x":[{}` + strings.Repeat(`,{"a":1}`, maxProperties) + `]`), "", "no more than 100000 properties"},

		// 13.1: sections 2.9, 3.1 and 8
		{"a list", `[]`, "", "must be a JSON object"},
		{"a text", `"tool"`, "", "must be a JSON object"},
		{"null", `null`, "", "must be a JSON object"},
		{"no type", object(`"spec_version":"2.1",`+id, times), "type", "is required"},
		{"type that is null", object(`"type":null,`+id, times), "type", "is required"},
		{"type that is a number", object(`"type":1,`+id, times), "type", "must be a string"},
		{"type in upper case", object(`"type":"Tool","id":"Tool--`+randomUUID+`"`, times), "type", `not "Tool"`},
		{"type with an underscore", object(`"type":"x_y","id":"x_y--`+randomUUID+`"`, times), "type", "must be lower-case letters"},
		{"type that starts with a digit", object(`"type":"1x","id":"1x--`+randomUUID+`"`, times), "type", "start with a letter"},
		{"type without end", object(`"type":"` + strings.Repeat("x", 251) + `"`), "type", "must be lower-case letters"},
		{"bundle", object(`"type":"bundle","id":"bundle--` + randomUUID + `","objects":[]`), "type", "must not be bundle"},
		{"no id", object(`"type":"tool","spec_version":"2.1"`, times), "id", "is required"},
		{"id of another type", object(`"type":"tool","spec_version":"2.1","id":"malware--`+randomUUID+`"`, times), "id", `"tool", not "malware"`},
		{"id without a type", object(`"type":"tool","spec_version":"2.1","id":"`+randomUUID+`"`, times), "id", "and an RFC 4122 UUID"},
		{"id with one hyphen", object(`"type":"tool","spec_version":"2.1","id":"tool-`+randomUUID+`"`, times), "id", "and an RFC 4122 UUID"},
		{"id with a short UUID", object(`"type":"tool","spec_version":"2.1","id":"tool--`+randomUUID[1:]+`"`, times), "id", "and an RFC 4122 UUID"},
		{"id with digits that are none", object(`"type":"tool","spec_version":"2.1","id":"tool--g`+randomUUID[1:]+`"`, times), "id", "and an RFC 4122 UUID"},
		{"nil UUID", object(`"type":"tool","spec_version":"2.1","id":"tool--00000000-0000-0000-0000-000000000000"`, times), "id", "and an RFC 4122 UUID"},
		{"UUID of Microsoft's variant", object(`"type":"tool","spec_version":"2.1","id":"tool--8e2e2d2b-17d4-4cbf-c38f-98ee46b3cd3f"`, times), "id", "and an RFC 4122 UUID"},

		// 13.2: section 3.2
		{"STIX 2.0", object(`"type":"tool",`+id, times), "spec_version", "STIX 2.0"},
		{"STIX 2.0 by name", object(`"type":"tool","spec_version":"2.0",`+id, times), "spec_version", `must be 2.1, not "2.0"`},
		{"STIX 2.0 of a custom type", object(`"type":"x-mitre-tactic","id":"x-mitre-tactic--`+randomUUID+`"`, times), "spec_version", "STIX 2.0"},
		{"observable of another version", observable(`"spec_version":"2.2"`), "spec_version", `must be 2.1, not "2.2"`},
		{"spec_version that is a number", object(`"type":"tool","spec_version":2.1,`+id, times), "spec_version", "must be a string"},

		// 13.3: sections 2.16, 3.2 and 3.6.1
		{"no created", object(tool, `"modified":"2024-01-01T00:00:00Z"`), "created", "is required"},
		{"no modified", object(tool, `"created":"2024-01-01T00:00:00Z"`), "modified", "is required"},
		{"created left empty", object(tool, `"created":"","modified":"2024-01-01T00:00:00Z"`), "created", "is required"},
		{"custom type with created only", object(`"type":"x-acme","spec_version":"2.1","id":"x-acme--`+randomUUID+`"`, `"created":"2024-01-01T00:00:00Z"`), "modified", "is required"},
		{"marking definition without created", object(marking), "created", "is required"},
		{"extension definition without modified", object(`"type":"extension-definition","spec_version":"2.1","id":"extension-definition--`+randomUUID+`"`, `"created":"2024-01-01T00:00:00Z"`), "modified", "is required"},
		{"language content without times", object(`"type":"language-content","spec_version":"2.1","id":"language-content--` + randomUUID + `"`), "created", "is required"},
		{"modified before created", object(tool, `"created":"2024-01-01T00:00:00.0001Z","modified":"2024-01-01T00:00:00.000Z"`), "modified", "must not be before created"},
		{"time with an offset", object(tool, `"created":"2024-01-01T00:00:00+00:00","modified":"2024-01-01T00:00:00Z"`), "created", "must be a timestamp"},
		{"time of a marking definition", object(marking, `"created":"2024-01-01"`), "created", "must be a timestamp"},
		{"time of an observable", observable(`"created":"yesterday"`), "created", "must be a timestamp"},
		{"time that is a number", object(tool, `"created":1704067200,"modified":1704067200`), "created", "must be a string"},

		// common properties whose meaning would be lost
		{"revoked as a text", domainObject(`"revoked":"true"`), "revoked", "must be true or false"},
		{"revoked as a list", domainObject(`"revoked":[true]`), "revoked", "must be true or false"},
		{"labels as a text", domainObject(`"labels":"tlp:red"`), "labels", "must be a list"},
		{"label that is a list", domainObject(`"labels":["a",["tlp:red"]]`), "labels/1", "must be a string"},
		{"marking as a text", domainObject(`"object_marking_refs":"marking-definition--` + randomUUID + `"`), "object_marking_refs", "must be a list"},
		{"marking as an object", domainObject(`"object_marking_refs":[{}]`), "object_marking_refs/0", "must be a string"},
		{"granular markings as an object", domainObject(`"granular_markings":{"marking_ref":"x"}`), "granular_markings", "must be a list"},
		{"granular marking as a text", domainObject(`"granular_markings":["x"]`), "granular_markings/0", "must be an object"},
		{"granular marking of a number", domainObject(`"granular_markings":[{"marking_ref":1}]`), "granular_markings/0/marking_ref", "must be a string"},
		{"creator as an object", domainObject(`"created_by_ref":{}`), "created_by_ref", "must be a string"},

		// 13.8: section 7.3
		{"extensions as a list", domainObject(`"extensions":[]`), "extensions", "must be an object"},
		{"extension as a text", domainObject(`"extensions":{"x-ext":"y"}`), "extensions/x-ext", "must be an object"},
		{"extension without its type", domainObject(`"extensions":{"extension-definition--` + randomUUID + `":{"a":1}}`), "extensions/extension-definition--" + randomUUID, "must have an extension_type"},
		{"extension type that is null", domainObject(`"extensions":{"extension-definition--` + randomUUID + `":{"extension_type":null}}`), "extensions/extension-definition--" + randomUUID, "must have an extension_type"},
		{"extension type that is a number", domainObject(`"extensions":{"extension-definition--` + randomUUID + `":{"extension_type":1}}`), "extensions/extension-definition--" + randomUUID + "/extension_type", "must be a string"},
		{"huge number in an extension", domainObject(`"extensions":{"x-ext":{"n":` + hugeNumber + `}}`), "extensions/x-ext/n", "a number that"},
		{"extension definition without creator", object(definition, `"name":"n","schema":"s","version":"1","extension_types":["new-sdo"]`), "created_by_ref", "is required"},
		{"extension definition without name", object(definition, `"created_by_ref":"i","schema":"s","version":"1","extension_types":["new-sdo"]`), "name", "is required"},
		{"extension definition without schema", object(definition, `"created_by_ref":"i","name":"n","version":"1","extension_types":["new-sdo"]`), "schema", "is required"},
		{"extension definition without version", object(definition, `"created_by_ref":"i","name":"n","schema":"s","extension_types":["new-sdo"]`), "version", "is required"},
		{"extension definition with a number for a version", object(definition, `"created_by_ref":"i","name":"n","schema":"s","version":1,"extension_types":["new-sdo"]`), "version", "is required"},
		{"extension definition without types", object(definition, `"created_by_ref":"i","name":"n","schema":"s","version":"1"`), "extension_types", "is required"},
		{"extension definition with no types", object(definition, `"created_by_ref":"i","name":"n","schema":"s","version":"1","extension_types":[]`), "extension_types", "is required"},
		{"extension definition with a text for types", object(definition, `"created_by_ref":"i","name":"n","schema":"s","version":"1","extension_types":"new-sdo"`), "extension_types", "must be a list"},
		{"extension definition of an unknown type", object(definition, `"created_by_ref":"i","name":"n","schema":"s","version":"1","extension_types":["new-sdo","new"]`), "extension_types", "must be of new-sdo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := Parse([]byte(c.raw))
			if err == nil {
				t.Fatalf("accepted as %s", o.ID)
			}
			var broken *Error
			if !errors.As(err, &broken) {
				t.Fatalf("error is a %T: %v", err, err)
			}
			if broken.Property != c.property || !strings.Contains(broken.Rule, c.rule) {
				t.Errorf("%q: property %q, rule %q", err, broken.Property, broken.Rule)
			}
			checkErrorIsFitToShow(t, broken)
		})
	}
}

// checkErrorIsFitToShow holds for the error of any input at all.
func checkErrorIsFitToShow(t *testing.T, err *Error) {
	t.Helper()
	text := err.Error() + err.ID + err.Version
	if len(text) > 3000 || strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' || r > '~') && r != '±' }) {
		t.Errorf("not fit to show (%d bytes): %q", len(text), text)
	}
}

func TestErrorsIdentifyTheObject(t *testing.T) {
	_, err := Parse([]byte(domainObject(`"x":1,"x":2`)))
	var broken *Error
	if !errors.As(err, &broken) || broken.ID != "indicator--"+randomUUID || broken.Version != "2024-01-02T00:00:00.000Z" {
		t.Errorf("%+v", err)
	}
	if want := "x appears twice"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestErrorsRepeatLittleOfAHostileValue(t *testing.T) {
	hostile := "\x1b[2J\u202e" + strings.Repeat("A", 100_000)
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		object(`"type":` + string(quoted)),
		object(`"type":"tool","id":` + string(quoted)),
		object(`"type":"tool","spec_version":`+string(quoted)+`,"id":"tool--`+randomUUID+`"`, times),
		object(`"type":"tool","spec_version":"2.1","id":"tool--` + randomUUID + `","created":` + string(quoted)),
		domainObject(string(quoted) + `:1,` + string(quoted) + `:1`),
		domainObject(`"extensions":{` + string(quoted) + `:1}`),
	} {
		_, err := Parse([]byte(raw))
		var broken *Error
		if !errors.As(err, &broken) {
			t.Fatalf("accepted or of the wrong kind: %v", err)
		}
		checkErrorIsFitToShow(t, broken)
		if n := strings.Count(err.Error(), "A"); n > maxEcho {
			t.Errorf("repeats %d bytes", n)
		}
	}
}

// numbered is n different marking ids, quoted and separated by commas.
func numbered(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = `"marking-definition--8e2e2d2b-17d4-4cbf-938f-` + strconv.Itoa(100000000000+i) + `"`
	}
	return strings.Join(ids, ",")
}
