// Package auditlog is the log of who did what on a node, as lines of JSON in files of bounded size.
package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/disk"
)

// Log is the log of who did what: JSON lines in files that are only ever appended to. Adding a line costs its encoding;
// lines reach the file within [flushAfter] and when the log is closed, and the disk when a file is full or closed. A
// file that is full is set aside under the time of its last line, and the oldest are deleted when there are too many.
type Log struct {
	dir  string
	size int64 // bytes of a file
	keep int   // files set aside
	now  func() time.Time

	mu      sync.Mutex
	failed  func(error)
	file    *os.File
	buffer  *bufio.Writer
	written int64       // bytes of the file, with those in the buffer
	flush   *time.Timer // set while lines wait in the buffer
	closed  bool
	done    sync.WaitGroup // the timer's function
}

const (
	flushAfter  = time.Second
	bufferSize  = 64 << 10
	currentFile = "audit.jsonl"
	asideFile   = "audit-20060102T150405.000000000Z.jsonl"
	maxLine     = 1 << 20 // bytes, when reading
)

// Path is where a repository's audit log is.
func Path(dir string) string { return filepath.Join(dir, "audit") }

// Open opens the log in a folder.
func Open(dir string, size int64, keep int, now func() time.Time) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	a := &Log{dir: dir, size: size, keep: keep, failed: func(error) {}, now: now}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return a, nil
}

// OnFailure says who is told when the log can't be written. What was to be written is lost then.
func (a *Log) OnFailure(failed func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = failed
}

// open begins or goes on with the current file.
func (a *Log) open() error {
	file, err := os.OpenFile(filepath.Join(a.dir, currentFile), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	a.file, a.buffer, a.written = file, bufio.NewWriterSize(file, bufferSize), size
	// A line that a crash cut off is ended, so that it spoils no other.
	var end [1]byte
	if _, err := file.ReadAt(end[:], size-1); err == nil && end[0] != '\n' { // nothing has no end, and that is an error
		a.written++
		return a.buffer.WriteByte('\n')
	}
	return nil
}

// Append adds a line. It never fails for its caller's sake: what is done must not depend on it.
func (a *Log) Append(entry any) {
	line, err := json.Marshal(entry)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.failed(fmt.Errorf("writing the audit log: %w", err))
		return
	}
	if a.closed {
		return
	}
	if a.written > 0 && a.written+int64(len(line)) >= a.size {
		if err := a.rotate(); err != nil {
			a.failed(fmt.Errorf("setting a file of the audit log aside: %w", err))
		}
	}
	if len(line) >= a.buffer.Available() {
		a.flushLocked() // whole lines only: [AppendAudit] may write, too
	}
	a.written += int64(len(line)) + 1
	// The buffer keeps an error and returns it when it is flushed.
	_, _ = a.buffer.Write(append(line, '\n'))
	if a.flush == nil {
		a.done.Add(1)
		a.flush = time.AfterFunc(flushAfter, func() {
			defer a.done.Done()
			a.Flush()
		})
	}
}

// Flush hands the lines that wait to the file.
func (a *Log) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flushLocked()
}

func (a *Log) flushLocked() {
	if a.flush != nil && a.flush.Stop() {
		a.done.Done()
	}
	a.flush = nil
	if err := a.buffer.Flush(); err != nil {
		a.failed(fmt.Errorf("writing the audit log: %w", err))
		a.buffer.Reset(a.file) // it would refuse everything from now on
	}
}

// rotate sets the current file aside and begins a new one.
func (a *Log) rotate() error {
	a.flushLocked()
	current := filepath.Join(a.dir, currentFile)
	err := errors.Join(a.file.Sync(), a.file.Close(), os.Rename(current, filepath.Join(a.dir, a.now().UTC().Format(asideFile))))
	if err := errors.Join(err, a.open()); err != nil {
		return err
	}
	files, err := files(a.dir)
	if err != nil {
		return err
	}
	for len(files)-1 > a.keep { // the last is the current one
		if err := os.Remove(filepath.Join(a.dir, files[0])); err != nil {
			return err
		}
		files = files[1:]
	}
	return disk.Sync(a.dir)
}

// Close ends the log.
func (a *Log) Close() error {
	a.mu.Lock()
	a.flushLocked()
	a.closed = true
	a.mu.Unlock()
	a.done.Wait()
	return errors.Join(a.file.Sync(), a.file.Close())
}

// Append adds a line to the log of the repository in dir, which may be open elsewhere, or nowhere.
func Append(dir string, entry any) (err error) {
	a, err := Open(Path(dir), math.MaxInt64, 0, time.Now)
	if err != nil {
		return err
	}
	a.OnFailure(func(failure error) { err = failure })
	a.Append(entry)
	closed := a.Close()
	return errors.Join(err, closed, disk.GiveToOwner(dir, Path(dir)))
}

// files lists the files of a log, the oldest first.
func files(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	current := false
	for _, entry := range entries { // by their names, whose times have one length
		switch name := entry.Name(); {
		case name == currentFile:
			current = true
		case strings.HasPrefix(name, "audit-") && strings.HasSuffix(name, ".jsonl"):
			names = append(names, name)
		}
	}
	if current {
		names = append(names, currentFile)
	}
	return names, nil
}

// Filter chooses lines of the audit log. What is empty restricts nothing.
type Filter struct {
	Since       time.Time
	Event, User string
}

// takes reports whether a line is chosen.
func (f Filter) takes(line []byte) bool {
	if f == (Filter{}) {
		return true
	}
	var entry struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		User  string    `json:"user"`
	}
	return json.Unmarshal(line, &entry) == nil && !entry.Time.Before(f.Since) && (f.Event == "" || f.Event == entry.Event) && (f.User == "" || f.User == entry.User)
}

// Read visits the lines of the audit log of a repository that a filter takes, in the order in which they were
// written, until visit returns an error, which it returns. A log that is being written is read as far as it has
// reached the file.
func Read(ctx context.Context, dir string, filter Filter, visit func(line []byte) error) (err error) {
	dir = Path(dir)
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading the audit log: %w", err)
		}
	}()
	// The current file is opened before the others are listed, so that none is missed should it be set aside meanwhile.
	current, err := os.Open(filepath.Join(dir, currentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer current.Close()
	opened, err := current.Stat()
	if err != nil {
		return err
	}
	names, err := files(dir)
	if err != nil {
		return err
	}
	chosen := func(line []byte) error {
		if !filter.takes(line) {
			return nil
		}
		return visit(line)
	}
	for _, name := range names {
		if full, err := time.Parse(asideFile, name); err != nil || full.Before(filter.Since) {
			continue // the current file, or full before
		}
		if err := readAside(ctx, filepath.Join(dir, name), opened, chosen); err != nil {
			return err
		}
	}
	return readFile(ctx, current, chosen)
}

// readAside reads a file that was set aside, unless it is the one that is open already or was deleted.
func readAside(ctx context.Context, path string, current fs.FileInfo, visit func([]byte) error) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || os.SameFile(info, current) {
		return err
	}
	return readFile(ctx, file, visit)
}

func readFile(ctx context.Context, file io.Reader, visit func([]byte) error) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		line := lines.Bytes()
		if !bytes.HasPrefix(line, []byte("{")) || !bytes.HasSuffix(line, []byte("}")) {
			continue // cut off by a crash
		}
		if err := visit(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
