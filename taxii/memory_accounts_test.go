package taxii

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
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

// Certificate knows the certificates that a test put into tokens under their fingerprint.
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

func (m *memory) Read(_ context.Context, q AuditQuery, visit func([]byte) error) error {
	m.mu.Lock()
	events := slices.Clone(m.events)
	m.mu.Unlock()
	for _, e := range events {
		if e.Time.Before(q.Since) || !q.Until.IsZero() && !e.Time.Before(q.Until) || q.Event != "" && e.Name != q.Event || q.User != "" && e.User != q.User {
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
	for range a.Objects.Len() {
		r.Objects = append(r.Objects, RehearsedObject{ID: indicatorID(1), Version: "2026-01-01T00:00:00Z", Readers: []string{"acme"}, Cost: 101_000})
	}
	return r, nil
}

func (m *memory) Password(_ context.Context, user, password string) (Principal, error) {
	m.mu.Lock()
	m.checks++
	a, ok := m.accounts[user]
	m.mu.Unlock()
	if !ok || a.password != password {
		return Principal{}, ErrUnauthorized
	}
	return a.Principal, nil
}

func (m *memory) Token(_ context.Context, token string) (Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, ok := m.tokens[token]
	if at, over := m.expired[token]; over {
		return Principal{}, &ExpiredError{at}
	}
	if !ok {
		return Principal{}, ErrUnauthorized
	}
	return who, nil
}

func (m *memory) SignupAdmin(_ context.Context, s SignUp) (Organisation, Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Org != "acme" {
		return Organisation{}, Account{}, fmt.Errorf("this node is acme's alone: %w", ErrConflict)
	}
	if _, ok := m.accounts["ada"]; ok {
		return Organisation{}, Account{}, fmt.Errorf("this node has its administrator: %w", ErrConflict)
	}
	account, err := m.signup(s)
	return Organisation{Name: "acme", Address: "ALGOADDRESS"}, account, err
}

func (m *memory) SignupUser(_ context.Context, by Principal, s SignUp) (Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if by.Org != s.Org {
		return Account{}, ErrForbidden
	}
	if _, ok := m.accounts[s.User]; ok {
		return Account{}, fmt.Errorf("that name is taken: %w", ErrConflict)
	}
	return m.signup(s)
}

func (m *memory) signup(s SignUp) (Account, error) {
	if len(s.Password) < 8 {
		return Account{}, &InvalidError{Reason: "a password has 8 bytes or more"}
	}
	m.accounts[s.User] = storedAccount{Principal{User: s.User, Org: s.Org, Role: s.Role}, s.Password}
	return Account{User: s.User, Org: s.Org, ID: accountUUID, Role: s.Role, Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
}

func (m *memory) Login(ctx context.Context, user, password string) (Session, error) {
	who, err := m.Password(ctx, user, password)
	if err != nil {
		return Session{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	token := "login-" + uuid.NewString()
	m.tokens[token] = who
	return Session{
		Token:   token,
		Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Account: Account{User: who.User, Org: who.Org, ID: accountUUID, Role: who.Role},
	}, nil
}

func (m *memory) Logout(_ context.Context, token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tokens, token)
	return nil
}
