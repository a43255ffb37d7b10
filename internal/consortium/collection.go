package consortium

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// maxEpochs bounds the keys that one keyring can bring.
const maxEpochs = 1 << 16

// collection is the records of one collection, in chain order, and what follows from them.
type collection struct {
	id      string
	owner   *member
	records []*collectionRecord
	unread  int      // records whose content hasn't arrived
	periods []period // recomputed whenever content arrives
	keys    map[uint32]givenKey
}

// givenKey is the key of an epoch. Where the owner gave different ones, it is the first on the chain.
type givenKey struct {
	key *seal.EpochKey
	by  Position // of the record
}

// collectionRecord is one collection or keyring record.
type collectionRecord struct {
	event  Event
	read   bool
	void   bool // the content breaks the rules
	epoch  uint32
	sealed []byte // properties
	in     *collection

	tried        *seal.EpochKey // the key that made opened what it is
	opened       *wire.Collection
	contributors map[string]bool // … and the accounts that it names as such
}

// period is a stretch of the chain, up to the next one, in which a collection doesn't change.
type period struct {
	from       Position
	epoch      uint32
	began      Position         // … and the record that began the epoch
	properties *wire.Collection // nil where we hold no key to them
	named      map[string]bool  // accounts of contributors
	unknown    bool             // a record is missing: nothing can be said yet
}

func (s *State) record(e Event) (Effect, string) {
	id := e.Note.Collection
	c := s.collections[id]
	if c == nil {
		if e.Note.Kind != wire.KindCollection {
			return Nothing, "a keyring for a collection that doesn't exist"
		}
		c = &collection{id: id, owner: s.members[e.Sender], keys: map[uint32]givenKey{}}
		s.collections[id] = c
	}
	if c.owner != s.members[e.Sender] {
		return Nothing, "the collection belongs to another member"
	}
	r := &collectionRecord{event: e, in: c}
	c.records = append(c.records, r)
	c.unread++
	c.recompute()
	s.records[e.TxID] = r
	return Record, ""
}

// attach reads a collection or keyring record. A record that isn't for us is in order; a void one is as if it had
// never been minted.
func (r *collectionRecord) attach(s *State, m wire.Metadata, payload []byte) error {
	if r.read {
		return nil
	}
	keys, err := r.readContent(s, m, payload)
	if err == nil {
		r.in.give(keys, r.event.Position)
	}
	r.read, r.void = true, err != nil
	r.in.unread--
	r.in.recompute()
	return err
}

// readContent gives the keys that the record's keyrings have for us, by epoch.
func (r *collectionRecord) readContent(s *State, m wire.Metadata, payload []byte) (map[uint32]*seal.EpochKey, error) {
	if err := s.checkProperties(m, r.event.Note.Kind, r.in.id); err != nil {
		return nil, err
	}
	var keyrings [][]byte
	switch r.event.Note.Kind {
	case wire.KindCollection:
		record, err := wire.ParseCollectionRecord(payload)
		if err != nil {
			return nil, err
		}
		if record.Collection != r.in.id {
			return nil, errors.New("the record is about another collection than its note")
		}
		r.epoch, r.sealed, keyrings = m.Properties.Epoch, record.Sealed, record.Keyrings
	case wire.KindKeyring:
		record, err := wire.ParseKeyringRecord(payload)
		if err != nil {
			return nil, err
		}
		if record.Collection != r.in.id {
			return nil, errors.New("the record is about another collection than its note")
		}
		keyrings = record.Keyrings
	}
	keys := map[uint32]*seal.EpochKey{}
	for _, sealed := range keyrings {
		if err := r.in.openKeyring(s.identity, sealed, keys); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (c *collection) openKeyring(identity *seal.Identity, sealed []byte, keys map[uint32]*seal.EpochKey) error {
	plaintext, err := identity.Open(sealed)
	if errors.Is(err, seal.ErrNotForUs) {
		return nil
	}
	if err != nil {
		return err
	}
	keyring, err := wire.ParseKeyring(plaintext)
	if err != nil {
		return err
	}
	if keyring.Collection != c.id || len(keyring.Epochs) > maxEpochs {
		return errors.New("a keyring is about another collection, or has too many epochs")
	}
	for _, epoch := range keyring.Epochs {
		key, err := seal.ParseEpochKey(epoch.Secret)
		if err != nil {
			return fmt.Errorf("key of epoch %d: %w", epoch.Epoch, err)
		}
		keys[epoch.Epoch] = key
	}
	return nil
}

// give takes the keys of a record. Records arrive in any order.
func (c *collection) give(keys map[uint32]*seal.EpochKey, by Position) {
	for epoch, key := range keys {
		if known, found := c.keys[epoch]; !found || by.Before(known.by) {
			c.keys[epoch] = givenKey{key: key, by: by}
		}
	}
}

// key finds an epoch's key; nil if we weren't given it. It is called for every object.
func (c *collection) key(epoch uint32) *seal.EpochKey { return c.keys[epoch].key }

// recompute derives the periods from the records. It costs as much as there are records, and runs once for each
// record that arrives, never for an object.
func (c *collection) recompute() {
	c.periods = c.periods[:0]
	var now period
	for _, r := range c.records {
		if r.event.Note.Kind != wire.KindCollection || r.void {
			continue
		}
		if !r.read {
			// It may change everything after it.
			c.periods = append(c.periods, period{from: r.event.Position, unknown: true})
			return
		}
		switch r.epoch {
		case now.epoch + 1:
			now.epoch, now.began = r.epoch, r.event.Position
		case now.epoch:
		default:
			continue // skips an epoch or goes back: as if it had never been minted
		}
		now.from = r.event.Position
		now.properties, now.named = r.properties(), r.contributors
		c.periods = append(c.periods, now)
	}
}

// properties opens the sealed properties with the key of their epoch; nil as long as there is none that fits.
func (r *collectionRecord) properties() *wire.Collection {
	key := r.in.key(r.epoch)
	if key == r.tried { // nil at first, as the key is
		return r.opened
	}
	r.tried, r.opened, r.contributors = key, nil, nil
	plaintext, err := key.Open(r.sealed)
	if err != nil {
		return nil
	}
	if properties, err := wire.ParseCollection(plaintext); err == nil {
		r.opened, r.contributors = &properties, map[string]bool{}
		for _, account := range properties.Contributors.Named {
			r.contributors[account] = true
		}
	}
	return r.opened
}

// at finds the period just before a position.
func (c *collection) at(p Position) (period, bool) {
	n := sort.Search(len(c.periods), func(i int) bool { return !c.periods[i].from.Before(p) })
	if n == 0 {
		return period{}, false
	}
	return c.periods[n-1], true
}

// mayPublish reports whether an account is that of the owner or of a contributor, whichever account they were named by.
// It is called for every object.
func (s *State) mayPublish(c *collection, account string, now period) bool {
	m := s.members[account]
	return m != nil && (m == c.owner || now.properties.Contributors.Members || slices.ContainsFunc(m.accounts, func(t tenure) bool {
		return now.named[t.account]
	}))
}

// Outcome says what becomes of an object.
type Outcome int

// The outcomes of [State.Rule].
const (
	Waits    Outcome = iota // a record that decides hasn't arrived yet; ask again after the next Attach
	Readable                // it counts, and Key opens it
	NotForUs                // it may count, but we hold no key to it; ask again when a keyring arrives
	Refused                 // it doesn't count, for the reason given
)

// Ruling is what the rules say of one object.
type Ruling struct {
	Outcome    Outcome
	Reason     string
	Key        *seal.EpochKey   // where Readable
	Properties *wire.Collection // where Readable
	Late       bool             // it is sealed to the epoch before, and counts because the grace isn't over
}

// Rule decides about an object whose event had the effect [Object], from its metadata.json.
func (s *State) Rule(e Event, m wire.Metadata) Ruling {
	refuse := func(format string, args ...any) Ruling {
		return Ruling{Outcome: Refused, Reason: fmt.Sprintf(format, args...)}
	}
	p := m.Properties
	if p.Kind != wire.KindObject || p.Consortium != s.id {
		return refuse("its metadata is that of a %.40q of consortium %d", p.Kind, p.Consortium)
	}
	c := s.collections[p.Collection]
	if c == nil {
		return refuse("collection %s did not exist", p.Collection)
	}
	now, ok := c.at(e.Position)
	if !ok {
		return refuse("collection %s did not exist at that point", p.Collection)
	}
	if now.unknown {
		return Ruling{Outcome: Waits, Reason: "a record of the collection has not arrived"}
	}
	switch {
	case p.Epoch > now.epoch:
		return refuse("epoch %d of the collection had not begun", p.Epoch)
	case p.Epoch+1 < now.epoch, p.Epoch < now.epoch && e.Round > now.began.Round+Grace:
		return refuse("epoch %d of the collection was over, it is at %d since round %d", p.Epoch, now.epoch, now.began.Round)
	}
	key := c.key(p.Epoch)
	if key == nil || now.properties == nil {
		if c.unread > 0 {
			return Ruling{Outcome: Waits, Reason: "a keyring of the collection has not arrived"}
		}
		return Ruling{Outcome: NotForUs, Reason: fmt.Sprintf("we hold no key of epoch %d", p.Epoch)}
	}
	if !s.mayPublish(c, e.Sender, now) {
		return refuse("the sender may not publish in this collection")
	}
	return Ruling{Outcome: Readable, Key: key, Properties: now.properties, Late: p.Epoch < now.epoch}
}

// Collection is a collection as it is now, for somebody who can read it. Its members are named by their present accounts.
type Collection struct {
	ID         string
	Owner      string // account
	Default    bool   // the consortium's own
	Properties wire.Collection
	Epoch      uint32
	Began      Position       // of the record that began the epoch
	Key        *seal.EpochKey // of the current epoch
	Revision   int            // how many collection records there are, those that don't count among them
	Pending    bool           // a record has not arrived; the rest is as it was before
	Former     bool           // we can't read it any more; the rest is as it was when we could
}

// MayRead reports whether a member's account is the owner or a reader.
func (c Collection) MayRead(account string) bool {
	return account == c.Owner || c.Properties.Readers.Includes(account)
}

// MayPublish reports whether an account may publish in the collection.
func (c Collection) MayPublish(account string) bool {
	return !c.Former && (account == c.Owner || c.Properties.Contributors.Includes(account))
}

// Collection gives a collection that we can read, or could, as it is now or was then.
func (s *State) Collection(id string) (Collection, bool) {
	c := s.collections[id]
	if c == nil {
		return Collection{}, false
	}
	one := Collection{ID: id, Owner: c.owner.account(), Default: s.isDefault(c), Revision: c.revision()}
	for _, p := range slices.Backward(c.periods) {
		if p.unknown {
			one.Pending = true
			continue
		}
		one.Key = c.key(p.epoch)
		if p.properties == nil || one.Key == nil {
			one.Former = true
			continue
		}
		one.Properties, one.Epoch, one.Began = *p.properties, p.epoch, p.began
		one.Properties.Readers, one.Properties.Contributors = s.present(p.properties.Readers), s.present(p.properties.Contributors)
		// Who has no keyring that hasn't arrived yet may get one yet.
		one.Pending = one.Pending || one.Former && c.unread > 0
		return one, true
	}
	return Collection{}, false
}

func (c *collection) revision() (n int) {
	for _, r := range c.records {
		if r.event.Note.Kind == wire.KindCollection {
			n++
		}
	}
	return n
}

// isDefault: the charter names the default collection and its owner; a member who takes the same id gets nothing.
func (s *State) isDefault(c *collection) bool {
	charter := s.Charter()
	return charter != nil && charter.DefaultCollection == c.id && s.members[charter.Founder] == c.owner
}

// Collections lists the collections that we can read, or could, sorted by id.
func (s *State) Collections() []Collection {
	var list []Collection
	for _, id := range slices.Sorted(maps.Keys(s.collections)) {
		if c, ok := s.Collection(id); ok {
			list = append(list, c)
		}
	}
	return list
}

// Keys gives the keys of a collection that we hold, by epoch, for an owner who makes a keyring for somebody.
func (s *State) Keys(collection string) map[uint32]*seal.EpochKey {
	keys := map[uint32]*seal.EpochKey{}
	if c := s.collections[collection]; c != nil {
		for epoch, given := range c.keys {
			keys[epoch] = given.key
		}
	}
	return keys
}
