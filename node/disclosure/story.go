package disclosure

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/state"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// story is what is known of who was given the keys of one collection.
type story struct {
	steps       []step
	holds       []hold
	memberships []consortium.Membership
	latest      consortium.Position
	complete    bool // no record is missing
}

// step is a record of the collection.
type step struct {
	consortium.Revision
	event      view.Event
	properties *wire.Collection // as they are from then on, with members by their first accounts; nil where we can't read them
	given      *state.KeysGiven // what this node kept of it; nil where it has kept nothing
	granted    []hold           // by it
}

// readable is what the state tells of a collection.
type readable struct {
	owner     string // by its first account
	own       string // this organisation, likewise
	revisions []consortium.Revision
	history   bool // as the charter says: newcomers get older keys
}

// story reads the records of a collection and says who was given which keys by them.
func (r *Register) story(id string) (*story, error) {
	s := &story{}
	var c readable
	r.State.Read(func(now *consortium.State) {
		account, _ := now.OwnerOf(id)
		c.owner, c.own = now.MemberOf(account), now.MemberOf(r.State.Self)
		c.revisions, s.complete = now.Revisions(id)
		s.memberships, s.latest = now.Memberships(), now.Position()
		charter := now.Charter()
		c.history = charter != nil && charter.History
	})
	kept, err := r.kept(id, c.owner == c.own)
	if err != nil {
		return nil, err
	}
	if c.owner != c.own {
		s.holds = append(s.holds, hold{member: c.owner, from: 1, to: math.MaxUint32})
	}
	var properties *wire.Collection
	for _, revision := range c.revisions {
		one, err := r.step(revision)
		if err != nil {
			return nil, err
		}
		if one.Keyring {
			one.properties = properties
		}
		properties = one.properties
		one.given = kept[one.TxID]
		one.granted = s.grants(one, c)
		s.holds = append(s.holds, one.granted...)
		s.steps = append(s.steps, one)
	}
	return s, nil
}

// kept is what this node kept of the keys that it gave, by the transaction.
func (r *Register) kept(collection string, own bool) (map[string]*state.KeysGiven, error) {
	if !own {
		return nil, nil
	}
	all, err := state.AllKeysGiven(r.Outbox, collection)
	if err != nil {
		return nil, err
	}
	kept := map[string]*state.KeysGiven{}
	for _, g := range all {
		item, found, err := r.Outbox.Find(g.Record)
		if err != nil {
			return nil, err
		}
		if found && item.State == outbox.Confirmed && bytes.Equal(item.Key, g.Record) { // else it never came to it
			kept[item.TxID] = &g
		}
	}
	return kept, nil
}

// step reads what a record says.
func (r *Register) step(revision consortium.Revision) (step, error) {
	one := step{Revision: revision}
	event, found, err := r.View.Event(revision.TxID)
	if err != nil || !found {
		return one, err
	}
	one.event = event
	if revision.Key == nil {
		return one, nil
	}
	data, err := r.View.Content(event)
	if err != nil || data == nil {
		return one, err
	}
	content, err := consortium.DecodeContent(data)
	if err != nil {
		return one, err
	}
	plaintext, err := revision.Key.Open(content.Sealed)
	if err != nil {
		return one, fmt.Errorf("opening what record %s says: %w", revision.TxID, err)
	}
	properties, err := wire.ParseCollection(plaintext)
	if err != nil {
		return one, fmt.Errorf("reading what record %s says: %w", revision.TxID, err)
	}
	r.State.Read(func(s *consortium.State) {
		for _, set := range []*wire.Accounts{&properties.Readers, &properties.Contributors} {
			for i, account := range set.Named {
				set.Named[i] = s.MemberOf(account)
			}
		}
	})
	one.properties = &properties
	return one, nil
}

// grants says who was given keys by a record. Where this node has kept nothing of it, whoever may read as the record,
// or the last one before, says is taken to have got them then: the keys of the epoch that begins or, if none begins,
// older ones too, for anybody who had none.
func (s *story) grants(one step, c readable) (list []hold) {
	if one.given != nil {
		for _, member := range one.given.Members {
			list = append(list, hold{member: member, from: one.given.From, to: one.given.To, at: one.At})
		}
		return list
	}
	from := one.Epoch
	if !one.Begins && (!one.Keyring || c.history) {
		from = 1
	}
	for _, member := range s.whoMayRead(one) {
		if member == c.own || member == c.owner {
			continue
		}
		if !slices.ContainsFunc(s.holds, func(h hold) bool { return h.member == member && h.has(one.Epoch) }) {
			list = append(list, hold{member: member, from: from, to: one.Epoch, at: one.At, stated: true})
		}
	}
	return list
}

// whoMayRead are the members that may read a collection just after a record, by their first accounts.
func (s *story) whoMayRead(one step) (list []string) {
	if one.properties == nil {
		return nil
	}
	readers := one.properties.Readers
	for _, m := range s.memberships {
		if !m.From.Before(one.At) || m.Until != nil && !one.At.Before(*m.Until) {
			continue
		}
		if readers.Members || slices.Contains(readers.Named, m.Member) {
			list = append(list, m.Member)
		}
	}
	return list
}
