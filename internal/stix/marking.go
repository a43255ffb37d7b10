package stix

import (
	"bytes"
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
	level Level  // 0: it defines no TLP level
	least Level  // the widest that it says; another one if it contradicts itself
	kind  string // what it is, see [Object.MarkingKind]
}

// The kinds of markings, beside the TLP, that this package knows.
const (
	KindStatement = "STATEMENT"
	KindPAP       = "PAP" // the Permissible Actions Protocol: what may be done with an object, not who may have it
	kindACS       = "ACS" // the Access Control Specification of the United States' government
	kindTLP       = "TLP"
)

// acsExtension is the extension by which STIX 2.1 carries ACS.
const acsExtension = "extension-definition--3a65884d-005a-4290-8335-cb2d778a83ce"

// MarkingKind is the type of what a marking-definition defines, in upper case: "TLP", "STATEMENT", "PAP", "ACS" or what
// its producer calls it. It is "" where that can't be told, and for other objects.
func (o *Object) MarkingKind() string {
	if o.marking == nil {
		return ""
	}
	return o.marking.kind
}

// wellKnown is a marking that everybody knows by its id. The properties are those
// that its only valid definition has, in the form of RFC 8785.
type wellKnown struct {
	id    string
	level Level // 0: it is no TLP
	name  string

	// properties are nil if there is no one definition, only a name.
	properties map[string]string
}

// IsWellKnownMarking reports whether a marking is one that everybody knows by its id, so that nobody needs its
// definition.
func IsWellKnownMarking(id string) bool { return wellKnownMarking(id) != nil }

// KnownLevel is the TLP level of a marking that everybody knows by its id; 0 if it is none.
func KnownLevel(id string) Level {
	if known := wellKnownMarking(id); known != nil {
		return known.level
	}
	return 0
}

// Marking is the id of TLP 2.0's definition of a level; "" if it is none.
func (l Level) Marking() string { return tlp2Markings[l] }

// tlp2Markings are the marking definitions of TLP 2.0 (STIX 2.1 extension definition tlp-2.0 of OASIS).
var tlp2Markings = map[Level]string{
	Clear:       "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
	Green:       "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
	Amber:       "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
	AmberStrict: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
	Red:         "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}

func wellKnownMarking(id string) *wellKnown {
	return wellKnownMarkings[strings.ToLower(id)]
}

// wellKnownMarkings are those of TLP 1 (section 7.2.1.4: no other instances of them may exist), of TLP 2.0, and those
// that come built in with OpenCTI: its own for AMBER+STRICT, and PAP. Programs send objects without the definitions of
// these.
var wellKnownMarkings = byID(
	tlp1("613f2e26-407d-48c7-9eca-b8e91df99dc9", Clear, "white"),
	tlp1("34098fce-860f-48ae-8e50-ebd3cc5e41da", Green, "green"),
	tlp1("f88d31f6-486f-44da-b317-01333bde0b82", Amber, "amber"),
	tlp1("5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Red, "red"),

	tlp2(Clear, "clear"),
	tlp2(Green, "green"),
	tlp2(Amber, "amber"),
	tlp2(AmberStrict, "amber+strict"),
	tlp2(Red, "red"),

	wellKnown{id: "marking-definition--826578e1-40ad-459f-bc73-ede076f81f37", level: AmberStrict, name: AmberStrict.String()},
	pap("4cdff7eb-acb8-543f-8573-829eb9fe8b34", "PAP:CLEAR"),
	pap("acec93c6-8507-5244-80f9-adf8e4157040", "PAP:WHITE"),
	pap("89484dde-e3d2-547f-a6c6-d14824429eb1", "PAP:GREEN"),
	pap("a6f20d4d-0360-59b6-ba22-3b48707828b1", "PAP:AMBER"),
	pap("4e4e3b84-de45-53df-9d9b-b21207699fd8", "PAP:RED"),
)

func byID(markings ...wellKnown) map[string]*wellKnown {
	m := make(map[string]*wellKnown, len(markings))
	for i := range markings {
		m[markings[i].id] = &markings[i]
	}
	return m
}

func tlp1(uuid string, level Level, name string) wellKnown {
	return wellKnown{"marking-definition--" + uuid, level, level.String(), map[string]string{
		"created":         `"2017-01-20T00:00:00.000Z"`,
		"definition":      `{"tlp":"` + name + `"}`,
		"definition_type": `"tlp"`,
		"name":            `"TLP:` + strings.ToUpper(name) + `"`,
	}}
}

func tlp2(level Level, name string) wellKnown {
	return wellKnown{level.Marking(), level, level.String(), map[string]string{
		"created":    `"2022-10-01T00:00:00.000Z"`,
		"extensions": `{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"` + name + `"}}`,
		"name":       `"TLP:` + strings.ToUpper(name) + `"`,
	}}
}

func pap(uuid, name string) wellKnown {
	return wellKnown{id: "marking-definition--" + uuid, name: name}
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
		return broken("id", "must be in lower case, as it is that of "+known.name)
	case known.properties == nil:
		if !known.defines(o.marking) {
			return broken("", "has the id of "+known.name+" but does not define it")
		}
		return nil
	case known.isOpenCTI(o, def):
		return nil
	}
	return known.checkUnaltered(o, def)
}

// defines reports whether a definition says what a marking is known for, and nothing else.
func (known *wellKnown) defines(m *marking) bool {
	if known.level == 0 {
		return m.kind == KindPAP && m.level == 0
	}
	return m.level == known.level && m.least == known.level
}

// openCTIExtension is the extension by which OpenCTI carries what it knows of an object.
const openCTIExtension = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"

// isOpenCTI reports whether a definition is one of those that OpenCTI makes of the standard's markings. It uses their
// ids, and that of WHITE for CLEAR. It writes them as {"definition_type": "TLP", "name": "TLP:GREEN"} in streams and in
// its TAXII server, as {"definition_type": "tlp", "definition": {"tlp": "clear"}} in exports, and as a statement with
// the level in x_opencti_definition in connectors.
func (known *wellKnown) isOpenCTI(o *Object, def map[string]jsontext.Value) bool {
	if !known.defines(o.marking) || known.properties["definition"] == "" {
		return false
	}
	own := false // it has something that only OpenCTI writes
	for name, value := range def {
		switch {
		case strings.HasPrefix(name, "x_opencti_"):
			own = true
		case slices.Contains([]string{"type", "id", "spec_version", "created", "modified", "name", "definition_type", "definition"}, name):
		case slices.Contains([]string{"object_marking_refs", "external_references"}, name) && string(value) == "[]":
		case name == "extensions":
			for id := range membersOf(value) {
				if own = id == openCTIExtension; !own {
					return false
				}
			}
		default:
			return false
		}
	}
	definition := membersOf(def["definition"])
	switch textOf(def["definition_type"]) {
	case "statement":
		text := textOf(definition["statement"])
		_, says := claimed(text)
		return len(definition) == 1 && (says || text == "custom") && kindText(textOf(def["x_opencti_definition_type"])) == kindTLP
	case "tlp":
		return len(definition) == 1 && textOf(definition["tlp"]) != "" && (own || textOf(def["name"]) == Clear.String())
	case "TLP":
		return len(definition) == 0 && def["definition"] == nil
	}
	return false
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
				return broken(name, rule+known.name)
			}
			continue
		}
		value := def[name]
		if err := value.Canonicalize(); err != nil || string(value) != known.properties[name] {
			return broken(printable(clip(name)), rule+known.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known.properties)) {
		if _, ok := def[name]; !ok && name != "name" {
			return broken(name, "is required: this is the definition of "+known.name)
		}
	}
	return nil
}

// readMarking looks for a TLP level in all the places where producers put one, in any spelling. The strictest counts; a
// definition that claims to be a TLP without a level that is known counts as Red.
func readMarking(def map[string]jsontext.Value) *marking {
	m := &marking{kind: markingKind(def)}
	r := markingReader{bare: m.kind == kindTLP || m.kind == KindStatement || m.kind == ""}
	for name, value := range def {
		switch name {
		case "type", "id", "spec_version", "created", "modified", "created_by_ref", "revoked", "lang", "confidence",
			"object_marking_refs", "granular_markings", "labels", "external_references", "description":
		default:
			r.read(name, value)
		}
	}
	if r.level == 0 {
		r.bare = false
		r.read("description", def["description"])
	}
	if m.level, m.least = r.level, r.least; m.level == 0 && m.kind == kindTLP {
		m.level, m.least = Red, Red
	}
	return m
}

// markingKind tells what a definition is. OpenCTI has a type of its own beside that of the standard, which it fills
// with "statement".
func markingKind(def map[string]jsontext.Value) string {
	standard := kindText(textOf(def["definition_type"]))
	for _, name := range slices.Sorted(maps.Keys(def)) {
		if name == "definition_type" || !strings.HasSuffix(name, "definition_type") {
			continue
		}
		if own := kindText(textOf(def[name])); own != "" && (standard == "" || standard == KindStatement) {
			return own
		}
	}
	if standard != "" {
		return standard
	}
	for id := range membersOf(def["extensions"]) {
		switch strings.ToLower(id) {
		case tlp2Extension:
			return kindTLP
		case acsExtension:
			return kindACS
		}
	}
	if _, found := membersOf(def["definition"])["statement"]; found {
		return KindStatement
	}
	before, _, _ := strings.Cut(textOf(def["name"]), ":") // "PAP:RED"
	switch kind := kindText(before); kind {
	case kindTLP, KindPAP, kindACS:
		return kind
	}
	return ""
}

// kindText brings the name of a type into its one form; "TLP:GREEN" is a TLP, too.
func kindText(text string) string {
	kind := strings.ToUpper(strings.TrimSpace(text))
	if _, isTLP := claimed(text); isTLP {
		return kindTLP
	}
	if len(kind) > maxEcho {
		return ""
	}
	return kind
}

// markingReader collects the levels in the texts of a definition: the strictest, and the widest.
type markingReader struct {
	level, least Level
	bare         bool // the name of a level alone is one: not so for markings of another kind
}

func (r *markingReader) read(name string, value jsontext.Value) {
	if len(value) > 0 {
		_ = r.walk(jsontext.NewDecoder(bytes.NewReader(value)), name) // it is part of an object that has been read
	}
}

// walk reads a value of the property that is called name, and what is in it.
func (r *markingReader) walk(dec *jsontext.Decoder, name string) error {
	switch dec.PeekKind() {
	case '"':
		text, err := readString(dec)
		r.text(name, text)
		return err
	case '0':
		if _, plain := tlpName([]byte(name)); plain {
			r.claim(Red)
		}
		return dec.SkipValue()
	case '[':
		return eachElement(dec, func() error { return r.walk(dec, name) })
	case '{':
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		return new(scanner).eachMember(dec, func(dec *jsontext.Decoder, member []byte) error {
			return r.walk(dec, string(member))
		})
	}
	return dec.SkipValue()
}

func (r *markingReader) text(name, text string) {
	level, ok := claimed(text)
	if !ok && r.bare {
		level, ok = bareLevel(text)
	}
	if _, plain := tlpName([]byte(name)); !ok && plain {
		level, ok = claimedValue(text)
	}
	if ok {
		r.claim(level)
	}
}

func (r *markingReader) claim(level Level) {
	if r.least == 0 || level < r.least {
		r.least = level
	}
	r.level = max(r.level, level)
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
