package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Follower reads the records of a log one after the other, also while it is being written and its files are set aside.
// It is for one goroutine.
type Follower struct {
	dir    string
	after  uint64 // the last record that was read
	file   *os.File
	at     int64  // what of the file was read
	buffer []byte // … and not visited yet
}

// Record is a record of the log.
type Record struct {
	Sequence uint64
	Line     []byte // until the next one is read
	Hash     string
}

// Follow follows the log of a repository, from the record after a given one.
func Follow(dir string, after uint64) *Follower { return &Follower{dir: Path(dir), after: after} }

// Close gives the file back.
func (f *Follower) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Next gives the next record; none if there is none yet.
func (f *Follower) Next() (r Record, found bool, err error) {
	for {
		line, found, err := f.line()
		if err != nil {
			return r, false, fmt.Errorf("following the audit log: %w", err)
		}
		if !found {
			return r, false, nil
		}
		if l, is := readLink(line); is && l.Sequence > f.after {
			f.after = l.Sequence
			return Record{Sequence: l.Sequence, Line: line, Hash: hashOf(line)}, true, nil
		}
	}
}

// line gives the next line that was ended.
func (f *Follower) line() (line []byte, found bool, err error) {
	for {
		if i := bytes.IndexByte(f.buffer, '\n'); i >= 0 {
			line, f.buffer = f.buffer[:i], f.buffer[i+1:]
			return line, true, nil
		}
		more, err := f.read()
		if err != nil || !more {
			return nil, false, err
		}
	}
}

// read reads on, in the next file if this one has come to its end.
func (f *Follower) read() (more bool, err error) {
	if f.file != nil {
		// Whether it is the current one is asked before its end is looked for: what is set aside is written no more.
		current, err := f.isCurrent()
		if err != nil {
			return false, err
		}
		if len(f.buffer) > maxLine {
			f.buffer = nil // no record is so long
		}
		block := make([]byte, 64<<10)
		n, err := f.file.ReadAt(block, f.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		f.at += int64(n)
		f.buffer = append(f.buffer[:len(f.buffer):len(f.buffer)], block[:n]...)
		if n > 0 || current {
			return n > 0, nil
		}
	}
	return f.next()
}

func (f *Follower) isCurrent() (bool, error) {
	own, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	current, err := os.Stat(filepath.Join(f.dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(own, current), err
}

// next opens the file after this one; the oldest, if it was deleted meanwhile.
func (f *Follower) next() (opened bool, err error) {
	names, err := files(f.dir)
	if err != nil {
		return false, err
	}
	at := 0
	if f.file != nil {
		own, err := f.file.Stat()
		if err != nil {
			return false, err
		}
		for i, name := range names {
			if info, err := os.Stat(filepath.Join(f.dir, name)); err == nil && os.SameFile(own, info) {
				at = i + 1
			}
		}
	}
	if at >= len(names) {
		return false, nil
	}
	file, err := os.Open(filepath.Join(f.dir, names[at]))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it was set aside just now
	}
	if err != nil {
		return false, err
	}
	err = f.Close()
	f.file, f.at, f.buffer = file, 0, nil
	return true, err
}
