package stix

import (
	"fmt"
	"strings"
)

// Level is how widely an object may be shared, by the Traffic Light Protocol 2.0
// of FIRST. Levels are ordered: a greater one is stricter. The zero value is no level.
type Level uint8

const (
	Clear       Level = iota + 1 // no limit; WHITE in TLP 1
	Green                        // the community
	Amber                        // the recipients' organisations and their clients
	AmberStrict                  // the recipients' organisations only
	Red                          // the named recipients only
)

func (l Level) String() string {
	switch l {
	case Clear:
		return "TLP:CLEAR"
	case Green:
		return "TLP:GREEN"
	case Amber:
		return "TLP:AMBER"
	case AmberStrict:
		return "TLP:AMBER+STRICT"
	case Red:
		return "TLP:RED"
	}
	return "no TLP level"
}

// ParseLevel reads a level in any case and with or without "tlp:" before it.
// White is taken for Clear, and a hyphen, an underscore or a space for the plus of AMBER+STRICT.
func ParseLevel(s string) (Level, error) {
	name := strings.ToLower(strings.TrimSpace(s))
	if rest, ok := strings.CutPrefix(name, "tlp:"); ok {
		name = strings.TrimSpace(rest)
	}
	switch name {
	case "clear", "white":
		return Clear, nil
	case "green":
		return Green, nil
	case "amber":
		return Amber, nil
	case "amber+strict", "amber-strict", "amber_strict", "amber strict":
		return AmberStrict, nil
	case "red":
		return Red, nil
	}
	return 0, fmt.Errorf("%s is none of the TLP levels clear, green, amber, amber+strict and red", quote(s))
}

// Levels tells the level of objects. Its zero value knows the markings that everybody knows.
type Levels struct {
	// Resolve returns the marking definition with an id, or nil if that is not known. It is not asked for the
	// well-known ids, and may be nil if nothing is known.
	Resolve func(id string) *Object
	// Others says what markings count as that define no TLP level, by the id of the definition in lower case or by
	// [Object.MarkingKind]; the level 0 restricts nothing.
	Others map[string]Level
}

// Of is the strictest level among the markings of an object, those of parts of it included, its labels that speak of
// the TLP, and the properties that are called after it. It is 0 and marked is false if there are none. because names
// what decided, for a message.
//
// A marking counts as Red unless it is well known, or resolves to a definition that says a TLP level, or one that is a
// statement or of the Permissible Actions Protocol: these two say nothing of who may have the object. Nor does what a
// marking definition says restrict the definition itself, but the markings that it carries do.
func (l Levels) Of(o *Object) (level Level, marked bool, because string) {
	for _, id := range o.Markings {
		if m, why := l.marking(id); m > level {
			level, because = m, why
		}
	}
	for _, label := range o.Labels {
		if m, ok := claimedByLabel(label); ok && m > level {
			level, because = m, "label "+quote(label)
		}
	}
	if o.claim.level > level {
		level, because = o.claim.level, "the property "+o.claim.property
	}
	return level, level != 0, because
}

func (l Levels) marking(id string) (level Level, because string) {
	name := printable(clip(id))
	known := wellKnownMarking(id)
	if known != nil && known.level != 0 {
		return known.level, known.level.String()
	}
	if other, said := l.Others[strings.ToLower(id)]; said {
		return other, other.String() + " as configured for the marking " + name
	}
	var kind string
	if known != nil {
		kind = KindPAP
	} else {
		var def *Object
		if l.Resolve != nil {
			def = l.Resolve(id)
		}
		if def == nil || def.marking == nil {
			return Red, "unknown marking " + name
		}
		if def.marking.level != 0 {
			return def.marking.level, def.marking.level.String() + " by the definition of " + name
		}
		kind = def.marking.kind
	}
	if other, said := l.Others[kind]; said && kind != "" {
		return other, other.String() + " as configured for markings of the type " + quote(kind) + ", marking " + name
	}
	switch kind {
	case KindStatement, KindPAP:
		return 0, ""
	case "":
		return Red, "marking " + name + ", which is neither a TLP level nor a statement"
	}
	return Red, "marking " + name + " of the type " + quote(kind) + ", which is neither a TLP level nor a statement, " +
		"so that nobody knows how far it lets an object go"
}
