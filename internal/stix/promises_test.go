package stix

import (
	"slices"
	"strings"
	"testing"
)

// A level is a level in whichever alphabet its letters are: people copy what looks alike, and some mean it.
func TestALetterOfAnotherAlphabetHidesNoLevel(t *testing.T) {
	strangers := map[string]string{
		"a": "аα", "b": "вβ", "c": "с", "e": "еε", "h": "нη", "i": "іι", "m": "мμ", "n": "ν", "o": "о", "p": "рρ", "s": "ѕ", "t": "тτ",
	}
	for word, level := range map[string]Level{"white": Clear, "clear": Clear, "green": Green, "amber": Amber, "amber+strict": AmberStrict, "red": Red} {
		text := "tlp:" + word
		for latin, others := range strangers {
			for _, other := range others {
				if got, found := claimed(strings.ReplaceAll(text, latin, string(other))); !found || got != level {
					t.Errorf("with %c for %s, %s is %v (%v), want %v", other, latin, text, got, found, level)
				}
			}
		}
	}
	if got, found := claimed("traffic light prοtοcοl: red"); !found || got != Red { // Greek
		t.Errorf("%v, %v", got, found)
	}
}

// A property that is called after the TLP has a level, unless it is called after what else the TLP has.
func TestWhichPropertiesAreCalledAfterTheTLP(t *testing.T) {
	for name, want := range map[string][2]bool{
		"tlp": {true, true}, "x_acme_tlp": {true, true}, "tlpLevel": {true, true}, "traffic_light_protocol": {true, true}, "x_TLP_marking": {true, true},
		"tlp_version": {true, false}, "x_tlp_remark": {true, false}, "tlp_exceptions": {true, false},
		"name": {false, false}, "traffic": {false, false}, "x_airtraffic_light": {false, false}, "helpful": {false, false}, "": {false, false},
	} {
		if named, plain := tlpName([]byte(name)); named != want[0] || plain != want[1] {
			t.Errorf("%q is called after it: %v, and has a level: %v; want %v", name, named, plain, want)
		}
	}
}

// Only an object has an id and a version.
func TestWhatIsNoObjectHasNoID(t *testing.T) {
	const id, created = "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f", "2026-01-02T03:04:05Z"
	for _, raw := range []string{`["id","` + id + `","created","` + created + `"]`, `"id"`, `"id" "` + id + `"`, "", "null"} {
		if got, version := Identify([]byte(raw)); got != "" || version != "" {
			t.Errorf("%s has the id %q and the version %q", raw, got, version)
		}
	}
	// The first counts, and what is not a text counts for nothing.
	if got, version := Identify([]byte(`{"id":7,"x":{"id":"y"},"id":"` + id + `","id":"z","modified":1,"created":"` + created + `"}`)); got != id || version != created {
		t.Errorf("it has the id %q and the version %q", got, version)
	}
}

// A type begins with a letter.
func TestATypeBeginsWithALetter(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "z": true, "x-acme-1": true, "a" + strings.Repeat("b", maxTypeLen-1): true,
		"": false, "1ab": false, "-ab": false, "Abc": false, "a_b": false, "a" + strings.Repeat("b", maxTypeLen): false, "{a": false, "a/": false, "a:": false} {
		if validType(name) != want {
			t.Errorf("%q is a type: %v", name, !want)
		}
	}
}

// What is repeated of a foreign text has an end, and says where it was cut.
func TestWhatIsRepeatedOfAForeignTextIsBounded(t *testing.T) {
	whole := strings.Repeat("x", maxEcho)
	if clip(whole) != whole || clip(whole+"x") != whole[:maxEcho-3]+"..." {
		t.Errorf("of %d bytes it repeats %q", maxEcho+1, clip(whole+"x"))
	}
	if got := clip(strings.Repeat("ä", maxEcho)); len(got) > maxEcho || !strings.HasSuffix(got, "ä...") {
		t.Errorf("half a letter is left: %q", got)
	}
}

// What a definition of a producer's own means: the strictest level that it names anywhere, in any spelling.
func TestADefinitionMeansTheStrictestLevelThatItNames(t *testing.T) {
	for text, want := range map[string]Level{
		`"definition_type":"statement","definition":{"statement":"TLP:GREEN"}`:                                                     Green,
		`"definition_type":"statement","definition":{"statement":"red"}`:                                                           Red, // the name of a level and nothing else
		`"definition_type":"statement","definition":{"statement":"a red letter day"}`:                                              0,
		`"definition_type":"statement","definition":{"statement":"(c) ACME"}`:                                                      0,
		`"definition_type":"statement","definition":{"statement":"(c) ACME"},"description":"red"`:                                  0, // a description is prose
		`"definition_type":"statement","definition":{"statement":"(c) ACME"},"description":"TLP:AMBER"`:                            Amber,
		`"definition_type":"statement","definition":{"statement":"TLP:GREEN"},"description":"TLP:RED is for others"`:               Green, // and only asked where nothing else says a level
		`"definition_type":"statement","definition":{"statement":["x",{"y":"TLP:AMBER"},"TLP:GREEN"]}`:                             Amber,
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp":"amber"`:                                                     Amber,
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp":"purple"`:                                                    Red,
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp":""`:                                                          Green,
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp_color":"#ff2b2b"`:                                             Green,
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp":3`:                                                           Red, // whose number that is, nobody knows
		`"definition_type":"tlp","definition":{"tlp":"green"},"x_tlp_version":2`:                                                   Green,
		`"definition_type":"tlp","definition":{"tlp":"beige"}`:                                                                     Red,
		`"definition_type":"tlp","definition":{}`:                                                                                  Red,
		`"definition_type":"TLP","name":"GREEN"`:                                                                                   Green,
		`"name":"amber+strict"`:                                                                                                    AmberStrict,
		`"definition_type":"TLP","name":"TLP:AMBER+STRICT"`:                                                                        AmberStrict,
		`"definition_type":"statement","x_opencti_definition_type":"TLP","name":"TLP:GREEN"`:                                       Green,
		`"definition_type":"statement","x_opencti_definition_type":"PAP","name":"PAP:RED"`:                                         0,
		`"definition_type":"pap","definition":{"pap":"red"}`:                                                                       0,
		`"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"clear"}},"name":"TLP:CLEAR"`:      Clear,
		`"extensions":{"` + strings.ToUpper(tlp2Extension) + `":{"extension_type":"property-extension","tlp_2_0":"amber+strict"}}`: AmberStrict,
		`"extensions":{"` + tlp2Extension + `":{"extension_type":"property-extension","tlp_2_0":"clear"}},"x_acme_tlp":"TLP:RED"`:  Red,
		`"definition_type":"statement","definition":{"statement":"` + strings.Repeat("x", maxClaim-8) + ` tlp red"}`:               Red,
		`"definition_type":"statement","definition":{"statement":"` + strings.Repeat("x ", maxClaim/2-4) + `tlp is x"}`:            0,
		`"definition_type":"statement","definition":{"statement":"` + strings.Repeat("x ", maxClaim/2-4) + `tlp is xx"}`:           Red, // too long to be looked into
	} {
		o := mustParse(t, object(`"type":"marking-definition","spec_version":"2.1","id":"marking-definition--`+randomUUID+`","created":"2026-01-02T03:04:05.000Z"`, text))
		if o.marking.level != want {
			t.Errorf("%.120s means %v, want %v", text, o.marking.level, want)
		}
	}
}

// What a property's own value would be without it is not taken for a difference, and nothing else is.
func TestOnlyADefaultIsADefault(t *testing.T) {
	const most = `"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"`
	bare := hashOf(t, object(most, ""))
	for more, same := range map[string]bool{
		`"lang":false`: false, `"defanged":false`: true, `"lang":"en"`: true, `"revoked":false`: true, `"defanged":true`: false, `"lang":"de"`: false, `"lang":"false"`: false, `"defanged":"en"`: false,
	} {
		o, err := Parse([]byte(object(most, more)))
		if err != nil {
			continue // it may not be so at all
		}
		hash, err := o.ContentHash()
		if err != nil {
			t.Fatal(err)
		}
		if (hash == bare) != same {
			t.Errorf("with %s it is the same: %v", more, hash == bare)
		}
	}
}

// Only what prints is repeated: the rest is escaped.
func TestOnlyWhatPrintsIsRepeated(t *testing.T) {
	for text, want := range map[string]string{"a b~": "a b~", `it's "a\b"`: `it's "a\b"`, "\x1b[2J": `\x1b[2J`, "a\nb": `a\nb`, "é": `\u00e9`, "\x7f": `\x7f`, "": ""} {
		if got := printable(text); got != want {
			t.Errorf("%q is repeated as %q, want %q", text, got, want)
		}
	}
}

// Whatever of an object is missing or damaged: nothing is taken for less than it says because an error was passed over.
func TestAnObjectThatIsTornOrDamagedAnywhereIsRefused(t *testing.T) {
	raw := object(`"type":"marking-definition","spec_version":"2.1","id":"`+custom+`","created":"2024-01-01T00:00:00Z","revoked":false,"lang":"en"`,
		`"definition_type":"statement","definition":{"statement":["x",{"y":1.5}]},"labels":["a"],"x_labels":[{"tlp":"green"}],"external_references":null,`+
			`"object_marking_refs":["`+tlp2Green+`"],"granular_markings":[{"marking_ref":"`+tlp2Green+`","selectors":["name"]}],"x_tlp":[{"level":-1}],`+
			`"extensions":{"`+openCTIExtension+`":{"extension_type":"property-extension","x":[true]},"other-ext":{"x":{}}}`)
	read := map[string]func([]byte) (*Object, error){"published": Parse, "read": Read}
	for what, f := range read {
		if _, err := f([]byte(raw)); err != nil {
			t.Fatalf("whole, it is not %s: %v", what, err)
		}
		for n := range len(raw) {
			if o, err := f([]byte(raw[:n])); err == nil {
				t.Errorf("without what comes after %s it is %s as %s", raw[:n], what, o.ID)
			}
			damaged := []byte(raw)
			damaged[n] = 0xff
			if o, err := f(damaged); err == nil {
				t.Errorf("%q is %s as %s", damaged, what, o.ID)
			}
		}
	}
}

func TestALevelIsFoundInWhateverStandsAroundIt(t *testing.T) {
	for properties, want := range map[string]Level{
		`"labels":["got tlp:red"]`: Red, `"labels":["tttlp:green"]`: 0, `"labels":["at TLP: green"]`: Green, // letters that seem to begin the word
		`"labels":["tlp:green2"]`:                 Red, // no level that is known
		`"labels":["see tlp marking: purple"]`:    Red,
		`"labels":["the tlp marking is on it"]`:   0,
		`"labels":["tlp:amber plus"]`:             AmberStrict,
		`"labels":["tlp amber plus strict"]`:      AmberStrict,
		`"labels":["tlp amber green"]`:            Amber,
		`"labels":["tlp"]`:                        0,
		`"x_tlp":{"name":"amber"}`:                Amber, // an object in place of the level
		`"x_tlp":{"name":"amber","color":"#f00"}`: Amber,
		`"x_tlp":[["green"]]`:                     Green,
		`"x-tags":["tlp:amber"]`:                  Amber,
		`"x_acme_labels":[{"value":"tlp:amber"}]`: Amber,
		`"vantages":["tlp:amber"]`:                0,
		`"acmeTlp":"amber"`:                       Amber,
		`"acmetlp":"amber"`:                       0,
		`"xtags":["tlp:amber"]`:                   0,
		`"tags":["tlp:amber"]`:                    Amber,
		`"labels":["tlp amber plus red"]`:         Red,
		`"labels":["tlp amber plus strict red"]`:  Red,
	} {
		if level, _, because := (Levels{}).Of(mustParse(t, domainObject(properties))); level != want {
			t.Errorf("%s counts as %v (%s), want %v", properties, level, because, want)
		}
	}
}

func TestAPropertyMayHaveANameOfAnyLength(t *testing.T) {
	for n := 1; n < 300; n++ {
		if _, err := Parse([]byte(domainObject(`"` + strings.Repeat("y", n) + `":1`))); err != nil {
			t.Errorf("one of %d letters: %v", n, err)
		}
	}
}

func TestWhatIsNoExtensionOfTheStandardNeedsNoType(t *testing.T) {
	for more, refused := range map[string]bool{
		`"extensions":null`: false,
		`"extensions":{"archive-ext":{"extension_type":5}}`:                              false,
		`"extensions":{"archive-ext":{}}`:                                                false,
		`"extensions":{"extension-definition--` + randomUUID + `":{}}`:                   true,
		`"extensions":{"extension-definition--` + randomUUID + `":{"extension_type":5}}`: true,
	} {
		if _, err := Parse([]byte(domainObject(more))); (err != nil) != refused {
			t.Errorf("%s: %v", more, err)
		}
	}
}

func TestWhatIsNotRevokedIsNot(t *testing.T) {
	for more, revoked := range map[string]bool{``: false, `"revoked":null`: false, `"revoked":false`: false, `"revoked":true`: true} {
		if o := mustParse(t, domainObject(more)); o.Revoked != revoked {
			t.Errorf("with %q it is revoked: %v", more, o.Revoked)
		}
	}
}

func TestATypeMayHaveOneLetterAndHasNothingElse(t *testing.T) {
	if typ, _, ok := splitID("x--" + randomUUID); !ok || typ != "x" {
		t.Errorf("its type is %q, %v", typ, ok)
	}
	for _, c := range "{_A/:`" {
		if typ, _, ok := splitID("x" + string(c) + "--" + randomUUID); ok {
			t.Errorf("it is %q", typ)
		}
	}
	if typ, _, ok := splitID("--" + randomUUID); ok {
		t.Errorf("of none, it is %q", typ)
	}
}

func TestAMarkingThatIsRepeatedIsOne(t *testing.T) {
	o := mustParse(t, domainObject(`"object_marking_refs":["`+tlp2Green+`","`+tlp2Red+`","`+tlp2Green+`"]`))
	if want := []string{tlp2Green, tlp2Red}; !slices.Equal(o.Markings, want) {
		t.Errorf("they are %v, want %v", o.Markings, want)
	}
}
