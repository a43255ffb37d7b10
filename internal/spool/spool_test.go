package spool

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWhatIsKeptIsGivenBackInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := New(dir, nil)
		defer s.Close()
		var want [][]byte
		look := func() {
			if len(want) == 0 {
				return
			}
			i := rapid.IntRange(0, len(want)-1).Draw(t, "which")
			if got, err := s.Read(i); err != nil || !bytes.Equal(got, want[i]) {
				t.Fatalf("string %d of %d: %d bytes, %v, want %d", i, len(want), len(got), err, len(want[i]))
			}
		}
		for range rapid.IntRange(0, 40).Draw(t, "strings") {
			value := bytes.Repeat([]byte{byte(len(want))}, rapid.SampledFrom([]int{0, 1, 1000, 100_000, inMemory - 1, inMemory + 1}).Draw(t, "bytes"))
			if err := s.Add(value); err != nil {
				t.Fatal(err)
			}
			want = append(want, bytes.Clone(value))
			clear(value) // it is the caller's
			if rapid.Bool().Draw(t, "read in between") {
				look()
			}
		}
		for range 2 * len(want) {
			look()
		}
		if s.Len() != len(want) {
			t.Fatalf("%d strings, want %d", s.Len(), len(want))
		}
	})
}

// A process that is killed leaves what the disk has at that moment.
func TestNothingThatIsKeptCanBeReadOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, nil)
	defer s.Close()
	secret := []byte(strings.Repeat("what nobody else may read. ", 1000))
	for range 200 {
		if err := s.Add(secret); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("the folder has %v, %v, and is to have nothing", files, err)
	}
	if s.file == nil || s.size < 4<<20 {
		t.Fatalf("%d bytes are in a file", s.size)
	}
	info, err := s.file.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	content := make([]byte, s.size)
	if _, err := s.file.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, secret[:27]) {
		t.Error("the file can be read")
	}
	if len(s.held) > writeBlock+len(secret)+16 {
		t.Errorf("%d bytes are held in memory", len(s.held))
	}
}

func TestWhatWasChangedOnTheDiskIsNotGiven(t *testing.T) {
	s := New(t.TempDir(), nil)
	defer s.Close()
	for range 3 {
		if err := s.Add(make([]byte, inMemory)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.file.WriteAt([]byte{1}, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(0); err == nil {
		t.Error("a string is given that is not what was kept")
	}
	if _, err := s.Read(1); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskIsSaidBeforeTheFileGrows(t *testing.T) {
	full := errors.New("full")
	s := New(t.TempDir(), func() error { return full })
	defer s.Close()
	if err := s.Add(make([]byte, inMemory)); err != nil {
		t.Fatalf("what is kept in memory needs no disk: %v", err)
	}
	if err := s.Add(make([]byte, writeBlock)); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	if s.size > 0 {
		t.Errorf("%d bytes were written", s.size)
	}
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	for range 2 { // it is made, and is there
		if err := Clean(dir); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Fatalf("%v, %v", info, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, prefix+"123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("%v is left, %v", files, err)
	}
	if err := Clean(filepath.Join(dir, "a", "b")); err == nil {
		t.Error("a folder that can't be made is none")
	}
}
