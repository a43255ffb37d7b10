package keys

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/serviceledger/slnode/repo/internal/archive"
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

// sealCheaply seals the keys in a folder and leaves those in clear where they are.
func sealCheaply(t testing.TB, dir, passphrase string) {
	t.Helper()
	files, err := readClear(dir)
	must(t, err)
	must(t, files.sealTo(dir, cheaply(t, passphrase)))
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

// Whatever a crash leaves of sealing and unsealing, the same keys are opened, and is put in order.
func TestAnInterruptedSealingLosesNoKey(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, keys string){
		"nothing is removed yet": func(*testing.T, string) {},
		"some are removed": func(t *testing.T, keys string) {
			must(t, os.Remove(filepath.Join(keys, accountFile)))
			must(t, os.Remove(filepath.Join(keys, StoreFile)))
		},
		"half of one is written": func(t *testing.T, keys string) {
			must(t, os.WriteFile(filepath.Join(keys, "."+accountFile+".123"), []byte("abandon abandon"), 0o600))
		},
		"all are removed": func(t *testing.T, keys string) { must(t, removeClear(keys)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, made := newKeys(t, "")
			sealCheaply(t, dir, "correct horse")
			crash(t, dir)
			again, err := Open(dir, says("correct horse"))
			must(t, err)
			if again.Address() != made.Address() {
				t.Error("the account has changed")
			}
			if names := namesIn(t, dir); len(names) != 1 {
				t.Errorf("left in the folder: %q", names)
			}
		})
	}
}

func FuzzSealedKeys(f *testing.F) {
	sealed := func(write func(archive.Writer)) []byte {
		var out bytes.Buffer
		w := archive.NewWriter(&out)
		write(w)
		must(f, w.Close())
		return out.Bytes()
	}
	f.Add(sealed(func(w archive.Writer) { must(f, w.Add(accountFile, []byte("words"))) }))
	f.Add(sealed(func(w archive.Writer) {
		must(f, w.Add(StoreFile, []byte("a")))
		must(f, w.Add(StoreFile, []byte("b")))
	}))
	f.Add(sealed(func(w archive.Writer) { must(f, w.Add("../../"+accountFile, []byte("words"))) }))
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
