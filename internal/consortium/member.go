package consortium

import (
	"errors"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/wire"
)

// member is an account that was ever admitted.
type member struct {
	account    string
	admissions []*admission // in chain order
}

// admission is one member NFT: from its minting to its destruction.
type admission struct {
	event   Event
	until   *Position
	content *wire.Member
}

func (s *State) admit(e Event) (Effect, string) {
	if e.Sender != s.Governor() {
		return Nothing, "only the governor admits"
	}
	account := e.Note.Account
	m := s.members[account]
	if m == nil {
		m = &member{account: account}
		s.members[account] = m
	}
	a := &admission{event: e}
	m.admissions = append(m.admissions, a)
	s.admissions[e.Asset] = a
	s.records[e.TxID] = a
	return Record, ""
}

// remove ends the membership of an account whoever admitted it: a governor can't destroy what an earlier one minted.
func (s *State) remove(e Event) (Effect, string) {
	if e.Sender != s.Governor() {
		return Nothing, "only the governor removes"
	}
	if !s.memberNow(e.Note.Account) {
		return Nothing, "who is removed is no member"
	}
	for _, a := range s.members[e.Note.Account].admissions {
		a.end(e.Position)
	}
	s.records[e.TxID] = &removal{event: e}
	return Record, ""
}

// destroy ends an admission, if its NFT is destroyed by the governor that minted it while it is the governor.
func (s *State) destroy(e Event) (Effect, string) {
	a := s.admissions[e.Asset]
	switch {
	case a == nil:
		return Withdrawal, ""
	case a.event.Sender != e.Sender:
		return Nothing, "only who minted an NFT ends it"
	case e.Sender != s.Governor():
		return Nothing, "who admitted the member is not the governor any more"
	}
	a.end(e.Position)
	return Record, ""
}

// end ends an admission, if it has not ended before.
func (a *admission) end(at Position) {
	if a.until == nil {
		a.until = &at
	}
}

func (a *admission) attach(s *State, m wire.Metadata, payload []byte) error {
	if err := s.checkProperties(m, wire.KindMember, ""); err != nil {
		return err
	}
	content, err := wire.ParseMember(payload)
	if err != nil {
		return err
	}
	if content.Account != a.event.Note.Account {
		return errors.New("the record is about another account than its note")
	}
	a.content = &content
	return nil
}

// removal is a removal record. Its note says everything; the content is compared with it.
type removal struct{ event Event }

func (r *removal) attach(s *State, m wire.Metadata, payload []byte) error {
	if err := s.checkProperties(m, wire.KindRemoval, ""); err != nil {
		return err
	}
	content, err := wire.ParseRemoval(payload)
	if err == nil && content.Account != r.event.Note.Account {
		err = errors.New("the record is about another account than its note")
	}
	return err
}

func (s *State) memberNow(account string) bool {
	m := s.members[account]
	if m == nil {
		return false
	}
	for _, a := range m.admissions {
		if a.until == nil {
			return true
		}
	}
	return false
}

// MemberAt reports whether an account was a member just before a position of the chain that has been applied.
func (s *State) MemberAt(account string, at Position) bool {
	m := s.members[account]
	if m == nil {
		return false
	}
	for _, a := range m.admissions {
		if a.event.Position.Before(at) && (a.until == nil || !a.until.Before(at)) {
			return true
		}
	}
	return false
}

// Removals counts how often an account's membership has ended.
func (s *State) Removals(account string) (n int) {
	if m := s.members[account]; m != nil {
		for _, a := range m.admissions {
			if a.until != nil {
				n++
			}
		}
	}
	return n
}

// RemovedSince lists the accounts whose membership ended after a position, sorted.
func (s *State) RemovedSince(at Position) []string {
	removed := map[string]bool{}
	for _, m := range s.members {
		for _, a := range m.admissions {
			if a.until != nil && at.Before(*a.until) {
				removed[m.account] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(removed))
}

// Member is one organisation of the consortium, past or present.
type Member struct {
	Account   string
	Admitted  Event // of the admission that is in force, else of the last one
	InForce   int   // how many admissions are
	Removed   *Position
	Known     bool   // whether the member record's content has arrived and is in order; without it the rest is empty
	Name      string // in URLs; "" also where another member had the name first
	Title     string
	Peer      string
	Recipient string
}

// Members lists everybody who was ever admitted, in the order of their first admission.
func (s *State) Members() []Member {
	ordered := slices.SortedFunc(maps.Values(s.members), func(a, b *member) int {
		return a.admissions[0].event.Compare(b.admissions[0].event.Position)
	})
	names := map[string]bool{}
	list := make([]Member, 0, len(ordered))
	for _, m := range ordered {
		one := m.describe()
		if names[one.Name] {
			one.Name = ""
		}
		names[one.Name] = true
		list = append(list, one)
	}
	return list
}

// describe uses the latest admission that is in force, or the latest of all.
func (m *member) describe() Member {
	current := m.admissions[len(m.admissions)-1]
	for _, a := range slices.Backward(m.admissions) {
		if a.until == nil {
			current = a
			break
		}
	}
	one := Member{Account: m.account, Admitted: current.event, Removed: current.until}
	for _, a := range m.admissions {
		if a.until == nil {
			one.InForce++
		}
	}
	if c := current.content; c != nil {
		one.Known = true
		one.Name, one.Title, one.Peer, one.Recipient = c.Organisation, c.Title, c.Peer, c.Recipient
	}
	return one
}
