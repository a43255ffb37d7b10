package taxii

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBundles bounds bundles inside each other.
const maxBundles = 8

// Unwrap gives the objects of a value that stands among objects: those of a bundle, which some programs put there, with
// all that such bundles hold, or else the value itself. Each is a part of raw, byte for byte. A bundle that can't be
// taken apart is given as it is, with the reason.
func Unwrap(raw []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { unwrap(raw, 0, yield) }
}

func unwrap(raw []byte, depth int, yield func([]byte, error) bool) (more bool) {
	if !bytes.Contains(raw, []byte("bundle")) { // nearly always
		return yield(raw, nil)
	}
	objects, isBundle, err := bundled(raw)
	switch {
	case !isBundle:
		return yield(raw, nil)
	case err == nil && depth == maxBundles:
		err = fmt.Errorf("more than %d bundles are inside each other", maxBundles)
	}
	if err != nil {
		return yield(raw, err)
	}
	for _, object := range objects {
		if !unwrap(object, depth+1, yield) {
			return false
		}
	}
	return true
}

// bundled reads a value as a bundle. It looks at nothing but the bundle's own properties.
func bundled(raw []byte) (objects [][]byte, isBundle bool, err error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false, nil
	}
	seen := map[string]bool{}
	for dec.PeekKind() == '"' && len(seen) <= maxProperties {
		token, tokenErr := dec.ReadToken()
		if tokenErr != nil {
			break
		}
		name := token.String()
		if seen[name] {
			err = errors.Join(err, fmt.Errorf("the bundle has the property %.40q twice", name))
		}
		seen[name] = true
		kind := dec.PeekKind()
		if name == "objects" && kind == '[' {
			objects = elements(dec, raw)
			continue
		}
		value, valueErr := dec.ReadValue()
		switch {
		case valueErr != nil:
			return nil, false, nil
		case name == "type":
			isBundle = unquote(value) == "bundle"
		case name == "objects":
			err = errors.Join(err, errors.New("the objects of the bundle are not a list"))
		case strings.HasPrefix(name, "x_slnode_"): // as for the envelope: it must not be ignored
			err = errors.Join(err, fmt.Errorf("%.40q belongs into the envelope, not into a bundle among its objects", name))
		}
	}
	if err == nil && len(objects) == 0 {
		err = errors.New("the bundle has no objects")
	}
	return objects, isBundle, err
}

// elements reads a list whose elements are parts of raw.
func elements(dec *jsontext.Decoder, raw []byte) (list [][]byte) {
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		end := dec.InputOffset()
		list = append(list, raw[end-int64(len(value)):end:end])
	}
	_, _ = dec.ReadToken()
	return list
}
