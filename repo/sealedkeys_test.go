package repo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

func says(passphrase string) Passphrase { return func() (string, error) { return passphrase, nil } }

// cheaply is a passphrase that costs a test no time.
func cheaply(t testing.TB, passphrase string) age.Recipient {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	must(t, err)
	recipient.SetWorkFactor(10)
	return recipient
}

// sealCheaply seals the keys of a repository and leaves those in clear where they are.
func sealCheaply(t testing.TB, dir, passphrase string) {
	t.Helper()
	files, err := readClear(keysPath(dir))
	must(t, err)
	must(t, files.sealTo(keysPath(dir), cheaply(t, passphrase)))
}

func namesIn(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestSealedKeysAreTheSameKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRepo(t, dir)
	must(t, r.Keys.SetSwarmKey([]byte("the swarm's key")))
	must(t, r.Close())
	same := func(k Keys) {
		t.Helper()
		if k.Address() != r.Keys.Address() || !k.Peer.Equals(r.Keys.Peer) || k.Identity.Recipient() != r.Keys.Identity.Recipient() ||
			!bytes.Equal(k.store, r.Keys.store) || string(k.SwarmKey()) != "the swarm's key" {
			t.Error("the keys have changed")
		}
	}

	must(t, SealKeys(dir, nil, "correct horse"))
	if names := namesIn(t, keysPath(dir)); len(names) != 1 || names[0] != sealedFile {
		t.Errorf("the sealed folder holds %q", names)
	}
	k, err := ReadKeys(dir, says("correct horse"))
	must(t, err)
	same(k)
	if _, err := Open(dir, says("battery staple")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("the wrong passphrase gives %v", err)
	}
	if strings.Contains(k.String(), "correct horse") {
		t.Error("the passphrase shows")
	}

	must(t, UnsealKeys(dir, says("correct horse")))
	if names := namesIn(t, keysPath(dir)); len(names) != 5 {
		t.Errorf("the folder holds %q", names)
	}
	k, err = ReadKeys(dir, nil)
	must(t, err)
	same(k)
}

func TestKeysThatAreMadeSealedAreNeverInClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := DefaultConfig()
	config.Organisation.Name = "acme"
	made, err := Init(dir, config, "correct horse")
	must(t, err)
	must(t, made.SetSwarmKey([]byte("the swarm's key")))
	if names := namesIn(t, keysPath(dir)); len(names) != 1 || names[0] != sealedFile {
		t.Errorf("the folder holds %q", names)
	}
	read, err := ReadKeys(dir, says("correct horse"))
	must(t, err)
	if read.Address() != made.Address() || string(read.SwarmKey()) != "the swarm's key" {
		t.Error("other keys were read than were made")
	}
}

// Whatever a crash leaves of sealing and unsealing, the repository opens with the same keys, and is put in order.
func TestAnInterruptedSealingLosesNoKey(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, keys string){
		"nothing is removed yet": func(*testing.T, string) {},
		"some are removed": func(t *testing.T, keys string) {
			must(t, os.Remove(filepath.Join(keys, accountFile)))
			must(t, os.Remove(filepath.Join(keys, storeFile)))
		},
		"half of one is written": func(t *testing.T, keys string) {
			must(t, os.WriteFile(filepath.Join(keys, "."+accountFile+".123"), []byte("abandon abandon"), 0o600))
		},
		"all are removed": func(t *testing.T, keys string) { must(t, removeClear(keys)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRepo(t, dir)
			must(t, r.Close())
			sealCheaply(t, dir, "correct horse")
			crash(t, keysPath(dir))
			again, err := Open(dir, says("correct horse"))
			must(t, err)
			must(t, again.Close())
			if again.Keys.Address() != r.Keys.Address() {
				t.Error("the account has changed")
			}
			if names := namesIn(t, keysPath(dir)); len(names) != 1 {
				t.Errorf("left in the folder: %q", names)
			}
		})
	}
}

func TestKeysAreSealedOnlyWhileNobodyUsesThem(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	if err := SealKeys(dir, nil, "correct horse"); !errors.Is(err, ErrLocked) {
		t.Errorf("sealed beside a daemon: %v", err)
	}
	must(t, r.Close())
	must(t, os.WriteFile(filepath.Join(keysPath(dir), identityFile), []byte("garbage"), 0o600))
	if err := SealKeys(dir, nil, "correct horse"); err == nil || !strings.Contains(err.Error(), identityFile) {
		t.Errorf("sealed a damaged key: %v", err)
	}
	if sealed, err := KeysSealed(dir); err != nil || sealed {
		t.Errorf("sealed: %v, %v", sealed, err)
	}
}

func FuzzSealedKeys(f *testing.F) {
	archive := func(write func(archiveWriter)) []byte {
		var out bytes.Buffer
		w := newArchiveWriter(&out)
		write(w)
		must(f, w.close())
		return out.Bytes()
	}
	f.Add(archive(func(w archiveWriter) { must(f, w.add(accountFile, []byte("words"))) }))
	f.Add(archive(func(w archiveWriter) {
		must(f, w.add(storeFile, []byte("a")))
		must(f, w.add(storeFile, []byte("b")))
	}))
	f.Add(archive(func(w archiveWriter) { must(f, w.add("../../"+accountFile, []byte("words"))) }))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := parseSealed(bytes.NewReader(data))
		if err != nil {
			return
		}
		for name, content := range files {
			if filepath.Base(name) != name || len(content) > maxKeyFile {
				t.Errorf("took %q of %d bytes", name, len(content))
			}
		}
	})
}
