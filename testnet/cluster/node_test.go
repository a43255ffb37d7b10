package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is a shell script in the place of slnode.
func program(t *testing.T, script string) *Node {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "slnode")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &Node{Program: path, Name: "alpha", Dir: filepath.Join(dir, "alpha"), Log: filepath.Join(dir, "log"), Record: filepath.Join(dir, "record"), User: "u", Password: "p"}
}

func TestACommandThatFailsSaysWhichAndWhy(t *testing.T) {
	n := program(t, `echo "it is $4"; echo no money >&2; exit 3`)
	said, err := n.Run(t.Context(), "wallet", "a")
	if err != nil || said.Code != 3 || said.Stderr != "no money\n" {
		t.Errorf("%+v, %v", said, err)
	}
	var failed *CommandError
	if _, err := n.Succeed(t.Context(), "wallet", "a"); !errors.As(err, &failed) || err.Error() != "slnode wallet a as alpha exits with 3: no money\n" {
		t.Errorf("%v", err)
	}
	for what, step := range map[string]func() error{
		"initialising alpha failed":      func() error { _, err := n.Init(t.Context(), "A", Chain{}, Listen{}); return err },
		"founding the consortium failed": func() error { return n.Found(t.Context(), "C") },
		"the request of alpha failed":    func() error { return n.Admit(t.Context(), n) },
	} {
		if err := step(); err == nil || !strings.HasPrefix(err.Error(), what+": slnode ") || !errors.As(err, &failed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	record, err := os.ReadFile(n.Record)
	if err != nil || strings.Count(string(record), "no money\n") != 3 { // but nothing of what only asks
		t.Errorf("the record says %q, %v", record, err)
	}
}

func TestAMissingProgramIsNoExitCode(t *testing.T) {
	n := &Node{Program: filepath.Join(t.TempDir(), "none")}
	if said, err := n.Run(t.Context(), "status"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%+v, %v", said, err)
	}
	if err := n.Start(); err == nil {
		t.Error("it has started")
	}
}

func TestADaemonIsReadyWhenItIsTheOneThatWasStarted(t *testing.T) {
	n := program(t, `mkdir -p "$2"; sleep 0.05; echo "{\"pid\": $$, \"taxii\": \"127.0.0.1:1\"}" > "$2/new"; mv "$2/new" "$2/daemon.json"; exec sleep 600`)
	if err := os.Mkdir(n.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.Dir, "daemon.json"), []byte(`{"pid": 1, "taxii": "127.0.0.1:9"}`), 0o600); err != nil { // an earlier one
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	defer n.End(9)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.Ready(ctx); err != nil || n.Daemon.TAXII != "127.0.0.1:1" || n.Daemon.PID != n.Process.Process.Pid {
		t.Errorf("%+v, %v", n.Daemon, err)
	}
}

func TestADaemonThatEndsAtItsStartIsNoticedAtOnce(t *testing.T) {
	n := program(t, "echo nothing works >&2; exit 1")
	if err := n.Start("SLNODE_X=1"); err != nil {
		t.Fatal(err)
	}
	defer n.End(9)
	var failed *Failure
	if err := n.Ready(t.Context()); !errors.As(err, &failed) || failed.What != "the daemon of alpha did not start" || failed.Log != n.Log {
		t.Errorf("%v", err)
	}
	if log, err := os.ReadFile(n.Log); err != nil || string(log) != "nothing works\n" {
		t.Errorf("the log says %q, %v", log, err)
	}
}

func TestANodeHasSettledWhenItWritesAndIsConnected(t *testing.T) {
	answers := []string{
		`{`,
		`{"collections":[{"id":"x","default":false,"can_write":true},{"id":"y","default":true,"can_write":false}],"members":[{"connected":true}]}`,
		`{"collections":[{"id":"x","default":false,"can_write":true},{"id":"y","default":true,"can_write":true}],"members":[{"connected":false}]}`,
		`{"collections":[{"id":"x","default":false,"can_write":true},{"id":"y","default":true,"can_write":true}],"members":[{"connected":false},{"connected":true}]}`,
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/admin/consortium" {
			t.Errorf("asked for %s as %s", r.URL, r.Header.Get("Authorization"))
		}
		_, _ = w.Write([]byte(answers[asked]))
		asked++
	}))
	defer server.Close()
	n := &Node{Name: "alpha", Daemon: Daemon{Admin: strings.TrimPrefix(server.URL, "http://"), Token: "secret"}}
	if id, err := n.Settled(t.Context(), 1); err != nil || id != "y" || asked != len(answers) {
		t.Errorf("%q after %d answers, %v", id, asked, err)
	}
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := n.Settled(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a node: %v", err)
	}
}

func TestAnAccountIsMadeOnce(t *testing.T) {
	for code, wanted := range map[int]string{
		http.StatusOK: "", http.StatusConflict: "", http.StatusForbidden: "signing up at alpha failed: 403: no",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }))
		n := &Node{Name: "alpha", User: "u", Password: "p", Daemon: Daemon{TAXII: strings.TrimPrefix(server.URL, "http://")}}
		if err := n.SignUp(t.Context()); (err == nil) != (wanted == "") || err != nil && err.Error() != wanted {
			t.Errorf("%d: %v", code, err)
		}
		server.Close()
	}
}

func TestTheEnvironmentMayNameANetwork(t *testing.T) {
	t.Setenv("SLNODE_TEST_ALGOD_URL", "")
	if _, named := FromEnvironment(); named {
		t.Error("none was named")
	}
	for name, value := range map[string]string{"ALGOD_URL": "a", "ALGOD_TOKEN": "b", "INDEXER_URL": "c", "INDEXER_TOKEN": "d", "FUNDER": "e"} {
		t.Setenv("SLNODE_TEST_"+name, value)
	}
	if chain, named := FromEnvironment(); !named || chain != (Chain{"a", "b", "c", "d", "e"}) {
		t.Errorf("%+v, %t", chain, named)
	}
}
