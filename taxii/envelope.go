package taxii

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxRecipients = 64
	maxObjects    = 100_000 // in one request: as much as a status can list
	maxProperties = 100     // of the envelope itself
	maxDepth      = 100     // of arrays and objects in a STIX object
)

// byteOrderMark is what some programs write before UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// TrimByteOrderMark takes the mark away that some programs write before UTF-8, and which is no JSON.
func TrimByteOrderMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte(byteOrderMark)) }

// withoutByteOrderMark reads on after the mark, if there is one.
func withoutByteOrderMark(r io.Reader) io.Reader {
	body := bufio.NewReader(r) // r itself, if it is one that is large enough
	if mark, _ := body.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = body.Discard(len(byteOrderMark))
	}
	return body
}

// decodeEnvelope takes the objects out of a posted TAXII envelope or STIX bundle (section 3.7), in their order and byte
// for byte. Bundles among the objects are taken apart as well. It reads the body as it comes and holds one object at a
// time. An error that is a *problem says that the body as a whole can't be used. What is wrong with a single object
// stands in its Err and does not harm the others.
func decodeEnvelope(from io.Reader, into *received) (a Addition, err error) {
	body := withoutByteOrderMark(from)
	// The grammar is checked over the whole body here, the rest of I-JSON for each part by itself.
	dec := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return Addition{}, notJSON(err)
		}
		return Addition{}, problemf(http.StatusBadRequest, "The body is not a JSON object, so neither a TAXII envelope nor a STIX bundle.")
	}
	if _, err := dec.ReadToken(); err != nil {
		return Addition{}, notJSON(err)
	}
	seen := make(map[string]bool)
	for dec.PeekKind() != '}' {
		quoted, err := readStrict(dec)
		if err != nil {
			return Addition{}, notJSON(err)
		}
		name := unquote(quoted)
		if seen[name] {
			return Addition{}, problemf(http.StatusBadRequest, "The body has the property %.40q twice.", name)
		}
		if seen[name] = true; len(seen) > maxProperties {
			return Addition{}, problemf(http.StatusUnprocessableEntity, "The body has more than %d properties.", maxProperties)
		}
		if name == "objects" && dec.PeekKind() == '[' {
			if err := decodeObjects(dec, into); err != nil {
				return Addition{}, err
			}
			continue
		}
		value, err := readStrict(dec)
		if err != nil {
			return Addition{}, notJSON(err)
		}
		if err := a.setProperty(name, value); err != nil {
			return Addition{}, err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // the closing brace
		return Addition{}, notJSON(err)
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return Addition{}, problemf(http.StatusBadRequest, "The body goes on after its JSON object.")
	}
	if into.Len() == 0 {
		return Addition{}, problemf(http.StatusUnprocessableEntity, "The body has no objects to add.")
	}
	a.Objects = into
	return a, nil
}

// decodeObjects reads the list of objects.
func decodeObjects(dec *jsontext.Decoder, into *received) error {
	if _, err := dec.ReadToken(); err != nil {
		return notJSON(err)
	}
	strict := jsontext.NewDecoder(new(bytes.Buffer))
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return notJSON(err)
		}
		for raw, err := range Unwrap(value) {
			if into.Len() == maxObjects {
				return problemf(http.StatusUnprocessableEntity, "The body has more than %d objects; send them in several requests.", maxObjects)
			}
			if err == nil {
				err = checkObject(strict, raw)
			}
			if err := into.add(raw, err); err != nil {
				return err
			}
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return notJSON(err)
	}
	return nil
}

// recipientsProperty names the organisations that objects are for, and nobody else beside their publisher.
const recipientsProperty = "x_slnode_to"

// replaceProperty asks for objects to take the places of those that this
// organisation published as the same versions, with other content.
const replaceProperty = "x_slnode_replace"

// anywayProperty asks for indicators to be taken of which warning lists say that they are mistaken.
const anywayProperty = "x_slnode_publish_anyway"

// setProperty takes what a property of the envelope asks for.
func (a *Addition) setProperty(name string, value jsontext.Value) (err error) {
	switch name {
	case recipientsProperty:
		a.To, err = decodeRecipients(value)
		return err
	case replaceProperty, anywayProperty:
		if kind := value.Kind(); kind != 't' && kind != 'f' {
			return problemf(http.StatusUnprocessableEntity, "The property %s is true or false.", name)
		}
		into := &a.Replace
		if name == anywayProperty {
			into = &a.Anyway
		}
		*into = value.Kind() == 't'
		return nil
	}
	return checkProperty(name, value)
}

func decodeRecipients(value jsontext.Value) ([]string, error) {
	var to []string
	if err := json.Unmarshal(value, &to); err != nil || len(to) == 0 || len(to) > maxRecipients {
		return nil, problemf(http.StatusUnprocessableEntity, "The property %s is not a list of 1 to %d names of organisations.", recipientsProperty, maxRecipients)
	}
	return to, nil
}

// checkProperty refuses a property of the envelope that must not be passed over in silence.
func checkProperty(name string, value jsontext.Value) error {
	switch {
	case name == "objects":
		return problemf(http.StatusUnprocessableEntity, "The property objects is not a list.")
	case name == "type" && unquote(value) != "bundle":
		return problemf(http.StatusUnprocessableEntity, "The body is a single object of type %.40q; put it in the objects of an envelope or bundle.", unquote(value))
	case strings.HasPrefix(name, "x_slnode_"):
		// Whoever writes one of these restricts or rehearses what is to be published, and must not be ignored.
		return problemf(http.StatusUnprocessableEntity, "The property %.40q is not known to this server.", name)
	}
	return nil
}

// readStrict reads a name or value that must be I-JSON.
func readStrict(dec *jsontext.Decoder) (jsontext.Value, error) {
	value, err := dec.ReadValue()
	if err == nil && !value.IsValid() {
		err = errors.New("a property has a repeated name or text that is not UTF-8")
	}
	return value, err
}

// unquote returns the text of a valid JSON string, and of other values something that is nobody's name.
func unquote(value jsontext.Value) string {
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return value.Kind().String()
	}
	return string(text)
}

// checkObject tells why raw is not an I-JSON object (RFC 7493) of bearable
// depth, in words for a status. The decoder is reused.
func checkObject(dec *jsontext.Decoder, raw []byte) error {
	if raw[0] != '{' {
		return errors.New("not a JSON object")
	}
	dec.Reset(bytes.NewBuffer(raw))
	for {
		if dec.PeekKind() == '0' {
			number, err := dec.ReadValue()
			if err == nil {
				err = checkNumber(number)
			}
			if err != nil {
				return err
			}
			continue
		}
		if _, err := dec.ReadToken(); err == io.EOF {
			return nil
		} else if err != nil {
			return errors.New(explain(err))
		}
		if dec.StackDepth() > maxDepth {
			return fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
	}
}

// maxSafeInteger is the largest integer that every JSON implementation reads the same.
const maxSafeInteger = 1<<53 - 1

// checkNumber refuses numbers that decoders read differently.
func checkNumber(number []byte) error {
	s := string(number)
	if !strings.ContainsAny(s, ".eE") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n > maxSafeInteger || n < -maxSafeInteger {
			return fmt.Errorf("the integer %.40s is outside of ±(2^53-1)", s)
		}
		return nil
	}
	if f, err := strconv.ParseFloat(s, 64); err != nil || math.IsInf(f, 0) {
		return fmt.Errorf("the number %.40s is too large", s)
	}
	return nil
}

// notJSON is the answer to a body that is not JSON.
func notJSON(err error) error {
	return problemf(http.StatusBadRequest, "The body is not JSON as RFC 7493 has it: %s.", explain(err))
}

// explain shortens a decoder's error, which quotes what the client sent.
func explain(err error) string {
	text := strings.TrimPrefix(err.Error(), "jsontext: ")
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}
