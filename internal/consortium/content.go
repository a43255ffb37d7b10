package consortium

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/internal/wire"
)

// Content is all that a state wants to know of the content of a record. It follows from the record, from its event and
// those before it, and from the identity that opens keyrings; it is small, can be stored, and never has to be found out
// again.
type Content struct {
	Charter   *wire.Charter   `json:"charter,omitzero"`
	Amendment *wire.Amendment `json:"amendment,omitzero"`
	Member    *wire.Member    `json:"member,omitzero"` // of an admission or a rotation
	Epoch     uint32          `json:"epoch,omitzero"`  // of a collection record
	Key       []byte          `json:"key,omitzero"`    // … the commitment to the epoch's key
	Sealed    []byte          `json:"sealed,omitzero"` // … the properties

	// Keys are what its keyrings have for us, ascending. They were opened with the identity of the fingerprint: another
	// one could open others.
	Keys        []wire.KeyringEpoch `json:"keys,omitzero"`
	Fingerprint []byte              `json:"fingerprint,omitzero"`
}

// Encode writes the content. It holds secrets: what it is stored in must be encrypted.
func (c Content) Encode() ([]byte, error) { return json.Marshal(c) }

// DecodeContent reads what [Content.Encode] wrote.
func DecodeContent(data []byte) (c Content, err error) {
	if err := json.Unmarshal(data, &c); err != nil {
		return Content{}, errors.New("reading the content of a record: it is damaged") // the cause could quote it
	}
	return c, nil
}

// Opened reports whether its keyrings, if it has any, were tried with an identity.
func (c Content) Opened(identity *seal.Identity) bool {
	return c.Fingerprint == nil || identity != nil && slices.Equal(c.Fingerprint, identity.Fingerprint())
}

// Reader reads the content of one record. It is what the state knows of that record's event and those before it, and is
// used without the state: reading can take a while.
type Reader struct {
	event    Event
	identity *seal.Identity
	epochs   uint32 // collection and keyring records: the last epoch whose key is taken
	stanzas  int    // … and how many stanzas their keyrings have together, at most
}

// Reader gives the reader of a record that was applied.
func (s *State) Reader(txid string) (Reader, error) {
	record := s.records[txid]
	if record == nil {
		return Reader{}, fmt.Errorf("reading content: no record was made by transaction %s", txid)
	}
	r := record.reader()
	r.identity = s.identity
	if r.event.Note.Kind != wire.KindCharter {
		r.event.Consortium = s.id
	}
	return r, nil
}

// Read reads a record: its metadata and payload, whose hashes the caller has checked. An error says why the record is
// void: it breaks the rules, and everybody who reads it finds that.
func (r Reader) Read(m wire.Metadata, payload []byte) (c Content, err error) {
	if err = r.checkMetadata(m); err == nil {
		c, err = r.readPayload(m, payload)
	}
	if err != nil {
		return Content{}, fmt.Errorf("content of transaction %s: %w", r.event.TxID, err)
	}
	return c, nil
}

// checkMetadata compares what metadata.json says with the transaction.
func (r Reader) checkMetadata(m wire.Metadata) error {
	e := r.event
	if err := m.CheckTransaction(e.Note.Kind, e.Consortium, e.Sender); err != nil {
		return err
	}
	if m.Properties.Collection != e.Note.Collection {
		return fmt.Errorf("the metadata is about collection %.40q, the note about %q", m.Properties.Collection, e.Note.Collection)
	}
	return nil
}

func (r Reader) readPayload(m wire.Metadata, payload []byte) (c Content, err error) {
	switch r.event.Note.Kind {
	case wire.KindCharter:
		c.Charter, err = readCharter(payload)
	case wire.KindAmendment:
		c.Amendment, err = r.readAmendment(payload)
	case wire.KindMember:
		c.Member, err = r.readMember(payload)
	case wire.KindRotation:
		c.Member, err = r.readRotation(payload)
	case wire.KindRemoval:
		err = r.readRemoval(payload)
	case wire.KindCollection, wire.KindKeyring:
		c, err = r.readKeys(m.Properties.Epoch, payload)
	default:
		err = fmt.Errorf("a record of kind %.40q has no content", r.event.Note.Kind)
	}
	return c, err
}

// readKeys reads a collection or keyring record.
func (r Reader) readKeys(epoch uint32, payload []byte) (c Content, err error) {
	id := r.event.Note.Collection
	about, keyrings := "", [][]byte(nil)
	if r.event.Note.Kind == wire.KindCollection {
		record, err := wire.ParseCollectionRecord(payload)
		if err != nil {
			return Content{}, err
		}
		about, keyrings = record.Collection, record.Keyrings
		c.Epoch, c.Key, c.Sealed = epoch, record.Key, record.Sealed
	} else {
		record, err := wire.ParseKeyringRecord(payload)
		if err != nil {
			return Content{}, err
		}
		about, keyrings = record.Collection, record.Keyrings
	}
	if about != id {
		return Content{}, errors.New("the record is about another collection than its note")
	}
	if r.identity == nil {
		return c, nil
	}
	c.Fingerprint = r.identity.Fingerprint()
	keys := map[uint32]string{}
	for left := r.stanzas; left > 0 && len(keyrings) > 0; keyrings = keyrings[1:] {
		left -= r.openKeyring(keyrings[0], left, keys)
	}
	for epoch, secret := range keys {
		c.Keys = append(c.Keys, wire.KeyringEpoch{Epoch: epoch, Secret: secret})
	}
	slices.SortFunc(c.Keys, func(a, b wire.KeyringEpoch) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return c, nil
}

// openKeyring takes the keys out of a keyring, if it is for us, and says how many stanzas were tried. One that is not
// in order gives no keys: that may show to those alone that it is for, and makes the record void for nobody.
func (r Reader) openKeyring(sealed []byte, most int, keys map[uint32]string) (stanzas int) {
	plaintext, stanzas, err := r.identity.OpenAmong(sealed, most)
	if err != nil {
		return stanzas
	}
	keyring, err := wire.ParseKeyring(plaintext)
	if err != nil || keyring.Collection != r.event.Note.Collection {
		return stanzas
	}
	for _, epoch := range keyring.Epochs {
		if epoch.Epoch <= r.epochs {
			keys[epoch.Epoch] = epoch.Secret
		}
	}
	return stanzas
}

// record is a record that waits for its content, or has it.
type record interface {
	reader() Reader
	// take takes the content, or nil if it is void: a void record is as if it had never been minted.
	take(s *State, c *Content)
}

// Take gives the state the content of a record, as its [Reader] read it. It is quick.
func (s *State) Take(txid string, c Content) {
	if record := s.records[txid]; record != nil {
		record.take(s, &c)
	}
}

// Void tells the state that the content of a record breaks the rules, or will never be there: nothing waits for it.
func (s *State) Void(txid string) {
	if record := s.records[txid]; record != nil {
		record.take(s, nil)
	}
}

// Attach is [State.Reader], [Reader.Read] and [State.Take] in one. Content that breaks the rules makes the record void
// and is reported; the state is consistent all the same.
func (s *State) Attach(txid string, m wire.Metadata, payload []byte) error {
	r, err := s.Reader(txid)
	if err != nil {
		return err
	}
	c, err := r.Read(m, payload)
	if err != nil {
		s.Void(txid)
		return err
	}
	s.Take(txid, c)
	return nil
}

// Wanted lists the transactions whose content the state must be given again, each once: it keeps little in memory of
// what it can't open, and of what something newer has replaced. Until then it is as if that content had not arrived.
func (s *State) Wanted() (txids []string) {
	txids, s.wanted = s.wanted, nil
	return txids
}
