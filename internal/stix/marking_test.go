package stix

import (
	"errors"
	"strings"
	"testing"
)

func TestTheStandardsOwnDefinitionsParse(t *testing.T) {
	for _, raw := range objectsIn(t, "testdata/tlp-definitions.json") {
		o := mustParse(t, string(raw))
		known := wellKnownMarking(o.ID)
		if known == nil || o.marking.level != known.level || o.marking.kind != kindTLP {
			t.Errorf("%s defines %v, known as %+v", o.ID, o.marking.level, known)
		}
	}
}

// Checklist 13.6 and 13.7, section 7.2.1.4: these ids are trusted, so their definitions are fixed.
func TestAlteredDefinitionsOfTLPAreRefused(t *testing.T) {
	define := func(id, created, more string) string {
		return object(`"type":"marking-definition","spec_version":"2.1","id":"`+id+`","created":"`+created+`"`, more)
	}
	const (
		created1 = "2017-01-20T00:00:00.000Z"
		created2 = "2022-10-01T00:00:00.000Z"
		red      = `"definition_type":"tlp","definition":{"tlp":"red"}`
	)
	extension := func(level string) string {
		return `"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"` + level + `"}}`
	}
	for _, c := range []struct{ name, raw, property string }{
		{"as it is", define(tlp1Red, created1, red+`,"name":"TLP:RED"`), ""},
		{"without the name", define(tlp1Red, created1, red), ""},
		{"created written another way", define(tlp1Red, "2017-01-20T00:00:00Z", red), ""},
		{"TLP 2.0 as it is", define(tlp2Red, created2, extension("red")+`,"name":"TLP:RED"`), ""},
		{"OpenCTI's as it writes it", define(octiStric, "2023-05-06T07:08:09.012Z", `"modified":"2024-01-01T00:00:00Z","name":"TLP:AMBER+STRICT","definition_type":"TLP"`), ""},

		{"another level", define(tlp1Red, created1, `"definition_type":"tlp","definition":{"tlp":"white"}`), "definition"},
		{"level in capitals", define(tlp1Red, created1, `"definition_type":"tlp","definition":{"tlp":"RED"}`), "definition"},
		{"more than a level", define(tlp1Red, created1, `"definition_type":"tlp","definition":{"tlp":"red","x":1}`), "definition"},
		{"no definition", define(tlp1Red, created1, `"definition_type":"tlp"`), "definition"},
		{"a statement", define(tlp1Red, created1, `"definition_type":"statement","definition":{"tlp":"red"}`), "definition_type"},
		{"another name", define(tlp1Red, created1, red+`,"name":"TLP:GREEN"`), "name"},
		{"another time", define(tlp1Red, created2, red), "created"},
		{"another version", define(tlp1Red, created1, red+`,"modified":"2030-01-01T00:00:00.000Z"`), "modified"},
		{"a creator", define(tlp1Red, created1, red+`,"created_by_ref":"identity--`+randomUUID+`"`), "created_by_ref"},
		{"revoked", define(tlp1Red, created1, red+`,"revoked":true`), "revoked"},
		{"a property of its own", define(tlp1Red, created1, red+`,"x_note":"may be shared"`), "x_note"},
		{"TLP 2.0 in place of TLP 1", define(tlp1Red, created1, extension("red")), "extensions"},
		{"the id in upper case", define("marking-definition--"+strings.ToUpper(tlp1Red[len("marking-definition--"):]), created1, red), "id"},
		{"TLP 2.0 of another level", define(tlp2Red, created2, extension("clear")+`,"name":"TLP:RED"`), "extensions"},
		{"TLP 2.0 without its extension", define(tlp2Red, created2, `"name":"TLP:RED"`), "extensions"},
		{"TLP 2.0 by a definition", define(tlp2Red, created2, red), "definition"},
		{"OpenCTI's statement as it is exported", define(tlp1Red, created2, `"definition_type":"statement","definition":{"statement":"custom"},"x_opencti_definition_type":"TLP","x_opencti_definition":"TLP:RED"`), ""},
		{"OpenCTI's statement of another type", define(tlp1Red, created1, `"definition_type":"statement","definition":{"statement":"custom"},"x_opencti_definition_type":"PAP","x_opencti_definition":"TLP:RED"`), "definition"},
		{"OpenCTI's with empty lists as it writes it", define(tlp1Red, created2, `"definition_type":"TLP","name":"TLP:RED","external_references":[]`), ""},
		{"OpenCTI's with a list of its own", define(tlp1Red, created1, `"definition_type":"TLP","name":"TLP:RED","x_list":[]`), "definition_type"},
		{"OpenCTI's with references", define(tlp1Red, created1, `"definition_type":"TLP","name":"TLP:RED","external_references":[{"source_name":"x"}]`), "definition_type"},
		{"OpenCTI's with another extension", define(tlp1Red, created1, `"definition_type":"TLP","name":"TLP:RED","extensions":{"extension-definition--`+randomUUID+`":{"extension_type":"property-extension"}}`), "definition_type"},
		{"OpenCTI's of another type", define(tlp1Red, created1, `"definition_type":"iep","name":"TLP:RED"`), "definition_type"},
		{"OpenCTI's statement that says more", define(tlp1Red, created1, `"definition_type":"statement","definition":{"statement":"custom","x":1},"x_opencti_definition_type":"TLP","x_opencti_definition":"TLP:RED"`), "definition"},
		{"OpenCTI's with another level", define(octiStric, created2, `"name":"TLP:AMBER","definition_type":"TLP"`), ""},
		{"OpenCTI's as a statement", define(octiStric, created2, `"definition_type":"statement","definition":{"statement":"x"}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.raw))
			accepted := strings.Contains(c.name, "as it") || strings.Contains(c.name, "without the name") || strings.Contains(c.name, "written another way")
			var broken *Error
			switch {
			case accepted && err != nil:
				t.Error(err)
			case !accepted && !errors.As(err, &broken):
				t.Errorf("error is %v", err)
			case !accepted && (broken.Property != c.property || !strings.Contains(broken.Rule, "TLP:")):
				t.Errorf("property %q, rule %q", broken.Property, broken.Rule)
			}
		})
	}
}
