package state

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
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
		var err error
		if level, err = stix.ParseLevel(into.Properties.DefaultLevel); err != nil {
			level = stix.Red
		}
		because = "has no marking, and unmarked objects count as " + level.String() + " in this collection"
	}
	if err := stix.Permits(level, f.Audience(into)); err != nil {
		return level, fmt.Errorf("not published in %q: the object %s; %w", into.Properties.Title, because, err)
	}
	return level, nil
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
