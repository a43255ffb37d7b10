package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestADamagedKeyIsNamedButNotShown(t *testing.T) {
	dir, _ := newKeys(t, "")
	for _, name := range []string{accountFile, peerFile, identityFile, StoreFile} {
		path := filepath.Join(dir, name)
		good, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, []byte("hunter2"), 0o600))
		_, err = Open(dir, nil)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s damaged: %v", name, err)
		}
		must(t, os.WriteFile(path, good, 0o600))
	}
}
