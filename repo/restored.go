package repo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// restoredBatch is how much of what came with a backup is read at once, in bytes and directories.
const (
	restoredBatch = 4 << 20
	restoredMost  = 256
)

// Restored gives some of the directories that came with a backup and are not in the block store yet; none if there are
// no more. Their content is unchecked.
func (r *Repo) Restored() (directories []Directory, err error) {
	folder, err := os.Open(restoredPath(r.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was restored: %w", err)
	}
	defer folder.Close()
	entries, err := folder.ReadDir(restoredMost)
	if err != nil && len(entries) > 0 || len(entries) == 0 {
		return nil, errors.Join(notEOF(err), os.Remove(folder.Name()))
	}
	size := 0
	for _, entry := range entries {
		d := Directory{CID: entry.Name()}
		files, err := os.ReadDir(filepath.Join(folder.Name(), entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading what was restored: %w", err)
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(folder.Name(), entry.Name(), file.Name()))
			if err != nil {
				return nil, fmt.Errorf("reading what was restored: %w", err)
			}
			d.Files = append(d.Files, File{Name: file.Name(), Data: data})
			size += len(data)
		}
		directories = append(directories, d)
		if size > restoredBatch {
			break
		}
	}
	return directories, nil
}

// ForgetRestored removes directories that are in the block store now.
func (r *Repo) ForgetRestored(directories []Directory) error {
	for _, d := range directories {
		if err := os.RemoveAll(filepath.Join(restoredPath(r.Dir), d.CID)); err != nil {
			return fmt.Errorf("removing what was restored: %w", err)
		}
	}
	return nil
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
