// Package accept takes what clients post into the outbox, and tells them the result. It is where the pipeline that
// publishes begins; package publish goes on.
//
// accept.go (read, check), intake.go (take in), succession.go (what a version means beside earlier ones), warn.go (what
// warning lists say of it), status.go and fate.go (the result), rehearse.go (what would).
package accept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/money"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

// Publisher is the first stretch of the publish pipeline: it checks objects and takes them into the outbox. What it
// took in is published, whatever happens.
type Publisher struct {
	Outbox     *publish.Outbox
	View       *view.View
	State      *state.Shared
	Recipients recipients
	Fees       publish.FeeSource
	Terms      *money.Terms  // nil: a day may bring whatever comes
	Book       *daybook.Book // what came in today; nil without terms
	Anchor     outbox.Anchor // how what clients post goes onto the chain
	Wait       time.Duration // for confirmation, before the answer
	Delay      Delay
	Disk       *problem.Disk
	Warner     warner // nil: there are no warning lists

	Shown    *signal.Signal          // something entered the view, or left it
	Watching func() chainwatch.State // how the chain is followed; nil: nobody does
}

// recipients gives the collections of what is for named recipients.
type recipients interface {
	// AdHoc gives the one for these recipients, and makes it if there is none.
	AdHoc(ctx context.Context, names []string) (consortium.Collection, error)
	// PlanAdHoc tells which one AdHoc would give, and whether it is there already.
	PlanAdHoc(names []string) (c consortium.Collection, exists bool, err error)
}

var _ taxii.Publisher = (*Publisher)(nil)

// Publish takes objects into the outbox and waits a moment until they are served.
func (p *Publisher) Publish(ctx context.Context, who taxii.Principal, c taxii.Collection, a taxii.Addition) (taxii.Status, error) {
	into, err := p.target(c)
	if err == nil && len(a.To) > 0 {
		into, err = p.Recipients.AdHoc(auditlog.AsUser(ctx, who.User), a.To)
	}
	if err != nil {
		return taxii.Status{}, problem.ForClient(err)
	}
	status, err := p.Accept(who, c, into, a)
	if err != nil {
		return taxii.Status{}, err
	}
	return p.Await(ctx, status)
}

// target is the collection that a client writes to.
func (p *Publisher) target(c taxii.Collection) (consortium.Collection, error) {
	into, _ := p.State.Collection(c.ID) // in one that isn't known nobody may publish
	if !into.MayPublish(p.State.Self) || !p.State.Active() {
		return into, taxii.ErrForbidden
	}
	return into, nil
}

// Accept takes the good ones of the objects in, as a client posts them. It gives the id of their status.
func (p *Publisher) Accept(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (string, error) {
	id, refused, err := p.accept(who, c, into, a, terms{p.Anchor, p.Terms.Quota(who.User), false})
	p.Outbox.Stages.Refused(stages.Own, refused)
	return id, err
}

// AcceptAs takes the good ones in, and says how they go onto the chain. What it refuses counts where it comes from.
// Where not all that a day may bring is enough for them, it is a [taxii.LimitError], and they are to come again.
func (p *Publisher) AcceptAs(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition, as outbox.Anchor) (string, error) {
	id, _, err := p.accept(who, c, into, a, terms{as, p.Terms.Quota(who.User), true})
	return id, err
}

// terms are how a request is taken in.
type terms struct {
	as    outbox.Anchor
	quota daybook.Quota // how much of it, at most
	whole bool          // or not at all
}

func (p *Publisher) accept(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition, t terms) (id string, refused int, err error) {
	if err := p.Disk.Room(); err != nil {
		return "", 0, err
	}
	b, err := p.read(into, a)
	if err != nil {
		return "", 0, err
	}
	in := b.intake(who.User, t.as)
	defer in.request.End()
	in.request.Limit(t.quota)
	if err := b.each(in.add); err != nil {
		return "", 0, err
	}
	if err := in.finish(); err != nil {
		return "", 0, err
	}
	if in.over != nil && (t.whole || in.refused == len(b.Lines)) {
		return "", in.refused, &taxii.LimitError{Reason: in.over.Error(), After: time.Until(in.over.Opens)}
	}
	for _, line := range b.Lines {
		if line.Failure != "" {
			refused++
		}
	}
	status := outbox.Status{ID: uuid.NewString(), Root: c.Root, User: who.User, Requested: b.now}
	return status.ID, refused, p.Outbox.AddStatus(status, b.Lines)
}

// Batch is one request on its way into the outbox. Its objects are read twice, and never held together: what one of
// them is marked with, and what it refers to, may stand anywhere among them.
type Batch struct {
	*Publisher
	Into    consortium.Collection
	posted  taxii.Objects
	replace bool // what is published as the same version with other content
	anyway  bool // take what is mistaken
	now     time.Time
	exposed string // who can read what is taken in, though it is a member no more

	Lines    []outbox.StatusLine // one for each object, in the request's order
	order    []int               // in which the well-formed ones go on
	Markings *state.Markings
	warnings map[int][]warnlist.Warning // by line; nil if they are not kept
}

// Batch checks every object and takes none in.
func (p *Publisher) Batch(into consortium.Collection, a taxii.Addition) (*Batch, error) {
	b, err := p.read(into, a)
	if err != nil {
		return nil, err
	}
	b.warnings = map[int][]warnlist.Warning{}
	return b, b.each(func(int, outbox.Submission) error { return nil })
}

// read reads the objects for the first time; those that are not STIX become failures.
func (p *Publisher) read(into consortium.Collection, a taxii.Addition) (*Batch, error) {
	b := &Batch{Publisher: p, Into: into, posted: a.Objects, replace: a.Replace, anyway: a.Anyway, Lines: make([]outbox.StatusLine, a.Objects.Len()), now: time.Now().UTC()}
	b.Markings = b.State.Markings(b.Outbox.Outbox, b.View, b.State.Self)
	var (
		err     error
		formed  []int
		objects stix.References
	)
	if b.exposed, err = b.State.ExposedNote(b.Outbox.Outbox, into); err != nil {
		return nil, err
	}
	for i := range b.Lines {
		line := &b.Lines[i]
		incoming, err := b.posted.At(i)
		if err != nil {
			return nil, err
		}
		object, err := parseIncoming(incoming)
		if err != nil {
			line.ObjectID, line.Version = stix.Identify(incoming.Raw)
			line.Failure = err.Error()
			continue
		}
		line.ObjectID, line.Version = object.ID, object.Version()
		if object.Type == "marking-definition" {
			b.Markings.Add(object.ID, func() ([]byte, error) { return b.raw(i) })
		}
		objects.Add(object)
		formed = append(formed, i)
	}
	for _, n := range objects.Order() {
		b.order = append(b.order, formed[n])
	}
	return b, nil
}

func parseIncoming(incoming taxii.Incoming) (*stix.Object, error) {
	if incoming.Err != nil {
		return nil, incoming.Err
	}
	return stix.Parse(incoming.Raw)
}

// raw reads an object again.
func (b *Batch) raw(at int) ([]byte, error) {
	incoming, err := b.posted.At(at)
	return incoming.Raw, err
}

// each checks the objects in an order in which what is referred to comes first, and gives what is to be published.
func (b *Batch) each(take func(at int, s outbox.Submission) error) error {
	for _, at := range b.order {
		raw, err := b.raw(at)
		if err != nil {
			return err
		}
		object, err := stix.Parse(raw)
		if err != nil {
			return fmt.Errorf("reading object %d of a request again: %w", at, err)
		}
		s, isNew, err := b.check(at, object)
		if err := errors.Join(err, b.Markings.Err); err != nil {
			return err
		}
		if isNew {
			if err := take(at, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// check decides about one object: it is to be published, or a failure, or published already.
func (b *Batch) check(at int, object *stix.Object) (submission outbox.Submission, isNew bool, err error) {
	line := &b.Lines[at]
	level, err := b.State.Permit(object, b.Into, b.Markings.Levels())
	if err != nil {
		line.Failure = err.Error()
		return submission, false, nil
	}
	hash, err := object.ContentHash()
	if err != nil {
		line.Failure = err.Error()
		return submission, false, nil
	}
	// Every object has a microsecond of its own: it is the version of one that has none.
	stored := b.now.Add(time.Duration(at) * time.Microsecond).Truncate(time.Microsecond)
	entry := state.EntryOf(b.Into.ID, object, hash, stored)
	line.Version = entry.Version
	entry.Member = b.State.Own() // what others have published is no matter of this
	submission = outbox.Submission{Payload: object.Raw, Replace: b.replace, Item: outbox.Item{
		Key: publish.ObjectKey(entry), Note: wire.Note{Kind: wire.KindObject}, Collection: b.Into.ID, ObjectID: object.ID, Version: object.Version(),
		Revealing: object.IDIsRandom(), Revoked: object.Revoked, Hash: hash[:], StoredAt: stored, Level: uint8(level),
	}}
	notes := object.Notes()
	same, err := b.View.Same(entry)
	switch {
	case err != nil:
	case same != nil && bytes.Equal(same.Hash, hash[:]):
		var stays bool
		if stays, err = b.stays(same, &submission); stays && err == nil {
			line.Version = same.Version
			line.Before = &outbox.Published{TxID: same.TxID, Asset: same.Asset, Index: same.Position.Index, Directory: same.Directory, StoredAt: same.StoredAt}
			line.Note = joinedNotes(notes...)
			return submission, false, nil
		}
	case same != nil:
		line.Failure, err = b.conflicts(same, &submission)
	default:
		var odd []string
		odd, err = b.succession(object)
		notes = append(odd, notes...)
	}
	if err == nil && line.Failure == "" {
		var lost, warned string
		lost, err = b.leadNote(same, &submission)
		if err == nil {
			warned, err = b.warn(at, object.Raw)
		}
		notes = append(notes, lost, warned)
	}
	if err != nil || line.Failure != "" {
		return submission, false, err
	}
	line.Note = joinedNotes(append(notes, b.exposed)...)
	return submission, true, nil
}
