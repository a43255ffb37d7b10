package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/taxii"
)

// choose reads the objects of a page and gives those that are wanted and can be decided about, with what was held until
// now, in an order in which what is referred to comes first. The definitions of their markings come with them, wanted
// or not: without them nobody could tell how far they may go.
func (r *run) choose(ctx context.Context, page []jsontext.Value, last bool) ([]*stix.Object, error) {
	c := choice{run: r}
	c.read(page)
	if err := r.definitions.find(ctx, r, c.wanted); err != nil {
		return nil, err
	}
	c.wanted = r.held.exchange(c.wanted, &r.definitions, last)
	levels := stix.Levels{Resolve: r.definitions.resolve, Others: r.feed.config.Others}
	c.wanted = slices.DeleteFunc(c.wanted, func(o *stix.Object) bool {
		passed := !r.feed.config.Filter.letsMarkings(o, levels)
		if passed {
			r.report.pass("markings")
		}
		return passed
	})
	c.addDefinitions()
	c.wanted = distinct(c.wanted)
	ordered := make([]*stix.Object, 0, len(c.wanted))
	for _, i := range stix.Order(c.wanted) {
		ordered = append(ordered, c.wanted[i])
	}
	return ordered, nil
}

// choice is what is wanted of a page.
type choice struct {
	*run
	wanted []*stix.Object
}

// read parses what a page has, and passes over what the filter does not let through.
func (c *choice) read(page []jsontext.Value) {
	for _, value := range page {
		for raw, err := range taxii.Unwrap(value) {
			c.report.Objects++
			object, parseErr := parse(raw, err)
			if parseErr != nil {
				id, _ := stix.Identify(raw)
				c.report.refuse(parseErr.Error(), id)
				continue
			}
			if object.Type == "marking-definition" {
				c.definitions.add(object)
			}
			if filter := c.feed.config.Filter.passesOver(object); filter != "" {
				c.report.pass(filter)
				continue
			}
			c.wanted = append(c.wanted, object)
		}
	}
}

// distinct drops what is a publication of the same as another one: a page may have what is held.
func distinct(objects []*stix.Object) []*stix.Object {
	seen := make(map[string]bool, len(objects))
	return slices.DeleteFunc(objects, func(o *stix.Object) bool {
		key := publication(o)
		again := seen[key]
		seen[key] = true
		return again
	})
}

func parse(raw []byte, err error) (*stix.Object, error) {
	if err != nil {
		return nil, err
	}
	return stix.Parse(raw)
}

// addDefinitions adds those of the markings of what is wanted that came from the source, and theirs. Each is added once
// in a run.
func (c *choice) addDefinitions() {
	for _, o := range c.wanted {
		delete(c.definitions.fetched, o.ID)
	}
	for i := 0; i < len(c.wanted); i++ {
		for _, id := range c.wanted[i].Markings {
			definition := c.definitions.known[id]
			if definition == nil || !c.definitions.fetched[id] {
				continue
			}
			delete(c.definitions.fetched, id)
			c.wanted = append(c.wanted, definition)
		}
	}
}

// publication names what an object would be published as: a version, or, for what has none, a content.
func publication(o *stix.Object) string {
	if o.Version() == "" {
		return o.ID + "#" + string(o.Raw)
	}
	return o.ID + "@" + o.VersionTime().UTC().Format(time.RFC3339Nano)
}

// definitions are those of markings that were met in a run: pages may have them before or after what they are for.
type definitions struct {
	known   map[string]*stix.Object // nil: nobody has it, as far as was asked
	fetched map[string]bool         // it came from the source, and was not handed on since
	size    int                     // of what is known, in bytes
}

// Bounds on looking for definitions.
const (
	maxDefinitions     = 100     // asked for at once
	maxNesting         = 3       // definitions have markings, too
	maxDefinitionBytes = 8 << 20 // that are kept; beyond, they are looked up again
)

func (d *definitions) add(definition *stix.Object) {
	d.set(definition.ID, definition)
	d.fetched[definition.ID] = true
}

func (d *definitions) set(id string, definition *stix.Object) {
	const weight = 200 // of a name and its place
	if d.known == nil || d.size > maxDefinitionBytes {
		*d = definitions{known: map[string]*stix.Object{}, fetched: map[string]bool{}}
	}
	d.known[id] = definition
	if d.size += weight + len(id); definition != nil {
		d.size += len(definition.Raw)
	}
}

// find looks for the definitions of the objects' markings that are not known yet: in the sink, then at the source.
func (d *definitions) find(ctx context.Context, r *run, objects []*stix.Object) error {
	for range maxNesting {
		var missing []string
		for _, o := range objects {
			for _, id := range o.Markings {
				if _, looked := d.known[id]; looked || stix.IsWellKnownMarking(id) {
					continue
				}
				definition, err := r.sink.Marking(id)
				if err != nil {
					return err
				}
				if d.set(id, definition); definition == nil && len(missing) < maxDefinitions && strings.HasPrefix(id, markingPrefix) {
					missing = append(missing, id)
				}
			}
		}
		if len(missing) == 0 {
			return nil
		}
		found, err := r.source.definitions(ctx, missing)
		if err != nil {
			return fmt.Errorf("asking for marking definitions: %w", err)
		}
		objects = nil
		for _, raw := range found {
			object, err := stix.Parse(raw)
			if err != nil || !slices.Contains(missing, object.ID) {
				continue // it answers something else, or nothing of use
			}
			d.add(object)
			objects = append(objects, object)
		}
	}
	return nil
}

func (d *definitions) resolve(id string) *stix.Object { return d.known[id] }

// lacks reports whether the definition of a marking of an object is not known.
func (d *definitions) lacks(o *stix.Object) bool {
	return slices.ContainsFunc(o.Markings, func(id string) bool {
		return d.known[id] == nil && !stix.IsWellKnownMarking(id) && strings.HasPrefix(id, markingPrefix)
	})
}

// held are objects that wait for the definitions of their markings, which may be on a later page. While there are any,
// the feed's place stays before them: whatever ends the run, the next one meets them again.
type held struct {
	objects []*stix.Object
	size    int // in bytes
	pages   int // since the first of them
}

// Bounds on what is held. Beyond them objects are decided about as they are.
const (
	maxHeldBytes = 16 << 20
	maxHeldPages = 200
)

func (h *held) isEmpty() bool { return len(h.objects) == 0 }

// exchange takes those of the objects that have to wait, and gives the rest with those that waited and need not any
// more. On the last page nothing waits.
func (h *held) exchange(objects []*stix.Object, d *definitions, last bool) (ready []*stix.Object) {
	all := append(h.objects, objects...)
	pages := 0
	if !h.isEmpty() {
		pages = h.pages + 1
	}
	*h = held{pages: pages}
	for _, o := range all {
		if !d.lacks(o) {
			ready = append(ready, o)
			continue
		}
		if h.size += len(o.Raw); last || pages > maxHeldPages || h.size > maxHeldBytes {
			*h = held{}
			return all
		}
		h.objects = append(h.objects, o)
	}
	return ready
}
