// Command release makes what a release consists of, of the commit that is checked out: for each architecture an
// archive, a Debian package, a container image and a list of what is in it, and the checksums of all. The same commit
// and the same Go give the same bytes anywhere; it says so in the names, which come from git's tags.
//
// It is a module of its own, so that what it needs is not what a node is made of.
package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source := flag.String("source", "../..", "the `folder` with the sources, a checkout")
	architectures := flag.String("arch", "amd64,arm64", "what is built for, all of it Linux; this machine's `architecture` must be among them")
	out := flag.String("out", "../../dist", "the `folder` that is made, of files that have another version's name none is removed")
	maintainer := flag.String("maintainer", "slnode maintainers <maintainers@localhost>", "who answers for the Debian package, `name <address>`")
	flag.Parse()
	syscall.Umask(0o022)
	if err := release(ctx, strings.Split(*architectures, ","), *source, *out, *maintainer); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// target is a program that was built, and what of it goes into names and packages.
type target struct {
	arch    string
	program string    // its path
	teller  string    // … of the same for this machine, which tells what its manual pages and completions are
	version string    // 1.2.3, or one made of the commit
	date    time.Time // the commit's: all that has a time has this one
	source  string
	work    string // a folder for what is on its way
}

func release(ctx context.Context, architectures []string, source, out, maintainer string) error {
	if !slices.Contains(architectures, runtime.GOARCH) {
		return fmt.Errorf("the manual pages and completions are made by the program, and none is to be built for %s", runtime.GOARCH)
	}
	work, err := os.MkdirTemp("", "slnode-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	sources := filepath.Join(work, "sources")
	if err := checkout(ctx, source, sources); err != nil {
		return err
	}
	var targets []target
	for _, arch := range architectures {
		t, err := build(ctx, sources, filepath.Join(work, arch), arch)
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var made []string
	for _, t := range targets {
		t.teller = filepath.Join(work, runtime.GOARCH, "slnode")
		files, err := t.pack(ctx, out, maintainer)
		if err != nil {
			return err
		}
		made = append(made, files...)
	}
	return writeSums(filepath.Join(out, "SHA256SUMS"), made)
}

// pack makes all that there is for a target.
func (t target) pack(ctx context.Context, out, maintainer string) (made []string, err error) {
	name := fmt.Sprintf("slnode_%s_linux_%s", t.version, t.arch)
	for _, kind := range []struct {
		suffix string
		write  func(path string) error
	}{
		{".tar.gz", func(path string) error {
			root, err := t.install(ctx, "/usr/local")
			if err != nil {
				return err
			}
			return writeArchive(path, filepath.Join(root, "usr/local"), name, t.date)
		}},
		{".deb", func(path string) error {
			root, err := t.install(ctx, "/usr")
			if err != nil {
				return err
			}
			return writePackage(path, root, maintainer, t)
		}},
		{".oci.tar", func(path string) error { return writeImage(t, path) }},
		{".cdx.json", func(path string) error { return writeComponents(t, path) }},
	} {
		path := filepath.Join(out, name+kind.suffix)
		if err := kind.write(path); err != nil {
			return nil, fmt.Errorf("making %s: %w", filepath.Base(path), err)
		}
		made = append(made, path)
	}
	return made, nil
}

// checkout lays out the commit that is checked out in source. What is not committed is not in it, and Go finds the
// commit of a clone, but not that of a linked worktree.
func checkout(ctx context.Context, source, dir string) error {
	commit, err := git(ctx, source, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	if changed, err := git(ctx, source, "status", "--porcelain"); err != nil || changed != "" {
		fmt.Fprintf(os.Stderr, "release: what is not committed is left out:\n%s", changed)
	}
	if _, err := git(ctx, source, "clone", "--quiet", "--shared", "--no-checkout", ".", dir); err != nil {
		return err
	}
	_, err = git(ctx, dir, "checkout", "--quiet", "--detach", strings.TrimSpace(commit))
	return err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", args...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// build builds the program and reads from it what it says it is.
func build(ctx context.Context, source, work, arch string) (target, error) {
	program := filepath.Join(work, "slnode")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", program, "./cmd/slnode")
	c.Dir, c.Stderr = source, os.Stderr
	// What an environment may say of how Go builds would be in the bytes.
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off")
	if err := c.Run(); err != nil {
		return target{}, fmt.Errorf("building for %s: %w", arch, err)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return target{}, err
	}
	t := target{arch: arch, program: program, source: source, work: work, version: strings.TrimPrefix(info.Main.Version, "v")}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			if t.date, err = time.Parse(time.RFC3339, setting.Value); err != nil {
				return target{}, err
			}
		}
	}
	if t.date.IsZero() {
		return target{}, errors.New("the program does not tell its commit")
	}
	return t, nil
}

// install lays the files of a package out with "make install".
func (t target) install(ctx context.Context, prefix string) (root string, err error) {
	if root, err = os.MkdirTemp(t.work, "root-"); err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, "make", "--silent", "--directory", t.source, "install",
		"DESTDIR="+root, "PREFIX="+prefix, "PROGRAM="+t.program, "TELLER="+t.teller)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	c.Env = append(os.Environ(), "SLNODE_REPO=", "MAKEFLAGS=")
	return root, c.Run()
}

func writeSums(path string, files []string) error {
	var sums strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(data), filepath.Base(file))
	}
	return os.WriteFile(path, []byte(sums.String()), 0o644)
}
