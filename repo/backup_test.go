package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/internal/archive"
	"github.com/serviceledger/slnode/repo/keys"
	"github.com/serviceledger/slnode/repo/outbox"
)

const someCID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

// someFiles is a block store that has one directory.
func someFiles(_ context.Context, directory string) ([]File, error) {
	if directory != someCID {
		return nil, nil
	}
	return []File{{"metadata.json", []byte("{}")}, {"object.json", []byte("ciphertext")}}, nil
}

// usedRepo is a repository in which something has happened.
func usedRepo(t testing.TB) *Repo {
	t.Helper()
	r := newRepo(t, t.TempDir())
	must(t, r.Keys.SetSwarmKey([]byte("the swarm's key")))
	must(t, r.SetConsortium(Consortium{ID: 7, Name: "Testers", Peers: []string{"/ip4/192.0.2.1/tcp/4001"}}))
	_, err := r.Accounts.Add("ann", "a long secret", "admin", accounts.Limits{Read: []string{}}, true, monday)
	must(t, err)
	items := accept(t, r.Outbox, "waiting", "stored", "signed", "confirmed")
	for i := range items {
		items[i].Directory = someCID
	}
	must(t, r.Outbox.SetStored(items[1:]))
	group(t, r.Outbox, queue(t, r.Outbox, outbox.Stored)[1:2])
	g := group(t, r.Outbox, queue(t, r.Outbox, outbox.Stored)[1:])
	_, err = r.Outbox.Confirm([]consortium.Place{{TxID: g.TxIDs[0], Round: 5, Asset: 6}})
	must(t, err)
	must(t, r.Outbox.AddStatus(outbox.Status{ID: "s", Root: "acme", User: "ann", Requested: monday}, nil))
	return r
}

// backUp gives a backup in clear.
func backUp(t testing.TB, r *Repo) []byte {
	t.Helper()
	var dump, out bytes.Buffer
	must(t, r.Dump(t.Context(), &dump, someFiles))
	_, err := Backup(r.Dir, &dump, &out)
	must(t, err)
	return out.Bytes()
}

func TestARestoredRepositoryIsTheOneThatWasBackedUp(t *testing.T) {
	r := usedRepo(t)
	now := time.Now()
	ann, err := r.Accounts.Account("ann")
	must(t, err)
	token, err := r.Accounts.NewToken(ann, now, now.Add(time.Hour))
	must(t, err)
	apiKey, err := r.Accounts.AddKey(accounts.APIKey{Name: "siem", Role: "reader", Created: now})
	must(t, err)
	backup := backUp(t, r)
	must(t, r.Close())

	dir := filepath.Join(t.TempDir(), "new")
	manifest, err := Restore(dir, bytes.NewReader(backup), nil)
	must(t, err)
	if manifest.Organisation != "acme" || manifest.Contents.Files != 4 {
		t.Errorf("restored %+v", manifest)
	}
	again := openRepo(t, dir)
	defer func() { must(t, again.Close()) }()
	if again.Keys.Address() != r.Keys.Address() || !bytes.Equal(again.Keys.Store, r.Keys.Store) || string(again.Keys.SwarmKey()) != "the swarm's key" {
		t.Error("the keys have changed")
	}
	if again.Config.Organisation != r.Config.Organisation {
		t.Errorf("the configuration is of %+v", again.Config.Organisation)
	}
	own, err := again.Consortium()
	must(t, err)
	if own.ID != 7 || !slices.Equal(own.Peers, []string{"/ip4/192.0.2.1/tcp/4001"}) {
		t.Errorf("the consortium is %+v", own)
	}
	checkOutbox(t, again.Outbox)
	checkWhoMayUseIt(t, again.Accounts, apiKey, token)
	if recovery, err := again.Outbox.Recovery(); err != nil || recovery == nil {
		t.Errorf("the repository does not know that it was restored: %v", err)
	}
	checkDirectories(t, again)
}

// checkOutbox wants the outbox of a [usedRepo].
func checkOutbox(t *testing.T, o *outbox.Outbox) {
	t.Helper()
	for state, want := range map[outbox.State]int{outbox.Accepted: 1, outbox.Stored: 1, outbox.Signed: 1} {
		if got := o.Count()[state]; got != want {
			t.Errorf("%d items are %s, want %d", got, state, want)
		}
	}
	if payload, err := o.Payload(1); err != nil || string(payload) != "payload of waiting" {
		t.Errorf("payload %q, %v", payload, err)
	}
	if numbered, err := o.Number(queue(t, o, outbox.Stored)); err != nil || numbered[0].Note.Sequence != 3 {
		t.Errorf("two numbers were given before the backup; the first after it: %+v, %v", numbered, err)
	}
	if groups, err := o.Groups(0, 10); err != nil || len(groups) != 1 {
		t.Errorf("groups %+v, %v", groups, err)
	}
	if _, found, err := o.Status("s"); err != nil || !found {
		t.Errorf("the status: %v, %v", found, err)
	}
}

// checkWhoMayUseIt wants the accounts of a [usedRepo], an API key, and no login from before.
func checkWhoMayUseIt(t *testing.T, a *accounts.Accounts, apiKey, token string) {
	t.Helper()
	if account, err := a.Check("ann", "a long secret"); err != nil || account.Read == nil {
		t.Errorf("ann's password, and what she is restricted to: %+v, %v", account, err)
	}
	if _, err := a.CheckToken(apiKey, time.Now()); err != nil {
		t.Errorf("an API key: %v", err)
	}
	if _, err := a.CheckToken(token, time.Now()); !errors.Is(err, accounts.ErrCredentials) {
		t.Errorf("a login from before: %v", err)
	}
}

// checkDirectories wants the one directory that came with the backup, until it is forgotten.
func checkDirectories(t *testing.T, again *Repo) {
	t.Helper()
	restored, err := again.Restored()
	must(t, err)
	if len(restored) != 1 || restored[0].CID != someCID || len(restored[0].Files) != 2 || string(restored[0].Files[1].Data) != "ciphertext" {
		t.Errorf("restored %+v", restored)
	}
	must(t, again.ForgetRestored(restored))
	if restored, err = again.Restored(); err != nil || len(restored) != 0 {
		t.Errorf("restored again: %+v, %v", restored, err)
	}
}

// A backup is of one moment, whatever happens while it is made.
func TestABackupIsOfOneMoment(t *testing.T) {
	r := newRepo(t, t.TempDir())
	defer func() { must(t, r.Close()) }()
	accept(t, r.Outbox, "before")
	items := queue(t, r.Outbox, outbox.Accepted)
	items[0].Directory = someCID
	must(t, r.Outbox.SetStored(items))
	var dump, out bytes.Buffer
	must(t, r.Dump(t.Context(), &dump, func(ctx context.Context, directory string) ([]File, error) {
		accept(t, r.Outbox, "meanwhile")
		return someFiles(ctx, directory)
	}))
	_, err := Backup(r.Dir, &dump, &out)
	must(t, err)
	dir := t.TempDir()
	_, err = Restore(dir, &out, nil)
	must(t, err)
	again := openRepo(t, dir)
	defer func() { must(t, again.Close()) }()
	if _, found, err := again.Outbox.Find([]byte("before")); err != nil || !found {
		t.Errorf("what was there before: %v, %v", found, err)
	}
	if _, found, err := again.Outbox.Find([]byte("meanwhile")); err != nil || found {
		t.Errorf("what came meanwhile: %v, %v", found, err)
	}
}

func TestSealedKeysStaySealedInABackup(t *testing.T) {
	dir := t.TempDir()
	first := newRepo(t, dir)
	must(t, first.Close())
	sealCheaply(t, dir, "correct horse")
	r, err := Open(dir, says("correct horse"))
	must(t, err)
	accept(t, r.Outbox, "a")
	backup := backUp(t, r)
	must(t, r.Close())
	words, err := r.Keys.Mnemonic()
	must(t, err)
	if bytes.Contains(backup, []byte(words)) {
		t.Error("the backup holds the account's words in clear")
	}
	to := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(to, bytes.NewReader(backup), says("battery staple")); !errors.Is(err, keys.ErrPassphrase) {
		t.Errorf("restored with a wrong passphrase: %v", err)
	}
	if names := namesIn(t, to); !slices.Equal(names, []string{"lock"}) {
		t.Errorf("a refused restore leaves %q", names)
	}
	_, err = Restore(to, bytes.NewReader(backup), says("correct horse"))
	must(t, err)
	again, err := Open(to, says("correct horse"))
	must(t, err)
	must(t, again.Close())
	if again.Keys.Address() != r.Keys.Address() {
		t.Error("the account has changed")
	}
}

func TestRestoreNeedsAnEmptyPlace(t *testing.T) {
	r := usedRepo(t)
	backup := backUp(t, r)
	if _, err := Restore(r.Dir, bytes.NewReader(backup), nil); !errors.Is(err, ErrLocked) {
		t.Errorf("restored over a repository in use: %v", err)
	}
	must(t, r.Close())
	if _, err := Restore(r.Dir, bytes.NewReader(backup), nil); !errors.Is(err, ErrExists) {
		t.Errorf("restored over a repository: %v", err)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600))
	if _, err := Restore(dir, bytes.NewReader(backup), nil); !errors.Is(err, ErrExists) {
		t.Errorf("restored beside something else: %v", err)
	}
}

// A restore that was interrupted at any point can be repeated, and until it is complete there is no repository.
func TestAnInterruptedRestoreIsRepeated(t *testing.T) {
	r := usedRepo(t)
	backup := backUp(t, r)
	must(t, r.Close())
	for moved := range len(restorable("")) + 1 {
		dir := t.TempDir()
		_, err := Restore(dir, bytes.NewReader(backup), nil)
		must(t, err)
		// Back to where a crash after so many renames would have left it.
		must(t, os.Remove(versionPath(dir)))
		must(t, os.Mkdir(stagingPath(dir), 0o700))
		for i, path := range restorable(dir) {
			if i >= moved {
				must(t, os.Rename(path, restorable(stagingPath(dir))[i]))
			}
		}
		if _, err := Open(dir, nil); !errors.Is(err, ErrMissing) {
			t.Errorf("after %d moves there is a repository: %v", moved, err)
		}
		if _, err := Init(dir, r.Config, ""); err == nil {
			t.Errorf("after %d moves a new repository was made", moved)
		}
		_, err = Restore(dir, bytes.NewReader(backup), nil)
		must(t, err)
		must(t, openRepo(t, dir).Close())
	}
}

// cutOff is a source that ends badly, as an age file does of which the end is missing.
type cutOff struct{ from io.Reader }

func (c cutOff) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// changed is a backup with other files.
func changed(t *testing.T, backup []byte, change func(name string, content []byte) (string, []byte, bool)) io.Reader {
	t.Helper()
	var out bytes.Buffer
	from, to := archive.NewReader(bytes.NewReader(backup)), archive.NewWriter(&out)
	for {
		name, size, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		content, err := from.Content(name, size, 1<<20)
		must(t, err)
		if name, content, keep := change(name, content); keep {
			must(t, to.Add(name, content))
		}
	}
	must(t, to.Close())
	return &out
}

func TestADamagedBackupIsRefusedAsAWhole(t *testing.T) {
	r := usedRepo(t)
	backup := backUp(t, r)
	must(t, r.Close())
	without := func(unwanted string) io.Reader {
		return changed(t, backup, func(name string, content []byte) (string, []byte, bool) {
			return name, content, !strings.HasPrefix(name, unwanted)
		})
	}
	replaced := func(old, new string) io.Reader {
		return changed(t, backup, func(name string, content []byte) (string, []byte, bool) {
			return strings.Replace(name, old, new, 1), bytes.Replace(content, []byte(old), []byte(new), 1), true
		})
	}
	for name, backup := range map[string]io.Reader{
		"nothing":                 bytes.NewReader(nil),
		"something else":          strings.NewReader("hello"),
		"the last byte missing":   cutOff{bytes.NewReader(backup[:len(backup)-1])},
		"ending badly":            cutOff{bytes.NewReader(backup)},
		"followed by something":   io.MultiReader(bytes.NewReader(backup), strings.NewReader("more")),
		"no manifest":             without(manifestFile),
		"no end":                  without(endFile),
		"no keys":                 without(keysFolder),
		"no identity":             without(keysFolder + "/identity.age"),
		"no state":                without(stateFolder),
		"no configuration":        without("config.toml"),
		"a missing directory":     without(objectsFolder),
		"a later format":          replaced(`"slnode_backup":1`, `"slnode_backup":2`),
		"another organisation":    replaced(`"organisation":"acme"`, `"organisation":"evil"`),
		"a way out of the folder": replaced(someCID+"/metadata.json", "../../../evil"),
		"a foreign file":          replaced("consortium.json", "daemon.json"),
		"an unknown key file":     replaced("store.key", "../evil"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Restore(dir, backup, nil); err == nil {
				t.Fatal("it was restored")
			}
			if names := namesIn(t, dir); !slices.Equal(names, []string{"lock"}) {
				t.Errorf("it leaves %q", names)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "evil")); err == nil {
				t.Error("it wrote outside")
			}
		})
	}
}

func TestAnIncompleteDumpMakesNoBackup(t *testing.T) {
	r := usedRepo(t)
	defer func() { must(t, r.Close()) }()
	var dump bytes.Buffer
	must(t, r.Dump(t.Context(), &dump, someFiles))
	for _, n := range []int{0, 100, dump.Len() / 2, dump.Len() - 2000} {
		if _, err := Backup(r.Dir, bytes.NewReader(dump.Bytes()[:n]), io.Discard); err == nil {
			t.Errorf("the first %d of %d bytes make a backup", n, dump.Len())
		}
	}
}

func TestABackupHoldsTheKeysOfAChange(t *testing.T) {
	for name, passphrase := range map[string]string{"in clear": "", "sealed": "correct horse battery"} {
		t.Run(name, func(t *testing.T) {
			given := func() (string, error) { return passphrase, nil }
			dir := t.TempDir()
			c := config.Default()
			c.Organisation.Name = "acme"
			old, err := Init(dir, c, passphrase)
			must(t, err)
			_, err = old.Prepare(keys.Change{Account: true, Identity: true})
			must(t, err)
			must(t, old.Switch())
			r, err := Open(dir, given)
			must(t, err)
			next, err := r.Keys.Prepare(keys.Change{Peer: true})
			must(t, err)
			var dump, backup bytes.Buffer
			must(t, r.Dump(t.Context(), &dump, func(context.Context, string) ([]File, error) { return nil, nil }))
			must(t, r.Close())
			_, err = Backup(dir, &dump, &backup)
			must(t, err)

			again := filepath.Join(t.TempDir(), "again")
			_, err = Restore(again, &backup, given)
			must(t, err)
			now, err := ReadKeys(again, given)
			must(t, err)
			after, found, err := now.Next()
			must(t, err)
			if now.Address() != r.Keys.Address() || len(now.Former) != 1 || now.Former[0].Address != old.Account.Address ||
				!found || !after.Peer.Equals(next.Peer) {
				t.Errorf("restored the account %s with %d before it, a next change %v", now.Address(), len(now.Former), found)
			}
		})
	}
}
