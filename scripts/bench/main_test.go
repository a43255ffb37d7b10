package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const benchmark = `package p

import "testing"

func BenchmarkOne(b *testing.B) {
	for b.Loop() {
	}
	b.ReportMetric(%d, "edition")
}
`

// raw gives the results of both sides as they are.
func raw(_ context.Context, before, now side) (string, error) {
	one, err := os.ReadFile(before.results)
	if err != nil {
		return "", err
	}
	other, err := os.ReadFile(now.results)
	return string(one) + "--" + string(other), err
}

func TestBothRevisionsAreMeasuredInOneRun(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(arguments ...string) {
		t.Helper()
		command := exec.Command("git", append([]string{"-c", "user.name=n", "-c", "user.email=n@example.org"}, arguments...)...)
		if printed, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s", err, printed)
		}
	}
	git("init", "-q")
	write("go.mod", "module example.org/p\n\ngo 1.26\n")
	write("p/p_test.go", fmt.Sprintf(benchmark, 1))
	git("add", ".")
	git("commit", "-q", "-m", "the first edition")
	write("p/p_test.go", fmt.Sprintf(benchmark, 2)) // not committed, and measured all the same
	write("new/new_test.go", fmt.Sprintf(benchmark, 2))

	var said strings.Builder
	c := comparison{revision: "HEAD", bench: "One", benchtime: "5x", count: 2, packages: []string{"./..."}, table: raw}
	var table strings.Builder
	if err := c.run(t.Context(), &table, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "new had no benchmarks before") {
		t.Errorf("what was left out is not said: %s", &said)
	}
	before, now, _ := strings.Cut(table.String(), "--")
	if strings.Count(before, "1.000 edition") != 2 || strings.Count(now, "2.000 edition") != 2 {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
	listed, err := tell(t.Context(), dir, "git", "worktree", "list")
	if err != nil || strings.Count(listed, "\n") != 0 {
		t.Errorf("the other tree is still there: %s %v", listed, err)
	}
	c.revision = "nowhere"
	if err := c.run(t.Context(), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("the error is %v", err)
	}
}
