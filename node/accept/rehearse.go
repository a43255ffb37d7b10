package accept

import (
	"bytes"
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/ledger"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/warnlist"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/taxii"
)

var _ taxii.Rehearser = (*Publisher)(nil)

// Rehearse tells what Publish would do: who would read each object, what it would cost, what would be refused.
func (p *Publisher) Rehearse(ctx context.Context, who taxii.Principal, c taxii.Collection, a taxii.Addition) (taxii.Rehearsal, error) {
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
	b, err := p.read(into, a)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	b.warnings = map[int][]warnlist.Warning{}
	var fresh []newObject
	err = b.each(func(at int, s outbox.Submission) error {
		refused, err := b.foresee(at, s)
		if err == nil && !refused {
			fresh = append(fresh, newObject{at, len(s.Payload)})
		}
		return err
	})
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	readers := p.readersOf(into)
	result.Batched = p.Anchor.From > 0 && len(fresh) >= p.Anchor.From
	cost, err := b.foreseeCosts(who, fresh, result.Batched)
	if err != nil {
		return taxii.Rehearsal{}, err
	}
	result.AsSingle, result.AsBatch = priceOf(cost.fresh, fee), priceOf(len(cost.pays), fee)
	for i, line := range b.Lines {
		object := taxii.RehearsedObject{ID: line.ObjectID, Version: line.Version, Failure: line.Failure, Note: line.Note, Warnings: forClients(b.warnings[i])}
		switch {
		case line.Before != nil:
			object.Readers, object.TxID = readers, line.Before.TxID
		case line.Failure == "":
			if object.Readers = readers; !result.Batched || cost.pays[i] {
				object.Cost = one
			}
		}
		result.Objects = append(result.Objects, object)
	}
	return result, nil
}

// foresee tells what accepting an object would find in the outbox: the view does not show what is on its way.
func (b *Batch) foresee(at int, s outbox.Submission) (refused bool, err error) {
	item, found, err := b.Outbox.Find(s.Item.Key)
	if err != nil {
		return false, err
	}
	line := &b.Lines[at]
	differs := found && item.State != outbox.Withdrawn && !bytes.Equal(item.Hash, s.Item.Hash)
	switch {
	case s.Item.ReplacesAsset != 0, differs && s.Replaces(item):
		line.Note = joinedNotes(replacedNote, line.Note)
	case differs:
		line.Failure, line.Note = ownConflict, ""
		return true, nil
	}
	return false, nil
}

// newObject is an object that would be published: where it stands in the request, and its size in bytes.
type newObject struct{ at, size int }

// foreseeCosts counts what new objects cost, in their order, and refuses what a day may not bring any more: that costs
// nothing, and begins no batch.
func (b *Batch) foreseeCosts(who taxii.Principal, fresh []newObject, batched bool) (cost costs, err error) {
	cost = costs{as: b.Anchor, pays: map[int]bool{}}
	var tally *daybook.Tally
	if quota := b.Terms.Quota(who.User); !quota.IsNone() && b.Book != nil {
		if tally, err = b.Book.Tally(quota, who.User, daybook.DayOf(time.Now())); err != nil {
			return cost, err
		}
	}
	for _, one := range fresh {
		money := microalgo.Amount(0)
		if !batched || cost.begins() {
			money = microalgo.PerNFT
		}
		if tally != nil {
			if over := tally.Take(money); over != nil {
				b.Lines[one.at].Failure, b.Lines[one.at].Note = over.Error(), ""
				continue
			}
		}
		cost.add(one)
	}
	return cost, nil
}

// costs counts new objects, and which of them would be the first of a batch if all went in batches.
type costs struct {
	as             outbox.Anchor
	fresh          int
	pays           map[int]bool
	objects, bytes int // of the batch that is being filled
}

// begins reports whether the next object would be the first of a batch.
func (c *costs) begins() bool {
	return c.objects == 0 || c.objects >= max(c.as.Most, 1) || c.bytes >= c.as.Bytes
}

func (c *costs) add(one newObject) {
	if c.begins() {
		c.pays[one.at], c.objects, c.bytes = true, 0, 0
	}
	c.fresh, c.objects, c.bytes = c.fresh+1, c.objects+1, c.bytes+one.size
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
