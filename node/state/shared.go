// Package state is the consortium's state as this node knows it, shared by its parts: who is who, who reads what, and
// what markings mean.
package state

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
)

// Shared is the consortium's state, shared by everything in the node: the replicator changes it, all others look.
type Shared struct {
	Self    string // this organisation's account
	invited []peer.ID
	Changed signal.Signal

	OtherMarkings map[string]stix.Level // what markings count as that are no TLP, see [stix.Levels]

	mu    sync.RWMutex
	state *consortium.State

	peers atomic.Pointer[peerSet]
}

// peerSet is which peers belong to the consortium. It is asked for every request and every message of another node.
type peerSet struct {
	members  map[peer.ID]bool // now
	known    map[peer.ID]bool // ever
	expected map[string]bool  // digests of the peer ids of members whose record has not arrived
	invited  []peer.ID
}

// New shares a state; invited are the peers of our invite.
func New(self string, state *consortium.State, invited []peer.ID) *Shared {
	f := &Shared{Self: self, state: state, invited: invited}
	f.Publish()
	return f
}

// IsMember reports whether a peer is a member's. The peers of our invite are believed to be as long as the chain
// hasn't told: without them a newcomer could not read the records that tell who is.
func (f *Shared) IsMember(id peer.ID) bool {
	p := f.peers.Load()
	if p.known[id] {
		return p.members[id]
	}
	if len(p.expected) > 0 && p.expected[wire.PeerDigest(id.String())] {
		return true
	}
	for _, invited := range p.invited {
		if invited == id {
			return true
		}
	}
	return false
}

// Replace begins again with another state.
func (f *Shared) Replace(state *consortium.State) {
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	f.Publish()
}

// Change lets a function change the state, and tells everybody afterwards.
func (f *Shared) Change(apply func(*consortium.State)) {
	f.mu.Lock()
	apply(f.state)
	f.mu.Unlock()
	f.Publish()
}

// Quietly is change for what nobody waits for: an object that was published changes nothing that others look at.
func (f *Shared) Quietly(apply func(*consortium.State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	apply(f.state)
}

// Publish makes what follows from the state known.
func (f *Shared) Publish() {
	p := &peerSet{members: map[peer.ID]bool{}, known: map[peer.ID]bool{}, expected: map[string]bool{}, invited: f.invited}
	for _, m := range f.Members() {
		if id, err := peer.Decode(m.Peer); err == nil && m.Known {
			p.known[id] = true
			p.members[id] = p.members[id] || m.Removed == nil
		}
		if !m.Known && m.Removed == nil && m.Rotated != nil {
			p.expected[m.Rotated.Note.PeerDigest] = true
		}
		for _, past := range m.PastPeers {
			if id, err := peer.Decode(past); err == nil {
				// A member that keeps its peer id with other keys is perhaps the only one that has their record: it is
				// expected, as newcomers are.
				stays := !m.Known && m.Removed == nil && m.Rotated != nil && wire.PeerDigest(past) == m.Rotated.Note.PeerDigest
				p.known[id] = p.known[id] || !stays
			}
		}
	}
	f.peers.Store(p)
	f.Changed.Notify()
}

// Read lets a function look at the state.
func (f *Shared) Read(look func(*consortium.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	look(f.state)
}

// Members lists all members, past and present.
func (f *Shared) Members() (list []consortium.Member) {
	f.Read(func(s *consortium.State) { list = s.Members() })
	return list
}

// Charter is the charter as it stands; nil as long as it is not known.
func (f *Shared) Charter() (charter *wire.Charter) {
	f.Read(func(s *consortium.State) { charter = s.Charter() })
	return charter
}

// NameOf is the consortium's name as it is now: the charter can be amended.
func (f *Shared) NameOf(c repo.Consortium) string {
	if charter := f.Charter(); charter != nil {
		return charter.Name
	}
	return c.Name
}

// Collections lists the collections that this organisation can read, or could, by id.
func (f *Shared) Collections() (list []consortium.Collection) {
	f.Read(func(s *consortium.State) { list = s.Collections() })
	return list
}

// Collection finds a collection by its id.
func (f *Shared) Collection(id string) (c consortium.Collection, found bool) {
	f.Read(func(s *consortium.State) { c, found = s.Collection(id) })
	return c, found
}

// Taken reports whether a collection that was to be made here is another organisation's: its id stands in a note on its
// way to the chain, where another member can see it and be first. It must be asked of nothing but such a collection.
func (f *Shared) Taken(id string) (taken bool) {
	f.Read(func(s *consortium.State) {
		owner, exists := s.OwnerOf(id)
		taken = exists && !s.Same(owner, f.Self)
	})
	return taken
}

// Member finds the member that has an account, or had it.
func (f *Shared) Member(account string) (consortium.Member, bool) {
	for _, m := range f.Members() {
		if m.Account == account || slices.Contains(m.Former, account) {
			return m, true
		}
	}
	return consortium.Member{}, false
}

// Name is a member's name or, where it has none, its account.
func (f *Shared) Name(account string) string {
	if m, found := f.Member(account); found && m.Name != "" {
		return m.Name
	}
	return account
}

// MembersCalled finds members by their names, each given by its first account, and says which names no member has. A
// member that has no name is called by its account.
func (f *Shared) MembersCalled(names []string) (accounts, unknown []string) {
	if len(names) == 0 {
		return nil, nil
	}
	known := map[string][]string{}
	for _, m := range f.Members() {
		first := m.Account
		f.Read(func(s *consortium.State) { first = s.MemberOf(first) })
		for _, name := range slices.Concat([]string{m.Name, m.Account}, m.Former) {
			known[name] = append(known[name], first)
		}
	}
	for _, name := range names {
		if known[name] == nil || name == "" {
			unknown = append(unknown, name)
		}
		accounts = append(accounts, known[name]...)
	}
	return accounts, unknown
}

// Names lists a set of members by name; "all" stands for every member.
func (f *Shared) Names(set wire.Accounts) []string {
	if set.Members {
		return []string{AllMembers}
	}
	list := make([]string, len(set.Named))
	for i, account := range set.Named {
		list[i] = f.Name(account)
	}
	slices.Sort(list)
	return list
}

// Active reports whether this organisation is a member now, with the account that this node has.
func (f *Shared) Active() bool {
	m, found := f.Member(f.Self)
	return found && m.Removed == nil && m.Account == f.Self
}

// Excluded says why this organisation is no member now, or not by the account that this node has; "" if it is one.
func (f *Shared) Excluded() string {
	m, found := f.Member(f.Self)
	switch {
	case found && m.Removed != nil:
		return fmt.Sprintf("this organisation was removed in round %d by the governor", m.Removed.Round)
	case found && m.Account != f.Self:
		return "this organisation has another account now, and this node is without its key"
	case !found:
		return "this organisation is not a member of the consortium"
	}
	return ""
}

// Ours reports whether an account is this organisation's, or was.
func (f *Shared) Ours(account string) (ours bool) {
	f.Read(func(s *consortium.State) { ours = s.Same(account, f.Self) })
	return ours
}

// Own is this organisation as a member, by its first account: whose its publications are, whichever account it has now.
func (f *Shared) Own() (member string) {
	f.Read(func(s *consortium.State) { member = s.MemberOf(f.Self) })
	return member
}

// Begun reports whether anything of the consortium is known.
func (f *Shared) Begun() (begun bool) {
	f.Read(func(s *consortium.State) { begun = s.Governor() != "" })
	return begun
}

// MayWrite reports whether the chain takes anything of this organisation: as a member, or as the governor.
func (f *Shared) MayWrite() (may bool) {
	f.Read(func(s *consortium.State) { may = s.Governor() == f.Self })
	return may || f.Active()
}

// Sequence is the greatest sequence number of an account that the chain has shown, and which below it are missing.
func (f *Shared) Sequence(account string) (highest uint64, missing []consortium.Range) {
	f.Read(func(s *consortium.State) {
		if q := s.Sequences()[account]; q != nil {
			highest, missing = q.Highest, slices.Clone(q.Holes)
		}
	})
	return highest, missing
}

// CopySequences copies the publishers' numbers.
func CopySequences(s *consortium.State) map[string]*consortium.Sequence {
	copied := make(map[string]*consortium.Sequence, len(s.Sequences()))
	for account, q := range maps.All(s.Sequences()) {
		one := *q
		copied[account] = &one
	}
	return copied
}

// TellsOf reports whether the chain has shown this organisation's transaction with a sequence number.
func (f *Shared) TellsOf(number uint64) bool {
	highest, missing := f.Sequence(f.Self)
	if number == 0 || number > highest {
		return false
	}
	for _, r := range missing {
		if number >= r.First && number <= r.Last {
			return false
		}
	}
	return true
}
