package replicate_test

import (
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/p2p/unixfs"
	"github.com/serviceledger/slnode/repo/view"
)

// model is F(E, C, K) of docs/PROTOCOL.md 9, written from that page and not from the code: one pass over the events,
// and whatever needs contents is derived from the beginning each time that it is asked for.
type model struct {
	charter  string // its transaction
	events   []consortium.Event
	contents map[cid.Cid]unixfs.Directory
	identity *seal.Identity
	read     *reading

	governors   []governor
	parties     []*party // members, in the order of their first admission
	collections []*collection
	ends        []consortium.Event // that may withdraw something
	counted     []consortium.Event
}

type governor struct {
	account string
	by      consortium.Event
}

// party is a member, now or once.
type party struct {
	accounts   []string // that it had, one after the other
	since      []consortium.Position
	admissions []*admission
	rotations  []consortium.Event
}

type admission struct {
	consortium.Event
	ended bool
}

type collection struct {
	id      string
	owner   *party
	records []consortium.Event // collection and keyring
}

func (p *party) account() string { return p.accounts[len(p.accounts)-1] }

func (p *party) isMember() bool {
	return slices.ContainsFunc(p.admissions, func(a *admission) bool { return !a.ended })
}

// party is the member that has or had an account; nil if there is none.
func (m *model) party(account string) *party {
	for _, p := range m.parties {
		if slices.Contains(p.accounts, account) {
			return p
		}
	}
	return nil
}

func (m *model) collection(id string) *collection {
	for _, c := range m.collections {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (m *model) governor() string {
	if len(m.governors) == 0 {
		return ""
	}
	return m.governors[len(m.governors)-1].account
}

// fold is the pass over the events.
func (m *model) fold() {
	for _, e := range m.events {
		if m.takes(e) {
			m.counted = append(m.counted, e)
		}
	}
}

// takes takes an event (9.1, 9.2), and reports whether it counts.
func (m *model) takes(e consortium.Event) bool {
	if len(m.governors) == 0 { // nothing before the charter counts
		if e.TxID != m.charter {
			return false
		}
		m.governors = []governor{{e.Sender, e}}
		return true
	}
	governs, sender := e.Sender == m.governor(), m.party(e.Sender)
	replaced := sender != nil && sender.account() != e.Sender
	switch e.Note.Kind {
	case wire.KindAmendment:
		if governs {
			m.governors = append(m.governors, governor{e.Note.Account, e})
		}
		return governs
	case wire.KindMember:
		return governs && m.admits(e)
	case wire.KindRotation:
		return m.rotates(e, governs)
	case wire.KindRemoval:
		if e.Note.Account != "" {
			return governs && m.removes(e.Note.Account)
		}
	case wire.KindRelease: // it ends nothing, whoever sends it
		return sender != nil || m.governed(e.Sender)
	case wire.KindDestroy:
		for _, p := range m.parties {
			for _, a := range p.admissions {
				if a.Asset == e.Asset {
					counts := governs && a.Sender == e.Sender
					a.ended = a.ended || counts
					return counts
				}
			}
		}
	default:
		return sender != nil && !replaced && sender.isMember() && m.takesOfMember(e, sender)
	}
	if replaced || sender == nil && (e.Note.Kind != wire.KindDestroy || !m.governed(e.Sender)) {
		return false
	}
	m.ends = append(m.ends, e) // 9.8: the sender need not be a member any more
	return true
}

// governed reports whether an account is or was the governor.
func (m *model) governed(account string) bool {
	return slices.ContainsFunc(m.governors, func(g governor) bool { return g.account == account })
}

// takesOfMember takes what counts from members only (9.4).
func (m *model) takesOfMember(e consortium.Event, by *party) bool {
	switch e.Note.Kind {
	case wire.KindObject, wire.KindBatch:
		return true
	case wire.KindCollection, wire.KindKeyring:
	default:
		return false
	}
	made := 0
	for _, c := range m.collections {
		if c.owner != by {
			continue
		}
		made++
		if slices.ContainsFunc(c.records, func(r consortium.Event) bool { return r.Directory == e.Directory }) {
			return false
		}
	}
	c := m.collection(e.Note.Collection)
	if c == nil && e.Note.Kind == wire.KindCollection && made < 1024 {
		c = &collection{id: e.Note.Collection, owner: by}
		m.collections = append(m.collections, c)
	}
	if c == nil || c.owner != by {
		return false
	}
	c.records = append(c.records, e)
	return true
}

func (m *model) admits(e consortium.Event) bool {
	p := m.party(e.Note.Account)
	if p != nil && p.account() != e.Note.Account { // 9.9: nobody can be admitted with it
		return false
	}
	if p == nil {
		p = &party{accounts: []string{e.Note.Account}, since: []consortium.Position{e.Position}}
		m.parties = append(m.parties, p)
	}
	p.admissions = append(p.admissions, &admission{Event: e})
	return true
}

func (m *model) removes(account string) bool {
	p := m.party(account)
	if p == nil || !p.isMember() {
		return false
	}
	for _, a := range p.admissions {
		a.ended = true
	}
	return true
}

// rotates is 9.9.
func (m *model) rotates(e consortium.Event, governs bool) bool {
	p, has := m.party(e.Note.Former), m.party(e.Note.Account)
	if p == nil || !p.isMember() {
		return false
	}
	itself := e.Sender == e.Note.Former && e.Sender == p.account()
	switch {
	case !governs && !itself, has != nil && e.Note.Account != p.account():
		return false
	case e.Sender == e.Note.Former && has == nil && !e.Note.Consented(e.Consortium):
		return false
	}
	if has == nil {
		p.accounts, p.since = append(p.accounts, e.Note.Account), append(p.since, e.Position)
	}
	p.rotations = append(p.rotations, e)
	return true
}

// record is what a directory holds, checked as far as it can be by itself (6).
type record struct {
	metadata wire.Metadata
	hash     [32]byte
	payload  []byte
	inOrder  bool
}

// reading is what was read and opened in a history already: nothing but time depends on it.
type reading struct {
	records map[string]record // by directory
	opened  map[string][]byte // by key and what is sealed
}

type opener interface{ Open([]byte) ([]byte, error) }

// open gives what is sealed; nil if the key does not open it.
func (r *reading) open(sealed []byte, name string, key opener) []byte {
	at := name + string(sealed)
	if _, known := r.opened[at]; !known {
		r.opened[at], _ = key.Open(sealed)
	}
	return r.opened[at]
}

// content gives what an event's directory holds, and whether it has arrived and is in order.
func (m *model) content(e consortium.Event) (r record, state view.State) {
	directory, here := m.contents[cid.MustParse(e.Directory)]
	if !here {
		return r, view.Waiting
	}
	r, known := m.read.records[e.Directory]
	if !known {
		files, err := directory.Files()
		if metadata, _ := unixfs.Pick(files, wire.MetadataName); err == nil && metadata != nil {
			r.hash = wire.MetadataHash(metadata)
			if r.metadata, err = wire.ParseMetadata(metadata); err == nil {
				r.payload, _ = unixfs.Pick(files, r.metadata.Properties.Path)
				r.inOrder = r.payload != nil && r.metadata.CheckPayload(r.payload) == nil
			}
		}
		m.read.records[e.Directory] = r
	}
	p := r.metadata.Properties
	if !r.inOrder || e.Index == 0 && string(r.hash[:]) != string(e.MetadataHash) || p.Kind != e.Note.Kind || p.Consortium != e.Consortium ||
		p.Publisher != e.Sender || e.Note.Collection != "" && p.Collection != e.Note.Collection {
		return r, view.Refused
	}
	return r, view.Held
}

// held is the state of a record's content, and what it says.
func held[T any](m *model, e consortium.Event, parse func([]byte) (T, error), fits func(T) bool) (said T, state view.State) {
	r, state := m.content(e)
	if state != view.Held {
		return said, state
	}
	said, err := parse(r.payload)
	if err != nil || !fits(said) {
		return said, view.Refused
	}
	return said, view.Held
}

func (m *model) recordState(e consortium.Event) (state view.State) {
	switch n := e.Note; n.Kind {
	case wire.KindCharter:
		_, state = held(m, e, wire.ParseCharter, func(wire.Charter) bool { return true })
	case wire.KindAmendment:
		_, state = m.amended(e)
	case wire.KindMember:
		_, state = m.document(e)
	case wire.KindRotation:
		_, state = m.rotated(e)
	case wire.KindRemoval:
		_, state = held(m, e, wire.ParseRemoval, func(r wire.Removal) bool { return r.Account == n.Account })
	case wire.KindCollection:
		_, state = m.collectionRecord(e)
	case wire.KindKeyring:
		_, state = held(m, e, wire.ParseKeyringRecord, func(r wire.KeyringRecord) bool { return r.Collection == n.Collection })
	}
	return state
}

func (m *model) amended(e consortium.Event) (wire.Amendment, view.State) {
	return held(m, e, wire.ParseAmendment, func(a wire.Amendment) bool {
		governor, err := a.Governor.Address()
		return err == nil && governor == e.Note.Account
	})
}

func (m *model) document(e consortium.Event) (wire.Member, view.State) {
	return held(m, e, wire.ParseMember, func(d wire.Member) bool { return d.Account == e.Note.Account })
}

func (m *model) rotated(e consortium.Event) (wire.Rotation, view.State) {
	return held(m, e, wire.ParseRotation, func(r wire.Rotation) bool {
		return r.Member.Account == e.Note.Account && wire.PeerDigest(r.Member.Peer) == e.Note.PeerDigest
	})
}

func (m *model) collectionRecord(e consortium.Event) (wire.CollectionRecord, view.State) {
	return held(m, e, wire.ParseCollectionRecord, func(r wire.CollectionRecord) bool { return r.Collection == e.Note.Collection })
}
