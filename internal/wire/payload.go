package wire

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/google/uuid"
)

// SealedObject is object.json: one STIX object in an age file.
type SealedObject struct {
	Format     string `json:"format"`
	Encryption string `json:"encryption"` // "age"
	Ciphertext []byte `json:"ciphertext"` // base64 of a binary age file for the epoch's key
}

// EncodeSealedObject wraps an age file as object.json.
func EncodeSealedObject(ciphertext []byte) ([]byte, error) {
	object := SealedObject{Format: Format, Encryption: "age", Ciphertext: ciphertext}
	return encode(ObjectName, MaxObject, object, object.check)
}

// ParseSealedObject gives the age file out of object.json.
func ParseSealedObject(data []byte) (ciphertext []byte, err error) {
	object, err := decode(ObjectName, data, MaxObject, (*SealedObject).check)
	return object.Ciphertext, err
}

func (o *SealedObject) check() error {
	if o.Format != Format || o.Encryption != "age" {
		return fmt.Errorf("format %.40q with encryption %.40q is not known", o.Format, o.Encryption)
	}
	return nil
}

// CollectionRecord is the record by which an owner makes a collection, changes it, or begins its next key epoch.
// Its metadata.json names the collection and the epoch.
type CollectionRecord struct {
	Format     string   `json:"format"`
	Kind       Kind     `json:"kind"`
	Collection string   `json:"collection"`
	Key        []byte   `json:"key"`      // SHA-256, what the epoch's key is committed by
	Keyrings   [][]byte `json:"keyrings"` // age files for organisations; each opens to a Keyring
	Sealed     []byte   `json:"sealed"`   // an age file for the epoch's key; opens to a Collection
}

// KeyringRecord is the record by which an owner gives keys to readers that came later.
type KeyringRecord struct {
	Format     string   `json:"format"`
	Kind       Kind     `json:"kind"`
	Collection string   `json:"collection"`
	Keyrings   [][]byte `json:"keyrings"`
}

// maxSealed bounds the sealed properties, in bytes: a header and a tag for their only chunk more.
const maxSealed = MaxProperties + 1<<10

// maxKeyrings bounds how many age headers a hostile record can make a reader try.
const maxKeyrings = 64

// Keyring is what a reader finds in a keyring: the keys of the epochs that it may read.
type Keyring struct {
	Collection string         `json:"collection"`
	Epochs     []KeyringEpoch `json:"epochs"`
}

// KeyringEpoch is one key. Secret is 64 lower-case hexadecimal digits.
type KeyringEpoch struct {
	Epoch  uint32 `json:"epoch"`
	Secret string `json:"secret"`
}

// Collection is what a collection is, for those who may read it.
type Collection struct {
	Title        string   `json:"title"`
	Alias        string   `json:"alias,omitzero"`
	Description  string   `json:"description,omitzero"`
	Readers      Accounts `json:"readers"`          // beside the owner
	Contributors Accounts `json:"contributors"`     // beside the owner; readers who may publish into it
	DefaultLevel string   `json:"default_level"`    // the TLP level of an object without any marking: "clear" … "red"
	Metadata     string   `json:"metadata"`         // "open" or "sealed": whether random identifiers stand in clear
	Padding      string   `json:"padding,omitzero"` // "" or "coarse": how much the size of a ciphertext tells
	AdHoc        bool     `json:"ad_hoc,omitzero"`  // it was made for the named recipients of single objects
}

// CheckAlias accepts what can stand in a URL as it is, and is no UUID in any spelling: no alias looks like the id of a
// collection.
func CheckAlias(alias string) error {
	if !aliasForm.MatchString(alias) || uuid.Validate(alias) == nil {
		return fmt.Errorf("alias: %.60q is not 1 to 100 letters, digits, dots, hyphens or underlines, or is a UUID", alias)
	}
	return nil
}

var aliasForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// PaddingCoarse pads objects to powers of two from 4 KiB on, so that the sizes of most are the same.
const PaddingCoarse = "coarse"

// The metadata modes of a collection.
const (
	MetadataOpen   = "open"
	MetadataSealed = "sealed"
)

// Accounts is a set of members: named ones, or all of the consortium, present and future.
type Accounts struct {
	Members bool     `json:"members,omitzero"` // every member, growing by itself
	Named   []string `json:"named,omitzero"`   // Algorand accounts
}

// Includes reports whether a member's account is in the set.
func (a Accounts) Includes(account string) bool {
	return a.Members || slices.Contains(a.Named, account)
}

// Encode writes record.json.
func (c CollectionRecord) Encode() ([]byte, error) {
	c.Format, c.Kind = Format, KindCollection
	return encodeRecord(c.Kind, c, c.check)
}

// ParseCollectionRecord reads a collection's record.json.
func ParseCollectionRecord(data []byte) (CollectionRecord, error) {
	return parseRecord(data, KindCollection,
		func(c *CollectionRecord) (string, Kind) { return c.Format, c.Kind }, (*CollectionRecord).check)
}

func (c *CollectionRecord) check() error {
	if len(c.Sealed) == 0 || len(c.Sealed) > maxSealed {
		return fmt.Errorf("%d bytes are sealed in it, want 1 to %d", len(c.Sealed), maxSealed)
	}
	if len(c.Key) != sha256.Size {
		return fmt.Errorf("the commitment to its key has %d bytes, want %d", len(c.Key), sha256.Size)
	}
	return checkKeyrings(c.Collection, c.Keyrings)
}

// Encode writes record.json.
func (k KeyringRecord) Encode() ([]byte, error) {
	k.Format, k.Kind = Format, KindKeyring
	return encodeRecord(k.Kind, k, k.check)
}

// ParseKeyringRecord reads a keyring's record.json.
func ParseKeyringRecord(data []byte) (KeyringRecord, error) {
	return parseRecord(data, KindKeyring,
		func(k *KeyringRecord) (string, Kind) { return k.Format, k.Kind }, (*KeyringRecord).check)
}

func (k *KeyringRecord) check() error { return checkKeyrings(k.Collection, k.Keyrings) }

func checkKeyrings(collection string, keyrings [][]byte) error {
	if len(keyrings) == 0 || len(keyrings) > maxKeyrings {
		return fmt.Errorf("%d keyrings, want 1 to %d", len(keyrings), maxKeyrings)
	}
	return CheckUUID(collection)
}

// Encode writes the plaintext of a keyring.
func (k Keyring) Encode() ([]byte, error) {
	return encode("a keyring", MaxKeyrings, k, func() error { return CheckUUID(k.Collection) })
}

// ParseKeyring reads the plaintext of a keyring. The keys themselves are checked where they are used; errors never
// repeat them.
func ParseKeyring(data []byte) (Keyring, error) {
	var k Keyring
	if err := unmarshal(data, MaxKeyrings, &k); err != nil {
		return Keyring{}, errors.New("reading a keyring: not the JSON that is expected")
	}
	if err := CheckUUID(k.Collection); err != nil {
		return Keyring{}, fmt.Errorf("reading a keyring: collection: %w", err)
	}
	return k, nil
}

// Encode writes the plaintext of a collection's properties.
func (c Collection) Encode() ([]byte, error) {
	return encode("a collection", MaxProperties, c, func() error {
		if err := c.check(); err != nil || c.Alias == "" {
			return err
		}
		return CheckAlias(c.Alias)
	})
}

// ParseCollection reads the plaintext of a collection's properties. They are its owner's word: an alias that could be
// taken for something else is dropped, and the collection has none.
func ParseCollection(data []byte) (Collection, error) {
	c, err := decode("a collection", data, MaxProperties, (*Collection).check)
	if err != nil {
		return Collection{}, err
	}
	if CheckAlias(c.Alias) != nil {
		c.Alias = ""
	}
	return c, nil
}

func (c *Collection) check() error {
	if err := checkText("title", c.Title, 1, 200); err != nil {
		return err
	}
	if err := checkText("description", c.Description, 0, 4000); err != nil {
		return err
	}
	if c.Metadata != MetadataOpen && c.Metadata != MetadataSealed {
		return fmt.Errorf("metadata %.40q is neither %s nor %s", c.Metadata, MetadataOpen, MetadataSealed)
	}
	if c.Padding != "" && c.Padding != PaddingCoarse {
		return fmt.Errorf("padding %.40q is not known", c.Padding)
	}
	for _, set := range []Accounts{c.Readers, c.Contributors} {
		for _, account := range set.Named {
			if err := checkAccount(account); err != nil {
				return err
			}
		}
	}
	return nil
}
