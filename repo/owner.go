package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/serviceledger/slnode/internal/disk"
)

// OwnerError means that a repository is another user's. What the superuser made in it would keep that user's daemon
// from starting, and others can't even read it.
type OwnerError struct{ dir, owner string }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("%s belongs to the user %s: run the command as that one, \"sudo -u %s slnode --repo %s ...\"", e.dir, e.owner, e.owner, e.dir)
}

// CheckOwner refuses a repository of another user: always to root, and to others where the system does. What isn't
// there is nobody's.
func CheckOwner(dir string) error {
	uid, _, err := disk.Owner(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil
	case errors.Is(err, fs.ErrPermission): // of a folder above it
		return fmt.Errorf("%w: the repository is another user's: run the command as that one, with \"sudo -u USER slnode ...\"", err)
	case err != nil:
		return fmt.Errorf("looking who %s belongs to: %w", dir, err)
	case uid == os.Geteuid(), os.Geteuid() != disk.Superuser && unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK) == nil:
		return nil
	}
	name := "#" + strconv.Itoa(uid) // as sudo takes it
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = found.Username
	}
	return &OwnerError{dir, name}
}

// LockID names the lock of a repository: two folders have different ones, also if one is a copy of the other.
func LockID(dir string) (string, error) {
	info, err := os.Stat(lockPath(dir))
	if err != nil {
		return "", fmt.Errorf("looking at the lock of %s: %w", dir, err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("looking at the lock of %s: this system does not number files", dir)
	}
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino), nil
}
