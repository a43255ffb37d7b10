package statement

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/taxii"
)

// pipeline publishes at once what it takes.
type pipeline struct {
	w      *worldtest.World
	took   [][]string // ids, by request
	status taxii.Status
}

func (p *pipeline) AcceptTogether(_ taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (string, error) {
	var ids []string
	for i := range a.Objects.Len() {
		one, err := a.Objects.At(i)
		nodetest.Must(p.w.T, err)
		o, err := stix.Parse(one.Raw)
		nodetest.Must(p.w.T, err)
		ids = append(ids, o.ID)
		p.w.EnterBy(p.w.State.Self, string(one.Raw))
	}
	if c.ID != into.ID || c.Root != "alpha" {
		p.w.T.Errorf("into %+v, %s", c, into.ID)
	}
	p.took = append(p.took, ids)
	return "status", nil
}

func (p *pipeline) Await(context.Context, string) (taxii.Status, error) { return p.status, nil }

func newAuthor(t *testing.T) (*Author, *pipeline, consortium.Collection) {
	t.Helper()
	w := worldtest.NewFoundedWorld(t)
	p := &pipeline{w: w}
	a := &Author{Name: "alpha", Title: "ALPHA CERT", Consortium: 7, State: w.State, View: w.R.View, Memos: w.R.Outbox, Publisher: p}
	into, found := w.State.Collection(w.Collection)
	if !found {
		t.Fatal("there is no collection")
	}
	return a, p, into
}

func note(author string) json.RawMessage {
	return json.RawMessage(`{"type":"note","spec_version":"2.1","id":"note--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z","modified":"2026-01-02T03:04:05.678Z",` +
		`"created_by_ref":"` + author + `","content":"x","object_refs":["indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"]}`)
}

func TestTheIdentityComesOnceWithWhatRefersToIt(t *testing.T) {
	a, p, into := newAuthor(t)
	id := a.IdentityID()
	if again, _, _ := newAuthor(t); again.IdentityID() == id {
		t.Error("another organisation has the same identity")
	}
	for range 2 {
		_, err := a.Publish(t.Context(), worldtest.PublisherRole, into, note(id))
		nodetest.Must(t, err)
	}
	_, err := a.Publish(t.Context(), worldtest.PublisherRole, into, note("identity--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"))
	nodetest.Must(t, err)
	if len(p.took) != 3 || len(p.took[0]) != 2 || p.took[0][1] != id || len(p.took[1]) != 1 || len(p.took[2]) != 1 {
		t.Errorf("published were %v", p.took)
	}
	first, err := a.Identity()
	nodetest.Must(t, err)
	o, _ := observable.ReadProperties(first)
	if o.Text("name") != "ALPHA CERT" || o.Text("identity_class") != "organization" {
		t.Errorf("it is %s", first)
	}
	// Another name is another version of it.
	a.Title = "ALPHA CSIRT"
	second, err := a.Identity()
	nodetest.Must(t, err)
	changed, _ := observable.ReadProperties(second)
	if changed.Text("id") != id || changed.Text("created") != o.Text("created") || changed.Text("name") != "ALPHA CSIRT" {
		t.Errorf("it is %s", second)
	}
}

func TestAnIdentityOfOnesOwnIsUsedAsItIs(t *testing.T) {
	a, p, into := newAuthor(t)
	a.Configured = "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff"
	_, err := a.Publish(t.Context(), worldtest.PublisherRole, into, note(a.IdentityID()))
	nodetest.Must(t, err)
	if a.IdentityID() != a.Configured || len(p.took[0]) != 1 {
		t.Errorf("%s, %v", a.IdentityID(), p.took)
	}
}

func TestWhatIsRefusedIsAnError(t *testing.T) {
	a, p, into := newAuthor(t)
	p.status.Failures = []taxii.StatusDetail{{ID: "x", Message: "too wide"}}
	var invalid *taxii.InvalidError
	if _, err := a.Publish(t.Context(), worldtest.PublisherRole, into, note(a.IdentityID())); !errors.As(err, &invalid) || invalid.Reason != "x: too wide" {
		t.Errorf("refused: %v", err)
	}
	if _, err := a.Publish(t.Context(), worldtest.PublisherRole, consortium.Collection{ID: "other", Owner: "X"}, note(a.IdentityID())); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("elsewhere: %v", err)
	}
}
