package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of the keys folder, each of mode 0600: either these, or one that holds them sealed.
const (
	accountFile  = "account.mnemonic" // 25 words, as every Algorand wallet reads them
	peerFile     = "peer.key"         // base64 of libp2p's protobuf
	identityFile = "identity.age"     // an age identity file
	storeFile    = "store.key"        // 32 bytes in hex
	swarmFile    = "swarm.key"        // as IPFS has it; only in a private swarm, from the invite

	sealedFile = "sealed.age" // a tar of the others, sealed with a passphrase; where it is, they don't count
)

var keyFileNames = []string{accountFile, peerFile, identityFile, storeFile, swarmFile}

// maxKeyFile bounds a key file, in bytes: an identity has about 2,000 characters.
const maxKeyFile = 16 << 10

// keyFiles are the files in clear: name -> content.
type keyFiles map[string][]byte

// complete makes the keys that are not there yet. The swarm's key comes from elsewhere.
func (f keyFiles) complete() error {
	for name, generate := range map[string]func() (string, error){
		accountFile:  newAccount,
		peerFile:     newPeerKey,
		identityFile: newIdentity,
		storeFile:    newStoreKey,
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

// makeKeys makes the keys that are not there yet: sealed with a passphrase, or in clear if there is none.
func makeKeys(dir, passphrase string) (Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("making keys: %w", err)
	}
	if sealed, err := isSealed(dir); err != nil || sealed {
		return readKeys(dir, func() (string, error) { return passphrase, err })
	}
	files, err := readClear(dir)
	if err != nil {
		return Keys{}, err
	}
	if err := files.complete(); err != nil {
		return Keys{}, err
	}
	if passphrase == "" {
		err = files.write(dir)
	} else {
		err = errors.Join(files.seal(dir, passphrase), removeClear(dir))
	}
	if err != nil {
		return Keys{}, err
	}
	return parseKeys(dir, files, passphrase)
}

// isSealed tells whether the keys in a folder are sealed.
func isSealed(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, sealedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readKeyFiles reads the key files. The passphrase is asked for if they are sealed, and returned.
func readKeyFiles(dir string, passphrase Passphrase) (files keyFiles, secret string, err error) {
	sealed, err := isSealed(dir)
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
	for _, name := range keyFileNames {
		content, err := readKeyFile(filepath.Join(dir, name), maxKeyFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, nil
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
		return nil, fmt.Errorf("reading keys: %s can be read by others (mode %04o); make it 0600", path, info.Mode().Perm())
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("reading keys: %s has %d bytes, which no key has", path, info.Size())
	}
	content, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return content, nil
}

// write writes the files in clear.
func (f keyFiles) write(dir string) error {
	for _, name := range keyFileNames {
		if content, found := f[name]; found {
			if err := WriteFile(filepath.Join(dir, name), content); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeClear removes the files in clear, and what a crash left of their writing. It is for when the sealed file stands: a
// crash between the two leaves files that don't count, and [Open] removes them.
func removeClear(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing the keys in clear: %w", err)
	}
	for _, entry := range entries {
		clear := slices.ContainsFunc(keyFileNames, func(name string) bool {
			return entry.Name() == name || strings.HasPrefix(entry.Name(), "."+name+".")
		})
		if !clear {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("removing the keys in clear: %w", err)
		}
	}
	return syncFolder(dir)
}
