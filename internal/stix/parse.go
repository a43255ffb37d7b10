package stix

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Parse reads and checks one object. It refuses, with an [*Error]:
//
//   - what is not one JSON object by RFC 7493 (I-JSON): names that appear twice,
//     lone surrogates and other invalid UTF-8, integers beyond ±(2^53-1), other
//     numbers that a 64-bit float cannot hold; and more than [MaxSize], [MaxDepth] and bounds on counts;
//   - a missing or malformed type, id, spec_version, created or modified (sections
//     3.1 and 3.2), content of STIX 2.0, and bundles;
//   - common properties of the wrong JSON type, where their meaning would be lost;
//   - a definition of a TLP marking that is not the standard's (section 7.2.1.4);
//   - an extension without its type, or an incomplete extension definition (section 7.3).
//
// An optional common property that is null or an empty string counts as absent.
//
// The object keeps raw, which the caller must not change afterwards.
func Parse(raw []byte) (*Object, error) {
	o, err := parse(raw)
	if err != nil {
		err.ID, err.Version = Identify(raw)
		return nil, err
	}
	return o, nil
}

func parse(raw []byte) (*Object, *Error) {
	o, err := scan(raw, false)
	if err != nil {
		return nil, err
	}
	o.refs = unique(o.refs)
	if err := o.check(); err != nil {
		return nil, err
	}
	return o, nil
}

// scan reads the text of an object; one that is only read has few properties that mean anything, see [Read].
func scan(raw []byte, onlyRead bool) (*Object, *Error) {
	if len(raw) > MaxSize {
		return nil, broken("", "is larger than "+strconv.Itoa(MaxSize)+" bytes")
	}
	o := &Object{Raw: bytes.Trim(raw, " \t\r\n")}
	// By way of Unmarshal, because it lends its decoders out again and again.
	if err := json.Unmarshal(o.Raw, &scanner{object: o, onlyRead: onlyRead}); err != nil {
		return nil, syntaxError(err)
	}
	return o, nil
}

// scanner fills an object in one pass over its text.
type scanner struct {
	object     *Object
	properties int // seen so far, at any depth
	onlyRead   bool
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (s *scanner) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '{' {
		return broken("", "must be a JSON object")
	}
	if s.onlyRead {
		return s.eachMember(dec, s.propertyToRead)
	}
	return s.eachMember(dec, s.property)
}

// property reads the value of one top-level property.
func (s *scanner) property(dec *jsontext.Decoder, name []byte) (err error) {
	o := s.object
	switch string(name) {
	case "type":
		o.Type, err = readString(dec)
	case "id":
		o.ID, err = readString(dec)
	case "spec_version":
		o.SpecVersion, err = readString(dec)
	case "created":
		o.Created, err = readString(dec)
	case "modified":
		o.Modified, err = readString(dec)
	case "created_by_ref":
		o.CreatedByRef, err = readString(dec)
		s.ref(o.CreatedByRef)
	case "revoked":
		o.Revoked, err = s.revoked(dec)
	case "lang", "defanged", "summary":
		err = s.mayBeDefault(dec, string(name))
	case "labels":
		err = readStrings(dec, func(label string) error {
			if len(o.Labels) == maxLabels {
				return broken("labels", "must be no more than "+strconv.Itoa(maxLabels))
			}
			o.Labels = append(o.Labels, label)
			return nil
		})
	case "object_marking_refs":
		err = readStrings(dec, s.marking)
	case "granular_markings":
		err = s.granularMarkings(dec)
	case "extensions":
		err = s.extensions(dec)
	default:
		err = s.other(dec, name)
	}
	return err
}

// other reads the value of a top-level property that is not one of the common ones.
func (s *scanner) other(dec *jsontext.Decoder, name []byte) error {
	p := notedAs(name)
	if p == nil {
		return s.walk(dec, s.meaning(name))
	}
	from := dec.InputOffset()
	if err := s.walk(dec, s.meaning(name)); err != nil {
		return err
	}
	s.object.noteValue(p, s.object.Raw[from:dec.InputOffset()])
	return nil
}

func (s *scanner) revoked(dec *jsontext.Decoder) (bool, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return false, err
	}
	switch token.Kind() {
	case 't':
		return true, nil
	case 'f':
		s.object.defaults = append(s.object.defaults, "revoked")
		return false, nil
	case 'n':
		return false, nil
	}
	return false, broken("revoked", "must be true or false")
}

// mayBeDefault notes a property that has the value it would have if it were absent.
func (s *scanner) mayBeDefault(dec *jsontext.Decoder, name string) error {
	if kind := dec.PeekKind(); kind != '"' && kind != 'f' {
		return s.walk(dec, plain)
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if name == "lang" && token.String() == "en" || name != "lang" && token.Kind() == 'f' {
		s.object.defaults = append(s.object.defaults, name)
	}
	return nil
}

func (s *scanner) granularMarkings(dec *jsontext.Decoder) error {
	return eachElement(dec, func() error {
		if dec.PeekKind() != '{' {
			return mismatch(dec, "must be an object")
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		return s.eachMember(dec, func(dec *jsontext.Decoder, name []byte) error {
			if string(name) != "marking_ref" {
				return s.walk(dec, s.meaning(name))
			}
			id, err := readString(dec)
			if err != nil || id == "" {
				return err
			}
			return s.marking(id)
		})
	})
}

// extensions checks what section 7.3 asks of every use of an extension: where the key is the id of a definition, the
// type must be said. Types themselves are not checked: the standard's own examples misspell one.
func (s *scanner) extensions(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case 'n':
		return dec.SkipValue()
	case '{':
	default:
		return mismatch(dec, "must be an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return s.eachMember(dec, func(dec *jsontext.Decoder, name []byte) error {
		if dec.PeekKind() != '{' {
			return mismatch(dec, "must be an object")
		}
		defined := strings.HasPrefix(string(name), "extension-definition--")
		if defined {
			s.ref(string(name))
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		var extensionType string
		err := s.eachMember(dec, func(dec *jsontext.Decoder, name []byte) (err error) {
			if defined && string(name) == "extension_type" {
				extensionType, err = readString(dec)
				return err
			}
			return s.walk(dec, s.meaning(name))
		})
		if err == nil && defined && extensionType == "" {
			return broken(pointerText(dec.StackPointer()), "must have an extension_type")
		}
		return err
	})
}

// meaning is what the strings in the value of a property are.
type meaning byte

const (
	plain    meaning = iota
	refs             // identifiers of objects
	markings         // … of markings
	tags             // texts that may speak of the TLP
	levels           // TLP levels
	remarks          // what a property says that is called after the TLP and need not hold a level
)

// meaning tells it by the name of the property, at whatever depth it stands: producers put objects into objects.
func (s *scanner) meaning(name []byte) meaning {
	if s.onlyRead {
		return plain
	}
	if n := len(name); n > 0 && (name[n-1] == 'f' || name[n-1] == 's') {
		switch {
		case string(name) == "object_marking_refs", string(name) == "marking_ref":
			return markings
		case isRefName(name):
			return refs
		case isTagName(name):
			return tags
		}
	}
	named, level := tlpName(name)
	switch {
	case level:
		return levels
	case named:
		return remarks
	}
	return plain
}

// within tells it for a member of a value that has a meaning itself.
func (m meaning) within(member meaning) meaning {
	switch {
	case member != plain:
		return member
	case m == levels || m == remarks: // {"tlp": {"name": "red", "color": "#ff2b2b"}}
		return remarks
	case m == tags: // {"labels": [{"value": "tlp:red"}]}
		return tags
	}
	return plain
}

// walk passes over a value: it bounds its depth and its numbers, and collects the identifiers and TLP levels in it. Its
// own strings are what m says.
func (s *scanner) walk(dec *jsontext.Decoder, m meaning) error {
	switch kind := dec.PeekKind(); kind {
	case '"':
		if m == plain {
			return dec.SkipValue()
		}
		text, err := readString(dec)
		if err != nil {
			return err
		}
		return s.text(dec, m, text)
	case '0':
		number, err := dec.ReadValue()
		if err == nil && !exactNumber(number) {
			return broken(pointerText(dec.StackPointer()), "must be a number that a 64-bit float holds, an integer within ±(2^53-1)")
		}
		if m == levels {
			s.claim(dec, numberedLevel(string(number)))
		}
		return err
	case '{', '[':
		if dec.StackDepth() >= MaxDepth {
			return broken("", "must not nest deeper than "+strconv.Itoa(MaxDepth))
		}
		if kind == '[' {
			return eachElement(dec, func() error { return s.walk(dec, m) })
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		return s.eachMember(dec, func(dec *jsontext.Decoder, name []byte) error {
			return s.walk(dec, m.within(s.meaning(name)))
		})
	default:
		return dec.SkipValue()
	}
}

// text takes a string for what it is.
func (s *scanner) text(dec *jsontext.Decoder, m meaning, text string) error {
	var level Level
	switch m {
	case refs:
		s.ref(text)
	case markings:
		if text != "" {
			return s.marking(text)
		}
	case tags:
		level, _ = claimed(text)
	case levels:
		level, _ = claimedValue(text)
	case remarks:
		var ok bool
		if level, ok = claimed(text); !ok {
			level, _ = bareLevel(text)
		}
	}
	s.claim(dec, level)
	return nil
}

// claim notes a level that was read in a property.
func (s *scanner) claim(dec *jsontext.Decoder, level Level) {
	if level > s.object.claim.level {
		s.object.claim = claim{level, pointerText(dec.StackPointer())}
	}
}

// numberedLevel is the level that TheHive has a number for. Its versions differ above 2.
func numberedLevel(number string) Level {
	switch number {
	case "0":
		return Clear
	case "1":
		return Green
	case "2":
		return Amber
	}
	return Red
}

func (s *scanner) ref(id string) {
	if _, _, ok := splitID(id); ok {
		s.object.refs = append(s.object.refs, id)
	}
}

func (s *scanner) marking(id string) error {
	o := s.object
	if slices.Contains(o.Markings, id) {
		return nil
	}
	if len(o.Markings) == maxMarkings {
		return broken("object_marking_refs", "and granular_markings must name no more than "+strconv.Itoa(maxMarkings)+" markings")
	}
	s.ref(id)
	o.Markings = append(o.Markings, id)
	return nil
}

// eachMember calls visit for every name of the object whose brace has been read,
// and reads the closing one. visit must read the value; name is valid until it does.
func (s *scanner) eachMember(dec *jsontext.Decoder, visit func(dec *jsontext.Decoder, name []byte) error) error {
	for dec.PeekKind() != '}' {
		if s.properties++; s.properties > maxProperties {
			return broken("", "must have no more than "+strconv.Itoa(maxProperties)+" properties, nested ones included")
		}
		name, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := visit(dec, unquoted(name)); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}
