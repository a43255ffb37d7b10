package config

import (
	"fmt"
	"regexp"
	"strings"
)

// wrongType is what the TOML library says of a value that doesn't fit a key.
var wrongType = regexp.MustCompile(`^toml: (line \d+ )?\(last key "([^"]*)"\): incompatible types: TOML value has type (.+); destination has type (.+)$`)

// What there is in a file, and what a key takes, by the library's names.
var (
	given  = map[string]string{"string": "a text in quotes", "int64": "a whole number", "float64": "a number", "bool": "true or false", "time.Time": "a time"}
	wanted = map[string]string{
		"string": "a text in quotes", "integer": "a whole number, without quotes", "float": "a number, without quotes",
		"boolean": "true or false, without quotes", "slice": "a list in brackets", "map": "a table", "primitive (string-like)": "a text in quotes",
	}
)

// inWords says of a value of another type than its key takes what it is and what it has to be.
func inWords(err error) error {
	found := wrongType.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	has, ok := given[found[3]]
	switch {
	case ok:
	case strings.HasPrefix(found[3], "[]"):
		has = "a list"
	default:
		has = "a table"
	}
	place := ""
	if found[1] != "" {
		place = strings.TrimSpace(found[1]) + ": "
	}
	return fmt.Errorf("%s%s has to be %s, and is %s", place, found[2], wanted[found[4]], has)
}
