package replicate_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/view"
)

// epoch is one of a collection, begun by a record (9.5).
type epoch struct {
	number     uint32
	began      consortium.Event
	commitment []byte
}

// setting is a record that sets the properties of a collection.
type setting struct {
	epoch  epoch
	at     consortium.Position
	sealed []byte
}

// at is a collection as the records before a position make it, as far as they have arrived.
func (m *model) at(c *collection, before consortium.Position) (epochs []epoch, settings []setting, pending bool) {
	for _, e := range c.records {
		if e.Note.Kind != wire.KindCollection || !e.Before(before) {
			continue
		}
		said, state := m.collectionRecord(e)
		if state == view.Waiting {
			return epochs, settings, true
		}
		if state == view.Refused {
			continue
		}
		r, _ := m.content(e)
		now := uint32(len(epochs))
		switch number := r.metadata.Properties.Epoch; {
		case number == now+1:
			epochs = append(epochs, epoch{number, e, said.Key})
		case number != now || now == 0 || !slices.Equal(said.Key, epochs[now-1].commitment):
			continue
		}
		settings = append(settings, setting{epochs[len(epochs)-1], e.Position, said.Sealed})
	}
	return epochs, settings, false
}

// key is that of an epoch, if we hold it (9.6).
func (m *model) key(c *collection, of epoch) *seal.EpochKey {
	for _, e := range c.records {
		if e.Before(of.began.Position) {
			continue
		}
		next := e.Position
		next.Index++
		if _, _, pending := m.at(c, next); pending {
			return nil
		}
		var last string
		for _, file := range m.keyrings(e) {
			keyring, err := wire.ParseKeyring(m.read.open(file, m.identity.Recipient(), m.identity))
			if err != nil || keyring.Collection != c.id {
				continue
			}
			for _, k := range keyring.Epochs {
				if k.Epoch == of.number {
					last = k.Secret
				}
			}
		}
		if key, err := seal.ParseEpochKey(last); err == nil {
			if fits := key.Commitment(c.id, of.number); slices.Equal(fits[:], of.commitment) {
				return key
			}
		}
	}
	return nil
}

// keyrings are the keyrings of a record, if it has arrived and is not void.
func (m *model) keyrings(e consortium.Event) [][]byte {
	if m.recordState(e) != view.Held {
		return nil
	}
	r, _ := m.content(e)
	if said, err := wire.ParseCollectionRecord(r.payload); err == nil {
		return said.Keyrings
	}
	said, err := wire.ParseKeyringRecord(r.payload)
	if err != nil {
		return nil
	}
	return said.Keyrings
}

// properties opens what a record sets; nil if we can't.
func (m *model) properties(c *collection, s setting) *wire.Collection {
	key := m.key(c, s.epoch)
	if key == nil {
		return nil
	}
	p, err := wire.ParseCollection(m.read.open(s.sealed, key.Secret(), key))
	if err != nil {
		return nil
	}
	return &p
}

const grace = 1000 // rounds

// rule is 9.7, steps 1 to 7; Held where the object is to be opened, with the key.
func (m *model) rule(e consortium.Event, p wire.Properties) (view.State, *seal.EpochKey) {
	c := m.collection(p.Collection)
	if c == nil || !c.records[0].Before(e.Position) {
		return view.Refused, nil
	}
	epochs, settings, pending := m.at(c, e.Position)
	switch now := uint32(len(epochs)); {
	case pending:
		return view.Undecided, nil
	case now == 0, p.Epoch > now, p.Epoch < now && e.Round > epochs[p.Epoch].began.Round+grace:
		return view.Refused, nil
	}
	last := settings[len(settings)-1]
	key, properties := m.key(c, epochs[p.Epoch-1]), m.properties(c, last)
	if key == nil || properties == nil {
		return view.Undecided, nil
	}
	by := m.party(e.Sender)
	may := by == c.owner || properties.Contributors.Members
	for i, account := range by.accounts {
		may = may || by.since[i].Before(last.at) && slices.Contains(properties.Contributors.Named, account)
	}
	if !may {
		return view.Refused, nil
	}
	return view.Held, key
}

// published is an object that was opened.
type published struct {
	consortium.Event
	collection string
	by         *party
	id         string
	instant    time.Time
	raw        []byte
}

// open is what section 10 says of one object; nil if it is refused.
func (m *model) open(e consortium.Event, r record, key *seal.EpochKey) *published {
	sealed, err := wire.ParseSealedObject(r.payload)
	if err != nil {
		return nil
	}
	o := &published{Event: e, collection: r.metadata.Properties.Collection, by: m.party(e.Sender), raw: m.read.open(sealed, key.Secret(), key)}
	var said struct{ ID, Modified string }
	if json.Unmarshal(o.raw, &said) != nil {
		return nil
	}
	p := r.metadata.Properties
	if (p.Identifier != said.ID || p.Version != said.Modified) && (p.Identifier != key.Handle(said.ID, said.Modified) || p.Version != "") {
		return nil
	}
	o.id = said.ID
	o.instant, err = time.Parse(time.RFC3339, said.Modified)
	if err != nil {
		return nil
	}
	return o
}

// isEnded is 9.8.
func (m *model) isEnded(e consortium.Event) bool {
	return slices.ContainsFunc(m.ends, func(end consortium.Event) bool {
		if !e.Before(end.Position) {
			return false
		}
		if end.Note.Kind == wire.KindDestroy {
			return end.Asset == e.Asset && end.Sender == e.Sender
		}
		return end.Note.Asset == e.Asset && m.party(end.Sender) == m.party(e.Sender) && (end.Note.Index == 0 || end.Note.Index == e.Index)
	})
}

// fates are the states of all events that count and, under their names, of the objects of batches; and what counts and
// is in force of what they publish, in the chain's order.
func (m *model) fates() (states map[string]view.State, objects []*published) {
	states = map[string]view.State{}
	one := func(e consortium.Event, of wire.Properties) {
		state, o := m.fate(e, of)
		if o != nil && slices.ContainsFunc(objects, func(before *published) bool {
			return before.collection == o.collection && before.by == o.by && before.id == o.id && before.instant.Equal(o.instant)
		}) {
			state, o = view.Duplicate, nil
		}
		if states[e.Name().String()] = state; o != nil {
			objects = append(objects, o)
		}
	}
	for _, e := range m.counted {
		one(e, wire.Properties{})
		if e.Note.Kind == wire.KindBatch && states[e.TxID] == view.Held {
			r, _ := m.content(e)
			batch, _ := wire.ParseBatch(r.payload)
			for i, directory := range batch.Objects {
				one(e.Listed(uint32(i+1), directory), r.metadata.Properties)
			}
		}
	}
	return states, objects
}

// fate is what becomes of an event, or of an object of a batch, whose metadata says of what, without those that publish
// the same.
func (m *model) fate(e consortium.Event, of wire.Properties) (view.State, *published) {
	switch kind := e.Note.Kind; {
	case kind == wire.KindDestroy || kind == wire.KindRelease || kind == wire.KindRemoval && e.Note.Account == "":
		return view.Done, nil
	case kind != wire.KindObject && kind != wire.KindBatch:
		return m.recordState(e), nil
	case m.isEnded(e):
		return view.Ended, nil
	}
	r, state := m.content(e)
	if state != view.Held {
		return state, nil
	}
	p := r.metadata.Properties
	if e.Index != 0 && (p.Collection != of.Collection || p.Epoch != of.Epoch) {
		return view.Refused, nil
	}
	if e.Note.Kind == wire.KindBatch {
		batch, err := wire.ParseBatch(r.payload)
		if err != nil || batch.CheckMetadata(r.metadata) != nil {
			return view.Refused, nil
		}
	}
	state, key := m.rule(e, p)
	if state != view.Held || e.Note.Kind == wire.KindBatch {
		return state, nil
	}
	if o := m.open(e, r, key); o != nil {
		return view.InView, o
	}
	return view.Refused, nil
}

// served is what a view serves of a collection (10).
func (m *model) served(objects []*published, of string, which view.Versions) (list []*published) {
	scope := slices.DeleteFunc(slices.Clone(objects), func(o *published) bool {
		return of != view.Everything && of != view.Others && o.collection != of
	})
	for _, o := range scope { // in the chain's order: the first of an id leads
		leads := scope[slices.IndexFunc(scope, func(other *published) bool { return other.id == o.id })].by == o.by
		if leads == (of == view.Others) {
			continue
		}
		first, last := true, true
		for _, other := range scope {
			if other.id == o.id && other.by == o.by {
				before := other.instant.Before(o.instant) || other.instant.Equal(o.instant) && other.Before(o.Position)
				first, last = first && !before, last && (before || other == o)
			}
		}
		if which.All || which.First && first || which.Last && last {
			list = append(list, o)
		}
	}
	return list
}

// dump is what [telling.dump] is to be.
func (m *model) dump(f *telling) (lines []string) {
	states, objects := m.fates()
	for _, e := range f.events {
		state := states[e.TxID]
		lines = append(lines, eventLine(e.TxID, state != 0, state))
		for i := range f.lists(e, state) {
			name := wire.Publication{TxID: e.TxID, Index: uint32(i + 1)}.String()
			lines = append(lines, eventLine(name, true, states[name]))
		}
	}
	for _, of := range f.pages() {
		for _, versions := range everyVersions {
			var served []string
			for _, o := range m.served(objects, of, versions) {
				served = append(served, objectLine(of, versions, o.Name(), o.collection, o.Sender, o.raw))
			}
			slices.Sort(served)
			lines = append(lines, served...)
		}
	}
	return append(lines, slices.Concat(m.collectionLines(), m.memberLines(), m.governorLines())...)
}

func eventLine(name string, counts bool, state view.State) string {
	return fmt.Sprintf("%s: %t %s", name, counts, state)
}

func objectLine(of string, versions view.Versions, name wire.Publication, in, by string, raw []byte) string {
	return fmt.Sprintf("%.4s %v: %s in %.4s by %.6s, %x", of, versions, name, in, by, sha256.Sum256(raw))
}

func (m *model) collectionLines() (lines []string) {
	for _, c := range m.collections {
		_, settings, pending := m.at(c, consortium.Position{Round: math.MaxUint64})
		for i, s := range slices.Backward(settings) {
			if p := m.properties(c, s); p != nil {
				for i, account := range p.Contributors.Named {
					if by := m.party(account); by != nil {
						p.Contributors.Named[i] = by.account()
					}
				}
				slices.Sort(p.Contributors.Named)
				p.Contributors.Named = slices.Compact(p.Contributors.Named)
				former := i < len(settings)-1
				// Who can't read it any more may be given the key by any record that has not arrived.
				pending = pending || former && slices.ContainsFunc(c.records, func(e consortium.Event) bool { return m.recordState(e) == view.Waiting })
				lines = append(lines, collectionLine(c.id, c.owner.account(), s.epoch.number, p, pending, former))
				break
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func collectionLine(id, owner string, epoch uint32, p *wire.Collection, pending, former bool) string {
	return fmt.Sprintf("%s of %.6s: epoch %d, %+v, pending %t, former %t", id, owner, epoch, *p, pending, former)
}

// memberLines is 9.2 and 9.9: who the members are, and what is known of them.
func (m *model) memberLines() (lines []string) {
	names := map[string]bool{}
	for _, p := range m.parties {
		tells := p.admissions[len(p.admissions)-1]
		for _, a := range p.admissions {
			if !a.ended || !p.isMember() {
				tells = a
			}
		}
		says, state := m.document(tells.Event)
		if state != view.Held {
			says = wire.Member{}
		}
		name := says.Organisation
		if n := len(p.rotations); n > 0 && tells.Before(p.rotations[n-1].Position) {
			var rotated wire.Rotation
			rotated, state = m.rotated(p.rotations[n-1])
			if state != view.Held || rotated.Member.Organisation != name { // there is a title at most
				rotated.Member = wire.Member{Title: says.Title}
			}
			says = rotated.Member
		}
		if names[name] {
			name = ""
		}
		names[name] = true
		lines = append(lines, memberLine(name, says, p.accounts, !p.isMember()))
	}
	return lines
}

func memberLine(name string, says wire.Member, accounts []string, removed bool) string {
	return fmt.Sprintf("%s: %s, %s, %.20s, had %.6s, removed %t", name, says.Title, says.Peer, says.Recipient, accounts, removed)
}

// governorLines is 9.1.
func (m *model) governorLines() []string {
	if len(m.governors) == 0 {
		return []string{governorLine("", nil)}
	}
	charter, state := held(m, m.governors[0].by, wire.ParseCharter, func(wire.Charter) bool { return true })
	if state != view.Held {
		return []string{governorLine(m.governor(), nil)}
	}
	for _, g := range m.governors[1:] {
		if a, state := m.amended(g.by); state == view.Held {
			charter.Name, charter.History = a.Name, a.History
		}
	}
	return []string{governorLine(m.governor(), &charter)}
}

func governorLine(account string, charter *wire.Charter) string {
	return fmt.Sprintf("governor %.6s: %+v", account, charter)
}
