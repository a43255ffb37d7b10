package disclosure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/node/state"
)

// History is what has happened to a collection, in chain order.
type History struct {
	Changes []Change `json:"history"`
	// Incomplete says that a record has not arrived: what came after it is not known.
	Incomplete bool `json:"history_incomplete,omitempty"`
}

// Change is a record of a collection, or that the membership of somebody ended who has its keys.
type Change struct {
	Time    time.Time `json:"time"`
	Round   uint64    `json:"round"`
	TxID    string    `json:"txid,omitempty"`
	What    string    `json:"what"`                  // in words
	Epoch   uint32    `json:"epoch"`                 // that the collection is in from then on
	Readers []string  `json:"readers,omitempty"`     // who may read from then on, beside the owner; "all" for every member
	Added   []string  `json:"added,omitempty"`       // … and could not before
	Removed []string  `json:"removed,omitempty"`     // who may not read any more what comes, or is no member any more
	Given   []Given   `json:"keys_given,omitempty"`  // who was given which keys
	Stated  bool      `json:"keys_stated,omitempty"` // the keys are not known to this node, but follow from what the record says
	By      string    `json:"by,omitempty"`          // who on this node caused it; "" where it is another's, or was not kept
}

// Given is that members were given the keys of some epochs.
type Given struct {
	Members []string `json:"members"`
	From    uint32   `json:"from"` // the first epoch
	To      uint32   `json:"to"`   // … and the last
}

// What a change can be.
const (
	whatMade    = "made"
	whatEpoch   = "new key epoch"
	whatChanged = "changed"
	whatKeys    = "keys given"
	whatRemoved = "removed from the consortium"
)

// History tells what has happened to a collection, given by its id or alias.
func (r *Register) History(name string) (History, error) {
	c, err := r.State.Called(name)
	if err != nil {
		return History{}, problem.Input(err)
	}
	h, err := r.history(c.ID)
	if err != nil {
		err = fmt.Errorf("reading the history of collection %s: %w", c.ID, err)
	}
	return h, err
}

func (r *Register) history(collection string) (History, error) {
	s, err := r.story(collection)
	if err != nil {
		return History{}, err
	}
	names := r.names()
	h := History{Changes: []Change{}, Incomplete: !s.complete}
	var before *step
	for i := range s.steps {
		h.Changes = append(h.Changes, describe(s.steps[i], before, names))
		before = &s.steps[i]
	}
	removals, err := r.removals(s, names)
	if err != nil {
		return History{}, err
	}
	h.Changes = append(h.Changes, removals...)
	slices.SortStableFunc(h.Changes, func(a, b Change) int { return cmp.Compare(a.Round, b.Round) })
	return h, nil
}

func describe(one step, before *step, names map[string]string) Change {
	c := Change{Time: one.event.Time, Round: one.At.Round, TxID: one.TxID, Epoch: one.Epoch, What: whatChanged}
	switch {
	case one.Keyring:
		c.What = whatKeys
	case before == nil:
		c.What = whatMade
	case one.Begins:
		c.What = whatEpoch
	}
	if one.properties != nil {
		c.Readers = named(one.properties.Readers, names)
	}
	if before != nil && before.properties != nil && one.properties != nil {
		former := named(before.properties.Readers, names)
		c.Added, c.Removed = without(c.Readers, former), without(former, c.Readers)
	}
	for _, g := range one.granted {
		at := slices.IndexFunc(c.Given, func(x Given) bool { return x.From == g.from && x.To == g.to })
		if at < 0 {
			at, c.Given = len(c.Given), append(c.Given, Given{From: g.from, To: g.to})
		}
		c.Given[at].Members = append(c.Given[at].Members, cmp.Or(names[g.member], g.member))
		c.Stated = c.Stated || g.stated
	}
	if one.given != nil {
		c.By = cmp.Or(one.given.By, "the node itself")
	}
	return c
}

// removals are the ends of the memberships of those who had keys of the collection by then.
func (r *Register) removals(s *story, names map[string]string) (list []Change, err error) {
	for _, m := range s.memberships {
		if m.Until == nil || !slices.ContainsFunc(s.holds, func(h hold) bool { return h.member == m.Member && h.at.Before(*m.Until) }) {
			continue
		}
		e, err := r.eventAt(*m.Until)
		if err != nil {
			return nil, err
		}
		c := Change{Time: e.Time, Round: m.Until.Round, TxID: e.TxID, What: whatRemoved, Removed: []string{cmp.Or(names[m.Member], m.Member)}}
		c.Epoch = s.epochAt(*m.Until)
		list = append(list, c)
	}
	return list, nil
}

// epochAt is the epoch that the collection was in just before a position.
func (s *story) epochAt(at consortium.Position) (epoch uint32) {
	for _, one := range s.steps {
		if one.At.Before(at) {
			epoch = one.Epoch
		}
	}
	return epoch
}

// named lists a set of members by name.
func named(set wire.Accounts, names map[string]string) []string {
	if set.Members {
		return []string{state.AllMembers}
	}
	list := make([]string, len(set.Named))
	for i, member := range set.Named {
		list[i] = cmp.Or(names[member], member)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(others, one) })
}
