package consortium

import (
	"cmp"
	"slices"

	"github.com/serviceledger/slnode/internal/seal"
)

// Revision is a record that counts in the history of a collection.
type Revision struct {
	TxID    string
	At      Position
	Keyring bool           // it gives keys and changes nothing
	Epoch   uint32         // that the collection is in from then on
	Begins  bool           // … and begins with it
	Key     *seal.EpochKey // that opens what the record says; nil where we don't have it
}

// Revisions lists the records that count in the history of a collection, in chain order. It is not known where a record
// has not arrived; those before it are listed.
func (s *State) Revisions(id string) (list []Revision, known bool) {
	c := s.collections[id]
	if c == nil {
		return nil, true
	}
	for i, p := range c.periods {
		r := p.by
		one := Revision{TxID: r.txid, At: r.at, Epoch: r.epoch, Begins: i == 0 || c.periods[i-1].by.epoch < r.epoch}
		if r.opens {
			one.Key = c.key(r.epoch)
		}
		list = append(list, one)
	}
	changes := list
	for _, r := range c.records[:c.known] {
		n, _ := slices.BinarySearchFunc(changes, r.at, func(one Revision, at Position) int { return one.At.Compare(at) })
		if r.keyring && !r.void && n > 0 {
			list = append(list, Revision{TxID: r.txid, At: r.at, Keyring: true, Epoch: changes[n-1].Epoch})
		}
	}
	slices.SortFunc(list, func(a, b Revision) int { return a.At.Compare(b.At) })
	return list, c.known == len(c.records)
}

// Membership is that an organisation was a member, from a position to another.
type Membership struct {
	Member string // by its first account, which stays
	From   Position
	Until  *Position // nil: it is one
}

// Memberships lists who was a member when, in chain order. Who was admitted twice without having been removed is there
// once.
func (s *State) Memberships() (list []Membership) {
	distinct := map[*member]bool{}
	for _, m := range s.members {
		if distinct[m] {
			continue
		}
		distinct[m] = true
		list = append(list, m.memberships()...)
	}
	slices.SortFunc(list, func(a, b Membership) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Member, b.Member)) })
	return list
}

// memberships joins the admissions that overlap.
func (m *member) memberships() (list []Membership) {
	for _, a := range m.admissions {
		one := Membership{Member: m.accounts[0].account, From: a.event.Position, Until: a.until}
		n := len(list) - 1
		if n < 0 || list[n].Until != nil && list[n].Until.Before(one.From) {
			list = append(list, one)
			continue
		}
		if list[n].Until != nil && (one.Until == nil || list[n].Until.Before(*one.Until)) {
			list[n].Until = one.Until
		}
	}
	return list
}
