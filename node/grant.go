package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/serviceledger/slnode/internal/consortium"
)

// run does what no order is needed for, until the context ends: whoever may read a collection and has no keys gets
// them, and where a reader was removed from the consortium a new key epoch begins.
func (o *owner) run(ctx context.Context) error {
	for {
		changed := o.fold.changed.changed()
		if err := o.lookAfter(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func (o *owner) lookAfter(ctx context.Context) error {
	if err := o.turn.take(ctx); err != nil {
		return err
	}
	defer o.turn.give()
	if o.fold.charter() == nil || !o.fold.active() {
		return nil
	}
	for _, c := range o.fold.collections() {
		if c.Owner != o.fold.self || c.Pending {
			continue
		}
		pending, err := o.pending(c)
		if err != nil {
			return err
		}
		if pending {
			continue // when it is on the chain it is looked again
		}
		changed, err := o.shutOut(ctx, c)
		if err == nil && !changed {
			err = o.supply(ctx, c)
		}
		if err != nil {
			return fmt.Errorf("looking after collection %s: %w", c.ID, err)
		}
	}
	return nil
}

// shutOut begins a key epoch if a reader has been removed from the consortium since the last one began, or has changed
// its keys: who has stolen the old ones can open what they were given, and nothing more. A reader with other keys is
// given the new epoch's by supply, with those that it had before.
func (o *owner) shutOut(ctx context.Context, c consortium.Collection) (changed bool, err error) {
	var removed, rotated []string
	o.fold.read(func(s *consortium.State) { removed, rotated = s.RemovedSince(c.Began), s.RotatedSince(c.Began) })
	mayNot := func(account string) bool { return !c.MayRead(account) }
	removed, rotated = slices.DeleteFunc(removed, mayNot), slices.DeleteFunc(rotated, mayNot)
	if len(removed) == 0 && len(rotated) == 0 {
		return false, nil
	}
	p := c.Properties
	gone := slices.DeleteFunc(slices.Clone(removed), func(account string) bool { // those who were admitted again stay readers
		m, found := o.fold.member(account)
		return found && m.Removed == nil
	})
	p.Readers, p.Contributors = minus(p.Readers, gone), minus(p.Contributors, gone)
	to := slices.DeleteFunc(o.readers(p), func(m consortium.Member) bool { return slices.Contains(rotated, m.Account) })
	_, err = o.publish(ctx, c, change{properties: p, rotate: true, to: to})
	return true, err
}

// keyringKey names the keyring of one reader: there is one for each epoch that was current when it was made.
func keyringKey(c consortium.Collection, account, recipient string) []byte {
	return hashOf("keyring", c.ID, strconv.FormatUint(uint64(c.Epoch), 10), account, recipient)
}

// supply makes the keyrings that are missing: one for all readers who get the same keys. For a newcomer that must not
// read what was published before, a new key epoch begins.
func (o *owner) supply(ctx context.Context, c consortium.Collection) error {
	missing := map[uint32][]consortium.Member{} // by the first epoch that they get
	for _, m := range o.readers(c.Properties) {
		if _, found, err := o.outbox.Find(keyringKey(c, m.Account, m.Recipient)); err != nil {
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

func (o *owner) keyring(ctx context.Context, c consortium.Collection, from uint32, members []consortium.Member) error {
	var recipients, names []string
	var also [][]byte
	for _, m := range members {
		if err := o.setSince(c, m.ID, from); err != nil {
			return err
		}
		recipients, names = append(recipients, m.Recipient), append(names, m.Name)
		also = append(also, keyringKey(c, m.Account, m.Recipient))
	}
	keys := o.keys(c, from)
	draft, err := consortium.DraftKeyring(o.consortium, c.ID, keys, recipients, now())
	if err != nil {
		return err
	}
	if _, err := storeRecord(ctx, o.outbox, o.blocks, o.fresh, also[0], draft, also[1:]...); err != nil {
		return err
	}
	o.log.Info("members are given the keys of a collection", "members", names, "collection", c.ID, "epochs", len(keys))
	o.stored()
	return nil
}
