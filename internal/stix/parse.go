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
	if len(raw) > MaxSize {
		return nil, broken("", "is larger than "+strconv.Itoa(MaxSize)+" bytes")
	}
	o := &Object{Raw: bytes.Trim(raw, " \t\r\n")}
	// By way of Unmarshal, because it lends its decoders out again and again.
	if err := json.Unmarshal(o.Raw, &scanner{object: o}); err != nil {
		return nil, syntaxError(err)
	}
	o.refs = unique(o.refs)
	if err := o.check(); err != nil {
		return nil, err
	}
	return o, nil
}

// scanner fills an object in one pass over its text.
type scanner struct {
	object     *Object
	properties int // seen so far, at any depth
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
		err = s.walk(dec, isRefName(name))
	}
	return err
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
		return s.walk(dec, false)
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
				return s.walk(dec, isRefName(name))
			}
			id, err := readString(dec)
			if err != nil || id == "" {
				return err
			}
			return s.marking(id)
		})
	})
}

// extensions checks what section 7.3 asks of every use of an extension: where
// the key is the id of a definition, the type must be said. Types themselves
// are not checked: the standard's own examples misspell one.
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
			return s.walk(dec, isRefName(name))
		})
		if err == nil && defined && extensionType == "" {
			return broken(pointerText(dec.StackPointer()), "must have an extension_type")
		}
		return err
	})
}

// walk passes over a value: it bounds its depth and its numbers, and collects
// the identifiers in it, as which its own strings count if isRef says so.
func (s *scanner) walk(dec *jsontext.Decoder, isRef bool) error {
	switch kind := dec.PeekKind(); kind {
	case '"':
		if !isRef {
			return dec.SkipValue()
		}
		id, err := readString(dec)
		s.ref(id)
		return err
	case '0':
		number, err := dec.ReadValue()
		if err == nil && !exactNumber(number) {
			return broken(pointerText(dec.StackPointer()), "must be a number that a 64-bit float holds, an integer within ±(2^53-1)")
		}
		return err
	case '{', '[':
		if dec.StackDepth() >= MaxDepth {
			return broken("", "must not nest deeper than "+strconv.Itoa(MaxDepth))
		}
		if kind == '[' {
			return eachElement(dec, func() error { return s.walk(dec, isRef) })
		}
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		return s.eachMember(dec, func(dec *jsontext.Decoder, name []byte) error {
			return s.walk(dec, isRefName(name))
		})
	default:
		return dec.SkipValue()
	}
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
