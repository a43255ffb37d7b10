package publish

import (
	"errors"
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/stages"
	"github.com/serviceledger/slnode/repo/outbox"
)

// Outbox is the repository's outbox, which wakes who waits for what comes into it, once it is on the disk: nobody who
// puts something in need remember who is to take it out. A waiter takes a channel first and looks afterwards, see
// [signal.Signal.Changed].
type Outbox struct {
	*outbox.Outbox
	Accepted signal.Signal // there are objects to be sealed
	Stored   signal.Signal // there are items to be signed, or what kept them from it is gone
	Done     signal.Signal // something was confirmed, given up, or withdrawn
	Stages   *stages.Stages
}

// NewOutbox is that of a repository. There must be one only.
func NewOutbox(o *outbox.Outbox) *Outbox { return &Outbox{Outbox: o} }

// Accept takes items in.
func (o *Outbox) Accept(submissions []outbox.Submission) ([]outbox.Item, error) {
	r := o.Begin()
	defer r.Request.End()
	return r.Accept(submissions)
}

// Request is what a client posts at once, in parts.
type Request struct {
	*outbox.Request
	outbox *Outbox
}

// Begin begins a request. It must be ended.
func (o *Outbox) Begin() Request { return Request{o.Outbox.Begin(), o} }

// Accept takes a part of it in.
func (r Request) Accept(submissions []outbox.Submission) ([]outbox.Item, error) {
	items, err := r.Request.Accept(submissions)
	r.outbox.passed(stages.Accepted, slices.DeleteFunc(slices.Clone(items), func(item outbox.Item) bool { return !item.New })...)
	for state, waits := range map[outbox.State]*signal.Signal{outbox.Accepted: &r.outbox.Accepted, outbox.Stored: &r.outbox.Stored} {
		if slices.ContainsFunc(items, func(item outbox.Item) bool { return item.State == state }) {
			waits.Notify()
		}
	}
	return items, err
}

// End lets its batches go on.
func (r Request) End() {
	r.Request.End()
	r.outbox.Accepted.Notify()
}

// SetStored records that objects are sealed and stored.
func (o *Outbox) SetStored(items []outbox.Item) error {
	defer o.Stored.Notify()
	if err := o.Outbox.SetStored(items); err != nil {
		return err
	}
	o.passed(stages.Stored, items...)
	return nil
}

// AddGroups records that items are signed.
func (o *Outbox) AddGroups(groups []outbox.Group, items []outbox.Item) ([]outbox.Group, error) {
	groups, err := o.Outbox.AddGroups(groups, items)
	if err == nil {
		o.passed(stages.Signed, items...)
	}
	return groups, err
}

// Reopen takes a stored object back, to be sealed again.
func (o *Outbox) Reopen(item outbox.Item, payload []byte) error {
	defer o.Accepted.Notify()
	return o.Outbox.Reopen(item, payload)
}

// Expire takes a group back that can't be confirmed any more, to be signed again.
func (o *Outbox) Expire(g outbox.Group) error {
	defer o.Stored.Notify()
	return o.Outbox.Expire(g)
}

// Confirm records that transactions are on the chain, and gives the items that were not known to be.
func (o *Outbox) Confirm(places []consortium.Place) ([]outbox.Item, error) {
	items, err := o.Outbox.Confirm(places)
	o.passed(stages.Confirmed, items...)
	if len(items) > 0 {
		o.Done.Notify()
	}
	return items, err
}

// Resolve records that the chain has what an item is to bring about.
func (o *Outbox) Resolve(item outbox.Item, by consortium.Place, failure string) error {
	defer o.Done.Notify()
	return o.Outbox.Resolve(item, by, failure)
}

// GiveUp records that an item is not published.
func (o *Outbox) GiveUp(item outbox.Item, failure string) error {
	defer o.Done.Notify()
	return o.Outbox.GiveUp(item, failure)
}

// Withdraw records that what transactions published is withdrawn; of a batch all of it, or one object.
func (o *Outbox) Withdraw(names ...wire.Publication) error {
	defer o.Done.Notify()
	return o.Outbox.Withdraw(names...)
}

// SetBatchStored records that a batch and its objects are sealed and stored.
func (o *Outbox) SetBatchStored(batch outbox.Item, objects []outbox.Item) error {
	defer o.Stored.Notify()
	if err := o.Outbox.SetBatchStored(batch, objects); err != nil {
		return err
	}
	o.passed(stages.Stored, objects...)
	return nil
}

// ReopenBatch takes a stored batch back, to be sealed again.
func (o *Outbox) ReopenBatch(batch outbox.Item, found []outbox.Found) error {
	defer o.Accepted.Notify()
	return o.Outbox.ReopenBatch(batch, found)
}

// passed counts the objects among items, and those of batches.
func (o *Outbox) passed(stage stages.Stage, items ...outbox.Item) {
	for _, item := range items {
		switch item.Note.Kind {
		case wire.KindObject:
			o.Stages.Passed(stage, stages.Own, item.StoredAt)
		case wire.KindBatch:
			for range item.Objects {
				o.Stages.Passed(stage, stages.Own, item.StoredAt)
			}
		}
	}
}

// NotYet is the error of who does not wait any longer for something on its way to the chain.
func NotYet(what string, ended error, problem func() error) error {
	return errors.Join(fmt.Errorf("%s is stored and will be on the chain, but isn't yet: %w", what, ended), problem())
}
