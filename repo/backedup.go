package repo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/serviceledger/slnode/internal/disk"
)

// BackedUp is the last backup that was made of a repository.
type BackedUp struct {
	At    time.Time `json:"at"`             // of which moment it is
	Bytes int64     `json:"bytes,omitzero"` // of the sealed file
}

func backedUpPath(dir string) string { return filepath.Join(dir, "backup.json") }

// NoteBackup takes down that a backup was made and written whole. It is not in the state: the daemon may have that
// open, and the next start needs to know nothing of it.
func NoteBackup(dir string, b BackedUp) error {
	data, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("noting the backup: %w", err)
	}
	if err := disk.WriteFile(backedUpPath(dir), append(data, '\n')); err != nil || os.Geteuid() != disk.Superuser {
		return err
	}
	uid, gid, err := disk.Owner(dir) // whose daemon reads it
	if err != nil {
		return fmt.Errorf("noting the backup: %w", err)
	}
	return os.Chown(backedUpPath(dir), uid, gid)
}

// LastBackup is the last backup that is known of; nil if none was made here.
func LastBackup(dir string) (*BackedUp, error) {
	return readOptional[BackedUp]("when the last backup was made", backedUpPath(dir))
}
