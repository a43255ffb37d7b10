package testnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serviceledger/slnode/internal/evidence"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// elsewhere runs slnode where there is nothing: no repository, no environment, in a folder with one file.
func elsewhere(t testing.TB, data []byte, args ...string) (report evidence.Report, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), data, 0o600))
	command := exec.CommandContext(t.Context(), slnode, append([]string{"--json", "evidence", "check", "file"}, args...)...)
	command.Dir, command.Env = dir, []string{}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("it printed %q and %q: %v", out.String(), errs.String(), err)
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("checking leaves %v behind", left)
	}
	return report, errs.String(), command.ProcessState.ExitCode()
}

func outcome(r evidence.Report, name string) evidence.Outcome {
	for _, s := range r.Steps {
		if s.Name == name {
			return s.Outcome
		}
	}
	return ""
}

// proves makes evidence about an object at an organisation and checks it where there is nothing.
func (o *organisation) proves(id, publisher string) {
	o.t.Helper()
	file := filepath.Join(o.t.TempDir(), "evidence")
	o.cli("evidence", id, "-o", file)
	data, err := os.ReadFile(file)
	must(o.t, err)
	report, stderr, code := elsewhere(o.t, data)
	if code != 0 || !report.Passed || outcome(report, "publisher was a member in that round") != evidence.Pass {
		o.t.Errorf("the evidence about %s: exit code %d: %s%+v", id, code, stderr, report)
	}
	if !bytes.Contains(data, []byte(publisher)) {
		o.t.Errorf("the evidence about %s does not name its publisher's account %s", id, publisher)
	}
}

func indicatorID(n int) string { return fmt.Sprintf("indicator--%08x-17d4-4cbf-938f-98ee46b3cd3f", n) }

const firstIndicator = "indicator--00000001-17d4-4cbf-938f-98ee46b3cd3f"

func TestEvidenceStandsWhereThereIsNoNode(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	publisher, reader := n.members[0], n.members[1]
	status := reader.post(n.collection, indicator(1), indicator(2))
	publisher.shows(n.collection, indicator(1), indicator(2))
	info := publisher.consortium()
	file := filepath.Join(t.TempDir(), "evidence")

	// Made at one member about what another published.
	publisher.cli("evidence", firstIndicator, "-o", file)
	data, err := os.ReadFile(file)
	must(t, err)
	if bytes.Contains(data, []byte("file:hashes")) {
		t.Error("the object is in clear in it")
	}
	report, stderr, code := elsewhere(t, data, "--consortium", formatID(info.ID))
	if code != 0 || !report.Passed || report.TxID != status.Successes[0].TxID {
		t.Fatalf("exit code %d: %s%+v", code, stderr, report)
	}
	for name, want := range map[string]evidence.Outcome{
		"object: in its block": evidence.Pass, "object: CID": evidence.Pass, "consortium": evidence.Pass, "network": evidence.Trusted,
		"publisher was a member in that round": evidence.Pass, "disclosed object": evidence.NotThere,
		"governor was not replaced": evidence.Trusted, "membership was not ended": evidence.Trusted, "account was not replaced": evidence.Trusted,
	} {
		if got := outcome(report, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, _, code := elsewhere(t, data, "--consortium", formatID(info.ID+1)); code != 3 {
		t.Errorf("for another consortium it exits with %d", code)
	}

	t.Run("tampered", func(t *testing.T) {
		for range 20 {
			changed := bytes.Clone(data)
			changed[rand.IntN(len(changed))] ^= 1 << rand.IntN(8)
			if report, stderr, code := elsewhere(t, changed); code != 3 || report.Passed || !strings.Contains(stderr, "does not stand") {
				t.Errorf("exit code %d: %s%+v", code, stderr, report)
			}
		}
	})
	t.Run("disclosed", func(t *testing.T) {
		publisher.cli("evidence", status.Successes[0].TxID, "-o", file, "--force", "--disclose")
		data, err := os.ReadFile(file)
		must(t, err)
		report, stderr, code := elsewhere(t, data)
		if code != 0 || outcome(report, "disclosed object") != evidence.Pass {
			t.Fatalf("exit code %d: %s%+v", code, stderr, report)
		}
		var f evidence.File
		must(t, json.Unmarshal(data, &f))
		if f.Disclosed.Object != indicator(1) {
			t.Errorf("the object is %s", f.Disclosed.Object)
		}
		// The key is that of this object alone.
		publisher.cli("evidence", status.Successes[1].TxID, "-o", file, "--force", "--disclose")
		data, err = os.ReadFile(file)
		must(t, err)
		var other evidence.File
		must(t, json.Unmarshal(data, &other))
		other.Disclosed.FileKey = f.Disclosed.FileKey
		data, err = other.Encode()
		must(t, err)
		if report, _, code := elsewhere(t, data); code != 3 || outcome(report, "disclosed object") != evidence.Fail {
			t.Errorf("exit code %d with another object's key: %+v", code, report)
		}
	})
	t.Run("of records", func(t *testing.T) {
		records := n.records(t, publisher.account(), info.ID)
		if len(records) < 5 { // the charter, two admissions, the collection, a keyring
			t.Errorf("%d records", len(records))
		}
		for _, of := range records {
			publisher.cli("evidence", of, "-o", file, "--force")
			data, err := os.ReadFile(file)
			must(t, err)
			if report, stderr, code := elsewhere(t, data); code != 0 {
				t.Errorf("exit code %d: %s%+v", code, stderr, report)
			}
		}
	})
	t.Run("without a daemon", func(t *testing.T) {
		reader.stop()
		data := []byte(reader.cli("evidence", firstIndicator, "-o", "-"))
		if report, stderr, code := elsewhere(t, data); code != 0 {
			t.Errorf("exit code %d: %s%+v", code, stderr, report)
		}
	})
	t.Run("of what is not there", func(t *testing.T) {
		none := filepath.Join(t.TempDir(), "none")
		for _, c := range []struct {
			code int
			args []string
		}{
			{4, []string{"evidence", "indicator--00000009-17d4-4cbf-938f-98ee46b3cd3f", "-o", none}}, {4, []string{"evidence", strings.Repeat("A", 52), "-o", none}},
			{2, []string{"evidence", info.Charter, "-o", none, "--disclose"}}, {2, []string{"evidence", firstIndicator}},
		} {
			if _, stderr, code := publisher.try(c.args...); code != c.code {
				t.Errorf("%v exits with %d: %s", c.args, code, stderr)
			}
		}
	})
}

func TestEvidenceSaysWhatAlgodNoLongerHas(t *testing.T) {
	t.Parallel()
	l := faulty(t)
	n := newNetwork(t, l, "alpha")
	n.members[0].post(n.collection, indicator(1))
	l.advance(t, 20)
	n.members[0].post(n.collection, indicator(2))
	n.members[0].shows(n.collection, indicator(2)) // so that it is in the log
	l.fault(t, faults{algod: only(gateway.Rule{Keep: 18})})
	data := []byte(n.members[0].cli("evidence", "indicator--00000002-17d4-4cbf-938f-98ee46b3cd3f", "-o", "-"))
	report, stderr, code := elsewhere(t, data)
	if code != 0 || outcome(report, "charter: confirmed") != evidence.Trusted || outcome(report, "charter: signature") != evidence.Pass ||
		outcome(report, "object: in its block") != evidence.Pass {
		t.Errorf("exit code %d: %s%+v", code, stderr, report)
	}
}
