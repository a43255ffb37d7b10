package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/serviceledger/slnode/internal/waiting"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"devchain": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ADDRESS", "HNKPMQWDCDYZBRNNYU3AW6PYIUPYKC3GQUDLBHB3A4J3CZGDQPOBUKJWHY")
			env.Setenv("TXID", "TC5PJLTYQUHWJQTHWCBABS5MUSJ7ZXWK3E2K6TCLQ4BCWQWB2SYA")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready,
		},
	})
}

// ready FILE waits until a chain has written its ready file, takes its lines into the environment and removes it.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready FILE")
	}
	path := ts.MkAbs(args[0])
	for deadline := waiting.End(); ; time.Sleep(5 * time.Millisecond) {
		content, err := os.ReadFile(path)
		if err != nil && time.Now().After(deadline) {
			ts.Fatalf("the chain is not ready in time: %v", err)
		}
		if err != nil || !strings.Contains(string(content), "SL_ALGOD_URL=") {
			continue
		}
		for line := range strings.Lines(string(content)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			ts.Setenv(name, value)
		}
		ts.Check(os.Remove(path))
		return
	}
}
