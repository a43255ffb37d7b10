package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"filippo.io/age"
)

// handleInfo separates the key of handles from every other use of an epoch key.
const handleInfo = "serviceledger/1 handle"

// HandlePrefix begins every handle, so that nobody takes one for a STIX identifier.
const HandlePrefix = "hmac-sha256:"

// EpochKey is the secret of one key epoch of a collection: an age X25519 identity. It seals and opens objects and
// makes their handles. It is safe for concurrent use.
type EpochKey struct {
	identity  *age.X25519Identity
	recipient *age.X25519Recipient
	handleKey []byte
}

// NewEpochKey makes the key of a new epoch.
func NewEpochKey() (*EpochKey, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("making an epoch key: %w", err)
	}
	return newEpochKey(identity), nil
}

// ParseEpochKey reads what [EpochKey.Secret] gives ("AGE-SECRET-KEY-1…"). The error never repeats the input.
func ParseEpochKey(secret string) (*EpochKey, error) {
	identity, err := age.ParseX25519Identity(secret)
	if err != nil {
		return nil, errors.New("not an age X25519 identity")
	}
	return newEpochKey(identity), nil
}

func newEpochKey(identity *age.X25519Identity) *EpochKey {
	handleKey, err := hkdf.Key(sha256.New, []byte(identity.String()), nil, handleInfo, sha256.Size)
	if err != nil {
		panic(err) // HKDF refuses only lengths that this one is far from
	}
	return &EpochKey{identity: identity, recipient: identity.Recipient(), handleKey: handleKey}
}

// Secret is the age identity as the age tool reads it. Whoever has it reads every object of the epoch.
func (k *EpochKey) Secret() string { return k.identity.String() }

// Equal reports whether two keys are the same; no key is no key's.
func (k *EpochKey) Equal(other *EpochKey) bool {
	return k == other || k != nil && other != nil && hmac.Equal(k.handleKey, other.handleKey)
}

// String keeps the secret out of logs and error messages.
func (k *EpochKey) String() string { return "epoch key (secret)" }

// GoString keeps the secret out of %#v.
func (k *EpochKey) GoString() string { return k.String() }

// Seal pads and encrypts one object to the epoch: a binary age file with a header of less than 256 bytes.
func (k *EpochKey) Seal(plaintext []byte) ([]byte, error) {
	return encrypt(Pad(plaintext), k.recipient)
}

// Open decrypts what [EpochKey.Seal] made and takes the padding off. It returns an error wrapping [ErrNotForUs] if
// the object belongs to another epoch.
func (k *EpochKey) Open(sealed []byte) ([]byte, error) {
	padded, err := decrypt(sealed, soleStanza{k.identity})
	if err != nil {
		return nil, fmt.Errorf("opening with an epoch key: %w", err)
	}
	return Unpad(padded), nil
}

// Handle stands for the identifier and version of an object wherever they must not be seen: an HMAC-SHA-256 under a
// key derived from the epoch's secret (HKDF-SHA-256, input the identity's text form, no salt, info
// "serviceledger/1 handle"), over the identifier, a zero byte and the version.
func (k *EpochKey) Handle(id, version string) string {
	mac := hmac.New(sha256.New, k.handleKey)
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write([]byte(version))
	return HandlePrefix + hex.EncodeToString(mac.Sum(nil))
}

// soleStanza refuses a header with more than one stanza: objects have exactly one, and a hostile header with
// thousands would cost a key exchange each.
type soleStanza struct{ age.Identity }

func (s soleStanza) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 {
		return nil, fmt.Errorf("%d stanzas in the header, want exactly one", len(stanzas))
	}
	return s.Identity.Unwrap(stanzas)
}
