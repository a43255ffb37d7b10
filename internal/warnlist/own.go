package warnlist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The bounds of a folder of lists.
const (
	MaxFiles = 200
	MaxFile  = 16 << 20 // bytes
)

// Stamp says whether a folder's lists are still those that were read: names, sizes and times of its files.
type Stamp string

// Files are the lists of a folder, as paths below it: its files *.json, and those called list.json in folders in it, as
// in MISP's own repository.
func Files(dir string) ([]string, error) {
	var found []string
	for _, pattern := range []string{"*.json", "*/list.json"} {
		some, err := fs.Glob(os.DirFS(dir), pattern) // which takes no letter of the folder's name for a pattern
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.Sort(found)
	return found, nil
}

// StampOf looks at a folder. One that isn't there has no lists.
func StampOf(dir string) (Stamp, error) {
	found, err := Files(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range found {
		info, err := os.Stat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken away meanwhile
		}
		if err != nil {
			return "", fmt.Errorf("looking at warning lists: %w", err)
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return Stamp(b.String()), nil
}

// ReadFolder reads the lists in MISP's form that a folder has. Files that are none are named in the errors, and the
// others are taken.
func ReadFolder(dir string) (sources []Source, wrong []error, err error) {
	found, err := Files(dir)
	if err != nil {
		return nil, nil, err
	}
	if len(found) > MaxFiles {
		return nil, nil, fmt.Errorf("the folder %s has %d warning lists, more than %d", dir, len(found), MaxFiles)
	}
	entries := 0
	for _, name := range found {
		s, err := readFile(dir, name)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if entries += len(s.Values); entries > MaxEntries {
			return nil, nil, fmt.Errorf("the warning lists in %s have more than %d entries", dir, MaxEntries)
		}
		sources = append(sources, s)
	}
	return sources, wrong, nil
}

func readFile(dir, name string) (Source, error) {
	id := strings.TrimSuffix(strings.TrimSuffix(name, "/list.json"), ".json")
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return Source{}, fmt.Errorf("reading a warning list: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Source{}, fmt.Errorf("reading a warning list: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Source{}, fmt.Errorf("the warning list %.80s is no file", id)
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return Source{}, fmt.Errorf("reading a warning list: %w", err)
	}
	if len(data) > MaxFile {
		return Source{}, fmt.Errorf("the warning list %.80s is larger than %d bytes", id, MaxFile)
	}
	s, err := Parse(id, data)
	if err == nil && s.Date == "" {
		s.Date = info.ModTime().UTC().Format("2006-01-02")
	}
	return s, err
}
