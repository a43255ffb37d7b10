package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// handleInfo separates the key of handles from every other use of an epoch key.
const handleInfo = "serviceledger/1 handle"

// HandlePrefix begins every handle, so that nobody takes one for a STIX identifier.
const HandlePrefix = "hmac-sha256:"

// EpochKeySize is the size of an epoch key, in bytes. Its text form has twice as many characters.
const EpochKeySize = 32

// workFactor is that of the scrypt stanza: it protects passphrases that can be guessed, and none of 256 random bits
// can.
const workFactor = 1

// saltSize is that of a scrypt stanza, in bytes.
const saltSize = 16

// commitInfo separates the commitment to an epoch key from every other hash.
const commitInfo = "serviceledger/1 epoch"

// EpochKey is the secret of one key epoch of a collection: 32 random bytes. It seals and opens objects and makes their
// handles. It is safe for concurrent use.
type EpochKey struct {
	secret    string // lower-case hexadecimal
	identity  *age.ScryptIdentity
	recipient *age.ScryptRecipient
	handleKey []byte
}

// NewEpochKey makes the key of a new epoch.
func NewEpochKey() (*EpochKey, error) {
	random := make([]byte, EpochKeySize)
	rand.Read(random)
	return ParseEpochKey(hex.EncodeToString(random))
}

// ParseEpochKey reads what [EpochKey.Secret] gives: 64 lower-case hexadecimal digits. The error never repeats the
// input.
func ParseEpochKey(secret string) (*EpochKey, error) {
	raw, err := hex.DecodeString(secret)
	if err != nil || len(raw) != EpochKeySize || hex.EncodeToString(raw) != secret {
		return nil, errors.New("not an epoch key: 64 lower-case hexadecimal digits")
	}
	identity, err := age.NewScryptIdentity(secret)
	if err != nil {
		return nil, fmt.Errorf("making an identity of an epoch key: %w", err)
	}
	identity.SetMaxWorkFactor(workFactor)
	recipient, err := age.NewScryptRecipient(secret)
	if err != nil {
		return nil, fmt.Errorf("making a recipient of an epoch key: %w", err)
	}
	recipient.SetWorkFactor(workFactor)
	handleKey, err := hkdf.Key(sha256.New, []byte(secret), nil, handleInfo, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of handles: %w", err)
	}
	return &EpochKey{secret: secret, identity: identity, recipient: recipient, handleKey: handleKey}, nil
}

// Secret is the epoch key as text, which is the passphrase of its objects. Whoever has it reads every object of the
// epoch.
func (k *EpochKey) Secret() string { return k.secret }

// Commitment is what the record that begins an epoch says of its key: SHA-256 over "serviceledger/1 epoch", the
// collection's id, the epoch in decimal and the key as text, with a zero byte between them. There is no second key that
// fits.
func (k *EpochKey) Commitment(collection string, epoch uint32) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{commitInfo, collection, strconv.FormatUint(uint64(epoch), 10), k.secret}, "\x00")))
}

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
// key derived from the epoch's secret (HKDF-SHA-256, input the key's text form, no salt, info
// "serviceledger/1 handle"), over the identifier, a zero byte and the version.
func (k *EpochKey) Handle(id, version string) string {
	mac := hmac.New(sha256.New, k.handleKey)
	mac.Write([]byte(id))
	mac.Write([]byte{0})
	mac.Write([]byte(version))
	return HandlePrefix + hex.EncodeToString(mac.Sum(nil))
}

// soleStanza refuses every header but that of an object: one scrypt stanza with the work factor 1. A hostile header
// could have thousands of stanzas, or one that costs seconds and a gigabyte.
type soleStanza struct{ age.Identity }

func (s soleStanza) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 {
		return nil, fmt.Errorf("%d stanzas in the header, want exactly one", len(stanzas))
	}
	if !isOfEpoch(stanzas[0]) {
		return nil, errors.New("it is sealed to no epoch key")
	}
	return s.Identity.Unwrap(stanzas)
}

// isOfEpoch reports whether a stanza has the form that an epoch key makes.
func isOfEpoch(s *age.Stanza) bool {
	if s.Type != "scrypt" || len(s.Args) != 2 || s.Args[1] != strconv.Itoa(workFactor) || len(s.Body) != FileKeySize+chacha20poly1305.Overhead {
		return false
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(s.Args[0])
	return err == nil && len(salt) == saltSize
}
