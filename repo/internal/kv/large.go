package kv

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/disk"
)

// largeSize is from how many bytes on a value is kept in a file of its own: a log-structured store would write it
// several times, and give its space back late.
const largeSize = 64 << 10

const largeFolder = "large"

// ref names the file of a large value. It is drawn by lot, and belongs to one key in one transaction: so nobody has to
// count who uses a file, and a name tells nothing about the content.
type ref [16]byte

func (r ref) name() string { return hex.EncodeToString(r[:]) }

// largeValues are the files of large values, encrypted with AES-256-GCM. The order in which things become durable is:
// the file, then the key that names it; the end of the key, then the end of the file. What is left over when the power
// goes in between is a file that no key names, and the next start removes it.
type largeValues struct {
	dir  string
	aead cipher.AEAD
}

func openLargeValues(store string, key []byte) (*largeValues, error) {
	fileKey, err := hkdf.Key(sha256.New, key, nil, "serviceledger/1 large values", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(fileKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	l := &largeValues{dir: filepath.Join(store, largeFolder), aead: aead}
	if err := os.Mkdir(l.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return l, disk.Sync(store)
}

func (l *largeValues) path(r ref) string { return filepath.Join(l.dir, r.name()) }

// write writes a value into a file of its own. It is durable after a sync.
func (l *largeValues) write(value []byte) (r ref, err error) {
	rand.Read(r[:])
	if err := os.WriteFile(l.path(r), l.aead.Seal(nil, nil, value, r[:]), 0o600); err != nil {
		return ref{}, fmt.Errorf("writing a large value: %w", errors.Join(err, l.remove([]ref{r})))
	}
	return r, nil
}

// syncsAtOnce is how many files are waited for at once. Disks are fastest when they are asked for several.
const syncsAtOnce = 8

// sync waits until files are on the disk.
func (l *largeValues) sync(refs []ref) error {
	if len(refs) == 0 {
		return nil
	}
	var group errgroup.Group
	group.SetLimit(syncsAtOnce)
	for _, r := range refs {
		group.Go(func() error { return disk.Sync(l.path(r)) })
	}
	if err := errors.Join(group.Wait(), disk.Sync(l.dir)); err != nil {
		return fmt.Errorf("writing a large value: %w", err)
	}
	return nil
}

// read reads a value.
func (l *largeValues) read(r ref) ([]byte, error) {
	sealed, err := os.ReadFile(l.path(r))
	if err != nil {
		return nil, fmt.Errorf("reading a large value: %w", disk.AsDamage(err))
	}
	value, err := l.aead.Open(sealed[:0], nil, sealed, r[:])
	if err != nil {
		return nil, fmt.Errorf("%w: the file %s of a large value is not what was written", ErrDamaged, r.name())
	}
	return value, nil
}

// size is how long a value is.
func (l *largeValues) size(r ref) (int, error) {
	info, err := os.Stat(l.path(r))
	if err != nil {
		return 0, fmt.Errorf("reading a large value: %w", disk.AsDamage(err))
	}
	return int(info.Size()) - l.aead.Overhead(), nil
}

// remove removes files. That one is gone already is no error.
func (l *largeValues) remove(refs []ref) error {
	var errs []error
	for _, r := range refs {
		if err := os.Remove(l.path(r)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing a large value: %w", err))
		}
	}
	return errors.Join(errs...)
}

// files lists those that there are; one with another name is not ours, and is removed.
func (l *largeValues) files() (refs []ref, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name, err := hex.DecodeString(entry.Name())
		if err == nil && len(name) == len(ref{}) {
			refs = append(refs, ref(name))
		} else if err := os.Remove(filepath.Join(l.dir, entry.Name())); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// sweep removes the files that aren't among those that are named, and tells if one of these is missing.
func (l *largeValues) sweep(named map[ref]bool) error {
	refs, err := l.files()
	if err != nil {
		return err
	}
	found := 0
	for _, r := range refs {
		if named[r] {
			found++
		} else if err := l.remove([]ref{r}); err != nil {
			return err
		}
	}
	if found < len(named) {
		return fmt.Errorf("%w: of %d files of large values %d are missing", ErrDamaged, len(named), len(named)-found)
	}
	return nil
}

// verify reads every value.
func (l *largeValues) verify(named map[ref]bool) error {
	for r := range named {
		if _, err := l.read(r); err != nil {
			return err
		}
	}
	return nil
}
