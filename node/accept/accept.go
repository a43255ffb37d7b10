// Package accept takes what clients post into the outbox, and tells them the result. It is where the pipeline that
// publishes begins; package publish goes on.
//
// accept.go (check, take in), succession.go (what a version means beside earlier ones), status.go and fate.go (the
// result), rehearse.go (what would).
package accept

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
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
	Anchor     outbox.Anchor // how what clients post goes onto the chain
	Wait       time.Duration // for confirmation, before the answer
	Delay      Delay
	Disk       *problem.Disk

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
		into, err = p.Recipients.AdHoc(ctx, a.To)
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

// Batch checks every object, in an order in which what is referred to comes first.
func (p *Publisher) Batch(into consortium.Collection, a taxii.Addition) (*Batch, error) {
	b := &Batch{Publisher: p, Into: into, replace: a.Replace, Lines: make([]outbox.StatusLine, len(a.Objects)), now: time.Now().UTC()}
	b.parse(a.Objects)
	for _, at := range stix.Order(b.objects) {
		b.check(at)
	}
	b.warn()
	return b, errors.Join(b.err, b.Markings.Err)
}

// warn notes it where others can read what is taken in.
func (b *Batch) warn() {
	note, err := b.State.ExposedNote(b.Outbox.Outbox, b.Into)
	b.err = errors.Join(b.err, err)
	for i := range b.Lines {
		if line := &b.Lines[i]; note != "" && line.Failure == "" && line.Before == nil {
			line.Note = joinedNotes(line.Note, note)
		}
	}
}

// Accept takes the good ones of the objects in, as a client posts them. It gives the id of their status.
func (p *Publisher) Accept(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (string, error) {
	return p.AcceptAs(who, c, into, a, p.Anchor)
}

// AcceptAs takes the good ones in, and says how they go onto the chain.
func (p *Publisher) AcceptAs(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition, as outbox.Anchor) (string, error) {
	if err := p.Disk.Room(); err != nil {
		return "", err
	}
	b, err := p.Batch(into, a)
	if err != nil {
		return "", err
	}
	for i := range b.submissions {
		b.submissions[i].Item.User = who.User
	}
	if err := p.shareAgain(b.submissions); err != nil {
		return "", err
	}
	items, err := p.take(b.submissions, as)
	if err != nil {
		return "", err
	}
	for i, item := range items {
		b.accepted(&b.Lines[b.submitted[i]], b.submissions[i].Item, item)
	}
	status := outbox.Status{ID: uuid.NewString(), Root: c.Root, User: who.User, Requested: b.now, Lines: b.Lines}
	return status.ID, p.Outbox.AddStatus(status)
}

// accepted takes down which item publishes an object.
func (b *Batch) accepted(line *outbox.StatusLine, wanted, item outbox.Item) {
	if !bytes.Equal(item.Hash, wanted.Hash) {
		line.Failure, line.Note = ownConflict, ""
		return
	}
	if item.Version == "" {
		line.Version = wire.FormatTime(item.StoredAt) // of the item, which may have been there already
	}
	if line.Item = item.Number; item.Replaces != 0 || item.ReplacesAsset != 0 {
		line.Note = joinedNotes(replacedNote, line.Note)
	}
}

// Batch is one request on its way into the outbox.
type Batch struct {
	*Publisher
	Into    consortium.Collection
	replace bool // what is published as the same version with other content
	now     time.Time
	err     error // of this node, not of an object

	Lines   []outbox.StatusLine // one for each object, in the request's order
	objects []*stix.Object      // the well-formed ones
	at      []int               // … and which line each of them has

	Markings *state.Markings

	submissions []outbox.Submission
	submitted   []int // which line each of them has
}

// parse reads the objects; those that are not STIX become failures.
func (b *Batch) parse(objects []taxii.Incoming) {
	b.Markings = b.State.Markings(b.Outbox.Outbox, b.View, b.State.Self)
	for i, incoming := range objects {
		object, err := parseIncoming(incoming)
		if err != nil {
			b.Lines[i].ObjectID, b.Lines[i].Version = stix.Identify(incoming.Raw)
			b.Lines[i].Failure = err.Error()
			continue
		}
		b.Lines[i].ObjectID, b.Lines[i].Version = object.ID, object.Version()
		b.objects, b.at = append(b.objects, object), append(b.at, i)
		b.Markings.Add(object)
	}
}

func parseIncoming(incoming taxii.Incoming) (*stix.Object, error) {
	if incoming.Err != nil {
		return nil, incoming.Err
	}
	return stix.Parse(incoming.Raw)
}

// check decides about one object and makes it a submission, or a failure, or something that is published already.
func (b *Batch) check(at int) {
	object, line := b.objects[at], &b.Lines[b.at[at]]
	level, err := b.State.Permit(object, b.Into, b.Markings.Levels())
	if err != nil {
		line.Failure = err.Error()
		return
	}
	hash, err := object.ContentHash()
	if err != nil {
		line.Failure = err.Error()
		return
	}
	// Every object has a microsecond of its own: it is the version of one that has none.
	stored := b.now.Add(time.Duration(b.at[at]) * time.Microsecond).Truncate(time.Microsecond)
	entry := state.EntryOf(b.Into.ID, object, hash, stored)
	line.Version = entry.Version
	entry.Member = b.State.Own() // what others have published is no matter of this
	submission := outbox.Submission{Payload: object.Raw, Replace: b.replace, Item: outbox.Item{
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
			return
		}
	case same != nil:
		line.Failure, err = b.conflicts(same, &submission)
	default:
		var odd []string
		odd, err = b.succession(object)
		notes = append(odd, notes...)
	}
	if err == nil {
		var lost string
		lost, err = b.leadNote(same, &submission)
		notes = append(notes, lost)
	}
	if err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	if line.Failure != "" {
		return
	}
	line.Note = joinedNotes(notes...)
	b.submitted = append(b.submitted, b.at[at])
	b.submissions = append(b.submissions, submission)
}
