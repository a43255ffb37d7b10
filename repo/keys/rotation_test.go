package keys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/seal"
)

// newKeys makes the keys folder of a new repository.
func newKeys(t *testing.T, passphrase string) (string, Keys) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := Make(dir, passphrase)
	must(t, err)
	return dir, k
}

func TestKeysAreSwitchedAndTheOldOnesOpenStill(t *testing.T) {
	t.Run("in clear", func(t *testing.T) { testSwitch(t, "") })
	t.Run("sealed", func(t *testing.T) { testSwitch(t, "correct horse battery") })
}

func testSwitch(t *testing.T, passphrase string) {
	given := func() (string, error) { return passphrase, nil }
	dir, old := newKeys(t, passphrase)
	sealed, err := seal.SealTo([]string{old.Identity.Recipient()}, []byte("for the old key"))
	must(t, err)
	next, err := old.Prepare(Change{Account: true, Identity: true})
	must(t, err)
	again, err := old.Prepare(Change{Account: true, Identity: true})
	must(t, err)
	if next.Address() == old.Address() || again.Address() != next.Address() || !next.Peer.Equals(old.Peer) {
		t.Errorf("prepared the account %s, and again %s; it was %s", next.Address(), again.Address(), old.Address())
	}
	if _, err := old.Prepare(Change{Peer: true}); err == nil {
		t.Error("another change is begun before the first is carried out")
	}
	// It isn't decided.
	if k, err := Open(dir, given); err != nil || k.Address() != old.Address() {
		t.Errorf("before the decision the account is %s, %v", k.Address(), err)
	}
	must(t, old.Switch())
	now, err := Open(dir, given)
	must(t, err)
	if now.Address() != next.Address() || now.Identity.Recipient() != next.Identity.Recipient() || len(now.Former) != 1 || now.Former[0].Address != old.Account.Address {
		t.Errorf("after the switch the account is %s, with %d before it", now.Address(), len(now.Former))
	}
	if opened, err := now.Identity.Open(sealed); err != nil || string(opened) != "for the old key" {
		t.Errorf("what was sealed to the old key: %q, %v", opened, err)
	}
	if _, found, err := now.Next(); err != nil || found {
		t.Errorf("there is a next change: %v, %v", found, err)
	}

	// Once more: three identities open what is theirs.
	third, err := now.Prepare(Change{Identity: true})
	must(t, err)
	must(t, now.Switch())
	last, err := Open(dir, given)
	must(t, err)
	if opened, err := last.Identity.Open(sealed); err != nil || string(opened) != "for the old key" || last.Identity.Recipient() != third.Identity.Recipient() {
		t.Errorf("after two changes: %q, %v", opened, err)
	}
	stranger, err := seal.NewIdentity()
	must(t, err)
	foreign, err := seal.SealTo([]string{stranger.Recipient()}, []byte("x"))
	must(t, err)
	if _, err := last.Identity.Open(foreign); !errors.Is(err, seal.ErrNotForUs) {
		t.Errorf("what is sealed to others: %v", err)
	}
	again, err = Read(dir, given)
	must(t, err)
	if len(again.Former) != 1 || again.Address() != last.Address() {
		t.Errorf("read again: the account %s with %d before it", again.Address(), len(again.Former))
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if passphrase != "" && len(entries) != 1 {
		t.Errorf("beside the sealed keys there is something: %v", entries)
	}
}

func TestAnAbandonedChangeLeavesTheKeysAsTheyWere(t *testing.T) {
	dir, old := newKeys(t, "")
	if _, err := old.Prepare(Change{Account: true}); err != nil {
		t.Fatal(err)
	}
	must(t, old.Abandon())
	if k, err := Open(dir, nil); err != nil || k.Address() != old.Address() {
		t.Errorf("the account is %s, %v", k.Address(), err)
	}
	if _, err := old.Prepare(Change{Peer: true}); err != nil {
		t.Errorf("another change: %v", err)
	}
}

// A switch can be interrupted between any two of its steps. It is repeated here from every state that it passes
// through.
func TestASwitchThatWasInterruptedLosesNoKey(t *testing.T) {
	origin, old := newKeys(t, "")
	next, err := old.Prepare(Change{Account: true, Peer: true, Identity: true})
	must(t, err)
	must(t, old.Switch())
	names := []string{accountFile, identityFile, peerFile}
	// The states: of the first n files everything was done; of the next one nothing, or it was copied.
	for n := range len(names) + 1 {
		for _, copied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, copied %v", n, copied), func(t *testing.T) {
				dir := t.TempDir()
				must(t, os.CopyFS(dir, os.DirFS(origin)))
				entries, err := os.ReadDir(dir)
				must(t, err)
				for _, e := range entries {
					must(t, os.Chmod(filepath.Join(dir, e.Name()), 0o600))
				}
				for i, name := range names {
					if i < n || i == n && copied {
						data, err := os.ReadFile(filepath.Join(dir, name))
						must(t, err)
						must(t, os.WriteFile(filepath.Join(dir, formerPrefix+"1-"+name), data, 0o600))
					}
					if i < n {
						must(t, os.Rename(filepath.Join(dir, nextPrefix+name), filepath.Join(dir, name)))
					}
				}
				now, err := Open(dir, nil)
				must(t, err)
				if now.Address() != next.Address() || !now.Peer.Equals(next.Peer) || now.Identity.Recipient() != next.Identity.Recipient() ||
					len(now.Former) != 1 || now.Former[0].Address != old.Account.Address {
					t.Errorf("the account is %s with %d before it, want %s", now.Address(), len(now.Former), next.Address())
				}
				left, err := os.ReadDir(dir)
				must(t, err)
				if slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.Name() == switchFile || strings.HasPrefix(e.Name(), nextPrefix) }) {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}
