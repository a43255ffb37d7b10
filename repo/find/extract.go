package find

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/serviceledger/slnode/internal/observable"
)

// What of one object is in the indexes at most, beside [observable.MaxValues].
const (
	maxReferences = 500
	maxWords      = 64
	leastWord     = 2  // characters
	longestWord   = 40 // … of what is longer the beginning
)

// Reference is one from an object to another one.
type Reference struct {
	Kind string // the property that has it
	ID   string // STIX id of the other one
}

// extracted is under what an object is found.
type extracted struct {
	values     []observable.Found
	references []Reference
	words      []string
}

// extract works that out. It gives the same for the same object, whenever it is asked: what leaves the indexes is found
// in them by it.
func extract(object []byte) (e extracted) {
	o, err := observable.ReadProperties(object)
	if err != nil {
		return e
	}
	e.values, _ = o.Values()
	names := namesOf(o)
	e.references = references(o, names, maxReferences)
	e.words = wordsOf(o, names)
	return e
}

// References gives the references of an object, up to so many.
func References(object []byte, most int) []Reference {
	o, err := observable.ReadProperties(object)
	if err != nil {
		return nil
	}
	return references(o, namesOf(o), most)
}

// namesOf are the names of an object's properties, in one order.
func namesOf(o observable.Properties) []string { return slices.Sorted(maps.Keys(o)) }

// isID is what a STIX identifier looks like, as far as it matters in a key.
var isID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,120}--[0-9A-Fa-f-]{36}$`)

func references(o observable.Properties, names []string, most int) (list []Reference) {
	var known map[Reference]bool
	for _, name := range names {
		single := strings.HasSuffix(name, "_ref")
		if !single && !strings.HasSuffix(name, "_refs") || name == "object_marking_refs" || len(name) > 60 {
			continue
		}
		for _, id := range o.Texts(name) {
			r := Reference{name, id}
			if known[r] || !isID.MatchString(id) {
				continue
			}
			if len(list) == most {
				return list
			}
			if known == nil {
				known = map[Reference]bool{}
			}
			known[r] = true
			list = append(list, r)
		}
	}
	return list
}

// nameless are the types that are found by their values and by what refers to them, and by no words.
var nameless = []string{"artifact", "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr", "ipv6-addr",
	"mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account", "windows-registry-key", "x509-certificate"}

// wordsOf gives the words of an object's name, of other names, of its labels, of what it is called elsewhere and of
// what it is said to be: not of descriptions.
func wordsOf(o observable.Properties, names []string) (words []string) {
	if slices.Contains(nameless, o.Text("type")) {
		return nil
	}
	texts := []string{o.Text("name")}
	for _, name := range names {
		if name == "aliases" || name == "labels" || name == "x_mitre_aliases" || strings.HasSuffix(name, "_types") {
			texts = append(texts, o.Texts(name)...)
		}
	}
	for _, one := range o.External() {
		texts = append(texts, one.Text("external_id"))
	}
	for _, text := range texts {
		for _, word := range Words(text) {
			if len(words) == maxWords {
				return words
			}
			if !slices.Contains(words, word) {
				words = append(words, word)
			}
		}
	}
	return words
}

// maxText is how much of a text words are taken from, in bytes.
const maxText = 4096

// Words gives the words of a text as they are in the index: in lower case and compatibility composition (NFKC), parted
// by everything that is no letter and no digit, up to a bound.
func Words(text string) (words []string) {
	text = norm.NFKC.String(strings.ToLower(strings.ToValidUTF8(text[:min(len(text), maxText)], "")))
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		characters := []rune(word)
		if len(characters) < leastWord {
			continue
		}
		words = append(words, string(characters[:min(len(characters), longestWord)]))
	}
	return words
}

// WordsOf gives the words under which an object is found.
func WordsOf(object []byte) []string {
	o, err := observable.ReadProperties(object)
	if err != nil {
		return nil
	}
	return wordsOf(o, namesOf(o))
}
