package repo

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// What is sealed, keys and backups, is a tar of plain files: age and tar open it without this program.

// archiveWriter writes plain files.
type archiveWriter struct{ to *tar.Writer }

func newArchiveWriter(w io.Writer) archiveWriter { return archiveWriter{tar.NewWriter(w)} }

// file begins a file of the given size; its content is written next.
func (a archiveWriter) file(name string, size int64) error {
	return a.to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, Format: tar.FormatPAX})
}

func (a archiveWriter) add(name string, content []byte) error {
	if err := a.file(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.to.Write(content)
	return err
}

func (a archiveWriter) close() error { return a.to.Close() }

// archiveReader reads plain files and refuses everything else that a tar can hold.
type archiveReader struct {
	from io.Reader
	tar  *tar.Reader
}

func newArchiveReader(r io.Reader) archiveReader {
	return archiveReader{from: r, tar: tar.NewReader(r)}
}

// next goes on to the next file. At the end it reads the source to its own end, which proves that it is whole (age
// authenticates the last piece as such), and returns io.EOF.
func (a archiveReader) next() (name string, size int64, err error) {
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

func (a archiveReader) end() error {
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

// content reads the current file, which has at most limit bytes.
func (a archiveReader) content(name string, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("reading the archive: %.80q has %d bytes, more than %d", name, size, limit)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(a.tar, content); err != nil {
		return nil, fmt.Errorf("reading %.80q of the archive: %w", name, err)
	}
	return content, nil
}
