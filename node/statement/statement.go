// Package statement publishes what the node itself writes in its organisation's name: STIX objects that say who says
// it, by an identity that is made once.
//
// identity.go has the identity, statement.go publishes.
package statement

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Author publishes in the organisation's name.
type Author struct {
	Name       string // of the organisation, as in URLs
	Title      string // … for people; its name, if it is empty
	Configured string // the id of an identity of its own that it uses everywhere (organisation.identity); empty: one is made
	Consortium uint64 // the charter's asset id

	State      *state.Shared
	View       served
	Memos      memos
	Publisher  publisher
	Recipients recipients
}

// New makes the author of a node.
func New(r *repo.Repo, consortium uint64, shared *state.Shared, p publisher, to recipients) *Author {
	own := r.Config.Organisation
	return &Author{
		Name: own.Name, Title: own.Title, Configured: own.Identity, Consortium: consortium, State: shared, View: r.View, Memos: r.Outbox, Publisher: p, Recipients: to,
	}
}

// served is what members have published.
type served interface {
	LatestOf(member, collection, id string) (*view.Entry, error)
	Page(q view.Query) (entries []*view.Entry, more bool, err error)
}

// memos keep small things durably.
type memos interface {
	Memo(name string) ([]byte, error)
	SetMemo(name string, data []byte) error
}

// publisher is the first stretch of the publish pipeline.
type publisher interface {
	// AcceptTogether takes objects into the outbox, in one batch if they are several.
	AcceptTogether(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (status string, err error)
	// Await gives the status, once nothing more becomes of it or it has waited enough.
	Await(ctx context.Context, status string) (taxii.Status, error)
}

// recipients gives the collections of what is for named members.
type recipients interface {
	AdHoc(ctx context.Context, names []string) (consortium.Collection, error)
	// PlanAdHoc tells which one AdHoc would give, and whether it is there already.
	PlanAdHoc(names []string) (c consortium.Collection, exists bool, err error)
}

// For gives the collection that one member alone reads, beside this organisation. It is made if there is none.
func (a *Author) For(ctx context.Context, who taxii.Principal, member string) (consortium.Collection, error) {
	c, err := a.Recipients.AdHoc(auditlog.AsUser(ctx, who.User), []string{member})
	return c, problem.ForClient(err)
}

// Planned tells which collection For would give, and whether it is there.
func (a *Author) Planned(member string) (c consortium.Collection, exists bool, err error) {
	return a.Recipients.PlanAdHoc([]string{member})
}

// MayPublish reports whether an object of a level may be published in a collection.
func (a *Author) MayPublish(c consortium.Collection, level stix.Level) bool {
	return c.MayPublish(a.State.Self) && a.State.Active() && stix.Permits(level, a.State.Audience(c)) == nil
}

// Publish takes objects in for somebody, with the identity that they refer to if the collection hasn't got it, and
// waits a moment until they are served. It is an error if one of them is refused.
func (a *Author) Publish(ctx context.Context, who taxii.Principal, into consortium.Collection, objects ...json.RawMessage) (taxii.Status, error) {
	if !into.MayPublish(a.State.Self) || !a.State.Active() {
		return taxii.Status{}, taxii.ErrForbidden
	}
	var list taxii.Listed
	for _, object := range objects {
		list = append(list, taxii.Incoming{Raw: object})
	}
	identity, err := a.identityFor(into.ID, objects)
	if err != nil {
		return taxii.Status{}, err
	}
	if identity != nil {
		list = append(list, taxii.Incoming{Raw: identity})
	}
	return a.publish(ctx, who, into, list)
}

// publish takes objects in.
func (a *Author) publish(ctx context.Context, who taxii.Principal, into consortium.Collection, list taxii.Listed) (taxii.Status, error) {
	id, err := a.Publisher.AcceptTogether(who, taxii.Collection{Root: a.Name, ID: into.ID}, into, taxii.Addition{Objects: list})
	if err != nil {
		return taxii.Status{}, problem.ForClient(err)
	}
	status, err := a.Publisher.Await(ctx, id)
	if err != nil {
		return status, err
	}
	var refused []error
	for _, failure := range status.Failures {
		refused = append(refused, fmt.Errorf("%s: %s", failure.ID, failure.Message))
	}
	if err := errors.Join(refused...); err != nil {
		return status, &taxii.InvalidError{Reason: err.Error()}
	}
	return status, nil
}

// Level is the TLP level of an object that somebody published, as its publisher means it; the strictest if that can't
// be told.
func Level(text string) stix.Level {
	level, err := stix.ParseLevel(text)
	if err != nil {
		return stix.Red
	}
	return level
}

// refersTo reports whether one of the objects names an identity as its author.
func refersTo(objects []json.RawMessage, id string) bool {
	for _, object := range objects {
		if o, err := observable.ReadProperties(object); err == nil && o.Text("created_by_ref") == id {
			return true
		}
	}
	return false
}
