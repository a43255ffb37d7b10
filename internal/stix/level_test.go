package stix

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	custom    = "marking-definition--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	tlp1White = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
	tlp1Green = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
	tlp1Amber = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
	tlp1Red   = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
	tlp2Clear = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
	tlp2Green = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
	tlp2Amber = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
	tlp2Stric = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
	tlp2Red   = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
	octiStric = "marking-definition--826578e1-40ad-459f-bc73-ede076f81f37"
)

func TestLevelsAreOrderedByStrictness(t *testing.T) {
	if !(0 < Clear && Clear < Green && Green < Amber && Amber < AmberStrict && AmberStrict < Red) {
		t.Error("they are not")
	}
}

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]Level{
		"clear": Clear, "TLP:CLEAR": Clear, "tlp:white": Clear, "Green": Green, " tlp: amber ": Amber,
		"TLP:AMBER+STRICT": AmberStrict, "amber-strict": AmberStrict, "Amber Strict": AmberStrict, "amber_strict": AmberStrict, "tLp:ReD": Red,
	} {
		if got, err := ParseLevel(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "tlp:", "tlp:tlp:red", "reds", "tlp red", "amber++strict", "tlp:clear\x00"} {
		if got, err := ParseLevel(text); err == nil || got != 0 {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	for level := Clear; level <= Red; level++ {
		if got, err := ParseLevel(level.String()); got != level || err != nil {
			t.Errorf("%v: %v, %v", level, got, err)
		}
	}
}

// Checklist 13.7, and labels.
func TestLevelsOfMarkingsLabelsAndProperties(t *testing.T) {
	mark := func(ids ...string) string { return `"object_marking_refs":["` + strings.Join(ids, `","`) + `"]` }
	define := func(more string) string {
		return object(`"type":"marking-definition","spec_version":"2.1","id":"`+custom+`","created":"2024-01-01T00:00:00Z"`, more)
	}
	const statement = `"definition_type":"statement","definition":{"statement":"(c) Acme"}`
	for _, c := range []struct {
		name       string
		properties string
		definition string // of the marking with the id custom
		want       Level
		because    string
	}{
		{"no marking", ``, ``, 0, ""},
		{"TLP 1 white", mark(tlp1White), ``, Clear, "TLP:CLEAR"},
		{"TLP 1 green", mark(tlp1Green), ``, Green, "TLP:GREEN"},
		{"TLP 1 amber", mark(tlp1Amber), ``, Amber, "TLP:AMBER"},
		{"TLP 1 red", mark(tlp1Red), ``, Red, "TLP:RED"},
		{"TLP 2.0 clear", mark(tlp2Clear), ``, Clear, "TLP:CLEAR"},
		{"TLP 2.0 green", mark(tlp2Green), ``, Green, "TLP:GREEN"},
		{"TLP 2.0 amber", mark(tlp2Amber), ``, Amber, "TLP:AMBER"},
		{"TLP 2.0 amber+strict", mark(tlp2Stric), ``, AmberStrict, "TLP:AMBER+STRICT"},
		{"TLP 2.0 red", mark(tlp2Red), ``, Red, "TLP:RED"},
		{"OpenCTI's amber+strict", mark(octiStric), ``, AmberStrict, "TLP:AMBER+STRICT"},
		{"id in upper case", mark("marking-definition--" + strings.ToUpper(tlp1Green[len("marking-definition--"):])), ``, Green, "TLP:GREEN"},
		{"the strictest of several", mark(tlp1Green, tlp2Red, tlp1Amber), ``, Red, "TLP:RED"},
		{"granular marking", mark(tlp1Green) + `,"granular_markings":[{"marking_ref":"` + tlp1Amber + `","selectors":["name"]}]`, ``, Amber, "TLP:AMBER"},

		{"label", `"labels":["apt","tlp:amber"]`, ``, Amber, `label "tlp:amber"`},
		{"label in upper case", `"labels":["TLP:AMBER+STRICT"]`, ``, AmberStrict, `label "TLP:AMBER+STRICT"`},
		{"label white", `"labels":["Tlp:White"]`, ``, Clear, `label "Tlp:White"`},
		{"label with spaces", `"labels":[" tlp: red "]`, ``, Red, `label " tlp: red "`},
		{"label of no known level", `"labels":["tlp:ex:chr"]`, ``, Red, `label "tlp:ex:chr"`},
		{"labels that are no TLP", `"labels":["","tlp","tlpx","red","xtlp:red","tl\u0000:red"]`, ``, 0, ""},
		{"label stricter than the marking", mark(tlp1Green) + `,"labels":["tlp:red"]`, ``, Red, `label "tlp:red"`},
		{"marking stricter than the label", mark(tlp1Red) + `,"labels":["tlp:clear"]`, ``, Red, "TLP:RED"},

		{"unknown marking", mark(custom), ``, Red, "unknown marking " + custom},
		{"unknown marking beside a wide one", mark(tlp1White, custom), ``, Red, "unknown marking " + custom},
		{"marking that is empty", mark(""), ``, Red, "unknown marking "},
		{"marking that is no id", mark("TLP:GREEN"), ``, Red, "unknown marking TLP:GREEN"},
		{"marking that is another object", mark(custom), domainObject(""), Red, "unknown marking " + custom},

		{"statement", mark(custom), define(statement), 0, ""},
		{"statement in another case", mark(custom), define(strings.Replace(statement, "statement", "Statement", 1)), 0, ""},
		{"statement beside a level", mark(custom, tlp1Green), define(statement), Green, "TLP:GREEN"},
		{"TLP under an id of its own", mark(custom), define(`"definition_type":"tlp","definition":{"tlp":"amber"}`), Amber, "TLP:AMBER by the definition of " + custom},
		{"TLP as OpenCTI writes it", mark(custom), define(`"definition_type":"TLP","definition":{"TLP":"TLP:AMBER+STRICT"},"name":"TLP:AMBER+STRICT"`), AmberStrict, "TLP:AMBER+STRICT by"},
		{"TLP in the name only", mark(custom), define(`"name":"tlp:green","definition_type":"TLP"`), Green, "TLP:GREEN by"},
		{"TLP in the type only", mark(custom), define(`"definition_type":"TLP:GREEN","definition":{}`), Green, "TLP:GREEN by"},
		{"TLP in a definition that is a text", mark(custom), define(`"definition_type":"TLP","definition":"TLP:GREEN"`), Green, "TLP:GREEN by"},
		{"TLP 2.0 under an id of its own", mark(custom), define(`"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"amber+strict"}}`), AmberStrict, "TLP:AMBER+STRICT by"},
		{"TLP that contradicts itself", mark(custom), define(`"name":"TLP:CLEAR","definition_type":"tlp","definition":{"tlp":"red"}`), Red, "TLP:RED by"},
		{"TLP that contradicts its name", mark(custom), define(`"name":"TLP:RED","definition_type":"tlp","definition":{"tlp":"clear"}`), Red, "TLP:RED by"},
		{"TLP hidden in a statement", mark(custom), define(statement + `,"name":"TLP:RED"`), Red, "TLP:RED by"},
		{"TLP without a level", mark(custom), define(`"definition_type":"tlp"`), Red, "TLP:RED by"},
		{"TLP of an unknown level", mark(custom), define(`"definition_type":"tlp","definition":{"tlp":"purple"}`), Red, "TLP:RED by"},
		{"TLP 2.0 of an unknown level", mark(custom), define(`"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":2}}`), Red, "TLP:RED by"},
		{"PAP, which says nothing of who may have it", mark(custom), define(`"definition_type":"PAP","definition":{"pap":"green"},"name":"PAP:GREEN"`), 0, ""},
		{"PAP beside a level", mark(custom, tlp1Amber), define(`"definition_type":"PAP","definition":{"pap":"red"},"name":"PAP:RED"`), Amber, "TLP:AMBER"},
		{"PAP that is a TLP by its name", mark(custom), define(`"definition_type":"PAP","name":"TLP:RED"`), Red, "TLP:RED by"},
		{"another kind of marking", mark(custom), define(`"definition_type":"iep","definition":{"pap":"green"},"name":"IEP"`), Red, "neither a TLP level nor a statement"},
		{"a marking that says nothing", mark(custom), define(``), Red, "neither a TLP level nor a statement"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resolve := func(id string) *Object {
				if id == custom && c.definition != "" {
					return mustParse(t, c.definition)
				}
				return nil
			}
			level, marked, because := Levels{Resolve: resolve}.Of(mustParse(t, domainObject(c.properties)))
			if level != c.want || marked != (c.want != 0) || !strings.Contains(because, c.because) || (because == "") != (c.because == "") {
				t.Errorf("%v, %v, because %q", level, marked, because)
			}
		})
	}
}

func TestLevelOfNeedsNobodyToResolveMarkings(t *testing.T) {
	if level, _, _ := (Levels{}).Of(mustParse(t, domainObject(`"object_marking_refs":["`+custom+`"]`))); level != Red {
		t.Errorf("an unknown marking counts as %v", level)
	}
}

func TestADefinitionIsNotRestrictedByWhatItDefinesButByWhatItCarries(t *testing.T) {
	red := mustParse(t, object(`"type":"marking-definition","spec_version":"2.1","id":"`+custom+`","created":"2024-01-01T00:00:00Z"`,
		`"definition_type":"tlp","definition":{"tlp":"red"}`))
	if level, marked, _ := (Levels{}).Of(red); marked {
		t.Errorf("the definition of TLP:RED counts as %v", level)
	}
	secret := mustParse(t, object(`"type":"marking-definition","spec_version":"2.1","id":"`+custom+`","created":"2024-01-01T00:00:00Z"`,
		`"definition_type":"statement","definition":{"statement":"Known to nobody"},"object_marking_refs":["`+tlp1Amber+`"]`))
	if level, _, _ := (Levels{}).Of(secret); level != Amber {
		t.Errorf("a definition marked TLP:AMBER counts as %v", level)
	}
}

func TestAnotherMarkingNeverWidensAnObject(t *testing.T) {
	known := rapid.SampledFrom([]string{tlp1White, tlp1Green, tlp1Amber, tlp1Red, tlp2Clear, tlp2Green, tlp2Amber, tlp2Stric, tlp2Red, octiStric, custom, ""})
	labels := rapid.SampledFrom([]string{"tlp:clear", "TLP:WHITE", "tlp:green", "tlp:amber", "tlp:amber+strict", "tlp:red", "tlp:?", "apt"})
	rapid.Check(t, func(t *rapid.T) {
		o := &Object{
			Markings: rapid.SliceOfN(known, 0, 4).Draw(t, "markings"),
			Labels:   rapid.SliceOfN(labels, 0, 3).Draw(t, "labels"),
		}
		before, marked, because := Levels{}.Of(o)
		if marked != (before != 0) || marked != (because != "") {
			t.Errorf("%v, %v, %q", before, marked, because)
		}
		o.Markings = append([]string{known.Draw(t, "another marking")}, o.Markings...)
		o.Labels = append([]string{labels.Draw(t, "another label")}, o.Labels...)
		if after, _, _ := (Levels{}).Of(o); after < before {
			t.Errorf("from %v to %v", before, after)
		}
	})
}
