package consortium

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sort"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

const (
	// maxCollections is how many collections a member can make. Each is something that everybody has to remember.
	maxCollections = 1024
	// maxSpare bounds the properties, sealed or opened, that are kept beside the present ones of each collection: in
	// bytes. What doesn't fit is asked for again when it is needed, see [State.Wanted].
	maxSpare = 4 << 20
)

// collection is the records of one collection, in chain order, and what follows from them.
type collection struct {
	id      string
	owner   *member
	records []*collectionRecord // of both kinds
	made    uint32              // collection records: no more epochs can have begun
	unread  int                 // records whose content hasn't arrived
	keys    map[uint32]*seal.EpochKey

	// What never changes, since it follows from what has once arrived without a gap.
	arrived int                 // records
	begun   []*collectionRecord // by which the epochs began, from epoch 1
	late    int                 // records whose keys are to be given again

	// What is known of the beginning, up to the first collection record that hasn't arrived: it may change everything
	// after it.
	known   int // records
	periods []period
	last    *collectionRecord // of the last period that we can read
}

// collectionRecord is one collection or keyring record. Anybody can make very many: it holds little.
type collectionRecord struct {
	txid    string
	at      Position
	in      *collection
	index   int // in the collection's records
	keyring bool
	epochs  uint32 // whose keys are taken: up to this one
	stanzas int    // that its keyrings can have

	read, void bool // void: the content breaks the rules
	late       bool // its keys are to be given again, when all before it has arrived

	// What a collection record says, where it is read and not void.
	epoch     uint32
	key       [sha256.Size]byte // the commitment to the epoch's key
	opens     bool              // we have the key to the properties
	everybody bool              // who reads may publish
	named     []string          // else these accounts, sorted, beside the owner's
	sealed    []byte            // the properties, if there is room
	opened    *wire.Collection  // … opened: the present ones, others if there is room
	length    int               // … in bytes
	spare     int               // of both, what counts as spare
}

// period is a stretch of the chain, up to the next one, in which a collection doesn't change.
type period struct {
	by    *collectionRecord
	began Position // of the record that began the epoch
}

func (s *State) record(e Event) (Effect, string) {
	id, owner := e.Note.Collection, s.members[e.Sender]
	c := s.collections[id]
	switch {
	case owner.minted[e.Directory]:
		return Nothing, "the sender has minted a record about this directory before"
	case c == nil && e.Note.Kind != wire.KindCollection:
		return Nothing, "a keyring for a collection that doesn't exist"
	case c == nil && owner.owns >= maxCollections:
		return Nothing, "the sender has made as many collections as a member can"
	case c != nil && c.owner != owner:
		return Nothing, "the collection belongs to another member"
	case c == nil:
		owner.owns++
		c = &collection{id: id, owner: owner, keys: map[uint32]*seal.EpochKey{}}
		s.collections[id] = c
	}
	owner.mint(e.Directory)
	r := &collectionRecord{
		txid: e.TxID, at: e.Position, in: c, index: len(c.records), keyring: e.Note.Kind == wire.KindKeyring, stanzas: maxKeyringStanzas(s.organisations),
	}
	if !r.keyring {
		c.made++
	}
	r.epochs = c.made
	c.records = append(c.records, r)
	c.unread++
	c.extend(s)
	s.records[e.TxID] = r
	return Record, ""
}

// mint remembers the directory of a record. Each costs everybody the work of reading it, so that of one member each
// counts once.
func (m *member) mint(directory string) {
	if directory == "" {
		return
	}
	if m.minted == nil {
		m.minted = map[string]bool{}
	}
	m.minted[directory] = true
}

// maxKeyringStanzas is how many stanzas the keyrings of one record can have where so many organisations were ever
// admitted: enough for a keyring of its own for each of them.
func maxKeyringStanzas(organisations int) int { return 4 * seal.Stanzas(max(organisations, 1)) }

func (r *collectionRecord) reader() Reader {
	note := wire.Note{Kind: wire.KindCollection, Collection: r.in.id}
	if r.keyring {
		note.Kind = wire.KindKeyring
	}
	return Reader{event: Event{TxID: r.txid, Sender: r.in.owner.accountAt(r.at), Note: note}, epochs: r.epochs, stanzas: r.stanzas}
}

// take takes a collection or keyring record. A record that isn't for us is in order; a void one is as if it had never
// been minted.
func (r *collectionRecord) take(s *State, content *Content) {
	if r.read && !r.late {
		return
	}
	c := r.in
	touched := []*collectionRecord{r, c.last}
	if !r.read {
		r.read, r.void = true, content == nil
		r.setLate(false) // they are here
		c.unread--
		if content != nil {
			r.epoch = content.Epoch
			copy(r.key[:], content.Key)
			r.open(s, content.Sealed)
		}
		c.extend(s)
	}
	if content != nil {
		touched = append(touched, r.give(s, content.Keys)...)
	}
	for _, t := range append(touched, c.last) {
		t.tidy(s)
	}
	if c.last != nil && c.last.opened == nil {
		c.last.want(s)
	}
}

// fits reports whether a key is the one that a collection record is committed to.
func (r *collectionRecord) fits(key *seal.EpochKey) bool {
	return !r.keyring && !r.void && key.Commitment(r.in.id, r.epoch) == r.key
}

// give takes the keys of a record: of epochs that begin with it or before it, those that their beginning is committed
// to. Which these are is known when all before it has arrived; until then they are to be given again. The records whose
// properties are opened by them are returned.
func (r *collectionRecord) give(s *State, keys []wire.KeyringEpoch) (opened []*collectionRecord) {
	c := r.in
	r.setLate(len(keys) > 0 && c.arrived <= r.index)
	if r.late {
		return nil
	}
	taken := map[uint32]*seal.EpochKey{}
	for _, given := range keys {
		began := c.beginning(given.Epoch)
		if c.keys[given.Epoch] != nil || began == nil || began.index > r.index {
			continue // we have it, or it is of none that began by now
		}
		if key, err := seal.ParseEpochKey(given.Secret); err == nil && began.fits(key) {
			c.keys[given.Epoch], taken[given.Epoch] = key, key
		}
	}
	return c.reopen(s, taken)
}

func (r *collectionRecord) setLate(late bool) {
	if late && !r.late {
		r.in.late++
	}
	if !late && r.late {
		r.in.late--
	}
	r.late = late
}

// reopen opens the properties of the records of epochs whose keys have come.
func (c *collection) reopen(s *State, keys map[uint32]*seal.EpochKey) (opened []*collectionRecord) {
	if len(keys) == 0 {
		return nil
	}
	for _, r := range c.records {
		key := keys[r.epoch]
		if !r.read || r.opens || key == nil || !r.fits(key) {
			continue
		}
		if r.sealed == nil {
			r.want(s)
			continue
		}
		c.rewind(r)
		r.open(s, r.sealed)
		opened = append(opened, r)
	}
	c.extend(s)
	return opened
}

// key finds an epoch's key; nil if we weren't given it. It is called for every object.
func (c *collection) key(epoch uint32) *seal.EpochKey { return c.keys[epoch] }

// open opens the properties with the key of their epoch, if we have it.
func (r *collectionRecord) open(s *State, sealed []byte) {
	r.opens, r.everybody, r.named, r.sealed, r.opened, r.length = false, false, nil, sealed, nil, 0
	key := r.in.key(r.epoch)
	if key == nil || !r.fits(key) {
		return
	}
	plaintext, err := key.Open(sealed)
	if err != nil {
		return
	}
	properties, err := wire.ParseCollection(plaintext)
	if err != nil {
		return
	}
	r.opens, r.everybody, r.named = true, properties.Contributors.Members, s.accountsBy(r.at, properties.Contributors.Named)
	r.opened, r.length = &properties, len(plaintext)
}

// accountsBy gives those of some accounts, sorted, that members had by a position. Nobody else's need be remembered.
func (s *State) accountsBy(at Position, accounts []string) (had []string) {
	for _, account := range accounts {
		m := s.members[account]
		if m == nil {
			continue
		}
		t := m.accounts[slices.IndexFunc(m.accounts, func(t tenure) bool { return t.account == account })]
		began := t.after
		if began == (Position{}) {
			began = m.admissions[0].event.Position
		}
		if began.Before(at) {
			had = append(had, t.account) // the state's own text: that of the properties is not kept
		}
	}
	slices.Sort(had)
	return slices.Compact(had)
}

// tidy keeps what a record says in full if it is what the collection is now, or if there is room; nil has nothing.
func (r *collectionRecord) tidy(s *State) {
	if r == nil {
		return
	}
	s.spare -= r.spare
	r.spare = 0
	if r.opened != nil && r != r.in.last {
		if r.length > maxSpare-s.spare {
			r.opened = nil
		} else {
			r.spare += r.length
		}
	}
	if len(r.sealed) > maxSpare-s.spare-r.spare {
		r.sealed = nil
	}
	r.spare += len(r.sealed)
	s.spare += r.spare
}

// want makes a record one whose content has not arrived, and asks for it.
func (r *collectionRecord) want(s *State) {
	r.in.rewind(r)
	s.spare -= r.spare
	r.read, r.opens, r.sealed, r.opened, r.spare = false, false, nil, nil, 0
	r.in.unread++
	s.wanted = append(s.wanted, r.txid)
}

// extend derives periods from the records that have become known. Each is looked at once, unless something before it
// changes.
func (c *collection) extend(s *State) {
	for ; c.known < len(c.records); c.known++ {
		r := c.records[c.known]
		if !r.read && !r.keyring {
			return
		}
		if c.known == c.arrived {
			c.arrived++
			if r.late {
				s.wanted = append(s.wanted, r.txid)
			}
		}
		if r.keyring || r.void {
			continue
		}
		epoch, began := c.epoch()
		first := c.beginning(epoch)
		switch {
		case r.epoch == epoch+1:
			began = r.at
			if c.beginning(r.epoch) == nil {
				c.begun = append(c.begun, r)
			}
		case first != nil && r.epoch == epoch && r.key == first.key:
		default:
			continue // skips an epoch, goes back, or has another key: as if it had never been minted
		}
		c.periods = append(c.periods, period{by: r, began: began})
		if r.opens {
			c.last = r
		}
	}
}

// epoch is the one that the collection has reached, and where it began.
func (c *collection) epoch() (epoch uint32, began Position) {
	if n := len(c.periods); n > 0 {
		return c.periods[n-1].by.epoch, c.periods[n-1].began
	}
	return 0, Position{}
}

// beginning is the record that began an epoch; nil if none is known to.
func (c *collection) beginning(epoch uint32) *collectionRecord {
	if epoch < 1 || int(epoch) > len(c.begun) {
		return nil
	}
	return c.begun[epoch-1]
}

// ended is the round in which the epoch after a given one began. There must be one.
func (c *collection) ended(epoch uint32) uint64 {
	n := sort.Search(len(c.periods), func(i int) bool { return c.periods[i].by.epoch > epoch })
	return c.periods[n].began.Round
}

// rewind forgets what follows from a record and those after it, because it changes.
func (c *collection) rewind(r *collectionRecord) {
	if r.index >= c.known {
		return
	}
	c.known = r.index
	c.periods = c.periods[:sort.Search(len(c.periods), func(i int) bool { return c.periods[i].by.index >= r.index })]
	c.last = nil
	for _, p := range slices.Backward(c.periods) {
		if p.by.opens {
			c.last = p.by
			return
		}
	}
}

// at finds the period just before a position. It is not known where a record before that has not arrived.
func (c *collection) at(p Position) (now period, known, found bool) {
	if c.known < len(c.records) && c.records[c.known].at.Before(p) {
		return period{}, false, true
	}
	n := sort.Search(len(c.periods), func(i int) bool { return !c.periods[i].by.at.Before(p) })
	if n == 0 {
		return period{}, true, false
	}
	return c.periods[n-1], true, true
}

// Collection is a collection as it is now, for somebody who can read it. Its members are named by their present
// accounts.
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
	if c.last == nil || c.last.opened == nil {
		return Collection{}, false
	}
	n := sort.Search(len(c.periods), func(i int) bool { return c.periods[i].by.index >= c.last.index })
	one := Collection{
		ID: id, Owner: c.owner.account(), Default: s.isDefault(c), Properties: *c.last.opened, Epoch: c.last.epoch, Began: c.periods[n].began,
		Key: c.key(c.last.epoch), Revision: int(c.made), Pending: c.known < len(c.records), Former: n < len(c.periods)-1,
	}
	one.Properties.Readers, one.Properties.Contributors = s.present(one.Properties.Readers), s.present(one.Properties.Contributors)
	// Who has no keyring that hasn't arrived yet may get one yet.
	one.Pending = one.Pending || one.Former && c.unread+c.late > 0
	return one, true
}

// OwnerOf tells whose a collection is, by the owner's present account, also of one that we can't read. It is told by
// the chain alone: a collection that was to be made with an id, and whose first record has not been seen, exists or
// not.
func (s *State) OwnerOf(id string) (account string, exists bool) {
	c := s.collections[id]
	if c == nil {
		return "", false
	}
	return c.owner.account(), true
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
		for epoch, key := range c.keys {
			keys[epoch] = key
		}
	}
	return keys
}
