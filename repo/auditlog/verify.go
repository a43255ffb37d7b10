package auditlog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"
)

// Verification is what a look at the chain has shown.
type Verification struct {
	Passed  bool      `json:"passed"`
	Files   int       `json:"files"`
	Records uint64    `json:"records"`
	First   uint64    `json:"first,omitempty"` // number of the first record that is there
	Last    uint64    `json:"last,omitempty"`
	From    time.Time `json:"from,omitzero"` // when it was
	To      time.Time `json:"to,omitzero"`
	Head    string    `json:"head,omitempty"` // hash of the last record: it stands for all before it
	// Cut are lines that a crash cut off: the record after them says so, or nothing comes after them.
	Cut      int       `json:"cut,omitempty"`
	Findings []Finding `json:"findings,omitempty"` // the first hundred
}

// Finding is one thing that is not as it was written.
type Finding struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	What string `json:"what"`
}

// maxFindings bounds what is listed.
const maxFindings = 100

// verifier walks along the chain.
type verifier struct {
	Verification
	place
	file      string
	line      int
	former    string   // the file of the last record
	at        int      // … and its line
	fragments [][]byte // lines since the last record that are none
	overdone  bool     // there are more of them than are kept
}

// Verify walks along the chain of the log of a repository, which may be being written, and finds what was changed,
// taken away or put in since it was written. What it can't find is a log of which everything was made anew, head and
// all.
func Verify(ctx context.Context, dir string) (Verification, error) {
	dir = Path(dir)
	known, found, damaged := readHead(dir)
	v := &verifier{}
	names, err := files(dir)
	if err != nil {
		return v.Verification, fmt.Errorf("reading the audit log: %w", err)
	}
	for _, name := range names {
		if err := v.walk(ctx, dir, name); err != nil {
			return v.Verification, fmt.Errorf("reading the audit log: %w", err)
		}
	}
	v.file, v.line = "", 0
	switch {
	case damaged != nil:
		v.finds("%s can't be read, by which a missing end is found", headFile)
	case !found && v.Records > 0:
		v.finds("%s is missing, by which a missing end is found", headFile)
	case found:
		v.compare(known)
		if known, _, err = readHead(dir); err != nil { // files may have been deleted meanwhile as they should
			return v.Verification, err
		}
		if v.First > max(known.First, 1) {
			v.finds("records %d to %d are missing at the beginning: a file was removed", max(known.First, 1), v.First-1)
		}
	}
	v.Cut += len(v.fragments)
	v.Last, v.Head, v.Passed = v.sequence, v.hash, len(v.Findings) == 0
	return v.Verification, nil
}

// finds notes what is wrong, where it is now.
func (v *verifier) finds(format string, args ...any) {
	if len(v.Findings) < maxFindings {
		v.Findings = append(v.Findings, Finding{v.file, v.line, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) walk(ctx context.Context, dir, name string) error {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer file.Close()
	v.Files++
	v.file, v.line = name, 0
	return eachLine(file, func(line []byte, _ bool) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.line++
		l, is := readLink(line)
		switch {
		case is:
			v.record(l, line)
		case len(v.fragments) >= maxFindings:
			v.overdone = true
		default:
			v.fragments = append(v.fragments, bytes.Clone(line))
		}
		return nil
	})
}

// record compares a record with those before it.
func (v *verifier) record(l link, line []byte) {
	if v.Records++; v.Records == 1 {
		v.First = l.Sequence
		v.begins(l)
	} else {
		v.follows(l)
	}
	v.fragments, v.overdone = nil, false
	v.place = place{l.Sequence, hashOf(line)}
	v.former, v.at = v.file, v.line
	var entry struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(line, &entry) == nil {
		if v.From.IsZero() {
			v.From = entry.Time
		}
		v.To = entry.Time
	}
}

// begins looks at the first record. What was before the first that is kept was deleted, with all that was cut off.
func (v *verifier) begins(l link) {
	switch {
	case l.Sequence == 1 && l.Previous != "":
		v.finds("the first record says that there was one before it")
	case l.Sequence == 1 && l.Cut != v.cutOff(), l.Sequence > 1 && len(v.fragments) > 0:
		v.finds("%d lines before the first record are none, and it does not say that a crash had cut them off", len(v.fragments))
	default:
		v.Cut += len(v.fragments)
	}
}

// follows compares what a record says of its place with what stands before it.
func (v *verifier) follows(l link) {
	next := v.sequence + 1
	spoilt := ""
	if len(v.fragments) > 0 {
		spoilt = fmt.Sprintf("; %d lines before it are no records", len(v.fragments))
	}
	switch cut := v.cutOff(); {
	case l.Sequence > next && v.former != v.file:
		v.finds("records %d to %d are missing between %s and this file%s", next, l.Sequence-1, v.former, spoilt)
		return
	case l.Sequence > next:
		v.finds("records %d to %d are missing%s", next, l.Sequence-1, spoilt)
		return
	case l.Sequence < next:
		v.finds("record %d comes after record %d: it was put in, or its number was changed", l.Sequence, v.sequence)
		return
	case l.Previous != v.hash:
		v.finds("record %d (%s, line %d) is not what it was when the next one was written", v.sequence, v.former, v.at)
	case l.Cut == cut:
		v.Cut += len(v.fragments)
	case l.Cut == "":
		v.finds("%d lines before record %d are no records, and it does not say that a crash had cut them off", len(v.fragments), l.Sequence)
	default:
		v.finds("what a crash had cut off before record %d is not what it was when that was written", l.Sequence)
	}
}

// cutOff is what a record that comes now would say of the lines before it.
func (v *verifier) cutOff() string {
	switch {
	case v.overdone:
		return "too many"
	case len(v.fragments) == 0:
		return ""
	}
	return hashOf(bytes.Join(v.fragments, []byte{'\n'}))
}

// compare compares the end with what was known to be on the disk.
func (v *verifier) compare(known head) {
	switch {
	case v.sequence < known.Sequence:
		v.finds("records %d to %d are missing at the end", v.sequence+1, known.Sequence)
	case v.sequence == known.Sequence && v.hash != known.Hash:
		v.file, v.line = v.former, v.at
		v.finds("record %d, the last, is not what it was when it was written", v.sequence)
	}
}
