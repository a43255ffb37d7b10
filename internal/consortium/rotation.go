package consortium

import (
	"errors"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/wire"
)

// tenure is an account of a member from a position on, up to the next one.
type tenure struct {
	account string
	after   Position // of the rotation; zero for the first
}

// rotation is a record that gives a member other keys.
type rotation struct {
	event   Event
	of      *member
	content *wire.Member // of the last one only: a member can make as many as it likes
	peer    string       // the peer id in the content
	opens   identity     // … and what its recipient is known by
}

// rotate gives the member with the note's former account the other one, from just after the event: nothing that the
// former signs counts any more. A member does it with its present account. The governor does it for one whose key is
// lost or stolen; since a thief may have been first, the former account can be any that the member had. A member that
// takes another account needs that one's consent: else it could make anybody's account its own, so that nobody else is
// admitted with it and everybody has to read its history. The governor could as well admit it.
func (s *State) rotate(e Event) (Effect, string) {
	m := s.members[e.Note.Former]
	switch {
	case m == nil || !m.inForce():
		return Nothing, "who is to have other keys is no member"
	case e.Sender != s.Governor() && (e.Sender != e.Note.Former || e.Sender != m.account()):
		return Nothing, "only the member itself and the governor change its keys"
	case e.Note.Account != m.account() && s.members[e.Note.Account] != nil:
		return Nothing, "the account belongs to a member, or did"
	case e.Note.Account != m.account() && e.Sender == e.Note.Former && !e.Note.Consented(s.id):
		return Nothing, "the account that the member is to have has not consented"
	}
	r := &rotation{event: e, of: m}
	if n := len(m.rotations); n > 0 {
		m.rotations[n-1].content = nil
	}
	m.rotations = append(m.rotations, r)
	s.records[e.TxID] = r
	if e.Note.Account != m.account() {
		m.accounts = append(m.accounts, tenure{account: e.Note.Account, after: e.Position})
		s.members[e.Note.Account] = m
	}
	return Record, ""
}

func (r Reader) readRotation(payload []byte) (*wire.Member, error) {
	content, err := wire.ParseRotation(payload)
	if err != nil {
		return nil, err
	}
	if content.Member.Account != r.event.Note.Account {
		return nil, errors.New("the record is about another account than its note")
	}
	if wire.PeerDigest(content.Member.Peer) != r.event.Note.PeerDigest {
		return nil, errors.New("the record names another peer id than its note")
	}
	return &content.Member, nil
}

func (r *rotation) reader() Reader { return Reader{event: r.event} }

func (r *rotation) take(_ *State, content *Content) {
	if content == nil || content.Member == nil {
		return
	}
	r.opens = identityOf(content.Member.Recipient)
	if r.peer = content.Member.Peer; r == r.of.rotations[len(r.of.rotations)-1] {
		r.content = content.Member
	}
}

// account is the one that a member has now.
func (m *member) account() string { return m.accounts[len(m.accounts)-1].account }

// accountAt is the one that it had just before a position.
func (m *member) accountAt(at Position) string {
	for _, t := range slices.Backward(m.accounts) {
		if t.after.Before(at) {
			return t.account
		}
	}
	return m.accounts[0].account
}

// rotationAfter is the latest rotation, if it is later than an admission.
func (m *member) rotationAfter(a *admission) *rotation {
	if n := len(m.rotations); n > 0 && a.event.Position.Before(m.rotations[n-1].event.Position) {
		return m.rotations[n-1]
	}
	return nil
}

// pastPeers lists the peer ids that a member had beside the one that it has.
func (m *member) pastPeers(now string) []string {
	past := map[string]bool{}
	for _, a := range m.admissions {
		if a.content != nil && a.content.Peer != now {
			past[a.content.Peer] = true
		}
	}
	for _, r := range m.rotations {
		if r.peer != "" && r.peer != now {
			past[r.peer] = true
		}
	}
	return slices.Sorted(maps.Keys(past))
}

// replaced reports whether an account is one that its member does not have any more.
func (s *State) replaced(account string) bool {
	m := s.members[account]
	return m != nil && m.account() != account
}

// Same reports whether two accounts are, or were, the same member's.
func (s *State) Same(a, b string) bool {
	return a == b || s.members[a] != nil && s.members[a] == s.members[b]
}

// Accounts lists the accounts that the member with an account has or had; of somebody who never was a member, the
// account.
func (s *State) Accounts(account string) (list []string) {
	m := s.members[account]
	if m == nil {
		return []string{account}
	}
	for _, t := range m.accounts {
		list = append(list, t.account)
	}
	return list
}

// Present is the account that the member with an account has now; of somebody who never was a member, the account.
func (s *State) Present(account string) string {
	if m := s.members[account]; m != nil {
		return m.account()
	}
	return account
}

// MemberOf names the member that has or had an account, by its first one, which stays; of somebody who never was a
// member it is the account.
func (s *State) MemberOf(account string) string {
	if m := s.members[account]; m != nil {
		return m.accounts[0].account
	}
	return account
}

// present gives a set of members with the accounts that they have now.
func (s *State) present(set wire.Accounts) wire.Accounts {
	if len(set.Named) == 0 {
		return set
	}
	named := make([]string, len(set.Named))
	for i, account := range set.Named {
		named[i] = s.Present(account)
	}
	slices.Sort(named)
	return wire.Accounts{Members: set.Members, Named: slices.Compact(named)}
}
