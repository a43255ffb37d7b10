package stix

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// eachElement calls visit before every element of an array. Null has none.
func eachElement(dec *jsontext.Decoder, visit func() error) error {
	switch dec.PeekKind() {
	case 'n':
		return dec.SkipValue()
	case '[':
	default:
		return mismatch(dec, "must be a list")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if err := visit(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func readStrings(dec *jsontext.Decoder, add func(string) error) error {
	return eachElement(dec, func() error {
		if dec.PeekKind() != '"' {
			return mismatch(dec, "must be a string")
		}
		text, err := readString(dec)
		if err != nil {
			return err
		}
		return add(text)
	})
}

// readString reads a string, or "" for null.
func readString(dec *jsontext.Decoder) (string, error) {
	switch dec.PeekKind() {
	case 'n':
		return "", dec.SkipValue()
	case '"':
		value, err := dec.ReadValue()
		if err != nil {
			return "", err
		}
		return string(unquoted(value)), nil
	}
	return "", mismatch(dec, "must be a string")
}

// mismatch begins to read a value that is not of the type that the rule asks for. If it
// is not even JSON, that is the error.
func mismatch(dec *jsontext.Decoder, rule string) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	return broken(pointerText(dec.StackPointer()), rule)
}

// unquoted is the text of a JSON string.
func unquoted(s jsontext.Value) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s[1 : len(s)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, s) // cannot fail: the decoder has checked it
	return text
}

// exactNumber reports whether a number survives a 64-bit float, through which
// RFC 8785 and many a reader pass it (RFC 7493 section 2.2).
func exactNumber(number []byte) bool {
	if bytes.ContainsAny(number, ".eE") {
		_, err := strconv.ParseFloat(string(number), 64)
		return err == nil
	}
	const most = "9007199254740991"
	digits := bytes.TrimPrefix(number, []byte("-"))
	return len(digits) < len(most) || len(digits) == len(most) && string(digits) <= most
}

// unique drops repetitions and keeps the order.
func unique(texts []string) []string {
	if len(texts) < 2 {
		return texts
	}
	seen := make(map[string]bool, len(texts))
	return slices.DeleteFunc(texts, func(text string) bool {
		known := seen[text]
		seen[text] = true
		return known
	})
}
