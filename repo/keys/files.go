package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/serviceledger/slnode/internal/disk"
)

// The files of the keys folder, each of mode 0600: either these, with those of [Keys.Prepare] and what they replaced,
// or one that holds them all sealed.
const (
	accountFile  = "account.mnemonic" // 25 words, as every Algorand wallet reads them
	peerFile     = "peer.key"         // base64 of libp2p's protobuf
	identityFile = "identity.age"     // an age identity file
	StoreFile    = "store.key"        // 32 bytes in hex
	SwarmFile    = "swarm.key"        // as IPFS has it; only in a private swarm, from the invite

	sealedFile = "sealed.age" // a tar of the others, sealed with a passphrase; where it is, they don't count
)

// isKeyFile tells whether a file of the keys folder is one that is in clear.
func isKeyFile(name string) bool {
	if replaced, found := strings.CutPrefix(name, formerPrefix); found {
		number, file, _ := strings.Cut(replaced, "-")
		n, err := strconv.Atoi(number)
		return err == nil && n > 0 && strconv.Itoa(n) == number && changeable(file)
	}
	if next, found := strings.CutPrefix(name, nextPrefix); found {
		return changeable(next)
	}
	return changeable(name) || name == StoreFile || name == SwarmFile || name == switchFile
}

// IsFile tells whether a file of the keys folder is one that belongs there.
func IsFile(name string) bool { return name == sealedFile || isKeyFile(name) }

// maxKeyFile bounds a key file, in bytes: an identity has about 2,000 characters.
const maxKeyFile = 16 << 10

// keyFiles are the files in clear: name -> content.
type keyFiles map[string][]byte

// keyStore is the key files of a repository in memory: to open the sealed ones takes a second. On the disk they are
// changed by who has the lock alone.
type keyStore struct {
	dir        string
	passphrase string // that the files are sealed with; "" if they are in clear

	mu    sync.Mutex
	files keyFiles
}

// read gives the files, which nobody changes.
func (s *keyStore) read() keyFiles {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files
}

// change changes the files, on the disk first. Sealed ones are changed all at once, those in clear one after the other.
func (s *keyStore) change(edit func(keyFiles) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.files)
	if err := edit(next); err != nil {
		return err
	}
	var err error
	if s.passphrase != "" {
		err = next.seal(s.dir, s.passphrase)
	} else {
		err = next.replace(s.dir, s.files)
	}
	if err == nil {
		s.files = next
	}
	return err
}

// replace writes the files in clear that differ from those before, and removes those that are none of them.
func (f keyFiles) replace(dir string, before keyFiles) error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if old, found := before[name]; found && bytes.Equal(old, f[name]) {
			continue
		}
		if err := disk.WriteFile(filepath.Join(dir, name), f[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := f[name]; stays {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing a key: %w", err)
		}
	}
	return disk.Sync(dir)
}

// complete makes the keys that are not there yet. The swarm's key comes from elsewhere.
func (f keyFiles) complete() error {
	for name, generate := range map[string]func() (string, error){
		accountFile:  newAccount,
		peerFile:     newPeerKey,
		identityFile: newIdentity,
		StoreFile:    newStoreKey,
	} {
		if f[name] != nil {
			continue
		}
		text, err := generate()
		if err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
		f[name] = []byte(text + "\n")
	}
	return nil
}

// Make makes the keys that are not there yet: sealed with a passphrase, or in clear if there is none.
func Make(dir, passphrase string) (Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("making keys: %w", err)
	}
	if sealed, err := Sealed(dir); err != nil || sealed {
		return Read(dir, func() (string, error) { return passphrase, err })
	}
	files, err := readClear(dir)
	if err != nil {
		return Keys{}, err
	}
	if err := files.complete(); err != nil {
		return Keys{}, err
	}
	if passphrase == "" {
		err = files.replace(dir, nil)
	} else {
		err = errors.Join(files.seal(dir, passphrase), removeClear(dir))
	}
	if err != nil {
		return Keys{}, err
	}
	return parseKeys(dir, files, passphrase)
}

// Sealed tells whether the keys in a folder are sealed.
func Sealed(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, sealedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readKeyFiles reads the key files. The passphrase is asked for if they are sealed, and returned.
func readKeyFiles(dir string, passphrase Passphrase) (files keyFiles, secret string, err error) {
	sealed, err := Sealed(dir)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("reading keys: %w", err)
	case sealed:
		return readSealed(dir, passphrase)
	}
	files, err = readClear(dir)
	return files, "", err
}

// readClear reads the files that are there.
func readClear(dir string) (keyFiles, error) {
	files := keyFiles{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	for _, entry := range entries {
		if !isKeyFile(entry.Name()) {
			continue
		}
		if files[entry.Name()], err = readKeyFile(filepath.Join(dir, entry.Name()), maxKeyFile); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Files gives the files of a keys folder as they are, by their names. Keys in clear must be good; the sealed ones
// nobody can look into.
func Files(dir string) (map[string][]byte, error) {
	sealed, err := Sealed(dir)
	if err != nil {
		return nil, err
	}
	if sealed {
		content, err := readKeyFile(filepath.Join(dir, sealedFile), maxSealed)
		return map[string][]byte{sealedFile: content}, err
	}
	files, err := readClear(dir)
	if err != nil {
		return nil, err
	}
	_, err = parseKeys(dir, files, "")
	return files, err
}

// readKeyFile reads a file of at most limit bytes and refuses one that others can read.
func readKeyFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("reading keys: %w", unusable("%s can be read by others (mode %04o); \"chmod 600 %s\", and if others may have read it, \"slnode member rotate\"", path, info.Mode().Perm(), path))
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("reading keys: %w", unusable("%s has %d bytes, which no key has; put it back from a backup", path, info.Size()))
	}
	content, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return content, nil
}

// removeClear removes the files in clear, and what a crash left of their writing. It is for when the sealed file
// stands: a crash between the two leaves files that don't count, and [Open] removes them.
func removeClear(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing the keys in clear: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if half, found := strings.CutPrefix(name, "."); found { // as [disk.WriteStream] calls it
			name = strings.TrimSuffix(half, filepath.Ext(half))
		}
		if !isKeyFile(name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("removing the keys in clear: %w", err)
		}
	}
	return disk.Sync(dir)
}
