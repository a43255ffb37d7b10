// Command vulncheck looks for known vulnerabilities in the program as it is built here. The database comes through the
// module proxy, as the sources do; where that can't be reached it says so, and fails nobody's build.
//
// What is found in Go's own library is named and fails nothing: the toolchain is the machine's, and which one is safe
// is said in docs/OPERATIONS.md. Everything else fails, unless it is among the accepted ones.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

const (
	tool     = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
	database = "golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018"
)

// accepted are vulnerabilities that the program has and lives with, and why.
var accepted = map[string]string{
	"GO-2024-3218": "the DHT can be made to forget who has a block: blocks are asked of the consortium's members first, and in a private swarm of nobody else",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	failed, err := run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (failed bool, err error) {
	work, err := os.MkdirTemp("", "vulncheck")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	db, err := index(ctx, work)
	if err == nil {
		_, err = command(ctx, ".", "env", "GOBIN="+work, "go", "install", tool)
	}
	if err != nil {
		fmt.Fprintln(out, "vulncheck: nothing was looked for, since the database or the tool can't be had:", err)
		return false, nil
	}
	program := filepath.Join(work, "slnode")
	if _, err := command(ctx, ".", "go", "build", "-o", program, "./cmd/slnode"); err != nil {
		return false, err
	}
	found, err := command(ctx, ".", filepath.Join(work, "govulncheck"), "-db", "file://"+db, "-mode", "binary", "-format", "json", program)
	if err != nil {
		return false, err
	}
	findings, err := parse(found)
	if err != nil {
		return false, err
	}
	return report(out, findings), nil
}

// index downloads the database and makes what govulncheck reads.
func index(ctx context.Context, work string) (string, error) {
	described, err := command(ctx, ".", "go", "mod", "download", "-json", database)
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(described, &module); err != nil {
		return "", err
	}
	db := filepath.Join(work, "db")
	_, err = command(ctx, module.Dir, "go", "run", "-mod=mod", "./cmd/indexdb", "-out", db, "-vulns", "data/osv")
	return db, err
}

func command(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	var problems bytes.Buffer
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %v: %w: %s", name, args, err, bytes.TrimSpace(problems.Bytes()))
	}
	return out, nil
}

// finding is one vulnerability in one module.
type finding struct{ ID, Module, Fixed string }

// parse reads govulncheck's stream of messages: those that say that code is linked which is vulnerable.
func parse(stream []byte) ([]finding, error) {
	all := map[finding]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(stream)); ; {
		var message struct {
			Finding *struct {
				OSV   string                              `json:"osv"`
				Fixed string                              `json:"fixed_version"`
				Trace []struct{ Module, Function string } `json:"trace"`
			} `json:"finding"`
		}
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			return slices.Collect(maps.Keys(all)), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading what govulncheck found: %w", err)
		}
		if f := message.Finding; f != nil && len(f.Trace) > 0 && f.Trace[0].Function != "" {
			all[finding{f.OSV, f.Trace[0].Module, f.Fixed}] = true
		}
	}
}

// report says what was found, and whether any of it must not be.
func report(out io.Writer, findings []finding) (failed bool) {
	slices.SortFunc(findings, func(a, b finding) int { return strings.Compare(a.ID, b.ID) })
	for _, f := range findings {
		switch why, known := accepted[f.ID]; {
		case f.Module == "stdlib":
			fmt.Fprintf(out, "%s: in Go's library, mended in Go %s: build with that or a later one\n", f.ID, f.Fixed)
		case known:
			fmt.Fprintf(out, "%s: in %s, accepted: %s\n", f.ID, f.Module, why)
		default:
			failed = true
			fmt.Fprintf(out, "%s: in %s, mended in %q\n", f.ID, f.Module, f.Fixed)
		}
	}
	return failed
}
