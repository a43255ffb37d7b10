package proof

import (
	"cmp"
	"slices"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/node/state"
)

// Missing is a hole in a member's sequence numbers. One that is overdue is no delay: the indexer leaves transactions
// out, or the member lost some before it submitted them.
type Missing struct {
	Member  string           `json:"member"`
	Range   consortium.Range `json:"range"`
	Overdue bool             `json:"overdue"`
}

// Missing lists the holes in all members' sequence numbers.
func (n *Notary) Missing() (list []Missing) {
	n.State.Read(func(s *consortium.State) { list = holes(s) })
	round := n.Watcher.State().Cursor
	for i := range list {
		list[i].Overdue = list[i].Range.IsOverdue(round)
	}
	return named(n.State, list)
}

// holes are the numbers that a state has not seen.
func holes(s *consortium.State) (list []Missing) {
	for account, q := range s.Sequences() {
		for _, hole := range q.Holes {
			list = append(list, Missing{Member: account, Range: hole})
		}
	}
	return list
}

// named puts the members' names in the place of their accounts, and the list in order.
func named(f *state.Shared, list []Missing) []Missing {
	names := map[string]string{}
	for i, m := range list {
		if _, known := names[m.Member]; !known {
			names[m.Member] = f.Name(m.Member)
		}
		list[i].Member = names[m.Member]
	}
	slices.SortFunc(list, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Range.First, b.Range.First))
	})
	return list
}

// RepeatedNumbers is that a member has given sequence numbers to more than one transaction.
type RepeatedNumbers struct {
	Member string `json:"member"`
	consortium.Repeated
}

// Repeated lists the members that did: each of them has more than one node, or has lost what its node remembers.
func (n *Notary) Repeated() (list []RepeatedNumbers) {
	n.State.Read(func(s *consortium.State) {
		for account, q := range s.Sequences() {
			if q.Twice.Count > 0 {
				list = append(list, RepeatedNumbers{Member: account, Repeated: q.Twice})
			}
		}
	})
	// Several accounts that are the governor give the same number to what they propose at the same time: they are no
	// member.
	list = slices.DeleteFunc(list, func(r RepeatedNumbers) bool {
		_, found := n.State.Member(r.Member)
		return !found
	})
	for i := range list {
		list[i].Member = n.State.Name(list[i].Member)
	}
	slices.SortFunc(list, func(a, b RepeatedNumbers) int { return cmp.Compare(a.Member, b.Member) })
	return list
}
