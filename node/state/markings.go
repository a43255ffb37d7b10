package state

import (
	"errors"
	"fmt"
	"strings"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo/view"
)

// maxDefinitions is how many definitions of one marking are looked at, of each source. There should be one.
const maxDefinitions = 1024

// definitionPage is how many of them are read at once.
const definitionPage = 64

// Markings says what the markings of one member's objects mean. Nobody owns an id, and anyone who publishes a
// definition of it would decide for all others what their marking means. So the member's own definitions decide: those
// in the request itself, those that it published and those on their way. Without one of them a marking is unknown,
// whatever others say of it. Where the member's own give a TLP level, others' can make it stricter, never weaker; what
// is no TLP marking by its own definition, as a statement is, becomes none by another's.
type Markings struct {
	outbox definitions // of this organisation; nil where the member is another
	view   pages
	isOwn  func(account string) bool
	others map[string]stix.Level // what markings count as that are no TLP, see [stix.Levels]

	given    map[string][]func() ([]byte, error)
	resolved map[string]*stix.Object
	Err      error // of this node
}

// definitions are the marking definitions that this organisation publishes.
type definitions interface {
	// Markings gives some definitions of a marking.
	Markings(id string, limit int) ([][]byte, error)
}

// pages is the view, read a page at a time.
type pages interface {
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
}

// Markings are those of the member with an account.
func (f *Shared) Markings(outbox definitions, view pages, publisher string) *Markings {
	m := &Markings{view: view, others: f.OtherMarkings, isOwn: func(account string) (own bool) {
		f.Read(func(s *consortium.State) { own = s.Same(account, publisher) })
		return own
	}}
	if m.isOwn(f.Self) {
		m.outbox = outbox
	}
	return m
}

// Add makes a definition known that the request itself has. It is read when something carries the marking.
func (m *Markings) Add(id string, read func() ([]byte, error)) {
	if m.given == nil {
		m.given = map[string][]func() ([]byte, error){}
	}
	m.given[id] = append(m.given[id], read)
}

// Levels tells the TLP levels of the member's objects.
func (m *Markings) Levels() stix.Levels { return stix.Levels{Resolve: m.Resolve, Others: m.others} }

// Resolve gives the definition that counts; nil, which counts as the strictest, if there is none.
func (m *Markings) Resolve(id string) *stix.Object {
	if definition, known := m.resolved[id]; known {
		return definition
	}
	definition, err := m.look(id)
	m.Err = errors.Join(m.Err, err)
	if m.resolved == nil {
		m.resolved = map[string]*stix.Object{}
	}
	m.resolved[id] = definition
	return definition
}

// look finds the strictest definition of those that count.
func (m *Markings) look(id string) (*stix.Object, error) {
	own := strictest{id: id, others: m.others}
	for _, read := range m.given[id] {
		raw, err := read()
		if err != nil {
			return nil, err
		}
		own.read(raw)
	}
	if m.outbox != nil {
		known, err := m.outbox.Markings(id, maxDefinitions)
		if err != nil {
			return nil, err
		}
		for _, raw := range known {
			own.read(raw)
		}
	}
	others := strictest{id: id, others: m.others}
	query := view.Query{Collection: view.Everything, IDs: []string{id}, AnyLine: true, Versions: view.Versions{All: true}, Limit: definitionPage, WithObjects: true}
	for range maxDefinitions / definitionPage {
		entries, more, err := m.view.Page(query)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if m.isOwn(e.Publisher) {
				own.read(e.Object)
			} else {
				others.read(e.Object)
			}
			query.After = e.DateAdded
		}
		if !more {
			break
		}
	}
	if own.definition == nil || own.level == 0 || others.level <= own.level {
		return own.definition, nil
	}
	return others.definition, nil
}

// strictest is the definition of a marking with the strictest level among those that were added.
type strictest struct {
	id         string
	definition *stix.Object
	level      stix.Level // 0 where it restricts nothing
	others     map[string]stix.Level
}

func (s *strictest) add(definition *stix.Object) {
	levels := stix.Levels{Resolve: func(string) *stix.Object { return definition }, Others: s.others}
	level, _, _ := levels.Of(&stix.Object{Markings: []string{s.id}})
	if s.definition == nil || level > s.level {
		s.definition, s.level = definition, level
	}
}

func (s *strictest) read(raw []byte) {
	if definition, err := stix.Parse(raw); err == nil {
		s.add(definition)
	}
}

// ReadMarkings reads what markings count as that are no TLP, as the configuration says it.
func ReadMarkings(configured map[string]string) (map[string]stix.Level, error) {
	others := make(map[string]stix.Level, len(configured))
	for marking, text := range configured {
		name := strings.ToUpper(strings.TrimSpace(marking)) // a type
		if strings.Contains(marking, "--") {
			name = strings.ToLower(marking)
		}
		if text == "none" {
			others[name] = 0
			continue
		}
		level, err := stix.ParseLevel(text)
		if err != nil {
			return nil, fmt.Errorf("in the configuration: tlp.markings: %q: %w, nor none", marking, err)
		}
		others[name] = level
	}
	return others, nil
}
