package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Superuser is the user whom the system refuses nothing.
const Superuser = 0

// Owner tells who a directory belongs to.
func Owner(dir string) (uid, gid int, err error) {
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

// GiveToOwner gives what is in a folder to who the directory belongs to that it is in, if it is the superuser who has
// made it.
func GiveToOwner(dir, folder string) error {
	if os.Geteuid() != Superuser {
		return nil
	}
	uid, gid, err := Owner(dir)
	if err != nil || uid == Superuser {
		return err
	}
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, gid))
	})
}
