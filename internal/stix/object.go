// Package stix reads STIX 2.1 objects: it checks what the standard lets nobody get wrong (identifiers, timestamps,
// versions, markings), and finds out how widely an object may be shared (its Traffic Light Protocol level).
//
// It is lenient where producers differ: custom properties, custom types, unknown extensions and references to absent
// objects are accepted, and the bytes of an object are never altered. It is pure: no I/O, no clock, no state;
// everything in it may be used by many goroutines at once.
//
// Section numbers refer to "STIX Version 2.1", OASIS Standard, 10 June 2021.
package stix

import "time"

// SpecVersion is the only version of the STIX specification that is accepted.
const SpecVersion = "2.1"

// Bounds on one object. The largest of 2,881 objects from public sets has 216 kB and nests 8 deep.
const (
	MaxSize  = 8 << 20 // bytes
	MaxDepth = 64      // arrays and objects inside each other, the object itself included

	maxProperties = 100_000 // at all depths together: checking that names are unique takes memory for each
	maxMarkings   = 256     // different ones: each may have to be looked up
	maxLabels     = 1024
)

// Object is one STIX object that [Parse] accepted. It is not changed after that.
type Object struct {
	// Raw is the object as it was received, from { to }.
	Raw []byte

	Type string
	ID   string

	// SpecVersion is "2.1", also where an observable leaves it out.
	SpecVersion string

	// Created and Modified are timestamps as written, or "". Observables have neither and marking definitions no Modified,
	// but both are kept if a producer gives them all the same.
	Created  string
	Modified string

	CreatedByRef string
	Revoked      bool
	Labels       []string

	// Markings are the ids in object_marking_refs and in the marking_ref of
	// granular_markings, each once. They are not checked to be well-formed.
	Markings []string

	created  time.Time
	modified time.Time
	refs     []string
	defaults []string // top-level properties that say no more than their absence would
	marking  *marking // what a marking-definition says, nil for other types
	fields   field    // those of the properties that some type requires which are there
	notes    []string
	claim    claim // the strictest of what the properties say that are no markings and no labels
}

// claim is a TLP level, and which property says it.
type claim struct {
	level    Level
	property string
}

// Version is the text that names this version of the object: modified, else created, else "" for an object that is not
// versioned, which an observable usually is (TAXII 2.1 section 3.4.1). Two texts can name the same version: compare
// [Object.VersionTime].
func (o *Object) Version() string {
	if o.Modified != "" {
		return o.Modified
	}
	return o.Created
}

// VersionTime is the instant that Version names, or the zero time.
func (o *Object) VersionTime() time.Time {
	if o.Modified != "" {
		return o.modified
	}
	return o.created
}

// Refs are the ids that the object names in properties called *_ref and *_refs at any depth, and the extension
// definitions it uses, each once and in the order of their appearance. What is not a well-formed identifier is left
// out. The caller must not change the slice.
func (o *Object) Refs() []string { return o.refs }

// IDIsRandom reports whether the id is a random one (UUID version 4). Any other
// id may be a hash of the object's value, from which the value can be guessed.
func (o *Object) IDIsRandom() bool {
	_, u, ok := splitID(o.ID)
	return ok && u.Version() == 4
}
