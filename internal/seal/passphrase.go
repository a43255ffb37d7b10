package seal

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

const (
	// passphraseWork is the logarithm of scrypt's cost: 2^17 with 128 MiB of memory, as OWASP recommends, half a
	// second of a modern machine. The age tool's own default takes twice of both.
	passphraseWork = 17
	// maxPassphraseWork bounds what a hostile file can make this program spend: 512 MiB and some seconds.
	maxPassphraseWork = 19
)

// ErrPassphrase means that a passphrase is not the one that a file was sealed with.
var ErrPassphrase = errors.New("wrong passphrase")

// PassphraseRecipient seals to a passphrase (age's scrypt stanza).
func PassphraseRecipient(passphrase string) (age.Recipient, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("sealing with a passphrase: %w", err)
	}
	recipient.SetWorkFactor(passphraseWork)
	return recipient, nil
}

// PassphraseIdentity opens what was sealed to a passphrase, by this program or by the age tool.
func PassphraseIdentity(passphrase string) (age.Identity, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("opening with a passphrase: %w", err)
	}
	identity.SetMaxWorkFactor(maxPassphraseWork)
	return identity, nil
}

// OpenStream opens an age file of any length. The plaintext is authenticated piece by piece: only what was read up to
// io.EOF is known to be complete. The error wraps [ErrPassphrase] if a passphrase is wrong, and [ErrNotForUs] if the
// file is sealed to none of the identities, or to none of their kind.
func OpenStream(r io.Reader, identities ...age.Identity) (io.Reader, error) {
	plaintext, err := age.Decrypt(r, identities...)
	var noMatch *age.NoIdentityMatchError
	if !errors.As(err, &noMatch) {
		return plaintext, err
	}
	byPassphrase := slices.Contains(noMatch.StanzaTypes, "scrypt")
	for _, identity := range identities {
		if _, tried := identity.(*age.ScryptIdentity); tried && byPassphrase {
			return nil, ErrPassphrase
		}
	}
	return nil, ErrNotForUs
}
