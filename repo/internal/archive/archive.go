// Package archive is what keys and backups are sealed as: a tar of plain files, which age and tar open without this
// program.
package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Writer writes plain files.
type Writer struct{ to *tar.Writer }

// NewWriter begins an archive.
func NewWriter(w io.Writer) Writer { return Writer{tar.NewWriter(w)} }

// File begins a file of the given size; its content is written next.
func (a Writer) File(name string, size int64) error {
	return a.to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, Format: tar.FormatPAX})
}

// Add adds a whole file.
func (a Writer) Add(name string, content []byte) error {
	if err := a.File(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.to.Write(content)
	return err
}

// Write writes content of the file that was begun.
func (a Writer) Write(content []byte) (int, error) { return a.to.Write(content) }

// Close ends the archive.
func (a Writer) Close() error { return a.to.Close() }

// Reader reads plain files and refuses everything else that a tar can hold.
type Reader struct {
	from io.Reader
	tar  *tar.Reader
}

// NewReader reads an archive.
func NewReader(r io.Reader) Reader {
	return Reader{from: r, tar: tar.NewReader(r)}
}

// Next goes on to the next file. At the end it reads the source to its own end, which proves that it is whole (age
// authenticates the last piece as such), and returns io.EOF.
func (a Reader) Next() (name string, size int64, err error) {
	header, err := a.tar.Next()
	if errors.Is(err, io.EOF) {
		return "", 0, a.end()
	}
	if err != nil {
		return "", 0, fmt.Errorf("reading the archive: %w", err)
	}
	if header.Typeflag != tar.TypeReg {
		return "", 0, fmt.Errorf("reading the archive: %.80q is not a plain file", header.Name)
	}
	return header.Name, header.Size, nil
}

func (a Reader) end() error {
	buffer := make([]byte, 512)
	for {
		n, err := a.from.Read(buffer)
		if len(bytes.Trim(buffer[:n], "\x00")) > 0 {
			return errors.New("reading the archive: something follows its end")
		}
		if err != nil {
			return err // io.EOF if all is well
		}
	}
}

// Read reads content of the current file.
func (a Reader) Read(p []byte) (int, error) { return a.tar.Read(p) }

// Content reads the current file, which has at most limit bytes.
func (a Reader) Content(name string, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("reading the archive: %.80q has %d bytes, more than %d", name, size, limit)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(a.tar, content); err != nil {
		return nil, fmt.Errorf("reading %.80q of the archive: %w", name, err)
	}
	return content, nil
}
