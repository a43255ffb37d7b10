package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestOthersFilesBesideALogAreNeitherReadNorDeleted(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 10, 0)
	beside := []string{"a.jsonl", "audit-note.txt", "audit.jsonl.old"}
	for _, name := range beside {
		must(t, os.WriteFile(filepath.Join(Path(dir), name), []byte("{\"n\":99}\n"), 0o600))
	}
	for n := range 3 {
		a.Append(auditLine{N: n})
	}
	must(t, a.Close())
	if got := numbers(t, dir, time.Time{}); !slices.Equal(got, []int{2}) {
		t.Errorf("read %v", got)
	}
	for _, name := range beside {
		if _, err := os.Stat(filepath.Join(Path(dir), name)); err != nil {
			t.Error(err)
		}
	}
}

// What was full before the time that is asked for is not opened; what is deleted while it is read is not missed.
func TestFilesThatAreNotNeededAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 1<<20, 9)
	a.Append(auditLine{N: 1, Time: monday.AddDate(0, 0, 2)})
	must(t, a.Close())
	must(t, os.Symlink("nowhere", filepath.Join(Path(dir), monday.AddDate(0, 0, 1).Format(asideFile))))
	must(t, os.Mkdir(filepath.Join(Path(dir), monday.Format(asideFile)), 0o700))
	if got := numbers(t, dir, monday.AddDate(0, 0, 1)); !slices.Equal(got, []int{1}) {
		t.Errorf("read %v", got)
	}
	if got := numbers(t, dir, time.Time{}); !slices.Equal(got, []int{1}) {
		t.Errorf("with what is no file there is read %v", got)
	}
}

func TestALineThatSaysNothingForAFilterIsShownWithoutOne(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 1<<20, 9)
	a.Append(map[string]int{"time": 5})
	must(t, a.Close())
	for filter, want := range map[Filter]int{{}: 1, {Event: "read"}: 0} {
		n := 0
		must(t, Read(t.Context(), dir, filter, func([]byte) error { n++; return nil }))
		if n != want {
			t.Errorf("%+v: %d lines", filter, n)
		}
	}
}

func TestReadingLeavesNoFileOpen(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 10, 9)
	for n := range 5 {
		a.Append(auditLine{N: n})
	}
	must(t, a.Close())
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	numbers(t, dir, time.Time{})
	before := open()
	numbers(t, dir, time.Time{})
	if after := open(); after != before {
		t.Errorf("%d files are open, before it was read %d were", after, before)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Read(ctx, dir, Filter{}, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits no more is read to: %v", err)
	}
}

func TestTheAuditLogIsFiltered(t *testing.T) {
	dir := t.TempDir()
	a := auditIn(t, dir, 300, 100)
	type entry struct {
		Time  time.Time `json:"time"`
		Event string    `json:"event"`
		User  string    `json:"user"`
		N     int       `json:"n"`
	}
	for i := range 20 {
		a.Append(entry{monday.Add(time.Duration(i) * time.Hour), []string{"read", "publish"}[i%2], []string{"ann", "bob"}[i/10], i})
	}
	must(t, a.Close())
	for want, filter := range map[string]Filter{
		"[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]": {},
		"[17 18 19]":       {Since: monday.Add(17 * time.Hour)},
		"[11 13 15 17 19]": {Event: "publish", User: "bob"},
		"[]":               {User: "eve"},
	} {
		list := []int{}
		must(t, Read(t.Context(), dir, filter, func(line []byte) error {
			var e entry
			must(t, json.Unmarshal(line, &e))
			list = append(list, e.N)
			return nil
		}))
		if fmt.Sprint(list) != want {
			t.Errorf("%+v: %v, want %s", filter, list, want)
		}
	}
	stop := errors.New("enough")
	if err := Read(t.Context(), dir, Filter{}, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visit's error is lost: %v", err)
	}
	must(t, Read(t.Context(), t.TempDir(), Filter{}, func([]byte) error { t.Error("a line of nothing"); return nil }))
}
