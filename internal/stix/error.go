package stix

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxEcho bounds how much of a foreign text an error repeats, in bytes.
const maxEcho = 96

// Error says which rule an object breaks. Its text is one short sentence, made for the producer of the object: nothing
// of the object is repeated in it but a bounded piece in printable ASCII.
type Error struct {
	// ID and Version are what [Identify] could read of the object.
	ID      string
	Version string

	// Property names the property at fault, with slashes before nested ones, as in
	// "extensions/windows-pebinary-ext/sections/0". It is "" where the object as a whole is.
	Property string

	// Rule says what must be, in words that follow the property: "is required".
	Rule string
}

func (e *Error) Error() string {
	if e.Property == "" {
		return "the object " + e.Rule
	}
	return e.Property + " " + e.Rule
}

func broken(property, rule string) *Error {
	return &Error{Property: property, Rule: rule}
}

// syntaxError says what a decoder of JSON found.
func syntaxError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return broken("", "is not valid JSON")
	}
	property := pointerText(syntax.JSONPointer)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return broken(property, "appears twice")
	}
	reason := strings.TrimPrefix(clip(syntax.Err.Error()), "jsontext: ")
	return broken(property, "is not valid JSON: "+printable(reason)+" at byte "+strconv.FormatInt(syntax.ByteOffset, 10))
}

// pointerText writes a JSON pointer as [Error].Property.
func pointerText(p jsontext.Pointer) string {
	return printable(clip(strings.TrimPrefix(string(p), "/")))
}

// quote repeats a foreign value in an error.
func quote(s string) string { return strconv.QuoteToASCII(clip(s)) }

// clip cuts s to at most maxEcho bytes, the mark of the cut included.
func clip(s string) string {
	const mark = "..."
	if len(s) <= maxEcho {
		return s
	}
	return strings.ToValidUTF8(s[:maxEcho-len(mark)], "") + mark
}

// printable escapes what is not printable ASCII, so that a text can neither
// command a terminal nor forge a line of a log.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if ' ' <= r && r <= '~' {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}
