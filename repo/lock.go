package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/serviceledger/slnode/repo/keys"
)

// CheckVersion reports whether there is a repository in a folder that this program knows; the error wraps [ErrMissing]
// if there is none.
func CheckVersion(dir string) error {
	text, err := os.ReadFile(versionPath(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%s: %w; say where it is with --repo or SLNODE_REPO, or make one with \"slnode init\"", dir, ErrMissing)
	}
	if err != nil {
		return fmt.Errorf("reading the repository's version: %w", err)
	}
	if found := strings.TrimSpace(string(text)); found != version {
		return fmt.Errorf("%s %w: its version is %.20q, this program knows version %s; if no other program made it, restore it from a backup",
			dir, ErrVersion, found, version)
	}
	return nil
}

// makeFolder makes the folder of a new repository, or takes one that is there, and locks it. One that is empty is its
// owner's alone from then on. The error wraps [ErrFolder] if it can't be.
func makeFolder(dir string) (*flock.Flock, error) {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = closeEmpty(dir)
	}
	var lock *flock.Flock
	if err == nil {
		lock, err = takeLock(dir)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return lock, err
}

// closeEmpty shuts others out of a folder that has nothing in it.
func closeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Chmod(dir, 0o700)
}

func takeLock(dir string) (*flock.Flock, error) {
	if err := CheckOwner(dir); err != nil {
		return nil, err
	}
	lock := flock.New(lockPath(dir))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w%s; if it is the daemon, it has to be stopped first (\"systemctl stop slnode\"), and if it does not answer, \"slnode status\" says so",
			dir, ErrLocked, numbered(LockHolder(dir)))
	}
	return lock, nil
}

// numbered is the number of a process in words; "" if it is not known.
func numbered(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(", %d", pid)
}

// LockHolder is the number of the process that uses the repository in dir; 0 if there is none, or the system doesn't
// say. It takes no lock, so that it is in nobody's way.
func LockHolder(dir string) int {
	info, err := os.Stat(lockPath(dir))
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	table, err := os.ReadFile("/proc/locks")
	if err != nil || !ok {
		return 0
	}
	for line := range strings.Lines(string(table)) { // 1: FLOCK ADVISORY WRITE 23444 fe:00:12345 0 EOF
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], fmt.Sprintf(":%d", stat.Ino)) {
			continue
		}
		if pid, err := strconv.Atoi(fields[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// underLock does something to the keys of a repository, which is locked meanwhile.
func underLock(dir string, do func(keys string) error) error {
	if err := CheckVersion(dir); err != nil {
		return err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return do(keysPath(dir))
}

// ReadKeys reads the keys of the repository in dir without opening it.
func ReadKeys(dir string, passphrase keys.Passphrase) (keys.Keys, error) {
	if err := CheckVersion(dir); err != nil {
		return keys.Keys{}, err
	}
	return keys.Read(keysPath(dir), passphrase)
}

// KeysSealed tells whether the keys of the repository in dir are sealed.
func KeysSealed(dir string) (bool, error) {
	if err := CheckVersion(dir); err != nil {
		return false, err
	}
	return keys.Sealed(keysPath(dir))
}

// CheckFree refuses a repository that a process uses, before anybody is asked for a secret that would be in vain.
func CheckFree(dir string) error { return underLock(dir, func(string) error { return nil }) }

// SealKeys seals the keys of a repository that nobody uses, or seals them with another passphrase than the one they are
// sealed with now.
func SealKeys(dir string, former keys.Passphrase, passphrase string) error {
	return underLock(dir, func(folder string) error { return keys.Seal(folder, former, passphrase) })
}

// UnsealKeys puts the keys of a repository that nobody uses back in clear.
func UnsealKeys(dir string, passphrase keys.Passphrase) error {
	return underLock(dir, func(folder string) error { return keys.Unseal(folder, passphrase) })
}
