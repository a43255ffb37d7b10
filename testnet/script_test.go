package testnet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/testnet/cluster"
)

// checkout is a folder that has of the sources what scripts/testnet.sh needs, and the programs.
func checkout(t *testing.T) string {
	t.Helper()
	sources, err := filepath.Abs("..")
	must(t, err)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	for name, target := range map[string]string{
		"scripts": filepath.Join(sources, "scripts"), "internal": filepath.Join(sources, "internal"), "bin/slnode": slnode,
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	build := compile("-o", filepath.Join(dir, "bin")+"/", "./cmd/devchain", "./cmd/testnet")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v: %s", err, out)
	}
	return dir
}

// A consortium for people is brought up, looked at, disturbed, made larger and ended as README.md says.
func TestTheScriptDoesWhatTheReadmeSays(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	script := func(wanted int, args ...string) string {
		t.Helper()
		command := exec.CommandContext(patiently(t), filepath.Join(dir, "scripts", "testnet.sh"), args...)
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		_ = command.Run() // it may be meant to fail
		if code := command.ProcessState.ExitCode(); code != wanted {
			t.Fatalf("testnet.sh %v exits with %d: %s", args, code, out.String())
		}
		return out.String()
	}
	contains := func(out string, wanted ...string) {
		t.Helper()
		for _, text := range wanted {
			if !strings.Contains(out, text) {
				t.Errorf("there is no %q in %s", text, out)
			}
		}
	}
	shell := func(line string) string {
		t.Helper()
		command := exec.CommandContext(patiently(t), "/bin/sh", "-c", ". .testnet/env; "+line)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { script(0, "down") })

	up := []string{"up"}
	if chain, named := cluster.FromEnvironment(); named {
		funder := filepath.Join(dir, "funder")
		must(t, os.WriteFile(funder, []byte(chain.Funder), 0o600))
		up = append(up, "--algod", chain.Algod, "--algod-token", chain.AlgodToken, "--indexer", chain.Indexer, "--indexer-token", chain.IndexerToken,
			"--funder-file", funder)
	}
	contains(script(0, up...), "alpha publishes a bundle", `"status": "complete"`, "bravo shows the indicator", "charlie shows the indicator",
		"SL Intelligence Xpression (SLIX)", `"kind": "object"`, "Poison Ivy dropper", "PASS  decryption", "the consortium is up", "3   charlie      http://")
	contains(script(1, "up"), "it is up already")
	contains(shell("curl -fsS -u $SL_1_USER:$SL_1_PASSWORD $SL_1_URL/taxii2/"), "/alpha/")
	contains(shell("curl -fsS -u $SL_1_USER:$SL_1_PASSWORD -H 'Content-Type: application/taxii+json;version=2.1' "+
		"--data-binary @internal/stix/testdata/sample-bundle.json $SL_1_URL/$SL_1_ORG/collections/$SL_1_COLLECTION/objects/"), `"success_count":3`)
	contains(shell(`curl -fgsS -u $SL_2_USER:$SL_2_PASSWORD "$SL_2_URL/$SL_2_ORG/collections/$SL_2_COLLECTION/objects/?match[type]=indicator"`), "Poison Ivy")
	contains(shell("bin/slnode --repo .testnet/alpha status"), "alpha in Testnet")

	script(0, "kill", "2")
	contains(script(0, "status"), "1  alpha  runs (pid", "2  bravo  does not run")
	contains(script(0, "restart", "2"), "bravo runs again: http://")
	contains(script(0, "status"), "2  bravo  runs (pid")
	contains(script(0, "add", "delta"), "delta is admitted and has joined", "4   delta        http://")
	contains(script(2, "add", "delta"), "the name delta is taken")
	contains(script(0, "fund", "1", "0.25"), "free")
	contains(script(0, "demo", "sharing"), "    bravo    sees  early\n    charlie  sees  nothing", "    alpha    sees  late\n    bravo    sees  nothing\n    charlie  sees  late")
	contains(script(0, "logs", "4"), "logs/delta.log", "the node is ready")

	pid, err := strconv.Atoi(shell("printf %s $SL_1_PID"))
	must(t, err)
	contains(script(0, "down"), "everything is stopped and deleted")
	if cluster.Running(pid) {
		t.Errorf("process %d runs after the end", pid)
	}
	if _, err := os.Stat(filepath.Join(dir, ".testnet")); err == nil {
		t.Error("there is a folder left")
	}
}
