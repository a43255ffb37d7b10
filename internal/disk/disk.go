package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDamaged means that a store isn't as it was written.
var ErrDamaged = errors.New("the store is damaged")

// AsDamage wraps [ErrDamaged] around an error of an open Pebble store, or of one that was locked and is opened, unless
// it is one of the system that says nothing about what is on the disk.
func AsDamage(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) {
		return err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.EIO && errno != syscall.ENOENT {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// MakeFolder makes a folder that others can't read, if it is not there.
func MakeFolder(files vfs.FS, path string) error {
	if _, err := files.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := files.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return SyncFolder(files, filepath.Dir(path))
}

// SyncFolder waits until the names in a folder are on the disk.
func SyncFolder(files vfs.FS, path string) error {
	folder, err := files.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Sync waits until a file, or the names in a folder, are on the disk.
func Sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// NoRecycling is a Pebble cleaner that deletes what is obsolete, old logs too: Pebble keeps some to write into them
// again. It keeps none for a cleaner that wants to see what is in them, as [pebble.ArchiveCleaner] does.
type NoRecycling struct {
	pebble.DeleteCleaner
	wantsContents
}

type wantsContents struct{ pebble.ArchiveCleaner }

// Quiet is a Pebble logger that drops progress notes. A failure reaches the caller as an error; what Pebble calls fatal
// it can't go on after, nor can anybody.
type Quiet struct{}

// Infof implements [pebble.Logger].
func (Quiet) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (Quiet) Errorf(string, ...any) {}

// Fatalf implements [pebble.Logger].
func (Quiet) Fatalf(format string, args ...any) { pebble.DefaultLogger.Fatalf(format, args...) }
