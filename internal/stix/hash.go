package stix

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// ContentHash is the SHA-256 of the object's canonical form (RFC 8785): it stays the same when white space, the order
// of properties or the spelling of strings and numbers changes. As section 3.6 lets a producer leave out a property
// that has its default value, these are left out at the top level: revoked false, lang "en", the spec_version and
// defanged false of an observable, summary false of a sighting.
func (o *Object) ContentHash() ([sha256.Size]byte, error) {
	canonical := jsontext.Value(bytes.Clone(o.Raw))
	if err := canonical.Canonicalize(); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("canonical form of %s: %w", o.ID, err)
	}
	if !slices.ContainsFunc(o.defaults, o.omits) {
		return sha256.Sum256(canonical), nil
	}
	short, err := o.withoutDefaults(canonical)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("canonical form of %s: %w", o.ID, err)
	}
	return sha256.Sum256(short), nil
}

// omits reports whether a property with its default value is left out of the hash.
func (o *Object) omits(property string) bool {
	switch property {
	case "defanged":
		return o.isObservable()
	case "summary":
		return o.Type == "sighting"
	}
	return true
}

// withoutDefaults copies an object in canonical form but for its default values.
func (o *Object) withoutDefaults(canonical jsontext.Value) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(canonical))
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	short := append(make([]byte, 0, len(canonical)), '{')
	err := new(scanner).eachMember(dec, func(dec *jsontext.Decoder, name []byte) error {
		from := dec.InputOffset() - int64(len(name)) - int64(len(`""`))
		omit := slices.Contains(o.defaults, string(name)) && o.omits(string(name))
		if err := dec.SkipValue(); err != nil || omit {
			return err
		}
		if len(short) > 1 {
			short = append(short, ',')
		}
		short = append(short, canonical[from:dec.InputOffset()]...)
		return nil
	})
	return append(short, '}'), err
}
