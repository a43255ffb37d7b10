package consortium

import (
	"errors"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/wire"
)

// member is an organisation that was ever admitted. It can have one account after the other, see [State.rotate]; all of
// them lead to it in the state's map.
type member struct {
	accounts   []tenure        // in chain order; the last is the present one
	admissions []*admission    // in chain order
	rotations  []*rotation     // in chain order
	owns       int             // collections that it made
	minted     map[string]bool // directories of its collection and keyring records
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
		m = &member{accounts: []tenure{{account: account}}}
		s.members[account] = m
		s.organisations++
	}
	if m.account() != account {
		return Nothing, "the account was replaced by another one of its member"
	}
	a := &admission{event: e}
	m.admissions = append(m.admissions, a)
	s.admissions[e.Asset] = a
	s.records[e.TxID] = a
	return Record, ""
}

// remove ends the membership of an account whoever admitted it: a governor can't destroy what an earlier one minted.
func (s *State) remove(e Event) (Effect, string) {
	if e.Note.Asset != 0 {
		return s.withdraw(e)
	}
	if e.Sender != s.Governor() {
		return Nothing, "only the governor removes"
	}
	m := s.members[e.Note.Account] // by whichever of its accounts: a change of keys doesn't help it
	if m == nil || !m.inForce() {
		return Nothing, "who is removed is no member"
	}
	for _, a := range m.admissions {
		a.end(e.Position)
	}
	s.records[e.TxID] = &removal{event: e}
	return Record, ""
}

// withdraw is for a member that can't destroy an NFT any more because it minted it with an earlier account.
func (s *State) withdraw(e Event) (Effect, string) {
	if s.members[e.Sender] == nil || s.replaced(e.Sender) {
		return Nothing, "the sender never published anything, or has another account now"
	}
	return Withdrawal, ""
}

// destroy ends an admission, if its NFT is destroyed by the governor that minted it while it is the governor.
func (s *State) destroy(e Event) (Effect, string) {
	a := s.admissions[e.Asset]
	switch {
	case a == nil && s.replaced(e.Sender):
		return Nothing, "the sender's account was replaced"
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

func (r Reader) readMember(payload []byte) (*wire.Member, error) {
	content, err := wire.ParseMember(payload)
	if err != nil {
		return nil, err
	}
	if content.Account != r.event.Note.Account {
		return nil, errors.New("the record is about another account than its note")
	}
	return &content, nil
}

func (a *admission) reader() Reader { return Reader{event: a.event} }

func (a *admission) take(_ *State, content *Content) {
	if content != nil {
		a.content = content.Member
	}
}

// removal is a removal record. Its note says everything; the content is compared with it.
type removal struct{ event Event }

func (r Reader) readRemoval(payload []byte) error {
	content, err := wire.ParseRemoval(payload)
	if err == nil && content.Account != r.event.Note.Account {
		err = errors.New("the record is about another account than its note")
	}
	return err
}

func (r *removal) reader() Reader { return Reader{event: r.event} }

func (r *removal) take(*State, *Content) {}

// inForce reports whether a member is one now.
func (m *member) inForce() bool {
	for _, a := range m.admissions {
		if a.until == nil {
			return true
		}
	}
	return false
}

func (s *State) memberNow(account string) bool {
	m := s.members[account]
	return m != nil && m.account() == account && m.inForce()
}

// MemberAt reports whether an account was a member's just before a position of the chain that has been applied.
func (s *State) MemberAt(account string, at Position) bool {
	_, member := s.AdmissionAt(account, at)
	return member
}

// Removals counts how often the membership of an account's member has ended.
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

// Member is one organisation of the consortium, past or present.
type Member struct {
	ID        string // the account that it was first admitted with: it stays when the account changes
	Account   string
	Former    []string // the accounts that it had before
	Admitted  Event    // of the admission that is in force, else of the last one
	InForce   int      // how many admissions are
	Removed   *Position
	Rotated   *Event // … its keys, the last time
	Known     bool   // whether the content of the record that tells its keys has arrived and is in order; without it there are none
	Name      string // in URLs; "" also where another member had the name first
	Title     string
	Peer      string
	Recipient string
	PastPeers []string // peer ids that are not its own any more
}

// Members lists everybody who was ever admitted, in the order of their first admission.
func (s *State) Members() []Member {
	distinct := map[*member]bool{}
	for _, m := range s.members {
		distinct[m] = true
	}
	ordered := slices.SortedFunc(maps.Keys(distinct), func(a, b *member) int {
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
	one := Member{ID: m.accounts[0].account, Account: m.account(), Admitted: current.event, Removed: current.until}
	for _, t := range m.accounts[:len(m.accounts)-1] {
		one.Former = append(one.Former, t.account)
	}
	for _, a := range m.admissions {
		if a.until == nil {
			one.InForce++
		}
	}
	keys := current.content
	if keys != nil {
		one.Name, one.Title = keys.Organisation, keys.Title
	}
	if r := m.rotationAfter(current); r != nil {
		one.Rotated = &r.event
		if keys = r.content; keys != nil && (current.content == nil || keys.Organisation != one.Name) {
			keys = nil // it can't take another name
		}
	}
	if keys != nil {
		one.Known, one.Title, one.Peer, one.Recipient = true, keys.Title, keys.Peer, keys.Recipient
	}
	one.PastPeers = m.pastPeers(one.Peer)
	return one
}
