package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// call runs a command in a testnet's directory.
func call(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), dir, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestWhatIsNoCommandIsAnsweredWithTheUsage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"", 2, usage, ""},
		{"frob", 2, usage, ""},
		{"help", 0, usage, ""},
		{"--help", 0, usage, ""},
		{"up --nodes", 2, "", usage},
		{"up --bogus 1", 2, "", usage},
		{"up 4", 2, "", usage},
		{"up --nodes 0", 2, "", "testnet: --nodes 0 is not a number from 1 to 99\n"},
		{"up --nodes 100", 2, "", "testnet: --nodes 100 is not a number from 1 to 99\n"},
		{"up --nodes x", 2, "", "testnet: --nodes x is not a number from 1 to 99\n"},
		{"up --nodes +3", 2, "", "testnet: --nodes +3 is not a number from 1 to 99\n"},
		{"up --nodes 03", 2, "", "testnet: --nodes 03 is not a number from 1 to 99\n"},
		{"up --algod http://x", 2, "", "testnet: --algod needs --indexer and a readable --funder-file\n"},
		{"up --algod http://x --indexer http://y", 2, "", "testnet: --algod needs --indexer and a readable --funder-file\n"},
		{"up --algod http://x --indexer http://y --funder-file /none", 2, "", "testnet: --algod needs --indexer and a readable --funder-file\n"},
		{"demo", 2, "", usage},
		{"demo theft", 2, "", usage},
		{"down", 0, "", ""},
		{"status", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
		{"logs", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
		{"restart 1", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
		{"kill 1", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
		{"fund 1", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
		{"add", 1, "", "testnet: nothing is up; see scripts/testnet.sh up\n"},
	} {
		code, stdout, stderr := call(t, dir, strings.Fields(c.args)...)
		if code != c.code || stdout != c.stdout || stderr != c.stderr {
			t.Errorf("%q exits with %d, says %q and %q", c.args, code, stdout, stderr)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was made")
	}
}

func TestUpReadsItsFlags(t *testing.T) {
	funder := filepath.Join(t.TempDir(), "funder")
	if err := os.WriteFile(funder, []byte("words"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]plan{
		"":                           {nodes: 3, roundTime: "0s", env: env{amount: "10000"}},
		"--nodes 26 --round-time 3s": {nodes: 26, roundTime: "3s", env: env{amount: "10000"}},
		"--nodes 2 --nodes 99":       {nodes: 99, roundTime: "0s", env: env{amount: "10000"}},
		"--algo 7":                   {nodes: 3, roundTime: "0s", env: env{amount: "7"}},
		"--algod A --indexer I --funder-file " + funder: {nodes: 3, real: true, roundTime: "0s", env: env{
			algod: "A", indexer: "I", funder: funder, amount: "10"}},
		"--algod A --algod-token T --indexer I --indexer-token J --algo 2.5 --nodes 1 --funder-file " + funder: {nodes: 1, real: true, roundTime: "0s", env: env{
			algod: "A", algodToken: "T", indexer: "I", indexerToken: "J", funder: funder, amount: "2.5"}},
	} {
		got, err := parseUp(strings.Fields(args))
		if err != nil || fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q is %+v, %v, want %+v", args, got, err, want)
		}
	}
}

func TestOrganisationsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; n <= 99; n++ {
		if name := nameOf(n); seen[name] || name == "" {
			t.Errorf("number %d is called %q", n, name)
		} else {
			seen[name] = true
		}
	}
	if capital("alpha") != "Alpha" || capital("ärzte") != "Ärzte" {
		t.Errorf("%s, %s", capital("alpha"), capital("ärzte"))
	}
}

// word is a value with what a shell would take for something else.
var word = rapid.StringOf(rapid.RuneFrom([]rune("ab0/:.=-_~#'\"\\$ \t`!*?[]{}()<>|&;^,äß%+@")))

func TestTheEnvFileIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &env{}
		for _, f := range e.fields() {
			*f.value = word.Draw(t, f.name)
		}
		for range rapid.IntRange(0, 3).Draw(t, "organisations") {
			o := &organisation{}
			for _, f := range o.fields() {
				*f.value = word.Draw(t, f.name)
			}
			e.organisations = append(e.organisations, o)
		}
		got, err := parseEnv(e.text())
		if err != nil || got.text() != e.text() || got.funder != e.funder || len(got.organisations) != len(e.organisations) {
			t.Fatalf("%+v is read as %+v, %v", e, got, err)
		}
	})
}

func TestAShellReadsTheEnvFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(word, 20, 20).Draw(t, "words")
		script, want := "", ""
		for _, w := range words {
			script += "SL_X=" + quote(w) + "\nprintf '%s\\n' \"$SL_X\"\n"
			want += w + "\n"
		}
		got, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
		if err != nil || string(got) != want {
			t.Fatalf("%s prints %q, want %q, %v", script, got, want, err)
		}
	})
}

func TestWhatIsNoEnvFileIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "SL_NODES=x\n", "SL_NODES=-1\n", "SL_NODES=10000000000\n", "NODES=1\n", "SL_NODES=1\nrm -rf /\n", "SL_NODES=1\nSL_1_ORG=a b\n",
		"SL_NODES=1\nSL_1_ORG=$(id)\n", "SL_NODES=1\nSL_1_ORG='a'\n",
	} {
		if e, err := parseEnv(text); err == nil {
			t.Errorf("%q is read as %+v", text, e)
		}
	}
}

func TestAChainSaysWhereItIs(t *testing.T) {
	e, err := parseReady("SL_ALGOD_URL=http://127.0.0.1:1\nSL_ALGOD_TOKEN=a\nSL_INDEXER_URL=http://127.0.0.1:2\nSL_CONTROL_URL=http://127.0.0.1:3\nSL_FUNDER_FILE=/a folder/words\n")
	if err != nil || *e.fields()[0].value != "http://127.0.0.1:1" || e.algodToken != "a" || e.indexer != "http://127.0.0.1:2" ||
		e.control != "http://127.0.0.1:3" || e.funder != "/a folder/words" || e.indexerToken != "" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := parseReady("nonsense"); err == nil {
		t.Errorf("nonsense is read as %+v", e)
	}
}

// SL_TESTNET may name any folder, and a testnet's is deleted.
func TestAFolderThatIsNotATestnetsIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"up", "down"} {
		if code, _, stderr := call(t, dir, command); code != 1 || stderr != "testnet: "+dir+" is not empty, and not the directory of a testnet\n" {
			t.Errorf("%s exits with %d, says %s", command, code, stderr)
		}
		if _, err := os.Stat(precious); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// ended is the directory of a testnet whose processes have ended.
func ended(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"pids", "logs", "alpha"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e := &env{organisations: []*organisation{{Org: "alpha", Repo: filepath.Join(dir, "alpha"), URL: "http://127.0.0.1:1"}}, control: "http://127.0.0.1:2"}
	log := ""
	for n := range 50 {
		log += fmt.Sprintf("line %d\n", n)
	}
	for name, text := range map[string]string{"env": e.text(), "logs/alpha.log": log} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestATestnetWhoseProcessesHaveEndedIsToldAndDeleted(t *testing.T) {
	dir := ended(t)
	other := exec.Command("sleep", "600") // it has the number that a node had
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = other.Process.Kill(), other.Wait() }()
	for _, name := range []string{"alpha", "chain"} {
		if err := os.WriteFile(filepath.Join(dir, "pids", name), []byte(strconv.Itoa(other.Process.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, stdout, _ := call(t, dir, "status"); code != 0 || stdout != "chain: does not run\n\n1  alpha  does not run\n" {
		t.Errorf("status exits with %d, says %q", code, stdout)
	}
	if code, stdout, _ := call(t, dir, "logs"); code != 0 || !strings.HasPrefix(stdout, "== "+filepath.Join(dir, "logs/alpha.log")+"\nline 10\n") || !strings.HasSuffix(stdout, "line 49\n") {
		t.Errorf("logs exits with %d, says %q", code, stdout)
	}
	for _, number := range []string{"0", "2", "x", "-1", "+1", "1x", ""} {
		for _, command := range []string{"logs", "kill", "restart", "fund"} {
			if code, _, stderr := call(t, dir, command, number); code != 2 || stderr != "testnet: '"+number+"' is not a number from 1 to 1\n" {
				t.Errorf("%s %q exits with %d, says %q", command, number, code, stderr)
			}
		}
	}
	for args, want := range map[string]string{"add": usage, "add alpha": "testnet: the name alpha is taken\n", "add ../other": "testnet: ../other is not a name\n"} {
		if code, _, stderr := call(t, dir, strings.Fields(args)...); code != 2 || stderr != want {
			t.Errorf("%s exits with %d, says %q", args, code, stderr)
		}
	}
	if code, stdout, _ := call(t, dir, "kill", "1"); code != 0 || stdout != "alpha was ended with SIGKILL\n" {
		t.Errorf("kill exits with %d, says %q", code, stdout)
	}
	if code, stdout, _ := call(t, dir, "down"); code != 0 || stdout != "everything is stopped and deleted\n" {
		t.Errorf("down exits with %d, says %q", code, stdout)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("there is a folder left")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process of somebody else was ended: %v", err)
	}
}

func TestAFailureShowsTheEndOfItsLog(t *testing.T) {
	dir := ended(t)
	code, _, stderr := call(t, dir, "fund", "1")
	if code != 1 || !strings.HasPrefix(stderr, "\ntestnet: ") {
		t.Errorf("without a program it exits with %d, says %s", code, stderr)
	}
	if !strings.Contains(stderr, "the end of "+filepath.Join(dir, "logs", "alpha.log")+":\n    line 36\n") {
		t.Errorf("it says %s", stderr)
	}
}

func TestTextIsLaidOutForReaders(t *testing.T) {
	if got := pretty([]byte(`{"a":[1,{"b":"x: {,}"}],"c":""}` + "\n")); got != "    {\n      \"a\": [\n        1,\n        {\n          \"b\": \"x: {,}\"\n        }\n      ],\n      \"c\": \"\"\n    }" {
		t.Errorf("%s", got)
	}
	if got := pretty([]byte("none")); got != "    none" {
		t.Errorf("%s", got)
	}
	if got := indent("a\n\nb", "  "); got != "  a\n  \n  b\n" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]string{"": "", "a": "a", "a\nb\nc\n": "b\nc\n", "a\nb\nc": "b\nc"} {
		if got := tail([]byte(text), 2); got != want {
			t.Errorf("the end of %q is %q", text, got)
		}
	}
	if id, err := firstOf([]byte(`{"objects":[{"type":"identity","id":"identity--1"},{"type":"indicator","id":"indicator--2"},{"type":"indicator","id":"indicator--3"}]}`), "indicator"); id != "indicator--2" || err != nil {
		t.Errorf("%s, %v", id, err)
	}
	if id, err := firstOf([]byte(`{"objects":[]}`), "indicator"); err == nil {
		t.Errorf("found %s", id)
	}
}
