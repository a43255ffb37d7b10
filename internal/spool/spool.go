// Package spool keeps byte strings until they are used: in memory while they are few, else in a file. The file has no
// name, so that the system takes it back with the process, whatever ends that, and it is encrypted with a key that is
// nowhere else, so that nothing is left to be read on the disk either.
package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	inMemory   = 1 << 20   // bytes that are kept without a file
	writeBlock = 256 << 10 // bytes that are written to the file at once
	prefix     = "spool-"  // of the files' names, as long as they have one
)

// Spool is a list of byte strings. It is not safe for use by several goroutines at once.
type Spool struct {
	dir  string
	room func() error // says whether the disk has room; nil: it does

	ends []int64 // of the strings, in the file or in what is held
	held []byte  // what is not in the file
	file *os.File
	size int64 // of the file
	aead cipher.AEAD
}

// New makes an empty one, whose file would be in a folder. Room is asked before the file grows, and may be nil.
func New(dir string, room func() error) *Spool {
	if room == nil {
		room = func() error { return nil }
	}
	return &Spool{dir: dir, room: room}
}

// Clean makes the folder for spools, or empties it of what was left by a process that was killed just when it had made
// a file.
func Clean(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the folder for what is received: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("emptying the folder for what is received: %w", err)
	}
	return nil
}

// Len is how many strings there are.
func (s *Spool) Len() int { return len(s.ends) }

// Add appends a copy of a string.
func (s *Spool) Add(value []byte) error {
	if s.file == nil && len(s.held)+len(value) > inMemory {
		if err := s.spill(); err != nil {
			return fmt.Errorf("keeping what is received: %w", err)
		}
	}
	if s.file == nil {
		s.held = append(s.held, value...)
		s.ends = append(s.ends, int64(len(s.held)))
		return nil
	}
	s.seal(value)
	if len(s.held) < writeBlock {
		return nil
	}
	return s.flush()
}

// spill moves what is in memory into a file.
func (s *Spool) spill() (err error) {
	key := make([]byte, 32)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	if s.file, err = os.CreateTemp(s.dir, prefix); err != nil { // for its owner only
		return err
	}
	if err := os.Remove(s.file.Name()); err != nil {
		return err
	}
	plain, ends := s.held, s.ends
	s.held, s.ends = make([]byte, 0, writeBlock), nil
	start := int64(0)
	for _, end := range ends {
		s.seal(plain[start:end])
		if start = end; len(s.held) >= writeBlock {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// seal appends a string to what is to be written.
func (s *Spool) seal(value []byte) {
	s.held = s.aead.Seal(s.held, s.nonce(len(s.ends)), value, nil)
	s.ends = append(s.ends, s.size+int64(len(s.held)))
}

// nonce is that of a string: its number, since each spool has a key of its own.
func (s *Spool) nonce(i int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, s.aead.NonceSize()-8, s.aead.NonceSize()), uint64(i))
}

// flush writes what is held into the file.
func (s *Spool) flush() error {
	if err := s.room(); err != nil {
		return err
	}
	n, err := s.file.Write(s.held)
	if s.size += int64(n); err != nil {
		return fmt.Errorf("keeping what is received: %w", err)
	}
	s.held = s.held[:0]
	return nil
}

// Read gives a string. It is not to be changed.
func (s *Spool) Read(i int) ([]byte, error) {
	start := int64(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	if s.file == nil {
		return s.held[start:s.ends[i]:s.ends[i]], nil
	}
	if len(s.held) > 0 {
		if err := s.flush(); err != nil {
			return nil, err
		}
	}
	sealed := make([]byte, s.ends[i]-start)
	if _, err := s.file.ReadAt(sealed, start); err != nil {
		return nil, fmt.Errorf("reading what was received: %w", err)
	}
	value, err := s.aead.Open(sealed[:0], s.nonce(i), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("reading what was received: %w", err)
	}
	return value, nil
}

// Close gives memory and file back.
func (s *Spool) Close() error {
	s.held, s.ends = nil, nil
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
