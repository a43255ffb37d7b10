package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// publisher is the first stretch of the publish pipeline: it checks objects and takes them into the outbox. What it
// took in is published, whatever happens.
type publisher struct {
	outbox     *repo.Outbox
	view       *repo.View
	fold       *fold
	recipients recipients
	fees       feeSource
	wait       time.Duration // for confirmation, before the answer
	delay      delay
	disk       *diskGuard
	wake       func()  // tells the sealer that there is work
	done       *signal // an item was confirmed

	shown    *signal                 // something entered the view, or left it
	watching func() chainwatch.State // how the chain is followed; nil: nobody does
}

// recipients gives the collections of what is for named recipients.
type recipients interface {
	// AdHoc gives the one for these recipients, and makes it if there is none.
	AdHoc(ctx context.Context, names []string) (consortium.Collection, error)
	// PlanAdHoc tells which one AdHoc would give, and whether it is there already.
	PlanAdHoc(names []string) (c consortium.Collection, exists bool, err error)
}

var _ taxii.Publisher = (*publisher)(nil)

// Publish takes objects into the outbox and waits a moment until they are served.
func (p *publisher) Publish(ctx context.Context, who taxii.Principal, c taxii.Collection, a taxii.Addition) (taxii.Status, error) {
	into, err := p.target(c)
	if err == nil && len(a.To) > 0 {
		into, err = p.recipients.AdHoc(ctx, a.To)
	}
	if err != nil {
		return taxii.Status{}, clientError(err)
	}
	status, err := p.accept(who, c, into, a)
	if err != nil {
		return taxii.Status{}, err
	}
	p.wake()
	return p.Await(ctx, status)
}

// target is the collection that a client writes to.
func (p *publisher) target(c taxii.Collection) (consortium.Collection, error) {
	into, found := p.fold.collection(c.ID)
	if !found || !into.MayPublish(p.fold.self) || !p.fold.active() {
		return into, taxii.ErrForbidden
	}
	return into, nil
}

// batch checks every object, in an order in which what is referred to comes first.
func (p *publisher) batch(into consortium.Collection, a taxii.Addition) (*batch, error) {
	b := &batch{publisher: p, into: into, replace: a.Replace, lines: make([]repo.StatusLine, len(a.Objects)), now: time.Now().UTC()}
	b.parse(a.Objects)
	for _, at := range stix.Order(b.objects) {
		b.check(at)
	}
	b.warn()
	return b, errors.Join(b.err, b.markings.err)
}

// warn notes it where others can read what is taken in.
func (b *batch) warn() {
	note, err := b.fold.exposedNote(b.outbox, b.into)
	b.err = errors.Join(b.err, err)
	for i := range b.lines {
		if line := &b.lines[i]; note != "" && line.Failure == "" && line.Before == nil {
			line.Note = joinedNotes(line.Note, note)
		}
	}
}

// accept takes the good ones of the objects in.
func (p *publisher) accept(who taxii.Principal, c taxii.Collection, into consortium.Collection, a taxii.Addition) (string, error) {
	if err := p.disk.room(); err != nil {
		return "", err
	}
	b, err := p.batch(into, a)
	if err != nil {
		return "", err
	}
	for i := range b.submissions {
		b.submissions[i].Item.User = who.User
	}
	if err := p.shareAgain(b.submissions); err != nil {
		return "", err
	}
	items, err := p.outbox.Accept(b.submissions)
	if err != nil {
		return "", err
	}
	for i, item := range items {
		b.accepted(&b.lines[b.submitted[i]], b.submissions[i].Item, item)
	}
	status := repo.Status{ID: uuid.NewString(), Root: c.Root, User: who.User, Requested: b.now, Lines: b.lines}
	return status.ID, p.outbox.AddStatus(status)
}

// accepted takes down which item publishes an object.
func (b *batch) accepted(line *repo.StatusLine, wanted, item repo.Item) {
	if !bytes.Equal(item.Hash, wanted.Hash) {
		line.Failure, line.Note = ownConflict, ""
		return
	}
	if line.Item = item.Number; item.Replaces != 0 || item.ReplacesAsset != 0 {
		line.Note = joinedNotes(replacedNote, line.Note)
	}
}

// batch is one request on its way into the outbox.
type batch struct {
	*publisher
	into    consortium.Collection
	replace bool // what is published as the same version with other content
	now     time.Time
	err     error // of this node, not of an object

	lines   []repo.StatusLine // one for each object, in the request's order
	objects []*stix.Object    // the well-formed ones
	at      []int             // … and which line each of them has

	markings *markings

	submissions []repo.Submission
	submitted   []int // which line each of them has
}

// parse reads the objects; those that are not STIX become failures.
func (b *batch) parse(objects []taxii.Incoming) {
	b.markings = b.fold.markings(b.outbox, b.view, b.fold.self)
	for i, incoming := range objects {
		object, err := parseIncoming(incoming)
		if err != nil {
			b.lines[i].ObjectID, b.lines[i].Version = stix.Identify(incoming.Raw)
			b.lines[i].Failure = err.Error()
			continue
		}
		b.lines[i].ObjectID, b.lines[i].Version = object.ID, object.Version()
		b.objects, b.at = append(b.objects, object), append(b.at, i)
		b.markings.add(object)
	}
}

func parseIncoming(incoming taxii.Incoming) (*stix.Object, error) {
	if incoming.Err != nil {
		return nil, incoming.Err
	}
	return stix.Parse(incoming.Raw)
}

// check decides about one object and makes it a submission, or a failure, or something that is published already.
func (b *batch) check(at int) {
	object, line := b.objects[at], &b.lines[b.at[at]]
	level, err := b.fold.permit(object, b.into, b.markings.levels())
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
	if line.Version == "" {
		line.Version = wire.FormatTime(stored)
	}
	entry := entryOf(b.into.ID, object, hash, stored)
	submission := repo.Submission{Payload: object.Raw, Replace: b.replace, Item: repo.Item{
		Key: objectKey(entry), Note: wire.Note{Kind: wire.KindObject}, Collection: b.into.ID, ObjectID: object.ID, Version: object.Version(),
		Revealing: object.IDIsRandom(), Revoked: object.Revoked, Hash: hash[:], StoredAt: stored, Level: uint8(level),
	}}
	notes := object.Notes()
	same, err := b.view.Same(entry)
	switch {
	case err != nil:
	case same != nil && bytes.Equal(same.Hash, hash[:]):
		line.Version = same.Version
		line.Before = &repo.Published{TxID: same.TxID, Asset: same.Asset, Directory: same.Directory, StoredAt: same.StoredAt}
		line.Note = joinedNotes(notes...)
		return
	case same != nil:
		line.Failure, err = b.conflicts(same, &submission)
	default:
		var odd []string
		odd, err = b.succession(object)
		notes = append(odd, notes...)
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

// objectKey is what is published exactly once: a version of an object in a collection, or, for an object without
// versions, its content.
func objectKey(e *repo.Entry) []byte {
	version := e.Instant.UTC().Format(time.RFC3339Nano) // a version is an instant, however it is written
	if e.Unversioned {
		version = "#" + hex.EncodeToString(e.Hash)
	}
	return hashOf("object", e.Collection, e.ID, version)
}

// Await gives the status when nothing in it is pending any more, when it has waited enough, or when waiting is in vain.
func (p *publisher) Await(ctx context.Context, id string) (taxii.Status, error) {
	kept, _, found, err := p.outbox.Status(id)
	if err != nil || !found {
		return taxii.Status{}, err
	}
	deadline := time.NewTimer(p.wait)
	defer deadline.Stop()
	look := time.NewTicker(lasting)
	defer look.Stop()
	for rest := kept.Lines; len(rest) > 0; {
		changed, shown := p.done.changed(), p.shown.changed()
		for len(rest) > 0 { // each line is looked at until it is done, and not again
			done, err := p.lineIsDone(rest[0])
			if err != nil {
				return taxii.Status{}, err
			}
			if !done {
				break
			}
			rest = rest[1:]
		}
		if len(rest) == 0 {
			break
		}
		select {
		case <-changed:
			continue
		case <-shown:
			continue
		case <-look.C:
			if !p.delay.isLasting() && !p.followingIsHopeless() {
				continue
			}
		case <-deadline.C:
		case <-ctx.Done():
		}
		break
	}
	status, err := p.status(id)
	return status.Status, err
}

// lineIsDone reports whether nothing will become of a line of a status any more.
func (p *publisher) lineIsDone(line repo.StatusLine) (bool, error) {
	if line.Failure != "" || line.Before != nil {
		return true, nil
	}
	item, found, err := p.outbox.Item(line.Item)
	if err != nil || !found {
		return false, err
	}
	fate, err := p.fate(item)
	return fate.done || fate.failure != "", err
}

// Status gives the status of an earlier request to who made it, and to administrators.
func (p *publisher) Status(_ context.Context, who taxii.Principal, root, id string) (taxii.Status, error) {
	status, err := p.status(id)
	if err != nil {
		return taxii.Status{}, err
	}
	if status.root != root || (status.user != who.User && who.Role != taxii.RoleAdmin) {
		return taxii.Status{}, taxii.ErrNotFound
	}
	return status.Status, nil
}

// ownedStatus is a status and whose it is.
type ownedStatus struct {
	taxii.Status
	root, user string
}

func (p *publisher) status(id string) (ownedStatus, error) {
	kept, items, found, err := p.outbox.Status(id)
	if err != nil {
		return ownedStatus{}, err
	}
	if !found {
		return ownedStatus{}, taxii.ErrNotFound
	}
	status := ownedStatus{Status: taxii.Status{ID: kept.ID, RequestedAt: kept.Requested}, root: kept.Root, user: kept.User}
	for _, line := range kept.Lines {
		detail := taxii.StatusDetail{ID: line.ObjectID, Version: line.Version, Note: line.Note}
		switch {
		case line.Failure != "":
			detail.Message = line.Failure
			status.Failures = append(status.Failures, detail)
		case line.Before != nil:
			detail.Message, detail.TxID, detail.AssetID = line.Before.TxID, line.Before.TxID, line.Before.Asset
			detail.CID, detail.StoredAt = line.Before.Directory, line.Before.StoredAt
			status.Successes = append(status.Successes, detail)
		default:
			item := items[line.Item]
			detail.CID, detail.TxID, detail.StoredAt, detail.AssetID = item.Directory, item.TxID, item.StoredAt, item.Asset
			if detail.Version == "" {
				detail.Version = wire.FormatTime(item.StoredAt)
			}
			// The transaction's id is known as soon as it is signed, and stays.
			detail.Message = item.TxID
			fate, err := p.fate(item)
			switch {
			case err != nil:
				return ownedStatus{}, err
			case fate.failure != "":
				status.Failures = append(status.Failures, taxii.StatusDetail{ID: detail.ID, Version: detail.Version, Message: fate.failure})
			case fate.done:
				status.Successes = append(status.Successes, detail)
			default:
				detail.Message = cmp.Or(fate.waits, detail.Message)
				status.Pendings = append(status.Pendings, detail)
			}
		}
	}
	return status, nil
}
