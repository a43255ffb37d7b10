package state

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo/view"
)

// Audience is who can read what this organisation publishes in a collection, in the traffic light protocol's terms.
func (f *Shared) Audience(c consortium.Collection) stix.Audience {
	p := c.Properties
	others := map[string]bool{}
	for _, account := range slices.Concat(p.Readers.Named, p.Contributors.Named) {
		others[account] = true
	}
	delete(others, f.Self)
	return stix.Audience{
		Growing: p.Readers.Members || p.Contributors.Members, Readers: len(others), AdHoc: p.AdHoc, Foreign: c.Owner != f.Self,
	}
}

// Permit applies the traffic light protocol (docs/PROTOCOL.md, "TLP"): before anything is sealed or stored. The level
// is that of the object; it is kept, since who reads the collection may change before the object is on the chain.
func (f *Shared) Permit(object *stix.Object, into consortium.Collection, levels stix.Levels) (stix.Level, error) {
	level, marked, because := levels.Of(object)
	because = "carries " + because
	if !marked {
		level = defaultLevel(into)
		because = "has no marking, and unmarked objects count as " + level.String() + " in this collection"
	}
	if err := stix.Permits(level, f.Audience(into)); err != nil {
		return level, fmt.Errorf("not published in %q: the object %s; %w", into.Properties.Title, because, err)
	}
	return level, nil
}

// defaultLevel is that of the objects of a collection that have no marking.
func defaultLevel(of consortium.Collection) stix.Level {
	level, err := stix.ParseLevel(of.Properties.DefaultLevel)
	if err != nil {
		return stix.Red
	}
	return level
}

// LevelOf is the TLP level of an object in the view, as its publisher's markings say it.
func (f *Shared) LevelOf(says *Markings, entry *view.Entry) (string, error) {
	object, err := stix.Parse(entry.Object)
	if err != nil {
		return "", fmt.Errorf("reading object %s: %w", entry.ID, err)
	}
	level, marked, _ := says.Levels().Of(object)
	if c, found := f.Collection(entry.Collection); found && !marked {
		level = defaultLevel(c)
	}
	return level.String(), says.Err
}

// ToRekey counts the collections of this organisation that others read: each can need another key at any time.
func (f *Shared) ToRekey() (n int) {
	for _, c := range f.Collections() {
		if c.Owner == f.Self && !c.Former && f.Audience(c) != (stix.Audience{AdHoc: c.Properties.AdHoc}) {
			n++
		}
	}
	return n
}
