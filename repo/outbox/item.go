package outbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo/daybook"
	"github.com/serviceledger/slnode/repo/internal/kv"
	"github.com/serviceledger/slnode/repo/internal/store"
)

// State is how far an item has come. The states are the durable points of the publish pipeline.
type State byte

// The states of an item, in their order.
const (
	Accepted  State = iota + 1 // its plaintext is kept in the outbox
	Stored                     // it is sealed and on IPFS; the plaintext is deleted
	Signed                     // it is in a group whose signed transactions are kept
	Confirmed                  // it is on the chain
	Withdrawn                  // its NFT was destroyed
)

func (s State) String() string {
	return [...]string{"", "accepted", "stored", "signed", "confirmed", "withdrawn"}[s]
}

// Item is one thing to publish: an object or a record.
type Item struct {
	Number uint64 `json:"n"`
	State  State  `json:"state"`
	Key    []byte `json:"key"` // what is published exactly once; the caller chooses it
	// Publication counts how often the key was published after a withdrawal, from 0.
	Publication uint32    `json:"publication,omitzero"`
	User        string    `json:"user,omitzero"` // who it is published for; "" where its turn is always now
	By          string    `json:"by,omitzero"`   // who caused it, for the day-book, where that is not the user
	Rank        uint64    `json:"rank,omitzero"` // its turn, see order.go
	Bulk        bool      `json:"bulk,omitzero"` // it was not among the first of its request
	Note        wire.Note `json:"note"`          // with its sequence number once it was signed for the first time
	Collection  string    `json:"collection,omitzero"`
	ObjectID    string    `json:"object,omitzero"`    // STIX id
	Version     string    `json:"version,omitzero"`   // STIX modified or created; "" for an unversioned object
	Revealing   bool      `json:"revealing,omitzero"` // the identifier may stand in clear
	Revoked     bool      `json:"revoked,omitzero"`   // the version revokes the object
	Level       uint8     `json:"level,omitzero"`     // objects: the TLP level that it was accepted with
	Destroys    uint64    `json:"destroys,omitzero"`  // the asset id of the NFT that it ends, rather than to mint one
	Hash        []byte    `json:"hash,omitzero"`      // SHA-256 of the canonical JSON
	StoredAt    time.Time `json:"stored,omitzero"`    // as metadata.json says; the version of an unversioned object
	// Replaces is the number of the item whose place this one takes, ReplacesAsset the NFT that it is about where the
	// outbox has no such item. Both were published under the same key; the other one is to be ended, see
	// [Outbox.Replacing].
	Replaces      uint64 `json:"replaces,omitzero"`
	ReplacesAsset uint64 `json:"replaces_asset,omitzero"`
	ReplacesIndex uint32 `json:"replaces_index,omitzero"` // … of which it is the object with this index

	// Batch is the number of the batch that the object is one of, Index its place there, from 1, once it is sealed; or
	// that in another's batch that published it. See batch.go.
	Batch uint64 `json:"batch,omitzero"`
	Index uint32 `json:"index,omitzero"`
	// Batches: how many objects it is of, whether a marking definition is one of them, and whether it is on its way back.
	Objects   int  `json:"objects,omitzero"`
	Markings  bool `json:"markings,omitzero"`
	Reopening bool `json:"reopening,omitzero"`

	// From Stored on, unless it destroys.
	Epoch        uint32 `json:"epoch,omitzero"`     // objects: the key epoch that it is sealed to
	Publisher    string `json:"publisher,omitzero"` // the account that its metadata.json is for
	Directory    string `json:"directory,omitzero"` // CID
	MetadataHash []byte `json:"metadata_hash,omitzero"`

	// From Signed on.
	Group uint64 `json:"group,omitzero"`
	TxID  string `json:"txid,omitzero"`

	// From Confirmed on.
	Round uint64 `json:"round,omitzero"`
	Asset uint64 `json:"asset,omitzero"`
	// Failure says why it will never be published.
	Failure string `json:"failure,omitzero"`

	// New tells of what [Outbox.Accept] gives that it came in by this call. It is not kept.
	New bool `json:"-"`
	// Over is why it did not come in, then it is no item of the outbox. It is not kept.
	Over *daybook.OverError `json:"-"`
}

func itemByKey(txn *kv.Txn, k []byte) (item Item, found bool, err error) {
	return itemBy(txn, store.Key(store.TableKey, k))
}

func itemBy(txn *kv.Txn, index []byte) (item Item, found bool, err error) {
	n, found, err := store.Get(txn, index)
	if err != nil || !found {
		return Item{}, false, err
	}
	return itemAt(txn, n)
}

// itemAt reads an item by its number, as part of a key. What its batch says of an object is in it.
func itemAt(txn *kv.Txn, n []byte) (item Item, found bool, err error) {
	found, err = store.GetJSON(txn, store.Key(store.TableItem, n), &item)
	if err == nil && found {
		err = complete(txn, &item, nil)
	}
	return item, found, err
}

func itemByNumber(txn *kv.Txn, n uint64) (item Item, found bool, err error) {
	return itemAt(txn, store.U64(n))
}

// Find gives the item that publishes a key.
func (o *Outbox) Find(k []byte) (item Item, found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		item, found, err = itemByKey(txn, k)
		return err
	})
	return item, found, err
}

// Item gives an item by its number.
func (o *Outbox) Item(n uint64) (item Item, found bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		item, found, err = itemByNumber(txn, n)
		return err
	})
	return item, found, err
}

// Uses reports whether a directory is that of an item which was signed, or of an object whose batch is sealed, and is
// not withdrawn: others know of it before the chain does.
func (o *Outbox) Uses(directory string) (used bool, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		item, found, err := itemBy(txn, store.Key(store.TableUse, []byte(directory)))
		used = found && item.State != Withdrawn
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking for the item of directory %.80s: %w", directory, err)
	}
	return used, nil
}

// Payload gives the plaintext of an accepted item.
func (o *Outbox) Payload(n uint64) (payload []byte, err error) {
	err = o.store.Read(func(txn *kv.Txn) error {
		var found bool
		payload, found, err = store.Get(txn, store.Key(store.TablePayload, store.U64(n)))
		if err == nil && !found {
			err = errors.New("there is none")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the payload of item %d: %w", n, err)
	}
	return payload, nil
}
