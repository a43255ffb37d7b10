package collections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/publish"
)

// adHocPlan is the collection for a set of recipients.
type adHocPlan struct {
	collection consortium.Collection
	key        []byte // names its first record in the outbox, beside its recordKey
	exists     bool   // it is on the chain, or on its way
}

// AdHoc gives the collection for named recipients: the one that there is for the same ones, or a new one. A new one is
// stored when it returns; what is published in it waits until the chain has it.
func (o *Owner) AdHoc(ctx context.Context, names []string) (consortium.Collection, error) {
	if err := o.turn.take(ctx); err != nil {
		return consortium.Collection{}, err
	}
	defer o.turn.give()
	o.begins()
	plan, err := o.planAdHoc(names)
	if err != nil || plan.exists {
		return plan.collection, err
	}
	if err := o.afford(ctx, 2); err != nil { // and the first object
		return plan.collection, err
	}
	c, err := o.begin(ctx, plan.collection.ID, plan.collection.Properties, plan.key)
	if err != nil {
		return c, fmt.Errorf("making a collection for %s: %w", strings.Join(names, ", "), err)
	}
	return c, nil
}

// planAdHoc finds the collection for named recipients, or says what it would be.
func (o *Owner) planAdHoc(names []string) (adHocPlan, error) {
	readers, err := o.accounts(names)
	switch {
	case err != nil:
		return adHocPlan{}, problem.Input(fmt.Errorf("recipients: %w", err))
	case readers.Members:
		return adHocPlan{}, problem.Input(errors.New("recipients: name the organisations; for every member there are collections"))
	}
	title := []rune("For " + strings.Join(o.State.Names(readers), ", "))
	properties := wire.Collection{
		Title: string(title[:min(len(title), 200)]), Readers: readers, DefaultLevel: "red", Metadata: wire.MetadataSealed, AdHoc: true,
	}
	// A set of recipients has more than one collection if the first lost a reader, who is a recipient again.
	for n := 0; ; n++ {
		key := publish.KeyOf(append([]string{"ad hoc", strconv.Itoa(n)}, readers.Named...)...)
		item, found, err := o.Outbox.Find(key)
		if err != nil {
			return adHocPlan{}, err
		}
		if found && o.State.Taken(item.Note.Collection) {
			continue // what was to be ours is another member's: nothing may go there
		}
		if !found {
			id := uuid.NewString()
			return adHocPlan{collection: consortium.Collection{ID: id, Owner: o.State.Self, Properties: properties}, key: key}, nil
		}
		c, known := o.State.Collection(item.Note.Collection)
		if !known { // on its way
			c = consortium.Collection{ID: item.Note.Collection, Owner: o.State.Self, Properties: properties}
		}
		if slices.Equal(c.Properties.Readers.Named, readers.Named) {
			return adHocPlan{collection: c, key: key, exists: true}, nil
		}
	}
}

// PlanAdHoc tells in which collection objects for named recipients would be, and whether there is that one already.
func (o *Owner) PlanAdHoc(names []string) (c consortium.Collection, exists bool, err error) {
	plan, err := o.planAdHoc(names)
	return plan.collection, plan.exists, err
}
