package stix

import (
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
