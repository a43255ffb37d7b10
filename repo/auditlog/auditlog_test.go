package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type auditLine struct {
	N    int       `json:"n"`
	Time time.Time `json:"time,omitzero"`
	Note string    `json:"note,omitzero"`
}

func auditIn(t *testing.T, dir string, size int64, keep int) *Log {
	t.Helper()
	a, err := Open(Path(dir), size, keep, time.Now)
	must(t, err)
	a.OnFailure(func(err error) { t.Error(err) })
	return a
}

func numbers(t *testing.T, dir string, since time.Time) (list []int) {
	t.Helper()
	must(t, Read(t.Context(), dir, Filter{Since: since}, func(line []byte) error {
		var l auditLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		list = append(list, l.N)
		return nil
	}))
	return list
}

func TestTheAuditLogKeepsWhatIsAppended(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		a := auditIn(t, dir, 1<<20, 2)
		for i := range 10 {
			a.Append(auditLine{N: 10*round + i})
		}
		must(t, a.Close())
		a.Append(auditLine{N: 99}) // too late, and no crash
		a.Flush()
	}
	if got := numbers(t, dir, time.Time{}); len(got) != 30 || got[29] != 29 {
		t.Errorf("%d lines: %v", len(got), got)
	}
	info, err := os.Stat(filepath.Join(Path(dir), currentFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
}

// A command may add a line while a daemon writes more than its buffer holds.
func TestTheAuditLogTakesLinesFromSeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 1<<30, 2)
	const lines, added = 2000, 50
	var daemon sync.WaitGroup
	daemon.Go(func() {
		for i := range lines {
			a.Append(auditLine{N: i, Note: strings.Repeat("x", i%300)})
		}
	})
	for i := range added {
		must(t, Append(dir, auditLine{N: lines + i}))
	}
	daemon.Wait()
	must(t, a.Close())
	if got := numbers(t, dir, time.Time{}); len(got) != lines+added {
		t.Errorf("%d of %d lines are there", len(got), lines+added)
	}
	if err := Append(filepath.Join(dir, "version", "x"), auditLine{}); err != nil {
		t.Errorf("a repository without a log gets none: %v", err)
	}
}

func TestTheAuditLogReachesTheFileWithinASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := auditIn(t, dir, 1<<20, 2)
		a.Append(auditLine{N: 0})
		a.Append(auditLine{N: 1})
		if got := numbers(t, dir, time.Time{}); len(got) != 0 {
			t.Errorf("every line is written at once: %v", got)
		}
		time.Sleep(flushAfter)
		synctest.Wait()
		if got := numbers(t, dir, time.Time{}); len(got) != 2 {
			t.Errorf("after a second: %v", got)
		}
		a.Append(auditLine{N: 2})
		a.Flush()
		if got := numbers(t, dir, time.Time{}); len(got) != 3 {
			t.Errorf("after a flush: %v", got)
		}
		a.Append(auditLine{N: 3})
		must(t, a.Close())
		if got := numbers(t, dir, time.Time{}); len(got) != 4 {
			t.Errorf("after the end: %v", got)
		}
	})
}

func TestTheAuditLogIsBoundedAndReadInOrder(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 3000, 3)
	for i := range 200 {
		a.Append(auditLine{N: i, Note: "some words that take space"})
	}
	must(t, a.Close())
	files, err := files(Path(dir))
	must(t, err)
	if len(files) != 4 || files[3] != currentFile {
		t.Fatalf("%d files: %v", len(files), files)
	}
	for _, name := range files {
		info, err := os.Stat(filepath.Join(Path(dir), name))
		must(t, err)
		if info.Size() > 3000 {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	got := numbers(t, dir, time.Time{})
	if len(got) < 50 || got[len(got)-1] != 199 {
		t.Fatalf("read %v", got)
	}
	for i := 1; i < len(got); i++ {
		if got[i] != got[i-1]+1 {
			t.Errorf("%d comes after %d", got[i], got[i-1])
		}
	}
}

func TestALineThatACrashCutOffSpoilsNoOther(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 1<<20, 2)
	a.Append(auditLine{N: 1})
	must(t, a.Close())
	path := filepath.Join(Path(dir), currentFile)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(data, `{"n":2,"no`...), 0o600))
	a = auditIn(t, dir, 1<<20, 2)
	a.Append(auditLine{N: 3})
	must(t, a.Close())
	if got := fmt.Sprint(numbers(t, dir, time.Time{})); got != "[1 3]" {
		t.Errorf("read %s", got)
	}
}

// raw gives the files of a log, the oldest first.
func raw(t *testing.T, dir string) (texts []string) {
	t.Helper()
	names, err := files(Path(dir))
	must(t, err)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(Path(dir), name))
		must(t, err)
		texts = append(texts, string(data))
	}
	return texts
}

// … neither a line of nothing where it is opened again, nor a file of nothing where a line is as large as one.
func TestTheAuditLogHasNothingButItsLines(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		a := auditIn(t, dir, 1<<20, 2)
		a.Append(auditLine{N: n})
		must(t, a.Close())
	}
	if got := raw(t, dir); len(got) != 1 || strings.Count(got[0], "\n") != 3 || strings.Contains(got[0], "\n\n") {
		t.Errorf("the file has %q", got)
	}
	dir = t.TempDir()
	a := auditIn(t, dir, 5, 9)
	for n := range 3 {
		a.Append(auditLine{N: n})
	}
	must(t, a.Close())
	got := raw(t, dir)
	for n, text := range got {
		if !strings.HasPrefix(text, fmt.Sprintf("{\"n\":%d,", n)) || strings.Count(text, "\n") != 1 {
			t.Errorf("of lines larger than a file there are %q", got)
		}
	}
	if len(got) != 3 {
		t.Errorf("of lines larger than a file there are %q", got)
	}
}

func TestALongLineIsReadAndOneThatWasCutOffIsNot(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 10<<20, 2)
	a.Append(auditLine{N: 1, Note: strings.Repeat("x", 200<<10)})
	must(t, a.Close())
	path := filepath.Join(Path(dir), currentFile)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, append(data, "\"n\":2}\n\n{\"n\":3,\n{\"n\":4}\n"...), 0o600))
	if got := numbers(t, dir, time.Time{}); !slices.Equal(got, []int{1, 4}) {
		t.Errorf("read %v", got)
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), maxLine+1), 0o600))
	err = Read(t.Context(), dir, Filter{}, func([]byte) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "reading the audit log: ") {
		t.Errorf("a line without an end is read: %v", err)
	}
}

// What is done must not depend on it: the lines go on in the file that there is.
func TestAFileThatCannotBeSetAsideIsReportedAndLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(Path(dir), 10, 1, func() time.Time { return monday })
	must(t, err)
	var failures []error
	a.OnFailure(func(err error) { failures = append(failures, err) })
	aside := filepath.Join(Path(dir), monday.Format(asideFile))
	must(t, os.MkdirAll(filepath.Join(aside, "in the way"), 0o700))
	a.Append(auditLine{N: 1})
	a.Append(auditLine{N: 2})
	a.Flush()
	if len(failures) != 1 || !strings.Contains(failures[0].Error(), "aside") {
		t.Errorf("what is reported is %v", failures)
	}
	must(t, os.RemoveAll(aside))
	must(t, a.Close())
	if got := numbers(t, dir, time.Time{}); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("read %v", got)
	}
}

// Which record is the first is written down before what comes before it is deleted: else a crash in between would look
// like somebody who has taken a file away.
func TestNothingIsDeletedBeforeItIsKnownWhatIsTheFirst(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 10, 0)
	var failures []error
	a.OnFailure(func(err error) { failures = append(failures, err) })
	a.Append(auditLine{N: 1})
	a.Flush()
	head := filepath.Join(Path(dir), headFile)
	must(t, os.Remove(head))
	must(t, os.MkdirAll(filepath.Join(head, "in the way"), 0o700))
	a.Append(auditLine{N: 2})
	a.Flush()
	if len(failures) != 1 || !strings.Contains(failures[0].Error(), headFile) {
		t.Errorf("what is reported is %v", failures)
	}
	if got := numbers(t, dir, time.Time{}); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("read %v", got)
	}
	must(t, os.RemoveAll(head))
	must(t, a.Close())
	if v, found := verified(t, dir); found != "" {
		t.Errorf("%+v", v)
	}
}

func TestALogThatIsNoFolderIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(Path(dir), nil, 0o600))
	if _, err := Open(Path(dir), 10, 1, time.Now); err == nil {
		t.Error("it is opened")
	}
	if err := Append(dir, auditLine{}); err == nil {
		t.Error("a line is added")
	}
	if err := Read(t.Context(), dir, Filter{}, func([]byte) error { return nil }); err == nil {
		t.Error("it is read")
	}
	dir = t.TempDir()
	must(t, os.MkdirAll(filepath.Join(Path(dir), currentFile), 0o700))
	if err := Append(dir, auditLine{}); err == nil {
		t.Error("a line is added to a folder")
	}
}

func TestAnAuditLogThatCannotBeWrittenIsReported(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 1<<20, 2)
	var failures []error
	a.OnFailure(func(err error) { failures = append(failures, err) })
	must(t, a.file.Close())
	a.Append(auditLine{N: 1})
	a.Flush()
	a.Append(auditLine{N: 2})
	a.Flush()
	if len(failures) != 2 {
		t.Errorf("%d failures: %v", len(failures), failures)
	}
	if err := a.Close(); err == nil {
		t.Error("it is closed without an error")
	}
}

func TestTheAuditLogIsReadWhileItIsWritten(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 2000, 1000)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ctx.Err() == nil && i < 5000; i++ {
			a.Append(auditLine{N: i})
		}
	})
	for range 50 {
		got := numbers(t, dir, time.Time{})
		for i := range got {
			if got[i] != i {
				t.Fatalf("line %d is %d", i, got[i])
			}
		}
	}
	stop()
	group.Wait()
	must(t, a.Close())
}

func BenchmarkAudit(b *testing.B) {
	a, err := Open(Path(b.TempDir()), 64<<20, 2, time.Now)
	must(b, err)
	for b.Loop() {
		a.Append(auditLine{N: 1, Note: "a note as long as a usual line of the log is, with a user, an address and a collection"})
	}
	must(b, a.Close())
}

// steps is a clock of which every look is later.
func steps() func() time.Time {
	now := monday
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}
