package repo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// OwnerError means that the superuser would make files in a repository that is somebody else's, who could then not use
// it any more.
type OwnerError struct{ dir, owner string }

func (e *OwnerError) Error() string {
	return fmt.Sprintf("%s belongs to the user %s, and what root makes in it would keep that user's daemon from starting: run the command as %s, such as with \"sudo -u %s slnode ...\"",
		e.dir, e.owner, e.owner, e.owner)
}

const superuser = 0

// ownerOf tells who a directory belongs to.
func ownerOf(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Geteuid(), os.Getegid(), nil
	}
	return int(stat.Uid), int(stat.Gid), nil
}

// checkOwner refuses the superuser a repository of another user. Others are refused by the system.
func checkOwner(dir string) error {
	if os.Geteuid() != superuser {
		return nil
	}
	uid, _, err := ownerOf(dir)
	if err != nil {
		return fmt.Errorf("looking who %s belongs to: %w", dir, err)
	}
	if uid == superuser {
		return nil
	}
	name := "#" + strconv.Itoa(uid) // as sudo takes it
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = found.Username
	}
	return &OwnerError{dir, name}
}

// giveToOwner gives what is in a folder of a repository to who the repository belongs to, if it is the superuser who has
// made it.
func giveToOwner(dir, folder string) error {
	if os.Geteuid() != superuser {
		return nil
	}
	uid, gid, err := ownerOf(dir)
	if err != nil || uid == superuser {
		return err
	}
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
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
