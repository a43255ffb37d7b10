package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// backBlock is how much is read at once from the end of a file, in bytes.
const backBlock = 64 << 10

// errEnough ends a look back.
var errEnough = errors.New("enough was read")

// Latest visits the lines of the audit log of a repository that a filter takes, the last written first, until visit
// returns false. It reads no more than so many bytes, and says whether there may be more than it has read.
func Latest(ctx context.Context, dir string, filter Filter, bytes int64, visit func(line []byte) bool) (more bool, err error) {
	dir = Path(dir)
	names, err := files(dir)
	if err != nil {
		return false, fmt.Errorf("reading the audit log: %w", err)
	}
	back := &lookBack{ctx: ctx, left: bytes, visit: func(line []byte) bool { return !filter.takes(line) || visit(line) }}
	for _, name := range slices.Backward(names) {
		if full, err := time.Parse(asideFile, name); err == nil && full.Before(filter.Since) {
			break // as are those before it
		}
		switch err := back.file(filepath.Join(dir, name)); {
		case errors.Is(err, errEnough):
			return true, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist): // it was deleted meanwhile
			return false, fmt.Errorf("reading the audit log: %w", err)
		}
	}
	return false, nil
}

// lookBack reads files from their ends.
type lookBack struct {
	ctx   context.Context
	left  int64 // bytes that may be read
	visit func([]byte) bool
}

func (b *lookBack) file(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var rest []byte // the beginning of what was read, which may be the end of a line
	for end := info.Size(); end > 0; {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		n := min(end, backBlock)
		if b.left -= n; b.left < 0 {
			return errEnough
		}
		block := make([]byte, n, n+int64(len(rest)))
		if _, err := file.ReadAt(block, end-n); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end -= n
		lines := bytes.Split(append(block, rest...), []byte{'\n'})
		first := 0
		if end > 0 {
			first = 1
			if rest = lines[0]; len(rest) > maxLine {
				rest = nil // it is no record
			}
		}
		for _, line := range slices.Backward(lines[first:]) {
			if isWhole(line) && !b.visit(line) {
				return errEnough
			}
		}
	}
	return nil
}
