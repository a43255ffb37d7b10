package auditlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// followed gives the numbers of the records that a follower has now.
func followed(t *testing.T, f *Follower) (list []uint64) {
	t.Helper()
	for {
		r, found, err := f.Next()
		must(t, err)
		if !found {
			return list
		}
		if r.Hash != hashOf(r.Line) || !isWhole(r.Line) {
			t.Errorf("record %d is %q", r.Sequence, r.Line)
		}
		list = append(list, r.Sequence)
	}
}

func TestAFollowerMissesNoRecordAndGivesEachOnce(t *testing.T) {
	dir := t.TempDir()
	f := Follow(dir, 0)
	defer f.Close()
	if got := followed(t, f); len(got) != 0 {
		t.Errorf("of no log it gives %v", got)
	}
	a, err := Open(Path(dir), 1500, 100, steps())
	must(t, err)
	next := uint64(1)
	for n := range 60 {
		a.Append(auditLine{N: n, Note: strings.Repeat("n", n%40)})
		if n%7 != 0 {
			continue
		}
		a.Flush()
		if n%3 == 0 { // what is not ended waits, and what a crash cut off is passed over
			file, err := os.OpenFile(filepath.Join(Path(dir), currentFile), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = file.WriteString(`{"n":`)
			must(t, err)
			must(t, file.Close())
		}
		for _, got := range followed(t, f) {
			if got != next {
				t.Fatalf("after record %d comes %d", next-1, got)
			}
			next++
		}
		if next != uint64(n+2) {
			t.Errorf("of %d records it gives %d", n+1, next-1)
		}
	}
	must(t, a.Close())
	if got := followed(t, f); len(got) != int(61-next) {
		t.Errorf("at the end it gives %v", got)
	}
	if got := followed(t, Follow(dir, 58)); len(got) != 2 || got[0] != 59 {
		t.Errorf("after 58 it gives %v", got)
	}
}

func TestAFollowerGoesOnWhenItsFileWasDeleted(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(Path(dir), 1500, 1, steps())
	must(t, err)
	a.Append(auditLine{N: 0})
	a.Flush()
	f := Follow(dir, 0)
	defer f.Close()
	if got := followed(t, f); len(got) != 1 {
		t.Fatalf("it gives %v", got)
	}
	for n := range 60 {
		a.Append(auditLine{N: n})
		a.Flush()
	}
	must(t, a.Close())
	if got := followed(t, f); len(got) == 0 || got[len(got)-1] != 61 {
		t.Errorf("it gives %v", got)
	}
}
