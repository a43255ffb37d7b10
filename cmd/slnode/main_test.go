package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/testnet/devchain"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"slnode": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// The scripts in testdata/script are what a user types and sees, each on a development chain of its own.
func TestScripts(t *testing.T) {
	programs := plainProgram(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			chain, err := devchain.Start(t.Context(), devchain.Config{})
			if err != nil {
				return err
			}
			e.Defer(func() {
				if err := chain.Close(); err != nil {
					t.Error(err)
				}
			})
			e.Setenv("ALGOD", chain.AlgodURL())
			e.Setenv("TOKEN", chain.Token())
			e.Setenv("INDEXER", chain.IndexerURL())
			e.Setenv("PATH", programs+e.Getenv("PATH"))
			e.Values[chainKey{}] = chain
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fund":      fund,
			"many":      many,
			"mark":      mark,
			"exits":     exits,
			"until":     until,
			"configure": configure,
			"hangup":    hangup,
			"stop":      stop,
		},
	})
}

// plainProgram is what comes before the PATH of the scripts: where these tests look for data races, the folder of a
// program that does not. The scripts are hundreds of commands, each of which would take several times as long to begin;
// "make race" looks for the races of daemons.
func plainProgram(t *testing.T) string {
	t.Helper()
	info, _ := debug.ReadBuildInfo()
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return ""
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build slnode: %v\n%s", err, out)
	}
	return dir + string(filepath.ListSeparator)
}

type chainKey struct{}

// fund REPO [ALGO [FILE]] sends 10 ALGO, or as many as it is told, to the account of a repository, or to the first one
// that is named in a file, stderr say.
func fund(ts *testscript.TestScript, _ bool, args []string) {
	chain := ts.Value(chainKey{}).(*devchain.Chain)
	var out, errs bytes.Buffer
	if run(context.Background(), []string{"--repo", ts.MkAbs(args[0]), "wallet", "--json"}, nil, &out, &errs) != exitOK {
		ts.Fatalf("wallet: %s", errs.String())
	}
	_, rest, _ := strings.Cut(out.String(), `"account":"`)
	account, _, _ := strings.Cut(rest, `"`)
	if len(args) > 2 { // the account that the last command named
		account = regexp.MustCompile("[A-Z2-7]{58}").FindString(ts.ReadFile(args[2]))
	}
	amount := uint64(10)
	if len(args) > 1 {
		var err error
		amount, err = strconv.ParseUint(args[1], 10, 32)
		ts.Check(err)
	}
	_, err := chain.Fund(context.Background(), account, amount*1_000_000)
	ts.Check(err)
}

// configure REPO KEY VALUE sets a key of a repository's configuration, where it stands first.
func configure(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(ts.MkAbs(args[0]), "config.toml")
	text, err := os.ReadFile(path)
	ts.Check(err)
	at := regexp.MustCompile("(?m)^" + args[1] + " = .*$").FindIndex(text)
	if at == nil {
		ts.Fatalf("there is no key %s", args[1])
	}
	ts.Check(os.WriteFile(path, slices.Concat(text[:at[0]], []byte(args[1]+" = "+args[2]), text[at[1]:]), 0o600))
}

// stop REPO ends the daemon of a repository, and waits until it has.
func stop(ts *testscript.TestScript, _ bool, args []string) {
	var daemon struct{ PID int }
	path := filepath.Join(ts.MkAbs(args[0]), "daemon.json")
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(path)), &daemon))
	ts.Check(syscall.Kill(daemon.PID, syscall.SIGTERM))
	for end := time.Now().Add(waiting.Limit); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("the daemon of %s does not end", args[0])
		}
	}
}

// hangup REPO has the daemon of a repository read its configuration again.
func hangup(ts *testscript.TestScript, _ bool, args []string) {
	var daemon struct{ PID int }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], "daemon.json"))), &daemon))
	ts.Check(syscall.Kill(daemon.PID, syscall.SIGHUP))
}

// exits CODE COMMAND... runs a command that must exit with a code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), code, want)
	}
}

// until PATTERN COMMAND... repeats a command of slnode's until what it prints matches a regular expression.
func until(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 || args[1] != "slnode" {
		ts.Fatalf("usage: until PATTERN slnode ARGUMENTS...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(waiting.Limit); ; time.Sleep(50 * time.Millisecond) {
		failed := ts.Exec(args[1], args[2:]...) // which notes what was printed
		out := ts.ReadFile("stdout")
		if pattern.MatchString(out) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("it never says %q; at last %v:\n%s", args[0], failed, out)
		}
	}
}

func TestExitCodesTellMistakesFromFailures(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.json")
	if err := os.WriteFile(empty, []byte(`{"objects":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nowhere, damaged := filepath.Join(t.TempDir(), "nowhere"), filepath.Join(t.TempDir(), "damaged")
	if code := run(t.Context(), []string{"init", "--repo", damaged, "--org", "acme"}, nil, io.Discard, io.Discard); code != exitOK {
		t.Fatalf("init exits with %d", code)
	}
	config := filepath.Join(damaged, "config.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append([]byte("nonsense = 1\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"version", exitOK, ""},
		{"nonsense", exitUsage, "unknown command"},
		{"member nonsense", exitUsage, "unknown command"},
		{"init", exitUsage, "org"},
		{"publish", exitUsage, "arg"},
		{"publish " + empty, exitUsage, "no STIX objects"},
		{"publish " + file("nothing", " \n"), exitUsage, "nothing: it is empty"},
		{"publish " + file("page", "<!DOCTYPE html>"), exitUsage, `page: STIX is JSON, and this begins with "<!DOCTYPE html>"`},
		{"publish " + file("half", "{\"objects\": [\n{\"type\": "), exitUsage, "half: it is cut off: in line 2 it ends"},
		{"publish " + file("comma", "[\n\n{},,{}]"), exitUsage, "comma: line 3: "},
		{"list --nonsense", exitUsage, "unknown flag"},
		{"status --repo " + nowhere, exitUsage, "no repository here"},
		{"status --repo " + damaged, exitUsage, "the key nonsense is not known"},
	} {
		var stderr strings.Builder
		code := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), io.Discard, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("slnode %s exits with %d, want %d: %s", c.args, code, c.code, &stderr)
		}
	}
}
