package stix

import (
	"bytes"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// This file reads what people and programs write of the Traffic Light Protocol outside of the standard's own markings:
// tags of MISP ("tlp:amber+strict", `misp:tlp="red"`), properties of OpenCTI and TheHive, statements such as
// "TLP:RED". A text that speaks of the TLP and names no level that is known counts as Red: nothing may be shared more
// widely than its producer meant.

// claimed reads the level that a text claims: the strictest, if it claims several. It claims none if it does not speak
// of the TLP, or only mentions it.
func claimed(text string) (level Level, ok bool) {
	if !mayClaim(text) {
		return 0, false
	}
	if len(text) > maxClaim {
		return Red, true
	}
	list := words(text)
	for i := 0; i < len(list); i++ {
		value, names := introduced(list, i)
		if !names {
			continue
		}
		if l := levelAfter(list, i, value); l > 0 {
			level, ok = max(level, l), true
		}
	}
	return level, ok
}

// claimedByLabel reads a label. The names of levels are words that labels have for other reasons, but for one.
func claimedByLabel(label string) (level Level, ok bool) {
	if level, ok = claimed(label); !ok && len(label) < maxEcho {
		level, ok = bareLevel(label)
		ok = ok && level == AmberStrict
	}
	return level, ok
}

// claimedValue reads a text that stands where a level is expected, with or without "tlp:" before it. What is no level
// counts as Red, but for the empty text and for colours as computers write them.
func claimedValue(text string) (level Level, ok bool) {
	if text = strings.TrimSpace(text); text == "" || text[0] == '#' {
		return 0, false
	}
	if level, ok = claimed(text); ok {
		return level, ok
	}
	return claimed("tlp:" + text)
}

// bareLevel reads a text that is the name of a level and nothing else.
func bareLevel(text string) (level Level, ok bool) {
	list := words(text)
	level, n := levelAt(list, 0)
	return level, n > 0 && n == len(list)
}

// mayClaim is quick, and right when it says that a text has no word of the TLP.
func mayClaim(text string) bool {
	const tlp, traffic = "tlp", "trafficlight"
	var a, b int // how much of the two was seen, with whatever stands between the letters
	for _, c := range []byte(text) {
		if c >= 0x80 {
			return true
		}
		c |= 0x20
		if c < 'a' || c > 'z' {
			continue
		}
		if a = follow(tlp, a, c); a == len(tlp) {
			return true
		}
		if b = follow(traffic, b, c); b == len(traffic) {
			return true
		}
	}
	return false
}

// follow is how much of a word is seen after one more letter. It is for words whose beginning does not come again in
// them but as their first letter.
func follow(word string, seen int, c byte) int {
	switch {
	case word[seen] == c:
		return seen + 1
	case word[0] == c:
		return 1
	}
	return 0
}

// word is a run of letters and digits in lower case.
type word struct {
	text  string
	after string // what stands between it and the next one
}

// maxClaim bounds a text that is taken apart, in bytes: a label is short, the statement of a marking may be a licence.
// One that is longer and may speak of the TLP counts as Red.
const maxClaim = 64 << 10

// words takes a text apart. Letters that only look another way (full width, accents, Cyrillic that looks like Latin)
// are taken for what they look like; what is not seen is left out.
func words(text string) (list []word) {
	var current strings.Builder
	flush := func() {
		if current.Len() > 0 {
			list = append(list, word{text: current.String()})
			current.Reset()
		}
	}
	for _, r := range norm.NFKD.String(text) {
		r = unicode.ToLower(r)
		switch {
		case unicode.In(r, unicode.Mn, unicode.Cf, unicode.Variation_Selector):
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if latin, looksLike := lookalikes[r]; looksLike {
				r = latin
			}
			current.WriteRune(r)
		default:
			flush()
			if n := len(list); n > 0 && len(list[n-1].after) < 8 {
				list[n-1].after += string(r)
			}
		}
	}
	flush()
	return list
}

// lookalikes are the letters of the words of the TLP that other alphabets have, too.
var lookalikes = map[rune]rune{
	'а': 'a', 'в': 'b', 'с': 'c', 'е': 'e', 'н': 'h', 'і': 'i', 'м': 'm', 'о': 'o', 'р': 'p', 'ѕ': 's', 'т': 't',
	'α': 'a', 'β': 'b', 'ε': 'e', 'η': 'h', 'ι': 'i', 'μ': 'm', 'ν': 'n', 'ο': 'o', 'ρ': 'p', 'τ': 't',
}

// introduced reports whether a word, with those after it, announces a level, and where that begins.
func introduced(list []word, i int) (value int, names bool) {
	switch {
	case phrase(list, i, "t", "l", "p"), phrase(list, i, "traffic", "light", "protocol"):
		return i + 3, true
	case phrase(list, i, "traffic", "lights"), phrase(list, i, "traffic", "light"):
		return i + 2, true
	}
	rest, found := strings.CutPrefix(list[i].text, "tlp")
	if !found {
		rest, found = strings.CutPrefix(list[i].text, "trafficlightprotocol")
	}
	if found && isFiller(rest) { // "tlp" alone, or "tlp2"
		return i + 1, true
	}
	return i, found && startsLevel(rest)
}

func phrase(list []word, i int, texts ...string) bool {
	if len(list)-i < len(texts) {
		return false
	}
	for j, text := range texts {
		if list[i+j].text != text {
			return false
		}
	}
	return true
}

// isFiller reports whether a word stands between "TLP" and the level without saying anything: "TLP marking: red",
// "TLP 2.0 RED".
func isFiller(text string) bool {
	switch text {
	case "marking", "markings", "level", "label", "color", "colour", "designation", "version", "is", "protocol", "v", "v1", "v2":
		return true
	}
	return strings.Trim(text, "0123456789") == ""
}

func startsLevel(text string) bool {
	_, n := levelAt([]word{{text: text}}, 0)
	return n > 0
}

// levelAfter is the level that follows an introduction, 0 if none is claimed.
func levelAfter(list []word, intro, value int) (level Level) {
	if value == intro { // "tlpred"
		glued := word{text: strings.TrimPrefix(strings.TrimPrefix(list[intro].text, "trafficlightprotocol"), "tlp"), after: list[intro].after}
		rest := append([]word{glued}, list[intro+1:]...)
		level, _ = levelAt(rest, 0)
		return level
	}
	assigned := strings.ContainsAny(list[value-1].after, ":=")
	for value < len(list) && isFiller(list[value].text) {
		assigned = assigned || strings.ContainsAny(list[value].after, ":=")
		value++
	}
	for {
		l, n := levelAt(list, value)
		if n == 0 {
			break
		}
		level, value = max(level, l), value+n
	}
	switch {
	case level > 0:
		return level
	case assigned, intro == 0 && value < len(list): // "tlp:ex:chr", "TLP BLACK": stricter than can be known
		return Red
	}
	return 0 // "the TLP is explained in …"
}

// levelAt reads the name of a level, and tells how many words it takes; 0 if there is none.
func levelAt(list []word, i int) (level Level, n int) {
	if i >= len(list) {
		return 0, 0
	}
	plus := strings.HasPrefix(strings.TrimLeft(list[i].after, " "), "+")
	switch list[i].text {
	case "clear", "white":
		level = Clear
	case "green":
		level = Green
	case "red":
		return Red, 1
	case "amberstrict":
		return AmberStrict, 1
	case "amber":
		if next := i + 1; next < len(list) && (strings.HasSuffix(list[next].text, "strict") || list[next].text == "plus") {
			n = 2
			if list[next].text == "plus" && next+1 < len(list) && list[next+1].text == "strict" {
				n = 3
			}
			return AmberStrict, n
		}
		if plus {
			return AmberStrict, 1
		}
		return Amber, 1
	default:
		return 0, 0
	}
	if plus { // there is no such level, and it is not the one without the plus
		return Red, 1
	}
	return level, 1
}

// tlpName reports whether a property is called after the TLP: "tlp", "x_acme_tlp", "tlpLevel",
// "traffic_light_protocol". plain says that its value should be a level, rather than a remark about one.
func tlpName(name []byte) (named, plain bool) {
	if !mayName(name) {
		return false, false
	}
	list := words(splitCamel(name))
	for i := range list {
		value, found := introduced(list, i)
		if !found {
			continue
		}
		last := list[len(list)-1].text
		return true, value == len(list) || isFiller(last) && last != "version"
	}
	return false, false
}

// mayName is quick, and right when it says that a property is not called after the TLP.
func mayName(name []byte) bool {
	for i := 2; i < len(name); i++ {
		switch name[i] | 0x20 {
		case 'p':
			if name[i-1]|0x20 == 'l' && name[i-2]|0x20 == 't' {
				return true
			}
		case 'f':
			if name[i-1]|0x20 == 'f' && name[i-2]|0x20 == 'a' { // traffic
				return true
			}
		}
	}
	return false
}

// splitCamel puts a space before every capital that begins a word.
func splitCamel(name []byte) string {
	var b strings.Builder
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// isTagName reports whether a property holds labels under another name: x_opencti_labels, x_misp_tags.
func isTagName(name []byte) bool {
	rest, found := bytes.CutSuffix(name, []byte("labels"))
	if !found {
		rest, found = bytes.CutSuffix(name, []byte("tags"))
	}
	return found && (len(rest) == 0 || rest[len(rest)-1] == '_' || rest[len(rest)-1] == '-')
}
