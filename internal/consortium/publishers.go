package consortium

import (
	"cmp"
	"slices"

	"github.com/serviceledger/slnode/internal/wire"
)

// Publisher is an account whose transactions can count, from a round on: that in which it became a member's or the
// governor's. What it did before counts for nothing, and nobody needs to look at it.
type Publisher struct {
	Account string
	Since   uint64
}

// Publishers are the accounts whose transactions can count if the given events come next, in whatever order they are
// given: every governor, and every account that a member ever had, sorted. A watcher needs to ask for no other account.
// The events are folded first: a note makes nobody a publisher that has no right to.
func (s *State) Publishers(next []Event) []Publisher {
	if next = slices.DeleteFunc(slices.Clone(next), func(e Event) bool { return !decidesMembership(e) }); len(next) > 0 {
		slices.SortStableFunc(next, func(a, b Event) int { return a.Compare(b.Position) })
		s = s.membership()
		for _, e := range next {
			s.Apply(e)
		}
	}
	from := map[string]uint64{}
	counts := func(account string, since uint64) {
		if before, known := from[account]; !known || since < before {
			from[account] = since
		}
	}
	for _, t := range s.terms {
		counts(t.account, t.event.Round)
	}
	for account, m := range s.members {
		counts(account, m.since(account))
	}
	list := make([]Publisher, 0, len(from))
	for account, since := range from {
		list = append(list, Publisher{Account: account, Since: since})
	}
	slices.SortFunc(list, func(a, b Publisher) int { return cmp.Compare(a.Account, b.Account) })
	return list
}

// decidesMembership reports whether an event can change who counts.
func decidesMembership(e Event) bool {
	switch e.Note.Kind {
	case wire.KindCharter, wire.KindAmendment, wire.KindMember, wire.KindRotation, wire.KindDestroy:
		return true
	case wire.KindRemoval:
		return e.Note.Asset == 0
	}
	return false
}

// since is the round in which an account became the member's.
func (m *member) since(account string) uint64 {
	for _, t := range m.accounts[1:] {
		if t.account == account {
			return t.after.Round
		}
	}
	return m.admissions[0].event.Round
}

// membership copies what decides who counts, so that what may come can be folded without being believed.
func (s *State) membership() *State {
	c := New(s.id, s.charter, nil)
	c.position, c.founded, c.terms = s.position, s.founded, slices.Clone(s.terms)
	copied := map[*member]*member{}
	for account, m := range s.members {
		if copied[m] == nil {
			one := &member{accounts: slices.Clone(m.accounts)}
			for _, a := range m.admissions {
				admission := *a
				one.admissions = append(one.admissions, &admission)
				c.admissions[a.event.Asset] = &admission
			}
			copied[m] = one
		}
		c.members[account] = copied[m]
	}
	return c
}
