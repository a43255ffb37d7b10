package auditlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/disk"
)

// The records are a chain: each carries its number and the hash of the line before it. So whoever changes a line,
// takes one away or puts one in has to write every later one anew. What a crash cut off stays, and the next record
// carries its hash, too. The file head has the last record that is known to be on the disk, and the first that is
// kept: by it a missing end, and a missing beginning, are found.

// link is what a record says of its place in the chain.
type link struct {
	Sequence uint64 `json:"seq"`          // from 1
	Previous string `json:"prev"`         // hash of the line before; "" in the first
	Cut      string `json:"cut,omitzero"` // hash of what was cut off between them
}

// hashOf is the hash of a line, without its end.
func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// place is how far the chain has come.
type place struct {
	sequence uint64 // of the last record; 0 if there is none
	hash     string // of the last line
}

// readLink reads what a line says of its place. A line that is no record says nothing.
func readLink(line []byte) (l link, is bool) {
	if !isWhole(line) || json.Unmarshal(line, &l) != nil || l.Sequence == 0 {
		return link{}, false
	}
	return l, true
}

// isWhole reports whether a line can be a record, and wasn't cut off by a crash.
func isWhole(line []byte) bool {
	return bytes.HasPrefix(line, []byte("{")) && bytes.HasSuffix(line, []byte("}"))
}

// chained is an entry, an object in JSON, as the record that comes next.
func (p *place) chained(entry []byte, cut [][]byte) []byte {
	l := link{Sequence: p.sequence + 1, Previous: p.hash}
	if len(cut) > 0 {
		l.Cut = hashOf(bytes.Join(cut, []byte{'\n'}))
	}
	line := bytes.Clone(entry[:len(entry)-1])
	if len(line) > 1 {
		line = append(line, ',')
	}
	line = append(append(line, `"seq":`...), strconv.FormatUint(l.Sequence, 10)...)
	line = append(append(append(line, `,"prev":"`...), l.Previous...), '"')
	if l.Cut != "" {
		line = append(append(append(line, `,"cut":"`...), l.Cut...), '"')
	}
	line = append(line, '}')
	p.sequence, p.hash = l.Sequence, hashOf(line)
	return line
}

// tail is the end of the log.
type tail struct {
	place
	cut  [][]byte // lines after the last record that a crash cut off
	open bool     // the last of them was not ended
	size int64    // of the current file
}

// readTail finds the end of a log: in the current file or, if that has no record, in the last one that was set aside.
func readTail(dir string) (t tail, err error) {
	names, err := files(dir)
	if err != nil {
		return t, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		data, size, err := lastBytes(filepath.Join(dir, names[i]))
		if err != nil {
			return t, err
		}
		if names[i] == currentFile {
			t.size, t.open = size, len(data) > 0 && data[len(data)-1] != '\n'
		}
		if found := t.take(data); found {
			return t, nil
		}
	}
	return t, nil
}

// take looks for the last record in the end of a file, from behind.
func (t *tail) take(data []byte) (found bool) {
	if len(data) == 0 {
		return false
	}
	lines := bytes.Split(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'})
	for n := len(lines) - 1; n >= 0; n-- {
		if l, is := readLink(lines[n]); is {
			t.sequence, t.hash = l.Sequence, hashOf(lines[n])
			t.cut = append(lines[n+1:], t.cut...)
			return true
		}
	}
	t.cut = append(lines, t.cut...)
	return false
}

// atLeast makes the place no earlier than one that is known: who cuts the end of a log off doesn't make it go on from
// there as if nothing had been.
func (t *tail) atLeast(known place) {
	if t.sequence < known.sequence {
		t.place = known
	}
}

// lastBytes reads the end of a file: as much as the longest line and more.
func lastBytes(path string) (data []byte, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	if size, err = file.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, err
	}
	data = make([]byte, min(size, 2*maxLine))
	_, err = file.ReadAt(data, size-int64(len(data)))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data, size, err
}

// head is what stands in the file head.
type head struct {
	Sequence uint64 `json:"seq"`   // of the last record that is on the disk
	Hash     string `json:"hash"`  // … and its hash
	First    uint64 `json:"first"` // of the first record that is kept
}

const (
	headFile = "head.json"
	lockFile = "lock"
)

// readHead reads the file head; none is the zero value.
func readHead(dir string) (h head, found bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return head{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil {
		return head{}, false, fmt.Errorf("reading %s: %w", headFile, err)
	}
	return h, true, nil
}

func writeHead(dir string, h head) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(dir, headFile), data)
}

// lockFor is how long a process waits for another one that writes. Nobody holds the lock for longer than a write takes.
const lockFor = time.Second

// lock keeps other processes from writing.
func lock(dir string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockFor); ; time.Sleep(time.Millisecond) {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // which ends the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) || time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("locking the log: %w", err), file.Close())
		}
	}
}

// Last is the number of the last record of the log of a repository; 0 if there is none.
func Last(dir string) (uint64, error) {
	end, err := readTail(Path(dir))
	if err != nil {
		return 0, fmt.Errorf("reading the end of the audit log: %w", err)
	}
	return end.sequence, nil
}
