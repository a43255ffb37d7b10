package repo

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/serviceledger/slnode/internal/disk"
)

// OwnerError means that the disk.Superuser would make files in a repository that is somebody else's, who could then not
// use it any more.
type OwnerError struct{ dir, owner string }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("%s belongs to the user %s, and what root makes in it would keep that user's daemon from starting: run the command as %s, such as with \"sudo -u %s slnode ...\"",
		e.dir, e.owner, e.owner, e.owner)
}

// checkOwner refuses the superuser a repository of another user. Others are refused by the system.
func checkOwner(dir string) error {
	if os.Geteuid() != disk.Superuser {
		return nil
	}
	uid, _, err := disk.Owner(dir)
	if err != nil {
		return fmt.Errorf("looking who %s belongs to: %w", dir, err)
	}
	if uid == disk.Superuser {
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
