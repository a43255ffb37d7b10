package accept

import (
	"bytes"
	"context"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

var _ taxii.Rehearser = (*Publisher)(nil)

// Rehearse tells what Publish would do: who would read each object, what it would cost, what would be refused.
func (p *Publisher) Rehearse(ctx context.Context, _ taxii.Principal, c taxii.Collection, a taxii.Addition) (taxii.Rehearsal, error) {
	into, err := p.target(c)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	fee := publish.MinFee(ctx, p.Fees)
	one := ledger.Cost(1, fee)
	var result taxii.Rehearsal
	if len(a.To) > 0 {
		planned, exists, err := p.Recipients.PlanAdHoc(a.To)
		if err != nil {
			return taxii.Rehearsal{}, problem.ForClient(err)
		}
		if into = planned; !exists {
			result.Extra = one // its record
		}
	}
	b, err := p.Batch(into, a)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	if err := b.foresee(); err != nil {
		return taxii.Rehearsal{}, err
	}
	readers := p.readersOf(into)
	pays, fresh := b.paying()
	result.Batched = p.Anchor.From > 0 && fresh >= p.Anchor.From
	result.AsSingle, result.AsBatch = priceOf(fresh, fee), priceOf(len(pays), fee)
	for i, line := range b.Lines {
		object := taxii.RehearsedObject{ID: line.ObjectID, Version: line.Version, Failure: line.Failure, Note: line.Note}
		switch {
		case line.Before != nil:
			object.Readers, object.TxID = readers, line.Before.TxID
		case line.Failure == "":
			if object.Readers = readers; !result.Batched || pays[i] {
				object.Cost = one
			}
		}
		result.Objects = append(result.Objects, object)
	}
	return result, nil
}

// foresee tells what accepting the objects would find in the outbox: the view does not show what is on its way.
func (b *Batch) foresee() error {
	for i, s := range b.submissions {
		item, found, err := b.Outbox.Find(s.Item.Key)
		if err != nil {
			return err
		}
		line := &b.Lines[b.submitted[i]]
		differs := found && item.State != outbox.Withdrawn && !bytes.Equal(item.Hash, s.Item.Hash)
		switch {
		case s.Item.ReplacesAsset != 0, differs && s.Replaces(item):
			line.Note = joinedNotes(replacedNote, line.Note)
		case differs:
			line.Failure, line.Note = ownConflict, ""
		}
	}
	return nil
}

// paying tells how many objects are new, and which lines would be the first of a batch if all went in batches.
func (b *Batch) paying() (pays map[int]bool, fresh int) {
	pays = map[int]bool{}
	objects, bytes := 0, 0
	for i, s := range b.submissions {
		at := b.submitted[i]
		if b.Lines[at].Failure != "" {
			continue
		}
		if objects == 0 || objects >= max(b.Anchor.Most, 1) || bytes >= b.Anchor.Bytes {
			pays[at], objects, bytes = true, 0, 0
		}
		fresh, objects, bytes = fresh+1, objects+1, bytes+len(s.Payload)
	}
	return pays, fresh
}

func priceOf(nfts int, fee uint64) taxii.Price {
	return taxii.Price{NFTs: nfts, Fees: uint64(nfts) * fee, Locked: ledger.Locked(nfts)}
}

// readersOf names the members that can read a collection now.
func (p *Publisher) readersOf(c consortium.Collection) (names []string) {
	for _, m := range p.State.Members() {
		if m.Removed == nil && c.MayRead(m.Account) {
			names = append(names, p.State.Name(m.Account))
		}
	}
	return names
}
