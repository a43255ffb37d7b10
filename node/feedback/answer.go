package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Respond does something about what others say of an object of this organisation: it revokes the object, publishes a
// later version, or keeps it as it is, which nobody else is told.
func (r *Room) Respond(ctx context.Context, who taxii.Principal, a taxii.Response) (taxii.Responded, error) {
	if who.Role < taxii.RolePublisher {
		return taxii.Responded{}, taxii.ErrForbidden
	}
	if len(a.Text) > maxText {
		return taxii.Responded{}, &taxii.InvalidError{Reason: fmt.Sprintf("text: it has more than %d bytes", maxText)}
	}
	places, err := r.places(who, a.Object)
	if err != nil {
		return taxii.Responded{}, err
	}
	switch a.Answer {
	case taxii.AnswerRevoke:
		next, places, err := revocation(places)
		if err != nil {
			return taxii.Responded{}, err
		}
		return r.publish(ctx, who, places, next, taxii.InboxRevoked)
	case taxii.AnswerCorrect:
		if err := succeeds(places[0].entry, a.Next); err != nil {
			return taxii.Responded{}, err
		}
		return r.publish(ctx, who, places, a.Next, taxii.InboxCorrected)
	case taxii.AnswerKeep:
		return r.keep(who, a)
	}
	return taxii.Responded{}, &taxii.InvalidError{Reason: fmt.Sprintf("answer: %.40q is none of revoke, correct and keep", a.Answer)}
}

// Next drafts the next version of an object of this organisation, to be corrected: as the last one, with another
// "modified".
func (r *Room) Next(who taxii.Principal, object string) (json.RawMessage, error) {
	places, err := r.places(who, object)
	if err != nil {
		return nil, err
	}
	return successor(places[0].entry, false)
}

// published is where an object of this organisation is.
type published struct {
	collection consortium.Collection
	entry      *view.Entry
}

// places finds an object of this organisation in the collections in which it is, the latest version first.
func (r *Room) places(who taxii.Principal, object string) (list []published, err error) {
	for _, c := range r.State.Collections() {
		e, err := r.entry(r.State.Own(), c.ID, object)
		switch {
		case err != nil:
			return nil, err
		case e == nil || !who.Limits.MayRead(c.ID):
			continue
		case !c.MayPublish(r.State.Self):
			return nil, &taxii.InvalidError{Reason: fmt.Sprintf("this organisation may not publish in %q any more, where the object is; \"slnode withdraw\" takes it back", c.Properties.Title)}
		case !who.Limits.MayWrite(c.ID):
			return nil, taxii.ErrForbidden
		}
		one := published{c, e}
		if len(list) > 0 && e.Instant.After(list[0].entry.Instant) {
			list = append([]published{one}, list...)
		} else {
			list = append(list, one)
		}
	}
	if list == nil {
		return nil, taxii.ErrNotFound
	}
	return list, nil
}

// publish publishes a version wherever the object is.
func (r *Room) publish(ctx context.Context, who taxii.Principal, places []published, next json.RawMessage, state string) (done taxii.Responded, err error) {
	done = taxii.Responded{Object: places[0].entry.ID, State: state}
	for _, p := range places {
		status, err := r.Author.Publish(ctx, who, p.collection, next)
		if err != nil {
			return done, err
		}
		done.Statuses = append(done.Statuses, status.ID)
		done.Pending = done.Pending || len(status.Pendings) > 0
		for _, list := range [][]taxii.StatusDetail{status.Successes, status.Pendings} {
			for _, d := range list {
				if d.ID == done.Object {
					done.Versions = append(done.Versions, d.Version)
				}
			}
		}
	}
	return done, nil
}

// keep notes that an object stays as it is, whatever members have said of it so far.
func (r *Room) keep(who taxii.Principal, a taxii.Response) (taxii.Responded, error) {
	list, _, err := r.heardOf(a.Object)
	if err != nil {
		return taxii.Responded{}, err
	}
	for _, h := range list {
		data, err := json.Marshal(keeping{strconv.FormatInt(h.date, 10), who.User, clip(a.Text), time.Now().UTC().Truncate(time.Second)})
		if err == nil {
			err = r.Outbox.SetMemo(keepPrefix+h.object+"/"+h.member, data)
		}
		if err != nil {
			return taxii.Responded{}, fmt.Errorf("keeping that %s stays as it is: %w", a.Object, err)
		}
	}
	return taxii.Responded{Object: a.Object, State: taxii.InboxKept}, nil
}

// revocation is the version that revokes an object, and where it is still to be published: where it is revoked in one
// collection, others get that very version, as what is revoked has no later one (STIX 2.1, section 3.6).
func revocation(places []published) (next json.RawMessage, to []published, err error) {
	first := places[0].entry
	if !isRevoked(first.Object) {
		next, err = successor(first, true)
		return next, places, err
	}
	for _, p := range places {
		if !isRevoked(p.entry.Object) {
			to = append(to, p)
		}
	}
	if to == nil {
		return nil, nil, errRevoked
	}
	return first.Object, to, nil
}

var errRevoked = &taxii.InvalidError{Reason: "it is revoked already"}

// successor is the next version of an object: as it is but for "modified" and, if it is to be, "revoked". What has no
// versions has none.
func successor(e *view.Entry, revoked bool) (json.RawMessage, error) {
	parsed, err := stix.Read(e.Object)
	if err != nil {
		return nil, fmt.Errorf("reading object %s: %w", e.ID, err)
	}
	if parsed.Created == "" || parsed.Modified == "" {
		return nil, &taxii.InvalidError{Reason: "objects of the type " + e.Type + " have no versions and can't be revoked: \"slnode withdraw\" takes it back"}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Object, &members); err != nil {
		return nil, fmt.Errorf("reading object %s: %w", e.ID, err)
	}
	if string(members["revoked"]) == "true" { // what is revoked has no later version (STIX 2.1, section 3.6)
		return nil, errRevoked
	}
	members["modified"], _ = json.Marshal(stix.FormatTimestamp(later(e.Instant)))
	if revoked {
		members["revoked"] = json.RawMessage("true")
	}
	return json.Marshal(members)
}

// succeeds refuses what is no later version of an object.
func succeeds(e *view.Entry, next json.RawMessage) error {
	parsed, err := stix.Parse(next)
	switch {
	case err != nil:
		return &taxii.InvalidError{Reason: "next: " + err.Error()}
	case parsed.ID != e.ID:
		return &taxii.InvalidError{Reason: "next: it is another object, " + parsed.ID}
	case !parsed.VersionTime().After(e.Instant):
		return &taxii.InvalidError{Reason: "next: its \"modified\" must be later than " + e.Version}
	}
	return nil
}
