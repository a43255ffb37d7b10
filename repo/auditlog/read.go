package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

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
		case !entry.Type().IsRegular(): // it is none of the log's
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

// firstOf is the number of the first record in a file; of a file without one it is the number of the next.
func firstOf(path string, next uint64) (first uint64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	err = eachLine(file, func(line []byte, _ bool) error {
		if l, is := readLink(line); is {
			first = l.Sequence
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		return first, nil
	case err != nil:
		return 0, err
	}
	return next, nil
}

// errFound ends a search.
var errFound = errors.New("it was found")

// eachLine visits the lines of a file, and says whether the line was ended. One that is longer than a record can be is
// visited in pieces.
func eachLine(file io.Reader, visit func(line []byte, ended bool) error) error {
	for lines := bufio.NewReaderSize(file, maxLine); ; {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			whole, ended := bytes.CutSuffix(line, []byte{'\n'})
			if err := visit(whole, ended); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// Filter chooses lines of the audit log. What is empty restricts nothing.
type Filter struct {
	Since, Until time.Time // before Until
	Event, User  string
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
	return json.Unmarshal(line, &entry) == nil && !entry.Time.Before(f.Since) && (f.Until.IsZero() || entry.Time.Before(f.Until)) && (f.Event == "" || f.Event == entry.Event) && (f.User == "" || f.User == entry.User)
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
		if !isWhole(line) {
			continue // cut off by a crash
		}
		if err := visit(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
