package stix

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// tlp2Extension is the extension by which STIX 2.1 carries TLP 2.0.
const tlp2Extension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

// marking is what a marking-definition says.
type marking struct {
	level     Level // 0: it defines no TLP level
	statement bool
}

// wellKnown is a marking that everybody knows by its id. The properties are those
// that its only valid definition has, in the form of RFC 8785.
type wellKnown struct {
	id    string
	level Level

	// properties are nil if there is no one definition, only a level.
	properties map[string]string
}

// IsWellKnownMarking reports whether a marking is one that everybody knows by its id, so that nobody needs its definition.
func IsWellKnownMarking(id string) bool { return wellKnownMarking(id) != nil }

func wellKnownMarking(id string) *wellKnown {
	return wellKnownMarkings[strings.ToLower(id)]
}

// wellKnownMarkings are those of TLP 1 (section 7.2.1.4: no other instances of
// them may exist), of TLP 2.0, and OpenCTI's own for AMBER+STRICT from before TLP 2.0.
var wellKnownMarkings = byID(
	tlp1("613f2e26-407d-48c7-9eca-b8e91df99dc9", Clear, "white"),
	tlp1("34098fce-860f-48ae-8e50-ebd3cc5e41da", Green, "green"),
	tlp1("f88d31f6-486f-44da-b317-01333bde0b82", Amber, "amber"),
	tlp1("5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Red, "red"),

	tlp2("94868c89-83c2-464b-929b-a1a8aa3c8487", Clear, "clear"),
	tlp2("bab4a63c-aed9-4cf5-a766-dfca5abac2bb", Green, "green"),
	tlp2("55d920b0-5e8b-4f79-9ee9-91f868d9b421", Amber, "amber"),
	tlp2("939a9414-2ddd-4d32-a0cd-375ea402b003", AmberStrict, "amber+strict"),
	tlp2("e828b379-4e03-4974-9ac4-e53a884c97c1", Red, "red"),

	wellKnown{id: "marking-definition--826578e1-40ad-459f-bc73-ede076f81f37", level: AmberStrict},
)

func byID(markings ...wellKnown) map[string]*wellKnown {
	m := make(map[string]*wellKnown, len(markings))
	for i := range markings {
		m[markings[i].id] = &markings[i]
	}
	return m
}

func tlp1(uuid string, level Level, name string) wellKnown {
	return wellKnown{"marking-definition--" + uuid, level, map[string]string{
		"created":         `"2017-01-20T00:00:00.000Z"`,
		"definition":      `{"tlp":"` + name + `"}`,
		"definition_type": `"tlp"`,
		"name":            `"TLP:` + strings.ToUpper(name) + `"`,
	}}
}

func tlp2(uuid string, level Level, name string) wellKnown {
	return wellKnown{"marking-definition--" + uuid, level, map[string]string{
		"created":    `"2022-10-01T00:00:00.000Z"`,
		"extensions": `{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"` + name + `"}}`,
		"name":       `"TLP:` + strings.ToUpper(name) + `"`,
	}}
}

// checkMarkingDefinition finds out what the definition says, and refuses to
// have a well-known marking say anything else.
func (o *Object) checkMarkingDefinition() *Error {
	var def map[string]jsontext.Value
	if err := json.Unmarshal(o.Raw, &def); err != nil {
		return syntaxError(err)
	}
	o.marking = readMarking(def)

	known := wellKnownMarking(o.ID)
	switch {
	case known == nil:
		return nil
	case known.id != o.ID:
		return broken("id", "must be in lower case, as it is that of "+known.level.String())
	case known.properties == nil && o.marking.level != known.level:
		return broken("", "has the id of "+known.level.String()+" but does not define it")
	case known.properties == nil:
		return nil
	}
	return known.checkUnaltered(o, def)
}

// checkUnaltered compares a definition with the standard's. It may write the
// time with another precision and leave the name out, as older producers do.
func (known *wellKnown) checkUnaltered(o *Object, def map[string]jsontext.Value) *Error {
	const rule = "must be left as the standard has it: this is the definition of "
	for _, name := range slices.Sorted(maps.Keys(def)) {
		switch name {
		case "type", "id", "spec_version":
			continue
		case "created":
			want, _ := ParseTimestamp(strings.Trim(known.properties[name], `"`))
			if !o.created.Equal(want) {
				return broken(name, rule+known.level.String())
			}
			continue
		}
		value := def[name]
		if err := value.Canonicalize(); err != nil || string(value) != known.properties[name] {
			return broken(printable(clip(name)), rule+known.level.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known.properties)) {
		if _, ok := def[name]; !ok && name != "name" {
			return broken(name, "is required: this is the definition of "+known.level.String())
		}
	}
	return nil
}

// readMarking looks for a TLP level in all the places where producers put one, in any
// spelling. The strictest counts; a definition that claims to be a TLP without a
// level that is known counts as Red.
func readMarking(def map[string]jsontext.Value) *marking {
	m := new(marking)
	claim := func(level Level) { m.level = max(m.level, level) }
	claimText := func(text string) {
		level, err := ParseLevel(text)
		if err != nil {
			level = Red
		}
		claim(level)
	}

	for _, property := range []string{"name", "definition_type", "definition"} {
		if level, ok := labelLevel(textOf(def[property])); ok {
			claim(level)
		}
	}
	for name, value := range membersOf(def["definition"]) {
		if strings.EqualFold(name, "tlp") {
			claimText(textOf(value))
		}
	}
	for id, extension := range membersOf(def["extensions"]) {
		if !strings.EqualFold(id, tlp2Extension) {
			continue
		}
		claimText(textOf(membersOf(extension)["tlp_2_0"]))
	}

	switch kind := strings.TrimSpace(textOf(def["definition_type"])); {
	case strings.EqualFold(kind, "tlp") && m.level == 0:
		claim(Red)
	case strings.EqualFold(kind, "statement"):
		m.statement = true
	}
	return m
}

// textOf is the text of a JSON string, or "".
func textOf(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	return string(unquoted(v))
}

// membersOf is what a JSON object holds, or nil.
func membersOf(v jsontext.Value) map[string]jsontext.Value {
	if v.Kind() != '{' {
		return nil
	}
	var members map[string]jsontext.Value
	if json.Unmarshal(v, &members) != nil {
		return nil // cannot be: the object it is part of has been read
	}
	return members
}
