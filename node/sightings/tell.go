package sightings

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/node/statement"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// withdrawTime is how long one withdrawal is waited for; it is looked after again.
const withdrawTime = time.Minute

func (r *Room) principal() taxii.Principal {
	return taxii.Principal{User: User, Role: taxii.RolePublisher, Credential: "the configuration"}
}

// begin tells others of an indicator for which it is time. Done says that nothing of it is on its way.
func (a *allowance) begin(ctx context.Context, c hits.Counter) (done bool, err error) {
	e, err := a.Finder.View.Latest(everything, c.Indicator)
	if err != nil || e == nil || e.Type != "indicator" {
		return true, err
	}
	if may, err := a.tellable(e); err != nil || !may {
		return true, err
	}
	if c.Told == nil {
		if c.Told, err = a.toldBefore(c.Indicator); err != nil {
			return true, err
		}
		if c.Told != nil { // by a node whose state is lost
			if err := a.Book.Tell(c.Indicator, *c.Told); err != nil || !isDue(c, a.set, a.now) {
				return true, err
			}
		}
	}
	into, level, nfts, err := a.target(e)
	if err != nil || nfts == 0 {
		return true, err
	}
	if err := a.take(nfts); err != nil {
		return true, err
	}
	if a.planned(into) { // counted before it is made
		if err := a.Book.Spend(a.used); err != nil {
			return true, err
		}
		if into, err = a.Author.For(ctx, a.principal(), a.told(e)); err != nil {
			return true, fmt.Errorf("making the collection in which %s is told what was seen: %w", a.told(e), err)
		}
	}
	t := a.next(c)
	t.In = into.ID
	if t.Document, err = write(a.Author.IdentityID(), c.Indicator, t, t.First, level); err != nil {
		return true, err
	}
	if err := a.Book.Plan(c.Indicator, t, a.used); err != nil {
		return true, err
	}
	c.Told = &t
	return a.goOn(ctx, c)
}

// told is the name of the member that alone is told of an entry.
func (a *allowance) told(e *view.Entry) string {
	if a.set.Via != "" {
		return a.set.Via
	}
	return a.Finder.State.Name(e.Owner())
}

// planned reports whether a collection is not there yet.
func (a *allowance) planned(into consortium.Collection) bool {
	_, found := a.Finder.State.Collection(into.ID)
	return !found
}

// tellable reports whether others are told that an indicator hit: not of one that is revoked, and not of one that this
// organisation holds to be a mistake, by itself or by one of its values.
func (r *Room) tellable(e *view.Entry) (bool, error) {
	o, err := observable.ReadProperties(e.Object)
	if err != nil || o.Revoked() {
		return false, nil
	}
	_, left, err := r.Judge.Judged()
	if err != nil {
		return false, err
	}
	if left.Indicator != nil && left.Indicator(e.ID, e.Instant) {
		return false, nil
	}
	values, _ := o.Values()
	for _, v := range values {
		if v.Role == observable.Pattern && left.Value != nil && left.Value(v.Value) {
			return false, nil
		}
	}
	return true, nil
}

// target is the collection in which others are told of an indicator, at which level, and how many NFTs that takes; 0 if
// nobody is told. To whom may not read the indicator it is nothing.
func (a *allowance) target(e *view.Entry) (into consortium.Collection, level stix.Level, nfts int, err error) {
	shared := a.Finder.State
	text, err := shared.LevelOf(shared.Markings(a.Finder.Outbox, a.Finder.View, e.Publisher), e)
	if err != nil {
		return into, 0, 0, err
	}
	level = statement.Level(text)
	c, found := shared.Collection(e.Collection)
	switch {
	case a.set.Via != "" && (!found || !a.reads(c, a.set.Via)):
		return into, 0, 0, nil
	case a.set.Via == "" && a.set.Share == config.ShareCollection && found && a.Author.MayPublish(c, level):
		introduced, err := a.Author.Introduced(c)
		return c, level, 1 + missing(introduced), err
	case a.set.Via == "" && e.Owner() == shared.Own():
		return into, 0, 0, nil
	}
	if level > stix.Amber {
		level = stix.Red // which its one reader may have, as it is named
	}
	into, exists, err := a.Author.Planned(a.told(e))
	if err != nil {
		return into, 0, 0, fmt.Errorf("telling %s alone what was seen: %w", a.told(e), err)
	}
	introduced := false
	if exists {
		introduced, err = a.Author.Introduced(into)
	}
	return into, level, 1 + missing(exists) + missing(introduced), err
}

func missing(there bool) int {
	if there {
		return 0
	}
	return 1
}

// reads reports whether another member reads a collection.
func (r *Room) reads(c consortium.Collection, name string) bool {
	for _, m := range r.Finder.State.Members() {
		if m.Removed == nil && m.ID != r.Finder.State.Own() && r.Finder.State.Name(m.ID) == name {
			return c.MayRead(m.Account)
		}
	}
	return false
}

// next is what others are told now: all hits on days that are over.
func (a *allowance) next(c hits.Counter) hits.Told {
	count, last := c.Until(hits.DayOf(a.now) - 1)
	t := hits.Told{ID: "sighting--" + uuid.NewString(), Created: cut(a.now), First: c.First}
	if before := c.Told; before != nil {
		t.ID, t.Created, t.First, t.Older = before.ID, before.Created, min(c.First, before.First), !before.Refused
		if c.First > before.Through { // the counter was begun anew
			count += before.Count
		}
		count = max(count, before.Count)
	}
	t.Modified, t.Through, t.Count = cut(a.now), last, rounded(count)
	return t
}

// toldBefore finds what this node has told of an indicator, of which it keeps nothing; nil if there is none.
func (r *Room) toldBefore(indicator string) (told *hits.Told, err error) {
	shared := r.Finder.State
	err = r.Finder.Index.Read(func(reader *find.Reader) error {
		_, err := reader.References(indicator, search.MaxSightings, func(p find.Pointer) (bool, error) {
			if p.Kind != "sighting_of_ref" {
				return true, nil
			}
			e, err := reader.Entry(p.Date, true)
			if err != nil || e == nil || e.Owner() != shared.Own() {
				return err == nil, err
			}
			s, is := search.ReadSighting(e.Object, e.Added())
			if last, err := reader.IsLast(e); err != nil || !last || !is || s.Author != r.Author.IdentityID() {
				return err == nil, err
			}
			o, _ := observable.ReadProperties(e.Object)
			if string(o["summary"]) != "true" {
				return true, nil
			}
			created, _ := time.Parse(time.RFC3339Nano, o.Text("created"))
			told = &hits.Told{
				ID: e.ID, Created: created, Modified: e.Instant, First: hits.DayOf(s.First), Through: hits.DayOf(s.Last), Count: s.Count, In: e.Collection,
			}
			return false, nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what was told of %s: %w", indicator, err)
	}
	return told, nil
}

// goOn publishes what is planned and takes back what that takes the place of. Done says that both are done.
func (r *Room) goOn(ctx context.Context, c hits.Counter) (done bool, err error) {
	t := *c.Told
	if len(t.Document) > 0 {
		if done, err := r.publish(ctx, c.Indicator, &t); err != nil || !done {
			return false, err
		}
	}
	if !t.Older {
		return true, nil
	}
	done, err = r.takeBack(ctx, t)
	if err != nil || !done {
		return false, err
	}
	t.Older = false
	return true, r.Book.Tell(c.Indicator, t)
}

// publish publishes what is planned, and notes it. Done says that it was taken in.
func (r *Room) publish(ctx context.Context, indicator string, t *hits.Told) (done bool, err error) {
	into, found := r.Finder.State.Collection(t.In)
	if !found { // it is being made
		return false, nil
	}
	if !into.MayPublish(r.Finder.State.Self) {
		t.Refused, t.Document, t.Older = true, nil, false
		return true, r.Book.Tell(indicator, *t)
	}
	introduced, err := r.Author.Introduced(into)
	if err == nil && !introduced { // what it is published with in one batch could only be taken back by a record
		if err = r.Author.Introduce(ctx, r.principal(), into); err == nil {
			introduced, err = r.Author.Introduced(into)
		}
	}
	if err != nil || !introduced {
		return false, err
	}
	status, err := r.Author.Publish(ctx, r.principal(), into, t.Document)
	var invalid *taxii.InvalidError
	if errors.As(err, &invalid) || errors.Is(err, taxii.ErrForbidden) {
		r.Log.Warn("others can't be told that an indicator was seen", "indicator", indicator, "error", err)
		t.Refused, t.Document, t.Older = true, nil, false
		return true, r.Book.Tell(indicator, *t)
	}
	if err != nil {
		return false, fmt.Errorf("telling others that %s was seen: %w", indicator, err)
	}
	event := taxii.Event{
		Time: state.Now(), Name: taxii.EventPublish, User: User, Role: taxii.RolePublisher.String(), Credential: "the configuration", Collection: into.ID, Count: 1,
		Status: status.ID, Detail: "a sighting of what hit",
	}
	event.NameObjects([]string{t.ID})
	r.Trail.Record(event)
	t.Document = nil
	return true, r.Book.Tell(indicator, *t)
}

// takeBack withdraws earlier versions of a sighting once the last one is there. Done says that none is left.
func (r *Room) takeBack(ctx context.Context, t hits.Told) (done bool, err error) {
	entries, _, err := r.Finder.View.Page(view.Query{
		Collection: everything, IDs: []string{t.ID}, Member: r.Finder.State.Own(), AnyLine: true, Versions: view.Versions{All: true}, Limit: 100,
	})
	if err != nil {
		return false, err
	}
	there := false
	for _, e := range entries {
		there = there || e.Instant.Equal(cut(t.Modified))
	}
	if !there {
		return false, nil
	}
	for _, e := range entries {
		if !e.Instant.Before(cut(t.Modified)) || !r.Finder.State.Ours(e.Publisher) {
			continue
		}
		if record, err := r.Withdrawer.NeedsRecord(e); err != nil {
			return false, err
		} else if record { // what it kept locked is free already: it stays, as an earlier version
			continue
		}
		limited, cancel := context.WithTimeout(auditlog.AsUser(ctx, User), withdrawTime)
		_, err := r.Withdrawer.WithdrawAll(limited, withdraw.Selection{What: e.Place().Name().String(), OnlyThis: true})
		cancel()
		if err != nil {
			return false, fmt.Errorf("taking back what another version of %s takes the place of: %w", t.ID, err)
		}
	}
	return true, nil
}
