package repo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

func newRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	c := config.Default()
	c.Organisation.Name, c.Organisation.Title = "acme", `ACME "CERT"`
	_, err := Init(dir, c, "")
	must(t, err)
	return openRepo(t, dir)
}

func openRepo(t testing.TB, dir string) *Repo {
	t.Helper()
	r, err := Open(dir, nil)
	must(t, err)
	return r
}

func TestARepositoryIsUsedByOneAtATime(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "if it is the daemon") {
		t.Errorf("opened twice: %v", err)
	}
	must(t, r.Close())
	must(t, openRepo(t, dir).Close())
}

func TestKeysStayTheSameAndAreForTheOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	address, peerKey, recipient := r.Keys.Address(), r.Keys.Peer, r.Keys.Identity.Recipient()
	must(t, r.Close())
	if _, err := Init(dir, r.Config, ""); err == nil || !strings.Contains(err.Error(), ErrExists.Error()) {
		t.Errorf("initialised twice: %v", err)
	}
	r = openRepo(t, dir)
	if r.Keys.Address() != address || !r.Keys.Peer.Equals(peerKey) || r.Keys.Identity.Recipient() != recipient {
		t.Error("the keys have changed")
	}
	must(t, r.Close())
	files, err := os.ReadDir(filepath.Join(dir, "keys"))
	must(t, err)
	for _, file := range files {
		info, err := file.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", file.Name(), info.Mode().Perm())
		}
	}
	must(t, os.Chmod(filepath.Join(dir, "keys", "account.mnemonic"), 0o644))
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a key file that all can read: %v", err)
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, newRepo(t, dir).Close())
	must(t, os.WriteFile(versionPath(dir), []byte("3\n"), 0o600))
	if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), `version is "3"`) {
		t.Errorf("opened another version: %v", err)
	}
	if _, err := Open(t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "slnode init") {
		t.Errorf("opened an empty folder: %v", err)
	}
}

func TestPlaintextIsInNoFile(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	marker := "MARKER-8f2b1d"
	accept(t, r.Outbox, marker)
	publish(t, r.View, 1, "malware--1", marker)
	_, err := r.Accounts.Add("ann", marker, "reader", accounts.Limits{}, false, monday)
	must(t, err)
	must(t, r.Close())
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), marker) {
			t.Errorf("%s contains plaintext", path)
		}
		return err
	}))
}

func TestKeysAreSealedOnlyWhileNobodyUsesThem(t *testing.T) {
	dir := t.TempDir()
	r := newRepo(t, dir)
	if err := SealKeys(dir, nil, "correct horse"); !errors.Is(err, ErrLocked) {
		t.Errorf("sealed beside a daemon: %v", err)
	}
	must(t, r.Close())
	must(t, os.WriteFile(filepath.Join(keysPath(dir), "identity.age"), []byte("garbage"), 0o600))
	if err := SealKeys(dir, nil, "correct horse"); err == nil || !strings.Contains(err.Error(), "identity.age") {
		t.Errorf("sealed a damaged key: %v", err)
	}
	if sealed, err := KeysSealed(dir); err != nil || sealed {
		t.Errorf("sealed: %v, %v", sealed, err)
	}
}

func TestSealedKeysAreTheSameKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRepo(t, dir)
	must(t, r.Keys.SetSwarmKey([]byte("the swarm's key")))
	must(t, r.Close())
	same := func(k keys.Keys) {
		t.Helper()
		if k.Address() != r.Keys.Address() || !k.Peer.Equals(r.Keys.Peer) || k.Identity.Recipient() != r.Keys.Identity.Recipient() ||
			!bytes.Equal(k.Store, r.Keys.Store) || string(k.SwarmKey()) != "the swarm's key" {
			t.Error("the keys have changed")
		}
	}

	must(t, SealKeys(dir, nil, "correct horse"))
	if names := namesIn(t, keysPath(dir)); len(names) != 1 || names[0] != "sealed.age" {
		t.Errorf("the sealed folder holds %q", names)
	}
	k, err := ReadKeys(dir, says("correct horse"))
	must(t, err)
	same(k)
	if _, err := Open(dir, says("battery staple")); !errors.Is(err, keys.ErrPassphrase) {
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
	c := config.Default()
	c.Organisation.Name = "acme"
	made, err := Init(dir, c, "correct horse")
	must(t, err)
	must(t, made.SetSwarmKey([]byte("the swarm's key")))
	if names := namesIn(t, keysPath(dir)); len(names) != 1 || names[0] != "sealed.age" {
		t.Errorf("the folder holds %q", names)
	}
	read, err := ReadKeys(dir, says("correct horse"))
	must(t, err)
	if read.Address() != made.Address() || string(read.SwarmKey()) != "the swarm's key" {
		t.Error("other keys were read than were made")
	}
}
