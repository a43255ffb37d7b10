// Command bench compares the benchmarks of this tree with those of another revision. It builds the test programs of
// both beforehand and runs them in turn, so that what else the machine does falls on both alike; what it says are
// ratios.
//
//	bench -compare REV [-bench REGEXP] [-benchtime T] [-count N] [PACKAGE...]
//
// A package that only one of them has is left out, and said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// benchstat makes the table: the median of each, whether they differ, and by how much.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// comparison is what is asked for.
type comparison struct {
	revision  string // that it is compared with, as git names it
	bench     string // which benchmarks: go test -bench
	benchtime string // how long each: go test -benchtime; empty: as go test does
	count     int    // how often both are run
	packages  []string

	table func(ctx context.Context, before, now side) (string, error)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := comparison{table: ratios}
	flag.StringVar(&c.revision, "compare", "", "the `revision` to compare with")
	flag.StringVar(&c.bench, "bench", ".", "the benchmarks, a regular expression")
	flag.StringVar(&c.benchtime, "benchtime", "", "how long each takes, or how often it is done: 1x")
	flag.IntVar(&c.count, "count", 6, "how often both are run; six is the least for a difference that is believed")
	flag.Parse()
	c.packages = flag.Args()
	if c.revision == "" || c.count < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if len(c.packages) == 0 {
		c.packages = []string{"./..."}
	}
	if err := c.run(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// side is one of the two trees.
type side struct {
	name    string
	tree    string // the folder that holds it
	results string // the file with what its benchmarks printed
}

func (c comparison) run(ctx context.Context, out, progress io.Writer) (err error) {
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	own, err := tell(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	before := side{name: "before", tree: filepath.Join(work, "tree"), results: filepath.Join(work, "before")}
	now := side{name: "now", tree: own, results: filepath.Join(work, "now")}
	if _, err := tell(ctx, own, "git", "worktree", "add", "--detach", before.tree, c.revision); err != nil {
		return fmt.Errorf("checking %s out: %w", c.revision, err)
	}
	defer func() {
		_, failed := tell(context.WithoutCancel(ctx), own, "git", "worktree", "remove", "--force", before.tree)
		err = errors.Join(err, failed)
	}()
	folders, err := c.build(ctx, before, now, progress)
	if err != nil {
		return err
	}
	for i := range c.count {
		for _, folder := range folders {
			first, second := before, now
			if i%2 == 1 {
				first, second = now, before
			}
			fmt.Fprintf(progress, "%d of %d: %s\n", i+1, c.count, folder)
			for _, s := range []side{first, second} {
				if err := c.measure(ctx, s, folder); err != nil {
					return err
				}
			}
		}
	}
	table, err := c.table(ctx, before, now)
	if err != nil {
		return err
	}
	if table == "" {
		return fmt.Errorf("no benchmark is named by %q", c.bench)
	}
	_, err = fmt.Fprintln(out, table)
	return err
}

// ratios has the results of both sides compared.
func ratios(ctx context.Context, before, now side) (string, error) {
	return tell(ctx, now.tree, "go", "run", benchstat, "before="+before.results, "now="+now.results)
}

// build makes the test programs of both sides, and gives the folders of the packages that have benchmarks in both.
func (c comparison) build(ctx context.Context, before, now side, progress io.Writer) ([]string, error) {
	list, err := tell(ctx, ".", "go", append([]string{"list", "-f", "{{.Dir}}"}, c.packages...)...)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, dir := range strings.Fields(list) {
		folder, err := filepath.Rel(now.tree, dir)
		if err != nil {
			return nil, err
		}
		if !hasBenchmarks(dir) {
			continue
		}
		if !hasBenchmarks(filepath.Join(before.tree, folder)) {
			fmt.Fprintf(progress, "%s had no benchmarks before\n", folder)
			continue
		}
		for _, s := range []side{before, now} {
			fmt.Fprintf(progress, "building %s, %s\n", folder, s.name)
			if _, err := tell(ctx, s.tree, "go", "test", "-c", "-o", s.program(folder), "./"+folder); err != nil {
				return nil, fmt.Errorf("building the benchmarks of %s, %s: %w", folder, s.name, err)
			}
		}
		folders = append(folders, folder)
	}
	if folders == nil {
		return nil, errors.New("no package has benchmarks on both sides")
	}
	return folders, nil
}

// program is where the test program of a package is.
func (s side) program(folder string) string {
	return s.results + "." + strings.ReplaceAll(folder, string(filepath.Separator), "-") + ".test"
}

// measure runs the benchmarks of a package once and keeps what they print.
func (c comparison) measure(ctx context.Context, s side, folder string) error {
	arguments := []string{"-test.run=^$", "-test.bench=" + c.bench, "-test.benchmem", "-test.timeout=1h"}
	if c.benchtime != "" {
		arguments = append(arguments, "-test.benchtime="+c.benchtime)
	}
	printed, err := tell(ctx, filepath.Join(s.tree, folder), s.program(folder), arguments...)
	if err != nil {
		return fmt.Errorf("the benchmarks of %s, %s: %w", folder, s.name, err)
	}
	file, err := os.OpenFile(s.results, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, printed)
	return errors.Join(err, file.Close())
}

// hasBenchmarks reports whether a folder's tests have any.
func hasBenchmarks(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go")) // the pattern is right
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "\nfunc Benchmark") {
			return true
		}
	}
	return false
}

// tell runs a program in a folder and gives what it printed; its error says what it printed as an error.
func tell(ctx context.Context, dir, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = dir
	var failed strings.Builder
	command.Stderr = &failed
	printed, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", name, err, failed.String(), printed)
	}
	return strings.TrimSpace(string(printed)), nil
}
