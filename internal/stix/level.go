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

// labelLevel reads a text of the form "tlp:level". A level that is not known
// counts as Red.
func labelLevel(text string) (level Level, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) < len("tlp:") || !strings.EqualFold(text[:len("tlp:")], "tlp:") {
		return 0, false
	}
	level, err := ParseLevel(text)
	if err != nil {
		return Red, true
	}
	return level, true
}

// LevelOf is the strictest level among the markings of an object, those of parts
// of it included, and its labels of the form "tlp:level". It is 0 and marked is
// false if there are none. because names the marking that decided, for a message.
//
// Resolve returns the marking definition with an id, or nil if that is not known; it
// is not asked for the well-known ids, and may be nil if nothing is known. A marking counts as Red unless it is well
// known, or resolves to a definition that either defines a TLP level or is a
// statement. Statements restrict nothing. Nor does what a marking definition says restrict
// the definition itself, but the markings that it carries do.
func LevelOf(o *Object, resolve func(id string) *Object) (level Level, marked bool, because string) {
	for _, id := range o.Markings {
		if l, why := markingLevel(id, resolve); l > level {
			level, because = l, why
		}
	}
	for _, label := range o.Labels {
		if l, ok := labelLevel(label); ok && l > level {
			level, because = l, "label "+quote(label)
		}
	}
	return level, level != 0, because
}

func markingLevel(id string, resolve func(id string) *Object) (level Level, because string) {
	if known := wellKnownMarking(id); known != nil {
		return known.level, known.level.String()
	}
	var def *Object
	if resolve != nil {
		def = resolve(id)
	}
	switch {
	case def == nil || def.marking == nil:
		return Red, "unknown marking " + printable(clip(id))
	case def.marking.level != 0:
		return def.marking.level, def.marking.level.String() + " by the definition of " + printable(clip(id))
	case def.marking.statement:
		return 0, ""
	}
	return Red, "marking " + printable(clip(id)) + ", which is neither a TLP level nor a statement"
}
