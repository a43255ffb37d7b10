package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/stix"
)

// Filter says which objects are wanted: those that all of its parts let through. A part that is zero lets all through.
type Filter struct {
	Types []string // any of them
	// Markings are TLP levels and ids of marking definitions, any of them. They say nothing of objects that have no
	// TLP level: whether these are wanted is the sink's to say.
	Markings      []string
	MinConfidence int       // objects that state no confidence are not let through either
	Labels        []string  // any of them
	Authors       []string  // ids in created_by_ref, any of them
	Since         time.Time // when the version was made; objects without versions are let through
}

const markingPrefix = "marking-definition--"

func (f Filter) validate() error {
	for _, marking := range f.Markings {
		if strings.HasPrefix(marking, markingPrefix) {
			continue
		}
		if _, err := stix.ParseLevel(marking); err != nil {
			return fmt.Errorf("markings: %w, nor the id of a marking definition", err)
		}
	}
	for _, author := range f.Authors {
		if !strings.Contains(author, "--") {
			return fmt.Errorf("authors: %.80q is not the id of an identity", author)
		}
	}
	if f.MinConfidence < 0 || f.MinConfidence > 100 {
		return errors.New("min_confidence: it is not between 0 and 100")
	}
	return nil
}

// passesOver names the part that does not let an object through; "" if all do. Markings are not looked at.
func (f Filter) passesOver(o *stix.Object) string {
	switch {
	case len(f.Types) > 0 && !slices.Contains(f.Types, o.Type):
		return "types"
	case len(f.Authors) > 0 && !slices.Contains(f.Authors, o.CreatedByRef):
		return "authors"
	case len(f.Labels) > 0 && !slices.ContainsFunc(o.Labels, func(l string) bool { return slices.Contains(f.Labels, l) }):
		return "labels"
	case !f.Since.IsZero() && o.Version() != "" && o.VersionTime().Before(f.Since):
		return "since"
	case f.MinConfidence > 0 && confidence(o) < f.MinConfidence:
		return "min_confidence"
	}
	return ""
}

// confidence is what an object states, or -1.
func confidence(o *stix.Object) int {
	var stated struct {
		Confidence jsontext.Value `json:"confidence"`
	}
	n := -1
	if json.Unmarshal(o.Raw, &stated) != nil || stated.Confidence.Kind() != '0' || json.Unmarshal(stated.Confidence, &n) != nil {
		return -1
	}
	return n
}

func (f Filter) letsMarkings(o *stix.Object, resolve func(string) *stix.Object) bool {
	if len(f.Markings) == 0 {
		return true
	}
	level, marked, _ := stix.LevelOf(o, resolve)
	return !marked || slices.ContainsFunc(f.Markings, func(wanted string) bool {
		if strings.HasPrefix(wanted, markingPrefix) {
			return slices.Contains(o.Markings, wanted)
		}
		l, err := stix.ParseLevel(wanted)
		return err == nil && l == level
	})
}

// choose reads objects and gives those that are wanted, in an order in which what is referred to comes first. The
// definitions of their markings come with them, wanted or not: without them nobody could tell how far they may go.
func (r *run) choose(ctx context.Context, raw []jsontext.Value) ([]*stix.Object, error) {
	m := &definitions{run: r, known: map[string]*stix.Object{}, fetched: map[string]bool{}}
	var wanted []*stix.Object
	taken := map[string]bool{}
	for _, one := range raw {
		r.report.Objects++
		object, err := stix.Parse(one)
		if err != nil {
			id, _ := stix.Identify(one)
			r.report.refuse(err.Error(), id)
			continue
		}
		if object.Type == "marking-definition" {
			m.known[object.ID], m.fetched[object.ID] = object, true
		}
		if filter := r.feed.config.Filter.passesOver(object); filter != "" {
			r.report.pass(filter)
			continue
		}
		if key := publication(object); !taken[key] {
			taken[key] = true
			wanted = append(wanted, object)
		}
	}
	if err := m.find(ctx, wanted); err != nil {
		return nil, err
	}
	wanted = slices.DeleteFunc(wanted, func(o *stix.Object) bool {
		passed := !r.feed.config.Filter.letsMarkings(o, m.resolve)
		if passed {
			r.report.pass("markings")
		}
		return passed
	})
	for i := 0; i < len(wanted); i++ {
		for _, id := range wanted[i].Markings {
			if definition := m.known[id]; m.fetched[id] && definition != nil && !taken[publication(definition)] {
				taken[publication(definition)] = true
				wanted = append(wanted, definition)
			}
		}
	}
	ordered := make([]*stix.Object, 0, len(wanted))
	for _, i := range stix.Order(wanted) {
		ordered = append(ordered, wanted[i])
	}
	return ordered, nil
}

// publication names what an object would be published as: a version, or, for what has none, a content.
func publication(o *stix.Object) string {
	if o.Version() == "" {
		return o.ID + "#" + string(o.Raw)
	}
	return o.ID + "@" + o.VersionTime().UTC().Format(time.RFC3339Nano)
}

// definitions are those of the markings of a portion of objects.
type definitions struct {
	*run
	known   map[string]*stix.Object // nil: nobody has it
	fetched map[string]bool         // it came from the source
}

// Bounds on looking for definitions.
const (
	maxDefinitions = 100 // asked for at once
	maxNesting     = 3   // definitions have markings, too
)

// find looks for the definitions of the objects' markings that did not come with them: in the sink, then at the source.
func (m *definitions) find(ctx context.Context, objects []*stix.Object) error {
	for range maxNesting {
		var missing []string
		for _, o := range objects {
			for _, id := range o.Markings {
				if _, looked := m.known[id]; looked || stix.IsWellKnownMarking(id) {
					continue
				}
				definition, err := m.sink.Marking(id)
				if err != nil {
					return err
				}
				if m.known[id] = definition; definition == nil && len(missing) < maxDefinitions && strings.HasPrefix(id, markingPrefix) {
					missing = append(missing, id)
				}
			}
		}
		if len(missing) == 0 {
			return nil
		}
		found, err := m.source.definitions(ctx, missing)
		if err != nil {
			return fmt.Errorf("asking for marking definitions: %w", err)
		}
		objects = nil
		for _, raw := range found {
			object, err := stix.Parse(raw)
			if err != nil || !slices.Contains(missing, object.ID) {
				continue // it answers something else, or nothing of use
			}
			m.known[object.ID], m.fetched[object.ID] = object, true
			objects = append(objects, object)
		}
	}
	return nil
}

func (m *definitions) resolve(id string) *stix.Object { return m.known[id] }
