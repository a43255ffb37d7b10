// Package auditlog is the log of who did what on a node, as lines of JSON in files of bounded size: auditlog.go writes
// it, chain.go makes the lines a chain, verify.go finds what was changed afterwards, read.go reads them, follow.go as
// they come.
package auditlog

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serviceledger/slnode/internal/disk"
)

// Log is the log of who did what: JSON lines in files that are only ever appended to. Adding a line costs its
// encoding; lines reach the file, as records of the chain, within [flushAfter] and when the log is closed, and the
// disk just after. A file that is full is set aside under the time of its last line, and the oldest are deleted when
// there are too many.
type Log struct {
	dir  string
	size int64 // bytes of a file
	keep int   // files set aside
	now  func() time.Time

	mu      sync.Mutex
	failed  func(error)
	told    func()
	file    *os.File
	end     tail        // of the log, as it is in the files
	waiting [][]byte    // entries that are no records yet
	weight  int         // … in bytes
	first   uint64      // record that is kept
	flush   *time.Timer // set while entries wait
	closed  bool
	done    sync.WaitGroup // the timer's function

	settling sync.Mutex // held while the disk is waited for
	settled  head
}

const (
	flushAfter  = time.Second
	waitingMost = 64 << 10 // bytes of entries
	linkSize    = 200      // bytes, at most, that an entry grows by when it becomes a record
	currentFile = "audit.jsonl"
	asideFile   = "audit-20060102T150405.000000000Z.jsonl"
	maxLine     = 1 << 20 // bytes, when reading
)

// Path is where a repository's audit log is.
func Path(dir string) string { return filepath.Join(dir, "audit") }

// Open opens the log in a folder.
func Open(dir string, size int64, keep int, now func() time.Time) (*Log, error) {
	a := &Log{dir: dir, size: size, keep: keep, failed: func(error) {}, told: func() {}, now: now}
	if err := a.begin(); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	return a, nil
}

func (a *Log) begin() error {
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(a.dir)
	if err != nil {
		return err
	}
	defer unlock()
	known, found, err := readHead(a.dir)
	if err != nil {
		return err
	}
	if !found {
		known.First = 1
		if err := writeHead(a.dir, known); err != nil {
			return err
		}
	}
	a.settled, a.first = known, known.First
	if err := a.open(); err != nil {
		return err
	}
	a.end.atLeast(place{known.Sequence, known.Hash})
	return nil
}

// OnFailure says who is told when the log can't be written. What was to be written is lost then.
func (a *Log) OnFailure(failed func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = failed
}

// OnWritten says who is told when there are more records. It must be quick.
func (a *Log) OnWritten(tell func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = tell
}

// open begins or goes on with the current file.
func (a *Log) open() error {
	file, err := os.OpenFile(filepath.Join(a.dir, currentFile), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	end, err := readTail(a.dir)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	a.file, a.end = file, end
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
	a.waiting, a.weight = append(a.waiting, line), a.weight+len(line)
	if a.weight >= waitingMost {
		a.writeWaiting()
	}
	if a.flush == nil {
		a.done.Add(1)
		a.flush = time.AfterFunc(flushAfter, func() {
			defer a.done.Done()
			a.mu.Lock()
			a.flush = nil
			a.writeWaiting()
			a.mu.Unlock()
			a.settle()
		})
	}
}

// Flush hands the lines that wait to the file.
func (a *Log) Flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writeWaiting()
}

// writeWaiting makes the entries that wait records.
func (a *Log) writeWaiting() {
	if a.closed || len(a.waiting) == 0 {
		return
	}
	before := a.end.place
	if err := a.write(a.waiting); err != nil {
		a.failed(fmt.Errorf("writing the audit log: %w", err))
		a.end.place, a.end.size = before, -1 // it is looked at again
		a.waiting, a.weight = nil, 0
		return
	}
	a.waiting, a.weight = nil, 0
	a.told()
}

func (a *Log) write(entries [][]byte) error {
	unlock, err := lock(a.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.comeUp(); err != nil {
		return err
	}
	var block []byte
	for _, entry := range entries {
		if size := a.end.size + int64(len(block)); size > 0 && size+int64(len(entry)+linkSize) >= a.size {
			if err := a.put(&block); err != nil {
				return err
			}
			if err := a.rotate(); err != nil {
				a.failed(fmt.Errorf("setting a file of the audit log aside: %w", err))
			}
		}
		if a.end.open {
			block = append(block, '\n') // what a crash cut off is ended, so that it spoils no other
		}
		block = append(append(block, a.end.chained(entry, a.end.cut)...), '\n')
		a.end.cut, a.end.open = nil, false
	}
	return a.put(&block)
}

// comeUp looks at what another process has written since.
func (a *Log) comeUp() error {
	info, err := a.file.Stat()
	if err != nil || info.Size() == a.end.size {
		return err
	}
	known := a.end.place
	if a.end, err = readTail(a.dir); err == nil {
		a.end.atLeast(known)
	}
	return err
}

// put writes records to the current file.
func (a *Log) put(block *[]byte) error {
	n, err := a.file.Write(*block)
	a.end.size += int64(n)
	*block = (*block)[:0]
	return err
}

// rotate sets the current file aside and begins a new one. Which record is the first is on the disk before those before
// it are deleted.
func (a *Log) rotate() error {
	last, full := a.end.place, a.file
	aside, err := a.nextAside()
	if err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(a.dir, currentFile), filepath.Join(a.dir, aside)); err != nil {
		return err
	}
	if err := a.open(); err != nil {
		return err
	}
	a.end.place = last
	if err := errors.Join(full.Sync(), full.Close()); err != nil {
		return err
	}
	names, err := files(a.dir)
	if err != nil {
		return err
	}
	if extra := len(names) - 1 - a.keep; extra > 0 { // the last is the current one
		if err := a.forget(names[:extra], names[extra]); err != nil {
			return err
		}
	}
	return disk.Sync(a.dir)
}

// nextAside is a name that comes after those of all files that are set aside, whatever the clock does.
func (a *Log) nextAside() (string, error) {
	names, err := files(a.dir)
	if err != nil {
		return "", err
	}
	now := a.now().UTC()
	for _, name := range names {
		if before, err := time.Parse(asideFile, name); err == nil && !before.Before(now) {
			now = before.Add(1)
		}
	}
	return now.Format(asideFile), nil
}

// forget deletes files. The next one is that in which the first record is.
func (a *Log) forget(names []string, next string) error {
	first, err := firstOf(filepath.Join(a.dir, next), a.end.sequence+1)
	if err != nil {
		return err
	}
	a.first = first
	a.settling.Lock()
	a.settled = head{Sequence: a.end.sequence, Hash: a.end.hash, First: first}
	err = writeHead(a.dir, a.settled)
	a.settling.Unlock()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(a.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the records are on the disk, and notes how far they go.
func (a *Log) settle() {
	a.mu.Lock()
	file, now, failed := a.file, head{Sequence: a.end.sequence, Hash: a.end.hash, First: a.first}, a.failed
	a.mu.Unlock()
	a.settling.Lock()
	defer a.settling.Unlock()
	if now.Sequence <= a.settled.Sequence {
		return
	}
	err := file.Sync()
	if errors.Is(err, os.ErrClosed) { // it was set aside meanwhile, and synced
		err = nil
	}
	if err == nil {
		err = writeHead(a.dir, now)
	}
	if err != nil {
		failed(fmt.Errorf("writing the audit log: %w", err))
		return
	}
	a.settled = now
}

// Close ends the log.
func (a *Log) Close() error {
	a.mu.Lock()
	if a.flush != nil && a.flush.Stop() {
		a.done.Done()
	}
	a.flush = nil
	a.writeWaiting()
	a.closed = true
	a.mu.Unlock()
	a.done.Wait()
	a.settle()
	return a.file.Close()
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
