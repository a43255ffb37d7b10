package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed schema.go.txt
var support string

// bench is where the mutants of one package are tried.
type bench struct {
	*schema
	work  string   // a folder for what is built
	flags []string // of every test program
	tests []test
}

// test is one of a package's tests, with the mutants that it reaches.
type test struct {
	name    string
	took    time.Duration
	reaches map[int]bool
}

// build makes the package's test program with other text in place of some of its files.
func (b *bench) build(ctx context.Context, name string, files map[string][]byte) (program string, err error) {
	replace := map[string]string{}
	for path, text := range files {
		replace[path] = filepath.Join(b.work, fmt.Sprintf("%s-%d.go", name, len(replace)))
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	config := filepath.Join(b.work, name+".json")
	if err := os.WriteFile(config, overlay, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(b.work, name+".test")
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", config, "-o", program, b.pkg.PkgPath).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// buildAll makes the test program that all mutants are asleep in.
func (b *bench) buildAll(ctx context.Context) (program string, err error) {
	files := map[string][]byte{}
	for path, edits := range b.edits {
		files[path] = apply(b.sources[path], edits)
	}
	replaced := strings.NewReplacer("PACKAGE", b.pkg.Name, "COUNT", strconv.Itoa(len(b.mutants))).Replace(support)
	files[filepath.Join(b.pkg.Dir, "mutants_support.go")] = []byte(replaced)
	return b.build(ctx, "all", files)
}

// run runs some tests of a test program, and gives what it prints.
func (b *bench) run(ctx context.Context, program, tests string, timeout time.Duration, env string) (string, error) {
	args := append([]string{"-test.run", tests, "-test.failfast", "-test.timeout", timeout.String()}, b.flags...)
	ctx, cancel := context.WithTimeout(ctx, timeout+time.Minute)
	defer cancel()
	// A mutant may ask for memory without end.
	command := exec.CommandContext(ctx, "sh", append([]string{"-c", `ulimit -v 16000000; exec "$0" "$@"`, program}, args...)...)
	command.Dir, command.Env, command.WaitDelay = b.pkg.Dir, append(os.Environ(), env), 30*time.Second
	out, err := command.CombinedOutput()
	return string(out), err
}

// survey runs every test on its own, without a mutant, to see how long it takes and what it reaches.
func (b *bench) survey(ctx context.Context, program string) error {
	if help, _ := exec.CommandContext(ctx, program, "-help").CombinedOutput(); strings.Contains(string(help), "-rapid.shrinktime") {
		b.flags = []string{"-rapid.nofailfile", "-rapid.shrinktime", "1ms"} // no file in the tree, and no better example
	}
	command := exec.CommandContext(ctx, program, "-test.list", "^(Test|Fuzz|Example)")
	command.Dir = b.pkg.Dir
	names, err := command.Output()
	if err != nil {
		return fmt.Errorf("listing the tests: %w", err)
	}
	for _, name := range strings.Fields(string(names)) {
		log := filepath.Join(b.work, "reached-"+name)
		began := time.Now()
		if out, err := b.run(ctx, program, "^"+name+"$", 10*time.Minute, "MUTANTS_REACHED="+log); err != nil {
			return fmt.Errorf("%s fails without a mutant: %w\n%s", name, err, out)
		}
		reached, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		t := test{name, time.Since(began), map[int]bool{}}
		for _, id := range strings.Fields(string(reached)) {
			n, _ := strconv.Atoi(id)
			t.reaches[n] = true
		}
		b.tests = append(b.tests, t)
	}
	return nil
}

// The fates of a mutant.
const (
	killed     = "killed"
	timedOut   = "TIMED OUT"
	survived   = "SURVIVED"
	notReached = "NOT REACHED"
)

// try wakes a mutant and runs the tests that reach it: all, where that is not known.
func (b *bench) try(ctx context.Context, program string, m mutant) (fate string, err error) {
	if m.own != nil {
		file := b.at(m.node.Pos()).Filename
		if program, err = b.build(ctx, "own", map[string][]byte{file: apply(b.sources[file], m.own)}); err != nil {
			return killed, ctx.Err() // by the compiler
		}
	}
	var names []string
	timeout := 10 * time.Second
	for _, t := range b.tests {
		if m.own != nil || t.reaches[m.id] {
			names = append(names, regexp.QuoteMeta(t.name))
			timeout += 5 * t.took
		}
	}
	if len(names) == 0 {
		return notReached, nil
	}
	out, err := b.run(ctx, program, "^("+strings.Join(names, "|")+")$", timeout, fmt.Sprintf("MUTANT=%d", m.id))
	var failed *exec.ExitError
	switch {
	case err == nil:
		return survived, nil
	case strings.Contains(out, "panic: test timed out"):
		return timedOut, nil
	case errors.As(err, &failed) && ctx.Err() == nil:
		return killed, nil
	}
	return "", err
}
