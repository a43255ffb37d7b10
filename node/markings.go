package node

import (
	"errors"
	"slices"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo"
)

// maxDefinitions is how many definitions of one marking are compared. There should be one.
const maxDefinitions = 64

// markings looks marking definitions up: in a request itself, in what is on its way, or in what was published. Nobody
// owns an id, so that there may be several: the strictest counts, and where there are too many, none.
type markings struct {
	outbox *repo.Outbox
	view   *repo.View

	given    map[string][]*stix.Object
	resolved map[string]*stix.Object
	err      error // of this node
}

// add makes a definition known; other objects are passed over.
func (m *markings) add(object *stix.Object) {
	if object.Type != "marking-definition" {
		return
	}
	if m.given == nil {
		m.given = map[string][]*stix.Object{}
	}
	m.given[object.ID] = append(m.given[object.ID], object)
}

// resolve gives the definition that counts; nil, which counts as the strictest, if there is none.
func (m *markings) resolve(id string) *stix.Object {
	if definition, known := m.resolved[id]; known {
		return definition
	}
	candidates, err := m.definitions(id)
	m.err = errors.Join(m.err, err)
	var strictest *stix.Object
	level := stix.Level(0)
	for _, candidate := range candidates {
		l, _, _ := stix.LevelOf(&stix.Object{Markings: []string{id}}, func(string) *stix.Object { return candidate })
		if strictest == nil || l > level {
			strictest, level = candidate, l
		}
	}
	if m.resolved == nil {
		m.resolved = map[string]*stix.Object{}
	}
	m.resolved[id] = strictest
	return strictest
}

// definitions gives every definition of a marking that is known; none if they are too many.
func (m *markings) definitions(id string) ([]*stix.Object, error) {
	list := slices.Clone(m.given[id])
	known, err := m.outbox.Markings(id, maxDefinitions)
	if err != nil {
		return nil, err
	}
	entries, more, err := m.view.Page(repo.Query{
		Collection: repo.Everything, IDs: []string{id}, Versions: repo.Versions{All: true}, Limit: maxDefinitions, WithObjects: true,
	})
	if err != nil {
		return nil, err
	}
	if more || len(known) == maxDefinitions || len(list) > maxDefinitions {
		return nil, nil
	}
	for _, e := range entries {
		known = append(known, e.Object)
	}
	for _, raw := range known {
		if object, err := stix.Parse(raw); err == nil {
			list = append(list, object)
		}
	}
	return list, nil
}
