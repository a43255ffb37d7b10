package disk

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// changing is a file system whose files change what they are given to write, as a vfs.File may, and write no more than
// they are allowed.
type changing struct {
	vfs.FS
	most int
}

func (c *changing) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := c.FS.Create(name, category)
	return &changingFile{file, c}, err
}

type changingFile struct {
	vfs.File
	of *changing
}

func (f *changingFile) Write(p []byte) (int, error) {
	written, err := f.File.Write(p[:min(len(p), f.of.most)])
	clear(p)
	if err == nil && written < len(p) {
		err = errors.New("no room")
	}
	return written, err
}

func write(t *testing.T, file vfs.File, text string) error {
	t.Helper()
	_, err := file.Write([]byte(text))
	return errors.Join(err, file.Sync())
}

func TestWhatWasSyncedIsKnownByItsMark(t *testing.T) {
	under := &changing{vfs.NewMem(), 1 << 20}
	open := func() *Marks {
		t.Helper()
		m, err := OpenMarks(under, "")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	file, err := m.Create("000001.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write(t, file, "one"), write(t, file, "two")); err != nil {
		t.Fatal(err)
	}
	again := open()
	if got := again.marks["000001.log"].size; got != 6 {
		t.Errorf("%d bytes are marked, want 6", got)
	}
	// What ended early is no part of a mark, nor is what comes after it.
	under.most = 1
	if err := write(t, file, "three"); err == nil {
		t.Error("half a write is none")
	}
	under.most = 1 << 20
	if err := write(t, file, "four"); err != nil {
		t.Fatal(err)
	}
	if got := open().marks["000001.log"].size; got != 6 {
		t.Errorf("after half a write %d bytes are marked, want 6", got)
	}
	damaged, err := under.OpenReadWrite("000001.log", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = damaged.WriteAt([]byte("X"), 4)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMarks(under, ""); !errors.Is(err, ErrDamaged) {
		t.Errorf("a changed byte: %v", err)
	}
}
