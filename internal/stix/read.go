package stix

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Read reads an object that somebody else has published. It checks no more than what every reader must agree on, for good
// (docs/PROTOCOL.md 10), or two releases of the program would show different objects: that it is one JSON object within
// the bounds, its type and id, its times where it has them, and that it redefines none of the standard's TLP markings.
// What else the standard asks for is for [Parse], which the publisher's node has used. Of the result only Raw, Type, ID,
// [Object.Version], [Object.VersionTime] and [Object.ContentHash] say something.
func Read(raw []byte) (*Object, error) {
	if len(raw) > MaxSize {
		return nil, broken("", "is larger than "+strconv.Itoa(MaxSize)+" bytes")
	}
	o := &Object{Raw: bytes.Trim(raw, " \t\r\n")}
	if err := json.Unmarshal(o.Raw, &reader{scanner{object: o, blind: true}}); err != nil {
		return nil, syntaxError(err)
	}
	if err := o.checkIdentity(); err != nil {
		return nil, err
	}
	if o.SpecVersion == SpecVersion && o.isObservable() {
		o.defaults = append(o.defaults, "spec_version")
	}
	if err := o.readTimes(); err != nil {
		return nil, err
	}
	if known := wellKnownMarking(o.ID); known != nil && known.properties != nil {
		if err := o.checkMarkingDefinition(); err != nil { // clients would take it for the standard's
			return nil, err
		}
	}
	return o, nil
}

// readTimes reads the times that are there.
func (o *Object) readTimes() *Error {
	var err error
	if o.Created != "" {
		if o.created, err = ParseTimestamp(o.Created); err != nil {
			return broken("created", "must be a timestamp: "+err.Error())
		}
	}
	if o.Modified != "" {
		if o.modified, err = ParseTimestamp(o.Modified); err != nil {
			return broken("modified", "must be a timestamp: "+err.Error())
		}
	}
	return nil
}

// reader is a scanner that looks at few properties.
type reader struct{ scanner }

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (r *reader) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '{' {
		return broken("", "must be a JSON object")
	}
	return r.eachMember(dec, r.property)
}

// property reads the value of one top-level property.
func (r *reader) property(dec *jsontext.Decoder, name []byte) (err error) {
	o := r.object
	switch string(name) {
	case "type":
		o.Type, err = readString(dec)
	case "id":
		o.ID, err = readString(dec)
	case "created":
		o.Created, err = readString(dec)
	case "modified":
		o.Modified, err = readString(dec)
	case "spec_version":
		if dec.PeekKind() != '"' {
			return r.walk(dec, plain)
		}
		o.SpecVersion, err = readString(dec)
	case "revoked", "lang", "defanged", "summary":
		err = r.mayBeDefault(dec, string(name))
	default:
		err = r.walk(dec, plain)
	}
	return err
}
