// Package seal encrypts what Service Ledger stores on IPFS, with age (https://age-encryption.org/v1) and nothing else:
// whatever this package seals opens with the stock age tool and the right identity file.
//
// There are two kinds of keys. A [Identity] is an organisation's own hybrid post-quantum key (ML-KEM-768 with X25519,
// "age1pq1…"); its public half is in the organisation's member record, and keyrings are sealed to it. An [EpochKey] is
// the symmetric key of one key epoch of a collection, which travels only in keyrings. Objects are sealed to an epoch
// key: one short stanza whatever the number of readers, and no public key that an attacker with a quantum computer
// could begin with. The stanza is age's own for passphrases: the key as text is the passphrase.
//
// Plaintexts are padded with spaces to size buckets ([Pad]), which leaves JSON valid JSON.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
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

// What an age file has after its header (https://age-encryption.org/v1, "Payload"), in bytes.
const (
	nonceSize = 16
	chunkSize = 64<<10 + chacha20poly1305.Overhead // of a full one
)

// decrypt opens an age file with one identity. The plaintext is never longer than the ciphertext, so that the
// caller's bound on the ciphertext bounds the memory.
func decrypt(ciphertext []byte, identity age.Identity) ([]byte, error) {
	header, err := age.ExtractHeader(bytes.NewReader(ciphertext))
	if err != nil {
		return nil, fmt.Errorf("opening the age file: %w", err)
	}
	payload, found := bytes.CutPrefix(ciphertext, header)
	if !found || len(payload) > nonceSize+chunkSize {
		return decryptLong(ciphertext, identity)
	}
	fileKey, err := age.DecryptHeader(header, identity)
	if err != nil {
		return nil, notForUs(err)
	}
	plaintext, err := openChunk(fileKey, payload)
	if err != nil {
		return nil, fmt.Errorf("reading the age payload: %w", err)
	}
	return plaintext, nil
}

// openChunk opens a payload of one chunk, which nearly every object is: age has two buffers of 64 KiB for it.
func openChunk(fileKey, payload []byte) ([]byte, error) {
	if len(payload) < nonceSize+chacha20poly1305.Overhead {
		return nil, io.ErrUnexpectedEOF
	}
	key, err := hkdf.Key(sha256.New, fileKey, payload[:nonceSize], "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	first := make([]byte, chacha20poly1305.NonceSize)
	first[len(first)-1] = 1 // it is the last one, too
	return aead.Open(nil, first, payload[nonceSize:], nil)
}

// decryptLong is decrypt for a payload of more than one chunk.
func decryptLong(ciphertext []byte, identity age.Identity) ([]byte, error) {
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
