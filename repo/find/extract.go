package find

import (
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

// namesOf are the names of the properties that are looked at, in one order.
func namesOf(o observable.Properties) (names []string) {
	for name := range o {
		if strings.HasSuffix(name, "_ref") || strings.HasSuffix(name, "_refs") || isNaming(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isNaming reports whether a property says what an object is called, beside its name.
func isNaming(name string) bool {
	return name == "aliases" || name == "labels" || name == "x_mitre_aliases" || strings.HasSuffix(name, "_types")
}

// isID reports whether a text looks like a STIX identifier, as far as it matters in a key: a type of 2 to 121
// characters, two hyphens and 36 of a UUID.
func isID(text string) bool {
	const rest, longest = 2 + 36, 121
	size := len(text) - rest
	if size < 2 || size > longest || text[0] == '-' || text[size:size+2] != "--" {
		return false
	}
	for i := range len(text) {
		c := text[i]
		is := c >= '0' && c <= '9' || c == '-' || c >= 'a' && c <= 'f' || i < size && c >= 'g' && c <= 'z' || i >= size && c >= 'A' && c <= 'F'
		if !is {
			return false
		}
	}
	return true
}

func references(o observable.Properties, names []string, most int) (list []Reference) {
	const few = 8 // references that are compared one by one
	var known map[Reference]bool
	for _, name := range names {
		single := strings.HasSuffix(name, "_ref")
		if !single && !strings.HasSuffix(name, "_refs") || name == "object_marking_refs" || len(name) > 60 {
			continue
		}
		for _, id := range o.Texts(name) {
			r := Reference{name, id}
			if !isID(id) || known == nil && slices.Contains(list, r) || known[r] {
				continue
			}
			if len(list) == most {
				return list
			}
			if list = append(list, r); known == nil && len(list) == few {
				known = map[Reference]bool{}
				for _, r := range list {
					known[r] = true
				}
			}
			if known != nil {
				known[r] = true
			}
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
		if isNaming(name) {
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
