package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"filippo.io/age"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/seal"
	"github.com/serviceledger/slnode/repo/internal/archive"
)

// Passphrase gives the passphrase of sealed keys. It is called only if they are sealed, and may ask a person.
type Passphrase func() (string, error)

// ErrPassphrase means that the keys are sealed with another passphrase.
var ErrPassphrase = seal.ErrPassphrase

// maxSealed bounds the file with the sealed keys, in bytes: some hundred changes of keys.
const maxSealed = 1 << 20

// sealedOverhead is more than the sealing adds, in bytes: 16 to every 64 KiB, and a header.
const sealedOverhead = 4 << 10

// seal writes the keys sealed with a passphrase.
func (f keyFiles) seal(dir, passphrase string) error {
	recipient, err := seal.PassphraseRecipient(passphrase)
	if err != nil {
		return err
	}
	return f.sealTo(dir, recipient)
}

func (f keyFiles) sealTo(dir string, recipient age.Recipient) error {
	var plain bytes.Buffer
	out := archive.NewWriter(&plain)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := out.Add(name, f[name]); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if plain.Len() > maxSealed-sealedOverhead {
		return fmt.Errorf("sealing the keys: %d bytes are more than can be opened again", plain.Len())
	}
	return disk.WriteStream(filepath.Join(dir, sealedFile), func(w io.Writer) error {
		sealed, err := age.Encrypt(w, recipient)
		if err != nil {
			return err
		}
		_, err = sealed.Write(plain.Bytes())
		return errors.Join(err, sealed.Close())
	})
}

// readSealed opens the sealed keys.
func readSealed(dir string, passphrase Passphrase) (files keyFiles, secret string, err error) {
	path := filepath.Join(dir, sealedFile)
	sealed, err := readKeyFile(path, maxSealed)
	if err != nil {
		return nil, "", err
	}
	if secret, err = passphrase(); err != nil {
		return nil, "", fmt.Errorf("the keys are sealed with a passphrase: %w", err)
	}
	identity, err := seal.PassphraseIdentity(secret)
	if err != nil {
		return nil, "", err
	}
	plaintext, err := seal.OpenStream(bytes.NewReader(sealed), identity)
	if errors.Is(err, ErrPassphrase) {
		return nil, "", fmt.Errorf("opening %s: %w", path, err)
	}
	if err == nil {
		files, err = parseSealed(plaintext)
	}
	if err != nil { // the cause may be long, and changes nothing
		return nil, "", fmt.Errorf("reading keys: %w", unusable("%s is damaged; put it back from a backup", path))
	}
	return files, secret, nil
}

// parseSealed reads the tar of key files.
func parseSealed(plaintext io.Reader) (keyFiles, error) {
	files := keyFiles{}
	in := archive.NewReader(io.LimitReader(plaintext, maxSealed))
	for {
		name, size, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if _, twice := files[name]; twice || !isKeyFile(name) {
			return nil, fmt.Errorf("%.80q is not one of the key files, or there twice", name)
		}
		if files[name], err = in.Content(name, size, maxKeyFile); err != nil {
			return nil, err
		}
	}
}

// Seal seals keys that nobody uses, in clear or, with the passphrase they are sealed with now, sealed before. The keys
// in clear are removed when the sealed ones are on the disk and were read back from it.
func Seal(dir string, former Passphrase, passphrase string) error {
	files, _, err := readGood(dir, former)
	if err != nil {
		return err
	}
	if err := files.seal(dir, passphrase); err != nil {
		return err
	}
	again, _, err := readSealed(dir, func() (string, error) { return passphrase, nil })
	if err != nil {
		return fmt.Errorf("checking the sealed keys: %w", err)
	}
	if !maps.EqualFunc(files, again, bytes.Equal) {
		return errors.New("checking the sealed keys: they hold something else than what was sealed")
	}
	return removeClear(dir)
}

// Unseal puts keys that nobody uses back in clear. The sealed ones are removed last.
func Unseal(dir string, passphrase Passphrase) error {
	files, secret, err := readGood(dir, passphrase)
	if err != nil || secret == "" {
		return err
	}
	if err := errors.Join(removeClear(dir), files.replace(dir, nil)); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, sealedFile)); err != nil {
		return fmt.Errorf("removing the sealed keys: %w", err)
	}
	return disk.Sync(dir)
}

// readGood reads the key files, and checks that they are good keys.
func readGood(dir string, passphrase Passphrase) (files keyFiles, secret string, err error) {
	if files, secret, err = readKeyFiles(dir, passphrase); err != nil {
		return nil, "", err
	}
	_, err = parseKeys(dir, files, secret)
	return files, secret, err
}
