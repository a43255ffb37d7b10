package search

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/taxii"
)

// sources tells apart where statements come from. What has something in common is of one source.
type sources struct {
	above map[string]string // a mark of a source -> another one of the same, or itself
}

func (s *sources) root(mark string) string {
	for s.above[mark] != mark {
		mark = s.above[mark]
	}
	return mark
}

// add takes an object in, with the external references that it has.
func (s *sources) add(o Summary, external []string) {
	if s.above == nil {
		s.above = map[string]string{}
	}
	marks := []string{"member " + o.Member}
	if o.Author != "" {
		marks = append(marks, "author "+o.Author)
	}
	marks = append(marks, external...)
	for _, mark := range marks {
		if _, known := s.above[mark]; !known {
			s.above[mark] = mark
		}
		s.above[s.root(mark)] = s.root(marks[0])
	}
}

// count is how many sources there are.
func (s *sources) count() (n int) {
	for mark, above := range s.above {
		if mark == above {
			n++
		}
	}
	return n
}

// Origins are what tells, of what an object says itself, where it is from: who wrote it, and its external references.
func Origins(o observable.Properties) []string {
	marks := externalOf(o)
	if author := o.Text("created_by_ref"); author != "" {
		marks = append(marks, "author "+author)
	}
	return marks
}

// externalOf are the external references of an object that tell where it is from: a name with an URL or an id.
func externalOf(o observable.Properties) (marks []string) {
	for _, one := range o.External() {
		name := one.Text("source_name")
		for _, what := range []string{"url", "external_id"} {
			if text := one.Text(what); name != "" && text != "" {
				marks = append(marks, fmt.Sprintf("%s %q %q", what, name, text))
			}
		}
	}
	return marks
}

// Corroboration says who else says what an object says: by the values of its pattern, or that it is. ErrNotFound if the
// object is not here, or may not be read.
func (f *Finder) Corroboration(ctx context.Context, who taxii.Principal, id string) (c Corroboration, err error) {
	own, err := f.byID(ctx, who, id)
	if err != nil {
		return c, err
	}
	if len(own) == 0 {
		return c, taxii.ErrNotFound
	}
	var same []found
	err = f.read(ctx, who, func(r *reading) error {
		values, _ := observable.FromObject(own[0].Object)
		for _, v := range values {
			if v.Role == observable.ExternalID {
				continue
			}
			if err := r.same(v.Value, id, &same, &c.More); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("looking for who says the same as %.80q: %w", id, err)
	}
	d, members := f.describer(), map[string]bool{}
	var sources sources
	for _, e := range own[:1] {
		s := d.summary(e)
		members[s.Member] = true
		sources.add(s, d.externals[e.DateAdded])
	}
	for _, hit := range d.hits(same) {
		if hit.Object.Standing != InForce {
			continue
		}
		c.Objects = append(c.Objects, hit)
		members[hit.Object.Member] = true
		sources.add(hit.Object, d.externals[hit.Object.Added.UnixMicro()])
	}
	c.Members, c.Independent = slices.Sorted(maps.Keys(members)), sources.count()
	return c, d.err
}

// same gathers other objects about a value. One that so many are about says nothing.
func (r *reading) same(v observable.Value, id string, list *[]found, more *bool) error {
	var some []found
	common, held := false, 0
	if err := r.Exact(v, 0, r.gather(&some, MaxSame, &held, &common)); err != nil {
		return err
	}
	if common {
		*more = true
		return nil
	}
	for _, one := range some {
		known := func(f found) bool { return f.entry.DateAdded == one.entry.DateAdded }
		switch {
		case one.entry.ID == id || slices.ContainsFunc(*list, known):
		case len(*list) == MaxSame:
			*more = true
			return nil
		default:
			*list = append(*list, one)
		}
	}
	return nil
}
