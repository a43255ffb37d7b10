package collections

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/node/publish"
	"github.com/serviceledger/slnode/node/state"
)

// Run does what no order is needed for, until the context ends: anyone who may read a collection and has no keys gets
// them, and where a reader was removed from the consortium a new key epoch begins.
func (o *Owner) Run(ctx context.Context) error {
	return signal.Each(ctx, &o.State.Changed, lookAgain, func() error { return o.lookAfter(ctx) })
}

// lookAgain is how often collections are looked after though nothing has changed, for what waits for its time.
const lookAgain = time.Minute

// lookAfter does once what Run does at every change.
func (o *Owner) lookAfter(ctx context.Context) error {
	if err := o.turn.take(ctx); err != nil {
		return err
	}
	defer o.turn.give()
	if o.State.Charter() == nil || !o.State.Active() {
		return nil
	}
	round, err := o.View.Cursor()
	if err != nil {
		return err
	}
	o.begins()
	for _, c := range o.State.Collections() {
		if c.Owner != o.State.Self || c.Pending {
			continue
		}
		pending, err := o.pending(c)
		if err != nil {
			return err
		}
		if pending {
			continue // when it is on the chain it is looked again
		}
		exposed, due, err := o.exposed(c, round)
		switch {
		case err != nil:
		case due:
			err = o.shutOut(ctx, c, exposed)
		default:
			err = o.supply(ctx, c, exposed)
		}
		if err != nil {
			return fmt.Errorf("looking after collection %s: %w", c.ID, err)
		}
	}
	return nil
}

// rekeyEvery is how often, in rounds, one member can make an owner begin a key epoch by giving itself another identity:
// about once a day. Each epoch locks some of the owner's ALGO, and a rotation costs next to nothing.
const rekeyEvery = 30_000

// exposed lists who has the key of a collection of ours and should not, and whether it is time to do something about
// it. A removal is acted upon at once, and so is a member's first change of identity; the next ones of the same member
// wait, and are then served together.
func (o *Owner) exposed(c consortium.Collection, round uint64) (list []consortium.Exposure, due bool, err error) {
	given, err := state.GivenAt(o.Outbox, c)
	if err != nil {
		return nil, false, err
	}
	o.State.Read(func(s *consortium.State) { list = s.Exposed(c, given, o.asOf) })
	for _, e := range list {
		again := e.ByItself && e.Account != o.State.Self && e.Before != 0 && e.Before+rekeyEvery > c.Began.Round
		due = due || !again || round >= c.Began.Round+rekeyEvery
	}
	return list, due, nil
}

// shutOut begins a key epoch without those who should not have the key. A reader with another identity is given the new
// epoch's by supply, with those that it had before.
func (o *Owner) shutOut(ctx context.Context, c consortium.Collection, exposed []consortium.Exposure) error {
	var gone, other []string
	for _, e := range exposed {
		if e.Removed {
			gone = append(gone, e.Account)
		} else {
			other = append(other, e.Account)
		}
	}
	p := c.Properties
	p.Readers, p.Contributors = minus(p.Readers, gone), minus(p.Contributors, gone)
	to := slices.DeleteFunc(o.readers(p), func(m consortium.Member) bool { return slices.Contains(other, m.Account) })
	_, err := o.publish(ctx, c, change{properties: p, rotate: true, to: to})
	return err
}

// KeyringKey names the keyring of one reader: there is one for each epoch that was current when it was made, and each
// identity of the member. Its ID stays when its account changes, which opens nothing.
func KeyringKey(c consortium.Collection, member, recipient string) []byte {
	return publish.KeyOf("keyring", c.ID, strconv.FormatUint(uint64(c.Epoch), 10), member, recipient)
}

// supply makes the keyrings that are missing: one for all readers who get the same keys. For a newcomer that must not
// read what was published before, a new key epoch begins. Who waits for an epoch because its identity is another has
// what there is already.
func (o *Owner) supply(ctx context.Context, c consortium.Collection, waiting []consortium.Exposure) error {
	missing := map[uint32][]consortium.Member{} // by the first epoch that they get
	for _, m := range o.readers(c.Properties) {
		if slices.ContainsFunc(waiting, func(e consortium.Exposure) bool { return e.Account == m.Account }) {
			continue
		}
		if _, found, err := o.Outbox.Find(KeyringKey(c, m.ID, m.Recipient)); err != nil {
			return err
		} else if found {
			continue
		}
		from, err := o.since(c, m.ID)
		if err != nil {
			return err
		}
		switch {
		case from != 0:
		case o.wholeHistory(c.Properties):
			from = 1
		case c.Properties.Readers.Members && c.Began.Before(m.Admitted.Position):
			_, err := o.publish(ctx, c, change{properties: c.Properties, rotate: true, to: o.readers(c.Properties)})
			return err
		default:
			from = c.Epoch
		}
		missing[from] = append(missing[from], m)
	}
	for _, from := range slices.Sorted(maps.Keys(missing)) {
		if err := o.keyring(ctx, c, from, missing[from]); err != nil {
			return err
		}
	}
	return nil
}

func (o *Owner) keyring(ctx context.Context, c consortium.Collection, from uint32, members []consortium.Member) error {
	var recipients, names []string
	var also [][]byte
	for _, m := range members {
		if err := o.setSince(c, m.ID, from); err != nil {
			return err
		}
		recipients, names = append(recipients, m.Recipient), append(names, m.Name)
		also = append(also, KeyringKey(c, m.ID, m.Recipient))
	}
	keys := o.keys(c, from)
	draft, err := consortium.DraftKeyring(o.Consortium, c.ID, keys, recipients, state.Now())
	if err != nil {
		return err
	}
	if err := o.noteGiven(ctx, c, also[0], from, members); err != nil {
		return err
	}
	if _, err := o.Records.Store(ctx, also[0], draft, also[1:]...); err != nil {
		return err
	}
	o.Log.Info("members are given the keys of a collection", "members", names, "collection", c.ID, "epochs", len(keys))
	return nil
}
