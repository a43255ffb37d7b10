package stix

import "github.com/go-json-experiment/json/jsontext"

// Read reads an object that somebody else has published. It checks no more than what every reader must agree on, for
// good (docs/PROTOCOL.md 10), or two releases of the program would show different objects: that it is one JSON object
// within the bounds, its type and id, its times where it has them, and that it redefines none of the standard's TLP
// markings. What else the standard asks for is for [Parse], which the publisher's node has used. Of the result only
// Raw, Type, ID, [Object.Version], [Object.VersionTime] and [Object.ContentHash] say something.
func Read(raw []byte) (*Object, error) {
	o, failed := scan(raw, true)
	if failed != nil {
		return nil, failed
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

// propertyToRead reads the value of one top-level property, as far as [Read] asks for it.
func (s *scanner) propertyToRead(dec *jsontext.Decoder, name []byte) (err error) {
	o := s.object
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
			return s.walk(dec, plain)
		}
		o.SpecVersion, err = readString(dec)
	case "revoked", "lang", "defanged", "summary":
		err = s.mayBeDefault(dec, string(name))
	default:
		err = s.walk(dec, plain)
	}
	return err
}
