package feedback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/statement"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// everything is the collection with everything.
const everything = view.Everything

// Give says something of an object of another organisation: it counts here at once, and an opinion tells others. What
// was said of it before is changed by that.
func (r *Room) Give(ctx context.Context, who taxii.Principal, g taxii.Judgement) (taxii.Judged, error) {
	r.giving.Lock()
	defer r.giving.Unlock()
	if g.Undo {
		return r.undo(ctx, who, g)
	}
	if err := check(&g); err != nil {
		return taxii.Judged{}, err
	}
	e, err := r.meant(who, g)
	if err != nil {
		return taxii.Judged{}, err
	}
	if err := r.mayGive(who, &g); err != nil {
		return taxii.Judged{}, err
	}
	d, level, err := r.decisionOn(who, g, e)
	if err != nil {
		return taxii.Judged{}, err
	}
	if before, found := r.decided(d.Object, d.Member); found && before.says(d) {
		return r.told(before, false), nil
	}
	if d.To == taxii.ToNobody {
		return r.told(d, false), r.decide(d)
	}
	into, err := r.target(ctx, who, &d, e, level)
	var later *notYet
	switch {
	case errors.As(err, &later) && !isAnswer(err):
		r.postpone(&d, err, time.Now())
		return r.told(d, false), r.decide(d)
	case err != nil:
		return taxii.Judged{}, err
	}
	return r.tell(ctx, who, d, into)
}

// mayGive refuses who may not, and keeps what readers say here: to publish takes the right to.
func (r *Room) mayGive(who taxii.Principal, g *taxii.Judgement) error {
	if who.Role >= taxii.RolePublisher {
		return nil
	}
	r.mu.Lock()
	readers := r.settings.readers
	r.mu.Unlock()
	if who.Role < taxii.RoleReader || !readers || g.To != "" && g.To != taxii.ToNobody {
		return taxii.ErrForbidden
	}
	g.To = taxii.ToNobody
	return nil
}

// meant finds the object that somebody says something of.
func (r *Room) meant(who taxii.Principal, g taxii.Judgement) (*view.Entry, error) {
	entries, _, err := r.View.Page(view.Query{
		Collection: everything, IDs: []string{g.Object}, AnyLine: true, Versions: view.Versions{Last: true}, Limit: 100, WithObjects: true, Descending: true,
	})
	if err != nil {
		return nil, fmt.Errorf("looking object %.80q up: %w", g.Object, err)
	}
	var theirs []*view.Entry
	own := false
	for _, e := range entries {
		switch {
		case !who.Limits.MayRead(e.Collection):
		case e.Owner() == r.State.Own():
			own = true
		case g.Member == "" || g.Member == r.State.Name(e.Owner()):
			theirs = append(theirs, e)
		}
	}
	switch {
	case len(theirs) == 0 && own:
		return nil, &taxii.InvalidError{Reason: "this is an object of your own organisation: \"slnode inbox revoke\" revokes it, and \"slnode withdraw\" takes it back"}
	case len(theirs) == 0:
		return nil, taxii.ErrNotFound
	case g.Member != "" || len(theirs) == 1:
		return theirs[0], nil
	}
	names := ""
	for _, e := range theirs {
		names += " " + r.State.Name(e.Owner())
	}
	return nil, &taxii.InvalidError{Reason: "several members published an object under this id; say whose is meant:" + names}
}

// decisionOn is what somebody says of an object. It goes on from what was said before.
func (r *Room) decisionOn(who taxii.Principal, g taxii.Judgement, e *view.Entry) (d decision, level stix.Level, err error) {
	d = decision{
		Object: e.ID, Member: e.Owner(), Version: e.Version, Instant: e.Instant, Opinion: g.Opinion, Reason: g.Reason, Text: g.Text, To: g.To, User: who.User,
		ByReader: who.Role < taxii.RolePublisher, At: time.Now().UTC().Truncate(time.Microsecond),
	}
	switch g.Reason {
	case taxii.ReasonOurs, taxii.ReasonShared, taxii.ReasonBenign: // of the value itself, so that others' indicators with it are no better
		d.Values = valuesOf(e.Object)
	}
	if before, found := r.decided(d.Object, d.Member); found && !before.Undone { // what is revoked stays so
		if before.OpinionID != "" && d.ByReader {
			return d, 0, &taxii.InvalidError{Reason: "this organisation has told others what it holds of this object; to change that takes a publisher"}
		}
		d.OpinionID, d.Created, d.Modified, d.In, d.Level = before.OpinionID, before.Created, before.Modified, before.In, before.Level
	}
	level, err = r.levelOf(e)
	return d, level, err
}

// levelOf is the TLP level of an object, by the markings of its publisher.
func (r *Room) levelOf(e *view.Entry) (stix.Level, error) {
	says := r.State.Markings(r.Outbox, r.View, e.Publisher)
	text, err := r.State.LevelOf(says, e)
	return statement.Level(text), err
}

// valuesOf are the values by which an indicator says that something is there.
func valuesOf(object []byte) (values []observable.Value) {
	found, _ := observable.FromObject(object)
	for _, f := range found {
		if f.Role == observable.Pattern {
			values = append(values, f.Value)
		}
	}
	return values
}

// target is the collection that an opinion goes to, and its level: that of the object, or a stricter one. What was said
// before is changed where it was said.
func (r *Room) target(ctx context.Context, who taxii.Principal, d *decision, e *view.Entry, level stix.Level) (into consortium.Collection, err error) {
	if d.OpinionID != "" {
		c, found := r.State.Collection(d.In)
		if found && r.Author.MayPublish(c, stix.Level(d.Level)) && (d.To == "" || (d.To == taxii.ToCollection) == (d.In == e.Collection)) {
			d.To = taxii.ToProducer
			if d.In == e.Collection {
				d.To = taxii.ToCollection
			}
			return c, nil
		}
		if found && c.MayPublish(r.State.Self) { // it is said elsewhere from now on
			if _, err := r.takeBack(ctx, who, *d); err != nil {
				return into, err
			}
		}
		d.OpinionID, d.Created = "", time.Time{}
	}
	c, found := r.State.Collection(e.Collection)
	possible := found && r.Author.MayPublish(c, level) && who.Limits.MayWrite(c.ID)
	switch {
	case d.To == taxii.ToCollection && !possible:
		return into, &taxii.InvalidError{Reason: fmt.Sprintf("to: an opinion marked %s may not be published in the object's collection; say producer, so that only the object's publisher reads it", level)}
	case d.To != taxii.ToProducer && possible:
		d.To, into = taxii.ToCollection, c
	default:
		if who.Limits.Write != nil {
			return into, taxii.ErrForbidden
		}
		d.To = taxii.ToProducer
		if into, err = r.Author.For(ctx, who, r.State.Name(e.Owner())); err != nil {
			return into, &notYet{err}
		}
		if level > stix.Amber {
			level = stix.Red // which its one reader may have, as it is named
		}
	}
	now := later(d.Modified)
	d.OpinionID, d.Created, d.In, d.Level = "opinion--"+uuid.NewString(), now, into.ID, uint8(level)
	return into, nil
}

// tell keeps a decision, and publishes the opinion that says so. What can't be published counts all the same, and is
// tried again.
func (r *Room) tell(ctx context.Context, who taxii.Principal, d decision, into consortium.Collection) (taxii.Judged, error) {
	d.Modified = d.Created
	if before, found := r.decided(d.Object, d.Member); found && before.OpinionID == d.OpinionID {
		d.Modified = later(before.Modified)
	}
	d.Waits = &waiting{Next: time.Now().Add(tellAgain.First).UTC(), Why: "it is being told"}
	if err := r.decide(d); err != nil {
		return taxii.Judged{}, err
	}
	d.Waits = nil
	err := r.send(ctx, who, &d, into)
	if err != nil {
		r.postpone(&d, err, time.Now())
	}
	if kept := r.decide(d); kept != nil {
		return taxii.Judged{}, kept
	}
	if err != nil && isAnswer(err) {
		return taxii.Judged{}, fmt.Errorf("it counts here; others are not told yet, which is tried again: %w", err)
	}
	return r.told(d, d.pending), nil
}

// undo takes back what was said of an object.
func (r *Room) undo(ctx context.Context, who taxii.Principal, g taxii.Judgement) (taxii.Judged, error) {
	var d decision
	found := false
	r.mu.Lock()
	for _, one := range r.decisions {
		if one.Object == g.Object && !one.Undone && (g.Member == "" || g.Member == r.State.Name(one.Member)) {
			d, found = one, true
		}
	}
	readers := r.settings.readers
	r.mu.Unlock()
	switch {
	case !found:
		return taxii.Judged{}, taxii.ErrNotFound
	case who.Role < taxii.RolePublisher && (!readers || d.OpinionID != "" || !d.ByReader):
		return taxii.Judged{}, taxii.ErrForbidden
	}
	pending := false
	was, err := r.wasTold(d)
	if err != nil {
		return taxii.Judged{}, err
	}
	if c, found := r.State.Collection(d.In); was && found && c.MayPublish(r.State.Self) {
		status, err := r.takeBack(ctx, who, d)
		if err != nil {
			return taxii.Judged{}, err
		}
		d.Status, pending = status.ID, len(status.Pendings) > 0
	}
	d.Undone, d.At, d.User = true, time.Now().UTC().Truncate(time.Microsecond), who.User
	d.Modified, d.Waits = later(d.Modified), nil
	return r.told(d, pending), r.decide(d)
}

// wasTold reports whether there is an opinion to be taken back.
func (r *Room) wasTold(d decision) (bool, error) {
	if d.OpinionID == "" || d.Status != "" {
		return d.OpinionID != "", nil
	}
	e, err := r.entry(r.State.Own(), d.In, d.OpinionID)
	return e != nil, err
}

// takeBack revokes an opinion.
func (r *Room) takeBack(ctx context.Context, who taxii.Principal, d decision) (taxii.Status, error) {
	c, _ := r.State.Collection(d.In)
	d.Undone, d.Modified = true, later(d.Modified)
	document, err := d.document(r.Author.IdentityID(), stix.Level(d.Level))
	if err != nil {
		return taxii.Status{}, err
	}
	return r.Author.Publish(ctx, who, c, document)
}
