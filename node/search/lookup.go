package search

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// maxHeld is how much of the objects of one lookup is held, in bytes; what comes after it is said to be more.
const maxHeld = 64 << 20

// found is an entry that is about a value.
type found struct {
	find.Posting
	entry *view.Entry
}

// looked is what was found of one value.
type looked struct {
	exact, wider, narrower []found
	more                   bool
	sightings, opinions    int
	seen                   tally
}

// Lookup says what is known of values, in their order: of objects in their last version that who asks may read.
func (f *Finder) Lookup(ctx context.Context, who taxii.Principal, values []observable.Value) ([]Answer, error) {
	if len(values) > MaxValues {
		return nil, &taxii.InvalidError{Reason: fmt.Sprintf("%d values are more than %d; ask for them in parts", len(values), MaxValues)}
	}
	all := make([]looked, len(values))
	err := f.read(ctx, who, func(r *reading) error {
		held := 0
		for i, v := range values {
			if err := r.lookUp(v, &all[i], &held); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking values up: %w", err)
	}
	answers := make([]Answer, len(values))
	d := f.describer()
	for i, l := range all {
		a := Answer{Value: values[i], More: l.more, Sightings: l.sightings, Opinions: l.opinions}
		if f.Warned != nil {
			if a.Warned, err = f.Warned(values[i]); err != nil {
				return nil, fmt.Errorf("looking values up on warning lists: %w", err)
			}
		}
		if l.sightings > 0 {
			seen := l.seen.seen()
			a.Seen = &seen
		}
		a.Exact, a.Wider, a.Narrower = d.hits(l.exact), d.hits(l.wider), d.hits(l.narrower)
		slices.SortStableFunc(a.Exact, func(x, y Hit) int { return inForceFirst(x) - inForceFirst(y) })
		members, levels := map[string]bool{}, map[string]bool{}
		var sources sources
		for _, hit := range a.Exact {
			levels[hit.Object.Level] = hit.Object.Level != ""
			if hit.Object.Standing == InForce {
				members[hit.Object.Member] = true
				sources.add(hit.Object, d.externals[hit.Object.Added.UnixMicro()])
			}
		}
		a.Members, a.Independent = slices.Sorted(maps.Keys(members)), sources.count()
		delete(levels, "")
		a.Levels = slices.Sorted(maps.Keys(levels))
		answers[i] = a
	}
	return answers, d.err
}

func inForceFirst(h Hit) int {
	if h.Object.Standing == InForce {
		return 0
	}
	return 1
}

// gather visits postings for a list of up to so many entries, and looks at five times as many.
func (r *reading) gather(list *[]found, most int, held *int, more *bool) func(find.Posting) (bool, error) {
	looked := 0
	return func(p find.Posting) (bool, error) {
		if looked++; len(*list) >= most || looked > 5*most || *held > maxHeld {
			*more = true
			return false, nil
		}
		e, err := r.whole(p.Date)
		if err == nil && e != nil {
			*list = append(*list, found{p, e})
			*held += len(e.Object)
		}
		return err == nil, err
	}
}

// lookUp finds what is about a value, what contains it and what it contains.
func (r *reading) lookUp(v observable.Value, l *looked, held *int) error {
	if err := r.Exact(v, 0, r.gather(&l.exact, MaxExact, held, &l.more)); err != nil {
		return err
	}
	if err := r.Around(v, r.gather(&l.wider, MaxWider, held, &l.more)); err != nil {
		return err
	}
	around := v.Around() // the narrowest first
	slices.SortStableFunc(l.wider, func(a, b found) int { return slices.Index(around, a.Value) - slices.Index(around, b.Value) })
	if err := r.Within(v, r.gather(&l.narrower, MaxNarrower, held, &l.more)); err != nil {
		return err
	}
	const referred = 20 // objects of which it is looked who refers to them
	known := map[string]bool{}
	for _, f := range l.exact {
		if known[f.entry.ID] || len(known) == referred {
			continue
		}
		known[f.entry.ID] = true
		if err := r.countReferences(f.entry.ID, l, held); err != nil {
			return err
		}
	}
	return nil
}

// countReferences counts opinions about an object and sightings of it, and adds up what these say.
func (r *reading) countReferences(id string, l *looked, held *int) error {
	_, err := r.References(id, MaxSame, func(p find.Pointer) (bool, error) {
		if p.Kind != sightingOf && p.Kind != "object_refs" {
			return true, nil
		}
		e, err := r.head(p.Date)
		switch {
		case err != nil || e == nil:
			return err == nil, err
		case e.Type == "sighting" && l.sightings < MaxSame:
			l.sightings++
			if *held > maxHeld || p.Kind != sightingOf {
				return true, nil
			}
			if e, err = r.Entry(p.Date, true); err == nil && e != nil {
				*held += len(e.Object)
				err = l.seen.add(r, e)
			}
			return err == nil, err
		case e.Type == "opinion" && l.opinions < MaxSame:
			l.opinions++
		}
		return true, nil
	})
	return err
}
