// Package consortium is the rules of a Service Ledger consortium as a pure state machine: which accounts were members
// at which point of the chain, which collections there are, who may read and who may publish in them, and which
// object counts. It does no I/O and reads no clock.
//
// It is fed from two sides. [State.Apply] takes the chain's events, in chain order. Membership follows from the notes
// of the governor's transactions alone, so that a fold never has to wait for IPFS. [State.Attach] takes the content of
// records (names, keys, properties of collections) as it arrives from IPFS, in any order. Once every content has been
// attached, the state depends on the chain only: every node that can open the same keyrings has the same state.
package consortium

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// Grace is the number of rounds after the start of a key epoch during which objects sealed to the epoch before it
// still count: the longest time that a transaction signed before the rotation can take to be confirmed.
const Grace = 1000

// State is what a consortium is at one point of the chain. It is not safe for concurrent use.
type State struct {
	id       uint64
	charter  string // transaction id
	identity *seal.Identity

	position    Position
	governor    string // account; "" before the charter was applied
	founded     *charterRecord
	members     map[string]*member
	admissions  map[uint64]*admission // by the member NFT's asset id
	collections map[string]*collection
	records     map[string]attacher // by transaction id: where content belongs
	sequences   map[string]*Sequence
}

// attacher is a record that waits for its content, or has it.
type attacher interface {
	attach(s *State, m wire.Metadata, payload []byte) error
}

type charterRecord struct {
	event   Event
	content *wire.Charter
}

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

// New begins the fold of the consortium with the given id (the asset id of its charter), whose charter was minted by
// the given transaction. The identity opens the keyrings that are meant for this organisation.
func New(id uint64, charterTxID string, identity *seal.Identity) *State {
	return &State{
		id: id, charter: charterTxID, identity: identity,
		members:     map[string]*member{},
		admissions:  map[uint64]*admission{},
		collections: map[string]*collection{},
		records:     map[string]attacher{},
		sequences:   map[string]*Sequence{},
	}
}

// Effect says what an event does.
type Effect int

// The effects of events.
const (
	Nothing    Effect = iota // it doesn't count
	Record                   // it changes the consortium; its content is wanted, see [State.Attach]
	Object                   // it publishes an object; [State.Rule] decides once its metadata is known
	Withdrawal               // it destroys an NFT that isn't a record: the object's, if its publisher is the sender
)

// Apply folds the next event in. Events must come in chain order; one that is not later than the last is a replay and
// does nothing. The reason says in words why an event does nothing.
func (s *State) Apply(e Event) (effect Effect, reason string) {
	if s.governor != "" && !s.position.Before(e.Position) {
		return Nothing, "replayed"
	}
	effect, reason = s.apply(e)
	if s.governor != "" {
		s.position = e.Position
	}
	return effect, reason
}

func (s *State) apply(e Event) (Effect, string) {
	if s.governor == "" {
		if e.Note.Kind != wire.KindCharter || e.Asset != s.id || e.TxID != s.charter {
			return Nothing, "before the charter"
		}
		s.governor = e.Sender
		s.founded = &charterRecord{event: e}
		s.records[e.TxID] = s.founded
		return Record, ""
	}
	if e.Consortium != s.id {
		return Nothing, "of another consortium"
	}
	if e.Sender != s.governor && s.members[e.Sender] == nil {
		return Nothing, "the sender was never a member"
	}
	s.sequence(e.Sender).Saw(e.Note.Sequence, e.Round)
	switch e.Note.Kind {
	case wire.KindMember:
		return s.admit(e)
	case wire.KindDestroy:
		return s.destroy(e)
	}
	if !s.memberNow(e.Sender) {
		return Nothing, "the sender was not a member in that round"
	}
	switch e.Note.Kind {
	case wire.KindCollection, wire.KindKeyring:
		return s.record(e)
	case wire.KindObject:
		return Object, ""
	}
	return Nothing, "of a kind that is not known"
}

func (s *State) admit(e Event) (Effect, string) {
	if e.Sender != s.governor {
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

func (s *State) destroy(e Event) (Effect, string) {
	a := s.admissions[e.Asset]
	if a == nil {
		return Withdrawal, ""
	}
	if a.event.Sender != e.Sender {
		return Nothing, "only who minted an NFT ends it"
	}
	if a.until == nil {
		a.until = &e.Position
	}
	return Record, ""
}

// Attach gives the content of a record that was applied: its metadata and payload, whose hashes the caller has
// checked. Content that breaks the rules makes the record void and is reported; the state is consistent all the same.
func (s *State) Attach(txid string, m wire.Metadata, payload []byte) error {
	record := s.records[txid]
	if record == nil {
		return fmt.Errorf("attaching content: no record was made by transaction %s", txid)
	}
	if err := record.attach(s, m, payload); err != nil {
		return fmt.Errorf("content of transaction %s: %w", txid, err)
	}
	return nil
}

func (c *charterRecord) attach(s *State, m wire.Metadata, payload []byte) error {
	charter, err := wire.ParseCharter(payload)
	if err != nil {
		return err
	}
	if m.Properties.Kind != wire.KindCharter {
		return fmt.Errorf("the metadata says %.40q, the note says charter", m.Properties.Kind)
	}
	c.content = &charter
	return nil
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

// checkProperties compares what metadata.json says with the note.
func (s *State) checkProperties(m wire.Metadata, kind wire.Kind, collection string) error {
	p := m.Properties
	if p.Kind != kind || p.Consortium != s.id || p.Collection != collection {
		return fmt.Errorf("the metadata says kind %.40q of consortium %d and collection %.40q, the note %s of %d and %q",
			p.Kind, p.Consortium, p.Collection, kind, s.id, collection)
	}
	return nil
}

// ID is the consortium's id: the asset id of its charter.
func (s *State) ID() uint64 { return s.id }

// Position is where the fold stands.
func (s *State) Position() Position { return s.position }

// Governor is the account that admits and removes members; "" until the charter was seen.
func (s *State) Governor() string { return s.governor }

// Charter is the charter's content, or nil as long as it isn't known.
func (s *State) Charter() *wire.Charter {
	if s.founded == nil {
		return nil
	}
	return s.founded.content
}

// Publishers are the accounts whose transactions can count, if the given events come next: the governor and everybody
// who was ever admitted, sorted. A watcher needs to ask for no other account.
func (s *State) Publishers(next []Event) []string {
	accounts := map[string]bool{}
	if s.governor != "" {
		accounts[s.governor] = true
	}
	for account := range s.members {
		accounts[account] = true
	}
	for _, e := range next {
		switch {
		case e.Note.Kind == wire.KindCharter && e.Asset == s.id && e.TxID == s.charter:
			accounts[e.Sender] = true
		case e.Note.Kind == wire.KindMember && e.Consortium == s.id:
			accounts[e.Note.Account] = true
		}
	}
	return slices.Sorted(maps.Keys(accounts))
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
	_, member := s.AdmissionAt(account, at)
	return member
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
	if c := current.content; c != nil {
		one.Known = true
		one.Name, one.Title, one.Peer, one.Recipient = c.Organisation, c.Title, c.Peer, c.Recipient
	}
	return one
}
