// Package seal encrypts what Service Ledger stores on IPFS, with age (https://age-encryption.org/v1) and nothing else:
// whatever this package seals opens with the stock age tool and the right identity file.
//
// There are two kinds of keys. A [Identity] is an organisation's own hybrid post-quantum key (ML-KEM-768 with X25519,
// "age1pq1…"); its public half is in the organisation's member record, and keyrings are sealed to it. An [EpochKey] is
// the X25519 identity of one key epoch of a collection; both of its halves stay secret, and it travels only in
// keyrings. Objects are sealed to an epoch key: one short stanza whatever the number of readers, and no public key that
// an attacker with a quantum computer could begin with.
//
// Plaintexts are padded with spaces to size buckets ([Pad]), which leaves JSON valid JSON.
package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// ErrNotForUs means that the ciphertext is well formed but is not sealed to the key that was tried.
var ErrNotForUs = errors.New("not sealed to this key")

// encrypt writes plaintext as one binary age file for the recipients.
func encrypt(plaintext []byte, recipients ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(plaintext) + 256)
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	if _, err = w.Write(plaintext); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// decrypt opens an age file with one identity. The plaintext is never longer than the ciphertext, so that the
// caller's bound on the ciphertext bounds the memory.
func decrypt(ciphertext []byte, identity age.Identity) ([]byte, error) {
	// As a ReaderAt: read as a stream, a short object would cost two buffers of the length of a chunk, 64 KiB.
	r, size, err := age.DecryptReaderAt(bytes.NewReader(ciphertext), int64(len(ciphertext)), identity)
	if err != nil {
		return nil, notForUs(err)
	}
	plaintext := make([]byte, size)
	if _, err := r.ReadAt(plaintext, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading the age payload: %w", err)
	}
	return plaintext, nil
}

// notForUs tells apart why a header could not be opened.
func notForUs(err error) error {
	var noMatch *age.NoIdentityMatchError
	if errors.As(err, &noMatch) {
		return ErrNotForUs
	}
	return fmt.Errorf("opening the age file: %w", err)
}
