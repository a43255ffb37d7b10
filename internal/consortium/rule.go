package consortium

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// mayPublish reports whether an account is that of the owner or of a contributor, whichever account they were named by.
// It is called for every object.
func (s *State) mayPublish(c *collection, account string, now period) bool {
	m := s.members[account]
	return m != nil && (m == c.owner || now.by.everybody || slices.ContainsFunc(m.accounts, func(t tenure) bool {
		_, named := slices.BinarySearch(now.by.named, t.account)
		return named
	}))
}

// Outcome says what becomes of an object.
type Outcome int

// The outcomes of [State.Rule].
const (
	Waits    Outcome = iota // a record that decides hasn't arrived yet; ask again after the next Attach
	Readable                // it counts, and Key opens it
	NotForUs                // it may count, but we hold no key to it; ask again when a keyring arrives
	Refused                 // it doesn't count, for the reason given
)

// Ruling is what the rules say of one object.
type Ruling struct {
	Outcome Outcome
	Reason  string
	Key     *seal.EpochKey // where Readable
	Late    bool           // it is sealed to an epoch before, and counts because the grace isn't over
}

// Rule decides about an object whose event had the effect [Object], from its metadata.json; about a batch from its own.
func (s *State) Rule(e Event, m wire.Metadata) Ruling {
	refuse := func(format string, args ...any) Ruling {
		return Ruling{Outcome: Refused, Reason: fmt.Sprintf(format, args...)}
	}
	p := m.Properties
	if err := m.CheckTransaction(e.Note.Kind, s.id, e.Sender); err != nil {
		return refuse("%v", err)
	}
	c := s.collections[p.Collection]
	if c == nil {
		return refuse("collection %s did not exist", p.Collection)
	}
	now, known, ok := c.at(e.Position)
	if !known {
		return Ruling{Outcome: Waits, Reason: "a record of the collection has not arrived"}
	}
	if !ok {
		return refuse("collection %s did not exist at that point", p.Collection)
	}
	switch current := now.by.epoch; {
	case p.Epoch > current:
		return refuse("epoch %d of the collection had not begun", p.Epoch)
	case p.Epoch < 1:
		return refuse("a collection has no epoch 0")
	case p.Epoch < current:
		if ended := c.ended(p.Epoch); e.Round > ended+Grace {
			return refuse("epoch %d of the collection was over in round %d", p.Epoch, ended)
		}
	}
	key := c.key(p.Epoch)
	if key == nil || !now.by.opens {
		if c.unread+c.late > 0 {
			return Ruling{Outcome: Waits, Reason: "a keyring of the collection has not arrived"}
		}
		return Ruling{Outcome: NotForUs, Reason: fmt.Sprintf("we hold no key of epoch %d", p.Epoch)}
	}
	if !s.mayPublish(c, e.Sender, now) {
		return refuse("the sender may not publish in this collection")
	}
	return Ruling{Outcome: Readable, Key: key, Late: p.Epoch < now.by.epoch}
}

// Decided reports whether something has been decided, for good, about an object that [State.Rule] had left undecided,
// given the collection and the epoch that its metadata names.
func (s *State) Decided(e Event, collection string, epoch uint32) bool {
	m := wire.Metadata{Properties: wire.Properties{
		Kind: e.Note.Kind, Consortium: s.id, Publisher: e.Sender, Collection: collection, Epoch: epoch}}
	ruling := s.Rule(e, m)
	return ruling.Outcome == Readable || ruling.Outcome == Refused
}
