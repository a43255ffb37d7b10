package seal

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"filippo.io/age"
)

// minStanzas is the least number of stanzas of what is sealed to organisations: below it the number of readers of a
// small sharing group would show.
const minStanzas = 4

// MaxRecipients is the greatest number of recipients of one age file, and of stanzas in it: age reads no more of them,
// which bounds the work that a hostile keyring can ask for.
const MaxRecipients = 1024

// Identity is the hybrid post-quantum key of an organisation. It is safe for concurrent use.
type Identity struct {
	hybrid *age.HybridIdentity
	older  []*age.HybridIdentity // that it had before, and opens with still
}

// NewIdentity makes an organisation's key.
func NewIdentity() (*Identity, error) {
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("making a hybrid identity: %w", err)
	}
	return &Identity{hybrid: hybrid}, nil
}

// ParseIdentity reads what [Identity.Secret] gives ("AGE-SECRET-KEY-PQ-1…"). The error never repeats the input.
func ParseIdentity(secret string) (*Identity, error) {
	hybrid, err := age.ParseHybridIdentity(secret)
	if err != nil {
		return nil, errors.New("not an age hybrid identity")
	}
	return &Identity{hybrid: hybrid}, nil
}

// With gives the identity with others that it had before: it opens what was sealed to any of them.
func (i *Identity) With(older ...*Identity) *Identity {
	with := &Identity{hybrid: i.hybrid}
	for _, o := range older {
		with.older = append(with.older, o.hybrid)
	}
	return with
}

// Secret is the identity as the age tool reads it.
func (i *Identity) Secret() string { return i.hybrid.String() }

// String keeps the secret out of logs and error messages.
func (i *Identity) String() string { return "hybrid identity (secret)" }

// GoString keeps the secret out of %#v.
func (i *Identity) GoString() string { return i.String() }

// Recipient is the public half ("age1pq1…"), as the member record carries it.
func (i *Identity) Recipient() string { return i.hybrid.Recipient().String() }

// CheckRecipient reports whether the text is a hybrid recipient that can be sealed to.
func CheckRecipient(recipient string) error {
	if _, err := age.ParseHybridRecipient(recipient); err != nil {
		return errors.New("not an age hybrid recipient (age1pq1…)")
	}
	return nil
}

// SealTo pads and encrypts plaintext to organisations. The result tells neither who they are nor how many: stanzas
// are anonymous, shuffled, and filled up to a power of two (at least four) with stanzas for keys that nobody has.
func SealTo(recipients []string, plaintext []byte) ([]byte, error) {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("sealing to %d recipients, want 1 to %d", len(recipients), MaxRecipients)
	}
	stanzas := make([]age.Recipient, 0, stanzaBucket(len(recipients)))
	for n, text := range recipients {
		recipient, err := age.ParseHybridRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d is not an age hybrid recipient", n)
		}
		stanzas = append(stanzas, recipient)
	}
	for len(stanzas) < stanzaBucket(len(recipients)) {
		nobody, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, fmt.Errorf("making a filler stanza: %w", err)
		}
		stanzas = append(stanzas, nobody.Recipient())
	}
	rand.Shuffle(len(stanzas), func(a, b int) { stanzas[a], stanzas[b] = stanzas[b], stanzas[a] })
	return encrypt(Pad(plaintext), stanzas...)
}

// stanzaBucket is the number of stanzas that n recipients are shown as.
func stanzaBucket(n int) int {
	return max(minStanzas, 1<<bits.Len(uint(n-1)))
}

// Open decrypts what [SealTo] made for this organisation among others. It returns an error wrapping [ErrNotForUs] if
// it was made for others only.
func (i *Identity) Open(sealed []byte) ([]byte, error) {
	padded, err := decrypt(sealed, i.hybrid)
	for _, older := range i.older {
		if !errors.Is(err, ErrNotForUs) {
			break
		}
		padded, err = decrypt(sealed, older)
	}
	if err != nil {
		return nil, fmt.Errorf("opening with the organisation's key: %w", err)
	}
	return Unpad(padded), nil
}
