package stix

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Identify reads the id and the version of an object as far as it can, however broken the object is: a TAXII status
// names failed objects too. Either is "" if there is none to be read. The id is bounded and printable, but need not be
// well-formed; the version is a timestamp.
func Identify(raw []byte) (id, version string) {
	dec := jsontext.NewDecoder(bytes.NewReader(raw[:min(len(raw), MaxSize)]),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != '{' {
		return "", ""
	}
	if _, err := dec.ReadToken(); err != nil {
		return "", ""
	}
	var created, modified string
	for dec.PeekKind() == '"' && (id == "" || modified == "") {
		name, err := dec.ReadToken()
		if err != nil {
			break
		}
		var target *string
		switch name.String() {
		case "id":
			target = &id
		case "created":
			target = &created
		case "modified":
			target = &modified
		}
		if target == nil || *target != "" || dec.PeekKind() != '"' {
			if dec.SkipValue() != nil {
				break
			}
			continue
		}
		value, err := dec.ReadToken()
		if err != nil {
			break
		}
		*target = value.String()
	}
	for _, version := range []string{modified, created} {
		if _, err := ParseTimestamp(version); err == nil {
			return identifierText(id), version
		}
	}
	return identifierText(id), ""
}

// identifierText makes an id of foreign origin fit to be repeated. A well-formed one stays as it is.
func identifierText(id string) string {
	if len(id) > maxIDLen {
		id = clip(id)
	}
	return printable(id)
}
