package node

import (
	"bytes"
	"context"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

var _ taxii.Rehearser = (*publisher)(nil)

// Rehearse tells what Publish would do: who would read each object, what it would cost, what would be refused.
func (p *publisher) Rehearse(ctx context.Context, _ taxii.Principal, c taxii.Collection, a taxii.Addition) (taxii.Rehearsal, error) {
	into, err := p.target(c)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	one := ledger.Cost(1, minFee(ctx, p.fees))
	var result taxii.Rehearsal
	if len(a.To) > 0 {
		planned, exists, err := p.recipients.PlanAdHoc(a.To)
		if err != nil {
			return taxii.Rehearsal{}, clientError(err)
		}
		if into = planned; !exists {
			result.Extra = one // its record
		}
	}
	b, err := p.batch(into, a)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	if err := b.foresee(); err != nil {
		return taxii.Rehearsal{}, err
	}
	readers := p.readersOf(into)
	for _, line := range b.lines {
		object := taxii.RehearsedObject{ID: line.ObjectID, Version: line.Version, Failure: line.Failure, Note: line.Note}
		switch {
		case line.Before != nil:
			object.Readers, object.TxID = readers, line.Before.TxID
		case line.Failure == "":
			object.Readers, object.Cost = readers, one
		}
		result.Objects = append(result.Objects, object)
	}
	return result, nil
}

// foresee tells what accepting the objects would find in the outbox: the view does not show what is on its way.
func (b *batch) foresee() error {
	for i, s := range b.submissions {
		item, found, err := b.outbox.Find(s.Item.Key)
		if err != nil {
			return err
		}
		line := &b.lines[b.submitted[i]]
		differs := found && item.State != repo.Withdrawn && !bytes.Equal(item.Hash, s.Item.Hash)
		switch {
		case s.Item.ReplacesAsset != 0, differs && s.Replaces(item):
			line.Note = joinedNotes(replacedNote, line.Note)
		case differs:
			line.Failure, line.Note = ownConflict, ""
		}
	}
	return nil
}

// readersOf names the members that can read a collection now.
func (p *publisher) readersOf(c consortium.Collection) (names []string) {
	for _, m := range p.fold.members() {
		if m.Removed == nil && c.MayRead(m.Account) {
			names = append(names, p.fold.name(m.Account))
		}
	}
	return names
}
