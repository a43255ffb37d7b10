package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// unprivileged does something as a user to whom the permissions of files apply, be it root without that privilege.
func unprivileged(t *testing.T, do func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine, and the loss with it
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		err := unix.Capset(&header, &none[0])
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Who runs a command as the service's user does so in a folder of his own: that must not show after the money is spent.
func TestAFolderThatCantBeWrittenIsRefusedBeforeAnythingIsDone(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, func() {
		for name, says := range map[string]string{
			filepath.Join(dir, "x"):               "",
			"-":                                   "",
			filepath.Join(closed, "x"):            "may not write in the folder " + closed,
			filepath.Join(dir, "nowhere", "x"):    "no such file",
			filepath.Join(closed, "nowhere", "x"): "no such file",
			closed:                                "is a folder",
		} {
			err := (&output{name: name}).check()
			if says == "" && err == nil {
				continue
			}
			if err == nil || !errors.Is(err, errUsage) || says == "" || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAFileThatIsNotThisUsersIsToBeGivenOnStandardInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, []byte("{}"), 0o000); err != nil {
		t.Fatal(err)
	}
	unprivileged(t, func() {
		_, err := readInput(&cobra.Command{}, path)
		if err == nil || !errors.Is(err, errUsage) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "may not read it; give it on standard input") {
			t.Error(err)
		}
	})
}

// What people send on, who are not the service's user, they can read; everything else only the service's user can.
func TestOnlyWhatIsToBeSentOnIsReadableByOthers(t *testing.T) {
	dir := t.TempDir()
	for public, mode := range map[bool]os.FileMode{true: 0o644, false: 0o600} {
		out := output{name: filepath.Join(dir, mode.String()), public: public}
		if err := out.write(&cobra.Command{}, []byte("x")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(out.name)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("public %t: %v, %v", public, info.Mode(), err)
		}
	}
}
