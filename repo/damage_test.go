package repo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/consortium"
	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/repo/outbox"
	"github.com/serviceledger/slnode/repo/view"
)

// damagedRepo is a repository with something of everything in it, as a stopped node leaves it.
func damagedRepo(t *testing.T) string {
	t.Helper()
	r := usedRepo(t)
	large := submission("large")
	large.Payload = bytes.Repeat([]byte("secret"), 20<<10)
	_, err := r.Outbox.Accept([]outbox.Submission{large})
	must(t, err)
	for i := range 20 {
		content := fmt.Sprintf("content %d", i)
		if i%10 == 0 {
			content = strings.Repeat(content, 10<<10)
		}
		publish(t, r.View, uint64(i)+1, fmt.Sprintf("indicator--%d", i), content)
	}
	must(t, r.Close())
	return r.Dir
}

// told is all that a repository tells: a backup of it, and its view.
func told(t *testing.T, r *Repo) (state string, served string, err error) {
	t.Helper()
	var dump bytes.Buffer
	if err := r.Dump(t.Context(), &dump, someFiles); err != nil {
		return "", "", err
	}
	entries, _, err := r.View.Page(view.Query{Collection: view.Everything, Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true})
	if err != nil {
		return "", "", err
	}
	events, err := r.View.Log(consortium.Position{}, 1000)
	if err != nil {
		return "", "", err
	}
	shown, err := json.Marshal([]any{entries, events})
	must(t, err)
	var objects strings.Builder
	for _, entry := range entries {
		objects.Write(entry.Object)
	}
	return dump.String(), string(shown) + objects.String(), nil
}

// A flipped bit, a file that is cut off, a file that is gone: in whatever file of the repository, the node is as it
// was; or the view is derived again, and that is said; or the repository is refused, with what to do about it.
func TestDamageOfARepositoryIsMendedOrRefused(t *testing.T) {
	template := damagedRepo(t)
	whole, err := Open(template, nil)
	must(t, err)
	state, served, err := told(t, whole)
	must(t, errors.Join(err, whole.Close()))
	if len(whole.Notes) > 0 || !strings.Contains(served, "content 19") || !strings.Contains(state, "secret") {
		t.Fatalf("the repository to begin with: notes %q, a view of %d and a state of %d bytes", whole.Notes, len(served), len(state))
	}
	counts := map[string]int{}
	must(t, filepath.WalkDir(template, func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(template, path)
		if err != nil || relErr != nil || entry.IsDir() || !damageable(name) {
			return errors.Join(err, relErr)
		}
		content, err := os.ReadFile(path)
		must(t, err)
		for what, damaged := range damagesOf(content) {
			dir := filepath.Join(t.TempDir(), "r")
			must(t, os.CopyFS(dir, os.DirFS(template)))
			keepModes(t, dir)
			must(t, os.Remove(filepath.Join(dir, name)))
			if damaged != nil {
				must(t, os.WriteFile(filepath.Join(dir, name), damaged, 0o600))
			}
			outcome := outcomeOf(t, dir, state, served)
			counts[strings.SplitN(name, "/", 2)[0]+": "+outcome]++
			if strings.HasPrefix(outcome, "BAD") {
				t.Errorf("%s, %s: %s", name, what, outcome)
			}
			must(t, os.RemoveAll(dir))
		}
		return nil
	}))
	t.Log(counts)
	for _, want := range []string{"state: refused", "view: derived again", "keys: refused", "consortium.json: mended"} {
		if counts[want] == 0 {
			t.Errorf("nothing of this kind happened: %s", want)
		}
	}
}

// damageable leaves out what is no data: the lock, the log of what was done, and the configuration, which is the
// operator's text.
func damageable(name string) bool {
	return name != "lock" && name != "config.toml" && !strings.HasPrefix(name, "audit")
}

func damagesOf(content []byte) map[string][]byte {
	list := map[string][]byte{"it is missing": nil}
	if len(content) == 0 {
		return list
	}
	list["it is empty"] = []byte{}
	list["it is cut off"] = content[:len(content)/2]
	for i := range 8 {
		at := (len(content)*i + len(content)/2) / 8
		flipped := bytes.Clone(content)
		flipped[at] ^= 1 << (i % 7)
		list[fmt.Sprintf("a bit of byte %d is flipped", at)] = flipped
	}
	return list
}

// keepModes gives the keys the mode that they need.
func keepModes(t *testing.T, dir string) {
	t.Helper()
	keys, err := os.ReadDir(keysPath(dir))
	must(t, err)
	for _, key := range keys {
		must(t, os.Chmod(filepath.Join(keysPath(dir), key.Name()), 0o600))
	}
}

// outcomeOf opens a damaged repository.
func outcomeOf(t *testing.T, dir, state, served string) string {
	t.Helper()
	r, err := Open(dir, nil)
	if err != nil {
		for _, remedy := range []string{"restore", "put it back", "slnode init"} {
			if strings.Contains(err.Error(), remedy) {
				return "refused"
			}
		}
		return "BAD: refused without a remedy: " + err.Error()
	}
	gotState, gotView, err := told(t, r)
	damage := r.View.Damage()
	if closing := r.Close(); closing != nil {
		return "BAD: closing it: " + closing.Error()
	}
	notes := strings.Join(r.Notes, "; ")
	switch {
	case err != nil && damage == nil:
		return "BAD: it is opened, and can't be read: " + err.Error()
	case err != nil:
		again, err := Open(dir, nil)
		if err != nil {
			return "BAD: after the view was found damaged: " + err.Error()
		}
		defer again.Close()
		if cursor, err := again.View.Cursor(); err != nil || cursor != 0 || again.View.CountObjects() != 0 {
			return fmt.Sprintf("BAD: after the view was found damaged it is not empty: %d, %v", cursor, err)
		}
		return "derived again"
	case gotState != state:
		return "BAD: the state is another, and nobody says so"
	case gotView != served && strings.Contains(notes, "derived again"):
		return "derived again"
	case gotView != served:
		return "BAD: the view is another, and nobody says so"
	case notes != "":
		return "mended"
	}
	return "as it was"
}

// A view that is found damaged while it is read is told to be, and the next one begins at the charter.
func TestAViewThatIsFoundDamagedIsDerivedAgain(t *testing.T) {
	r, err := Open(damagedRepo(t), nil)
	must(t, err)
	files, err := filepath.Glob(filepath.Join(viewPath(r.Dir), "large", "*"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no large objects")
	}
	select {
	case <-r.View.Damaged():
		t.Fatal("it is damaged already")
	default:
	}
	must(t, os.WriteFile(files[0], []byte("not what was written"), 0o600))
	_, _, err = r.View.Page(view.Query{Collection: view.Everything, Versions: view.Versions{All: true}, Limit: 1000, WithObjects: true})
	if !errors.Is(err, ErrDamaged) || !errors.Is(r.View.Damage(), ErrDamaged) {
		t.Errorf("reading it: %v; its damage: %v", err, r.View.Damage())
	}
	<-r.View.Damaged()
	must(t, r.Close())
	r, err = Open(r.Dir, nil)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	if cursor, err := r.View.Cursor(); err != nil || cursor != 0 || r.View.CountObjects() != 0 {
		t.Errorf("the next view is in round %d and has %d objects: %v", cursor, r.View.CountObjects(), err)
	}
	if _, err := r.Accounts.Check("ann", "a long secret"); err != nil {
		t.Errorf("the accounts: %v", err)
	}
}

// Without a backup, a node with a damaged state goes on with an empty one: nobody who comes along may be its first
// administrator, and nothing is signed before the chain has shown what the lost state knew.
func TestAnEmptyStateTakesThePlaceOfADamagedOne(t *testing.T) {
	for _, missing := range []bool{false, true} {
		dir := damagedRepo(t)
		if _, err := EmptyState(dir, nil); err == nil || errors.Is(err, ErrDamaged) {
			t.Errorf("a state that is whole: %v", err)
		}
		if missing {
			must(t, os.RemoveAll(statePath(dir)))
		} else {
			tables, err := filepath.Glob(filepath.Join(statePath(dir), "*.sst"))
			must(t, err)
			must(t, os.WriteFile(tables[0], []byte("not what was written"), 0o600))
		}
		if _, err := Open(dir, nil); err == nil || !strings.Contains(err.Error(), "slnode restore") {
			t.Errorf("missing=%v: opening it: %v", missing, err)
		}
		aside, err := EmptyState(dir, nil)
		must(t, err)
		if _, err := os.Stat(aside); missing != (aside == "") || !missing && err != nil {
			t.Errorf("missing=%v: what was damaged is in %q: %v", missing, aside, err)
		}
		r, err := Open(dir, nil)
		must(t, err)
		claimed, err := r.Accounts.Claimed()
		recovery, recoveryErr := r.Outbox.Recovery()
		if errors.Join(err, recoveryErr) != nil || !claimed || recovery == nil {
			t.Errorf("missing=%v: claimed %v, recovery %v: %v, %v", missing, claimed, recovery, err, recoveryErr)
		}
		must(t, r.Close())
	}
}

// diskUse is what a folder takes, in bytes.
func diskUse(t *testing.T, folder string) (n int64) {
	t.Helper()
	must(t, filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // the store removes files
			return nil
		}
		n += info.Size()
		return err
	}))
	return n
}

// What was published and withdrawn again takes no space in the stores, without a restart: large objects are gone at
// once, others when space is given back.
func TestTheSpaceOfWhatWasWithdrawnIsGivenBack(t *testing.T) {
	for _, size := range []int{20 << 10, 200 << 10, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			r := newRepo(t, t.TempDir())
			defer func() { must(t, r.Close()) }()
			use := func() int64 { return diskUse(t, statePath(r.Dir)) + diskUse(t, viewPath(r.Dir)) }
			before := use()
			const all = 25 << 20
			for first := 0; first < all/size; first += 16 { // not each with waits for the disk of its own
				var some []outbox.Submission
				for i := first; i < min(first+16, all/size); i++ {
					s := submission(fmt.Sprintf("indicator--%d", i))
					s.Payload = incompressible(i, size)
					some = append(some, s)
					publish(t, r.View, uint64(i)+1, fmt.Sprintf("indicator--%d", i), string(s.Payload))
				}
				items, err := r.Outbox.Accept(some)
				must(t, err)
				must(t, r.Outbox.SetStored(items))
			}
			if use() < before+all {
				t.Errorf("%d bytes are in the view, the stores take %d", all, use()-before)
			}
			for n := range uint64(all / size) {
				ended, _, err := r.View.Withdraw(view.Recall{Asset: 1000 + n + 1, Senders: []string{"PUBLISHER"}, At: consortium.Position{Round: math.MaxUint64}})
				must(t, err)
				if len(ended) != 1 {
					t.Fatalf("object %d is not found", n)
				}
			}
			if size >= 64<<10 && use() > before+10<<20 {
				t.Errorf("%d bytes more than before, though no space was given back yet", use()-before)
			}
			must(t, r.Reclaim())
			waiting.Until(t, "the stores are as small as before", func() bool { return use() < before+10<<20 })
		})
	}
}

// incompressible is a payload of a size.
func incompressible(seed, size int) []byte {
	noise := make([]byte, size*3/4)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(noise)
	return base64.StdEncoding.AppendEncode(nil, noise)
}
