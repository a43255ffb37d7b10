package seal

import (
	"crypto/sha256"
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
// are anonymous, shuffled, and filled up to a power of two (at least four) with stanzas for keys that nobody has. Its
// size tells little of the plaintext's, which is how many keys a keyring holds ([PadCoarse]).
func SealTo(recipients []string, plaintext []byte) ([]byte, error) {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("sealing to %d recipients, want 1 to %d", len(recipients), MaxRecipients)
	}
	stanzas := make([]age.Recipient, 0, Stanzas(len(recipients)))
	for n, text := range recipients {
		recipient, err := age.ParseHybridRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d is not an age hybrid recipient", n)
		}
		stanzas = append(stanzas, recipient)
	}
	for len(stanzas) < Stanzas(len(recipients)) {
		nobody, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, fmt.Errorf("making a filler stanza: %w", err)
		}
		stanzas = append(stanzas, nobody.Recipient())
	}
	rand.Shuffle(len(stanzas), func(a, b int) { stanzas[a], stanzas[b] = stanzas[b], stanzas[a] })
	sealed, err := encrypt(PadCoarse(plaintext), stanzas...)
	if err != nil {
		return nil, fmt.Errorf("sealing to %d recipients: %w", len(recipients), err)
	}
	return sealed, nil
}

// Stanzas is the number of stanzas that n recipients are shown as.
func Stanzas(n int) int {
	return max(minStanzas, 1<<bits.Len(uint(n-1)))
}

// Open decrypts what [SealTo] made for this organisation among others. It returns an error wrapping [ErrNotForUs] if
// it was made for others only.
func (i *Identity) Open(sealed []byte) ([]byte, error) {
	plaintext, _, err := i.OpenAmong(sealed, MaxRecipients)
	return plaintext, err
}

// OpenAmong is Open for a header of at most so many stanzas, of which every one may have to be tried. It tells how many
// there are; a longer header is an error, and not [ErrNotForUs].
func (i *Identity) OpenAmong(sealed []byte, most int) (plaintext []byte, stanzas int, err error) {
	var padded []byte
	for n, hybrid := range append([]*age.HybridIdentity{i.hybrid}, i.older...) {
		if n > 0 && !errors.Is(err, ErrNotForUs) {
			break
		}
		bounded := &boundedStanzas{Identity: hybrid, most: most}
		padded, err = decrypt(sealed, bounded)
		stanzas = bounded.seen
	}
	if err != nil {
		return nil, stanzas, fmt.Errorf("opening with the organisation's key: %w", err)
	}
	return Unpad(padded), stanzas, nil
}

// boundedStanzas counts the stanzas of a header, and tries no more than it may.
type boundedStanzas struct {
	age.Identity
	most, seen int
}

func (b *boundedStanzas) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if b.seen = len(stanzas); b.seen > b.most {
		return nil, fmt.Errorf("%d stanzas in the header, at most %d are tried", b.seen, b.most)
	}
	return b.Identity.Unwrap(stanzas)
}

// Fingerprint stands for the keys that the identity opens with: another set of keys has another one.
func (i *Identity) Fingerprint() []byte {
	h := sha256.New()
	for _, hybrid := range append([]*age.HybridIdentity{i.hybrid}, i.older...) {
		fmt.Fprintln(h, hybrid.Recipient())
	}
	return h.Sum(nil)
}
