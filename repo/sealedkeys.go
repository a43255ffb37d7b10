package repo

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

	"github.com/serviceledger/slnode/internal/seal"
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
	archive := newArchiveWriter(&plain)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := archive.add(name, f[name]); err != nil {
			return err
		}
	}
	if err := archive.close(); err != nil {
		return err
	}
	if plain.Len() > maxSealed-sealedOverhead {
		return fmt.Errorf("sealing the keys: %d bytes are more than can be opened again", plain.Len())
	}
	return WriteStream(filepath.Join(dir, sealedFile), func(w io.Writer) error {
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
		return nil, "", fmt.Errorf("reading keys: %s is damaged; put it back from a backup", path)
	}
	return files, secret, nil
}

// parseSealed reads the tar of key files.
func parseSealed(plaintext io.Reader) (keyFiles, error) {
	files := keyFiles{}
	archive := newArchiveReader(io.LimitReader(plaintext, maxSealed))
	for {
		name, size, err := archive.next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if _, twice := files[name]; twice || !isKeyFile(name) {
			return nil, fmt.Errorf("%.80q is not one of the key files, or there twice", name)
		}
		if files[name], err = archive.content(name, size, maxKeyFile); err != nil {
			return nil, err
		}
	}
}

// SealKeys seals the keys of a repository that nobody uses: in clear or, with the passphrase they are sealed with now,
// sealed before. The keys in clear are removed when the sealed ones are on the disk and were read back from it.
func SealKeys(dir string, former Passphrase, passphrase string) error {
	return withKeys(dir, former, func(keys string, files keyFiles, _ bool) error {
		if err := files.seal(keys, passphrase); err != nil {
			return err
		}
		again, _, err := readSealed(keys, func() (string, error) { return passphrase, nil })
		if err != nil {
			return fmt.Errorf("checking the sealed keys: %w", err)
		}
		if !maps.EqualFunc(files, again, bytes.Equal) {
			return errors.New("checking the sealed keys: they hold something else than what was sealed")
		}
		return removeClear(keys)
	})
}

// UnsealKeys puts the keys back in clear. The sealed ones are removed last.
func UnsealKeys(dir string, passphrase Passphrase) error {
	return withKeys(dir, passphrase, func(keys string, files keyFiles, sealed bool) error {
		if !sealed {
			return nil
		}
		if err := errors.Join(removeClear(keys), files.replace(keys, nil)); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(keys, sealedFile)); err != nil {
			return fmt.Errorf("removing the sealed keys: %w", err)
		}
		return syncFolder(keys)
	})
}

// KeysSealed tells whether the keys of the repository in dir are sealed.
func KeysSealed(dir string) (bool, error) {
	if err := checkVersion(dir); err != nil {
		return false, err
	}
	return isSealed(keysPath(dir))
}

// withKeys gives the key files of a repository, which is locked meanwhile, after checking that they are good keys.
func withKeys(dir string, passphrase Passphrase, use func(keys string, files keyFiles, sealed bool) error) error {
	if err := checkVersion(dir); err != nil {
		return err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	keys := keysPath(dir)
	files, secret, err := readKeyFiles(keys, passphrase)
	if err != nil {
		return err
	}
	if _, err := parseKeys(keys, files, secret); err != nil {
		return err
	}
	return use(keys, files, secret != "")
}
