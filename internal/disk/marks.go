// Package disk is what the node's stores need of the disk: to know damage from the end of what was written.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Marks is a file system that remembers how far the files were synced that Pebble appends to, its logs and its
// manifests, and the checksum of each so far. When Pebble opens a store, it takes a record that doesn't add up for the
// end of what was written before the power went; what follows it is gone without a word, and tables that no record
// names are deleted. Here it is known what was acknowledged, before Pebble opens anything.
//
// The marks are in a file of their own. They are written after what they say was synced, and not synced themselves: a
// mark may be behind, but it is never ahead.
type Marks struct {
	vfs.FS
	mu    sync.Mutex
	file  vfs.File
	marks map[string]mark // by the name of the file
}

// mark says what the beginning of a file is.
type mark struct {
	size int64
	sum  uint32
}

// MarksFile is the name of the file with the marks, in the folder of the store.
const MarksFile = "marks"

// marksSize is what the marks take on the disk: so little that they are written in one piece.
const marksSize = 512

var sums = crc32.MakeTable(crc32.Castagnoli)

// OpenMarks checks the files of the store in a folder against its marks. If they are not what they should be, the error
// wraps [ErrDamaged].
func OpenMarks(inner vfs.FS, dir string) (*Marks, error) {
	path := filepath.Join(dir, MarksFile)
	file, err := inner.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	m := &Marks{FS: inner, file: file, marks: map[string]mark{}}
	text := make([]byte, marksSize)
	n, err := file.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	for name, mark := range parseMarks(text[:n]) {
		if err := mark.check(inner, filepath.Join(dir, name)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		m.marks[name] = mark
	}
	return m, nil
}

// parseMarks reads marks. It gives none if they are damaged: everything that they are about can still be good.
func parseMarks(text []byte) map[string]mark {
	text = bytes.TrimRight(text, "\x00")
	at := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n') + 1
	var sum uint32
	if n, _ := fmt.Sscanf(string(text[at:]), "%08x\n", &sum); n != 1 || sum != crc32.Checksum(text[:at], sums) {
		return nil
	}
	marks := map[string]mark{}
	for line := range strings.Lines(string(text[:at])) {
		var name string
		var m mark
		if _, err := fmt.Sscanf(line, "%s %d %x\n", &name, &m.size, &m.sum); err != nil {
			return nil
		}
		marks[name] = m
	}
	return marks
}

// check reads the beginning of a file.
func (m mark) check(files vfs.FS, path string) error {
	file, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrDamaged, path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	hash := crc32.New(sums)
	n, err := io.Copy(hash, io.LimitReader(file, m.size))
	if err != nil {
		return err
	}
	if n < m.size {
		return fmt.Errorf("%w: %s ends at %d, %d bytes of it were acknowledged", ErrDamaged, path, n, m.size)
	}
	if hash.Sum32() != m.sum {
		return fmt.Errorf("%w: %s is not what was written", ErrDamaged, path)
	}
	return nil
}

// set changes the mark of a file; nil takes it away.
func (m *Marks) set(name string, to *mark) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case to == nil:
		delete(m.marks, name)
	case to.size <= m.marks[name].size:
		return nil // a later sync was quicker
	default:
		m.marks[name] = *to
	}
	return m.write()
}

// write writes the marks. The caller holds the mutex.
func (m *Marks) write() error {
	text := make([]byte, 0, marksSize)
	for _, name := range slices.Sorted(maps.Keys(m.marks)) {
		text = fmt.Appendf(text, "%s %d %08x\n", name, m.marks[name].size, m.marks[name].sum)
	}
	text = fmt.Appendf(text, "%08x\n", crc32.Checksum(text, sums))
	if len(text) > marksSize {
		return fmt.Errorf("%d files are open to be written", len(m.marks)) // Pebble has a handful
	}
	_, err := m.file.WriteAt(text[:marksSize], 0)
	return err
}

// Close closes the file of the marks.
func (m *Marks) Close() error { return m.file.Close() }

// ForgetLogs takes the marks of the logs away, when everything in them is elsewhere.
func (m *Marks) ForgetLogs() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.marks, func(name string, _ mark) bool { return strings.HasSuffix(name, ".log") })
	return m.write()
}

// marked tells whether a file is one that is appended to.
func marked(name string) bool {
	name = filepath.Base(name)
	return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-")
}

// Create implements [vfs.FS].
func (m *Marks) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := m.FS.Create(name, category)
	if err != nil || !marked(name) {
		return file, err
	}
	return &markedFile{File: file, marks: m, path: name}, nil
}

// Remove implements [vfs.FS]. That a file is gone must not be on the disk before it is there that nobody misses it.
func (m *Marks) Remove(name string) error {
	if marked(name) {
		if err := errors.Join(m.set(filepath.Base(name), nil), m.file.Sync()); err != nil {
			return err
		}
	}
	return m.FS.Remove(name)
}

// Unwrap implements [vfs.FS].
func (m *Marks) Unwrap() vfs.FS { return m.FS }

// markedFile is a file that is appended to.
type markedFile struct {
	vfs.File
	marks *Marks
	path  string
	named atomic.Bool // its name is on the disk

	mu      sync.Mutex
	written mark
	partly  bool // a write ended early: from there on it isn't known what is in the file
}

// Write implements [vfs.File].
func (f *markedFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := crc32.Update(f.written.sum, sums, p) // a vfs.File may change p
	n, err := f.File.Write(p)
	f.written.size, f.written.sum = f.written.size+int64(n), sum
	f.partly = f.partly || n < len(p)
	return n, err
}

// after syncs, and marks what was written before. A mark is not made of a file whose name could be lost; Pebble lets a
// marker file name a new manifest that could.
func (f *markedFile) after(sync func() error) error {
	f.mu.Lock()
	written, partly := f.written, f.partly
	f.mu.Unlock()
	if err := sync(); err != nil || partly {
		return err
	}
	if !f.named.Load() {
		if err := SyncFolder(f.marks.FS, filepath.Dir(f.path)); err != nil {
			return err
		}
		f.named.Store(true)
	}
	return f.marks.set(filepath.Base(f.path), &written)
}

// Sync implements [vfs.File].
func (f *markedFile) Sync() error { return f.after(f.File.Sync) }

// SyncData implements [vfs.File].
func (f *markedFile) SyncData() error { return f.after(f.File.SyncData) }

// SyncTo implements [vfs.File].
func (f *markedFile) SyncTo(length int64) (full bool, err error) { return f.File.SyncTo(length) }
