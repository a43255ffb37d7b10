package taxii

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The parts of the memory that the accounts API and the audit log need.

func (m *memory) Organisation(_ context.Context, name string) (Organisation, error) {
	if name != "acme" {
		return Organisation{}, ErrNotFound
	}
	return Organisation{Name: "acme", Address: "ALGOADDRESS"}, nil
}

func (m *memory) Users(context.Context, Principal) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.accounts)), nil
}

func (m *memory) RemoveUser(_ context.Context, by Principal, user string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.accounts[user]; !ok {
		return ErrNotFound
	}
	if user == by.User {
		return fmt.Errorf("%w: this is the only administrator", ErrConflict)
	}
	delete(m.accounts, user)
	return nil
}

// Certificate knows the certificates that a test put into tokens under their
// fingerprint.
func (m *memory) Certificate(ctx context.Context, fingerprint [sha256.Size]byte) (Principal, error) {
	return m.Token(ctx, fmt.Sprintf("%x", fingerprint))
}

func (m *memory) DescribeRoot(_ context.Context, _ Principal, title, description string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.title, m.description = title, description
	return nil
}

func (m *memory) CreateCollection(_ context.Context, _ Principal, spec NewCollection) (Collection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.collections {
		if c.Alias != "" && c.Alias == spec.Alias {
			return Collection{}, fmt.Errorf("%w: there is a collection with this alias", ErrConflict)
		}
	}
	if spec.Title == "" {
		return Collection{}, &InvalidError{Reason: "a collection has a title"}
	}
	m.created = append(m.created, spec)
	c := Collection{
		Root: "acme", ID: fmt.Sprintf("0c3e5a7b-0000-4000-8000-%012d", len(m.created)), Alias: spec.Alias, Title: spec.Title,
		Description: spec.Description, CanRead: true, CanWrite: true,
	}
	m.collections = append(m.collections, c)
	m.holds[c.ID] = &held{byID: make(map[string][]int)}
	return c, nil
}

func (m *memory) Record(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

func (m *memory) Read(_ context.Context, from time.Time, name, user string, visit func([]byte) error) error {
	m.mu.Lock()
	events := slices.Clone(m.events)
	m.mu.Unlock()
	for _, e := range events {
		if e.Time.Before(from) || name != "" && e.Name != name || user != "" && e.User != user {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := visit(line); err != nil {
			return err
		}
	}
	return nil
}

// named gives the events of a name.
func (m *memory) named(name string) (list []Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Name == name {
			list = append(list, e)
		}
	}
	return list
}

// rehearsing finds that everything would be published for everybody.
type rehearsing struct{}

func (rehearsing) Rehearse(_ context.Context, _ Principal, _ Collection, a Addition) (Rehearsal, error) {
	r := Rehearsal{Extra: 1000}
	for range a.Objects {
		r.Objects = append(r.Objects, RehearsedObject{ID: indicatorID(1), Version: "2026-01-01T00:00:00Z", Readers: []string{"acme"}, Cost: 101_000})
	}
	return r, nil
}
