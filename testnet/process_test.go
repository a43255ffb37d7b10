package testnet

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/wire"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/testnet/gateway"
)

// alone is a consortium of one organisation, whose daemon is stopped.
func alone(t *testing.T) (*organisation, *network) {
	t.Helper()
	n := newNetwork(t, newChain(t), "alpha")
	n.members[0].stop()
	return n.members[0], n
}

// Whoever reads the log goes away: the lines are lost, and nothing else.
func TestTheLogsReaderMayGoAway(t *testing.T) {
	t.Parallel()
	o, n := alone(t)
	reader, writer, err := os.Pipe()
	must(t, err)
	command := exec.Command(slnode, "--repo", o.Dir, "daemon")
	command.Env = append(os.Environ(), "SLNODE_LOG_LEVEL=debug")
	command.Stdout, command.Stderr = writer, writer
	must(t, command.Start())
	must(t, writer.Close())
	o.Process = command
	o.ready()
	must(t, reader.Close())
	o.post(n.collection, indicator(1))
	o.shows(n.collection, indicator(1))
	o.stop()
}

// edit changes the configuration of a repository.
func (o *organisation) edit(from, to string) {
	o.t.Helper()
	path := filepath.Join(o.Dir, "config.toml")
	text, err := os.ReadFile(path)
	must(o.t, err)
	if !bytes.Contains(text, []byte(from)) {
		o.t.Fatalf("there is no %s in %s", from, path)
	}
	must(o.t, os.WriteFile(path, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600))
}

// logged waits until the log has a line with all of some words, and returns it.
func (o *organisation) logged(words ...string) (found string) {
	o.t.Helper()
	eventually(o.t, func() (bool, string) {
		log, err := os.ReadFile(o.Log)
		must(o.t, err)
	lines:
		for line := range strings.Lines(string(log)) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			found = line
			return true, ""
		}
		return false, fmt.Sprintf("no line of the log has %q", words)
	})
	return found
}

// certify writes a certificate for localhost and its key.
func certify(t *testing.T, certificate, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	must(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

// SIGHUP ends nothing: certificate and log level are read again, and what is not is said.
func TestAHangupIsAReload(t *testing.T) {
	t.Parallel()
	o, _ := alone(t)
	certificate, key := filepath.Join(o.Dir, "c.pem"), filepath.Join(o.Dir, "k.pem")
	certify(t, certificate, key, 1)
	o.edit(`tls = "off"`, `tls = "files"`)
	o.edit(`tls_certificate = ""`, `tls_certificate = "c.pem"`)
	o.edit(`tls_key = ""`, `tls_key = "k.pem"`)
	log, err := os.Create(o.Log)
	must(t, err)
	defer log.Close()
	command := exec.Command(slnode, "--repo", o.Dir, "daemon")
	command.Stderr = log
	must(t, command.Start())
	o.Process = command
	o.ready()
	serial := func() string {
		conn, err := tls.Dial("tcp", o.Daemon.TAXII, &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != "1" {
		t.Fatalf("certificate %s is shown", got)
	}
	certify(t, certificate, key, 2)
	o.edit(`level = "info"`, `level = "debug"`)
	o.edit(`publish_wait = "10s"`, `publish_wait = "11s"`)
	o.edit(`rate_limit = 10000`, `rate_limit = 1`)
	o.edit("[taxii]\n", "[[feed]]\nname = \"later\"\nurl = \"https://feed.example/root\"\ncollection = \"c\"\npaused = true\n\n"+
		"[[webhook]]\nname = \"siem\"\nurl = \"https://siem.example/hook\"\nsecret = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n\n[taxii]\n")
	must(t, command.Process.Signal(syscall.SIGHUP))
	line := o.logged("the configuration was read again", "log_level=debug", `changed="feeds, webhooks, limits"`)
	if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "keys=[taxii.publish_wait]") {
		t.Errorf("it does not say what counts from the next start only: %s", line)
	}
	if got := serial(); got != "2" {
		t.Errorf("certificate %s is shown after the reload", got)
	}
	o.cli("list")
	o.logged("level=DEBUG")
	if out := o.cli("feed", "list"); !strings.Contains(out, "later") {
		t.Errorf("the feed of the file is not there: %s", out)
	}
	if out := o.cli("webhook", "list"); !strings.Contains(out, "siem") || !strings.Contains(out, "https://siem.example") || strings.Contains(out, "hook?") {
		t.Errorf("the webhook of the file is not there: %s", out)
	}
	limited := false
	for range 10 { // two at once, and one a second
		transport := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		response, err := transport.Get("https://" + o.Daemon.TAXII + "/taxii2/")
		must(t, err)
		must(t, response.Body.Close())
		limited = limited || response.StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("the limit of requests is the old one")
	}

	o.edit(`level = "debug"`, `level = "loud"`)
	must(t, os.WriteFile(certificate, []byte("none"), 0o600))
	must(t, command.Process.Signal(syscall.SIGHUP))
	o.logged("level=ERROR", "the configuration can't be read again")
	o.edit(`level = "loud"`, `level = "error"`)
	must(t, command.Process.Signal(syscall.SIGHUP))
	o.logged("level=ERROR", "the certificate for TAXII clients can't be read again")
	if got := serial(); got != "2" {
		t.Errorf("certificate %s is shown after one that can't be read", got)
	}
	o.stop()
}

// SIGHUP before the node is ready waits until it is, and SIGTERM at any moment of the start is an orderly end.
func TestSignalsAtTheStartAreHeeded(t *testing.T) {
	t.Parallel()
	o, _ := alone(t)
	o.begin()
	for range 20 {
		time.Sleep(20 * time.Millisecond)
		if o.spoken() { // before its first lines the program may not have begun
			must(t, o.Process.Process.Signal(syscall.SIGHUP))
		}
	}
	o.ready()
	o.logged(fmt.Sprintf("wire=%d go=%s", wire.Version, runtime.Version())) // the first line says which program this is
	must(t, o.Process.Process.Signal(syscall.SIGHUP))
	o.logged("the configuration was read again")
	o.stop()

	orderly := 0
	for delay := 10 * time.Millisecond; orderly < 5 && delay < 20*time.Second; delay = delay * 5 / 4 {
		must(t, os.Truncate(o.Log, 0))
		o.begin()
		time.Sleep(delay) // the moment is what is tried
		_, err := os.Stat(repo.DaemonPath(o.Dir))
		ready := err == nil
		must(t, o.Process.Process.Signal(syscall.SIGTERM))
		err = o.Process.Wait()
		log, _ := os.ReadFile(o.Log)
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() && len(log) == 0:
			// The system had not come to the program's first line.
		case err != nil:
			t.Errorf("after %v it ends with %v: %s", delay, err, log)
		case ready, strings.Contains(string(log), "the node is ready"): // before the signal, or between that and our look
			orderly++
		default:
			orderly++
			if !strings.Contains(string(log), "told to stop before the node was ready") || strings.Contains(string(log), "context canceled") {
				t.Errorf("after %v it says %s", delay, log)
			}
		}
		o.Process = nil
		if _, err := os.Stat(repo.DaemonPath(o.Dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %v there is a daemon.json: %v", delay, err)
		}
	}
	if orderly < 5 {
		t.Errorf("only %d ends were tried", orderly)
	}
	o.start()
	o.stop()
}

// begin starts the daemon and does not wait for it.
func (o *organisation) begin() {
	o.t.Helper()
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(o.t, err)
	defer log.Close()
	o.Process = exec.Command(slnode, "--repo", o.Dir, "daemon")
	o.Process.Stderr = log
	must(o.t, o.Process.Start())
}

// spoken reports whether the process has opened its repository.
func (o *organisation) spoken() bool {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", o.Process.Process.Pid))
	if err != nil {
		return false
	}
	for _, file := range files {
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", o.Process.Process.Pid, file.Name())); err == nil && strings.HasPrefix(name, o.Dir) && name != o.Log {
			return true
		}
	}
	return false
}

// A folder that was copied while its daemon ran drives that daemon in nothing.
func TestACopiedFolderDoesNotDriveTheOriginalsDaemon(t *testing.T) {
	t.Parallel()
	o, _ := alone(t)
	o.start()
	folder := filepath.Join(t.TempDir(), "copy")
	must(t, o.Process.Process.Signal(syscall.SIGSTOP)) // so that no file goes while it is copied
	out, err := exec.Command("cp", "-a", o.Dir, folder).CombinedOutput()
	must(t, o.Process.Process.Signal(syscall.SIGCONT))
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	theirs := organisationAt(t, "copy", folder)
	stdin := exec.Command(slnode, "--repo", folder, "account", "add", "mallory", "--role", "admin")
	stdin.Stdin = strings.NewReader("a long password\n")
	if out, err := stdin.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if list := theirs.cli("account", "list"); !strings.Contains(list, "mallory") {
		t.Errorf("the copy has %s", list)
	}
	if list := o.cli("account", "list"); strings.Contains(list, "mallory") {
		t.Errorf("the original has %s", list)
	}
	o.stop()
}

// What root does in a service's repository is refused before it makes a file there.
func TestRootLeavesNoFilesInAServicesRepository(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files that are root's")
	}
	o, _ := alone(t)
	const service = 54321
	own := func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, service, service))
	}
	must(t, filepath.WalkDir(o.Dir, own))
	for _, command := range [][]string{
		{"status"}, {"account", "list"}, {"backup", "-"}, {"daemon"}, {"consortium", "show"}, {"keys", "seal"}, {"feed", "list"}, {"view", "rebuild"},
		{"init", "--org", "alpha", "--title", "A"}, {"join", "/dev/null"}, {"wallet"}, {"audit-log"}, {"member", "request"},
	} {
		_, problem, code := o.try(command...)
		if code != 2 || command[0] != "init" && !strings.Contains(problem, "sudo -u #54321 slnode --repo") {
			t.Errorf("slnode %v exits with %d: %s", command, code, problem)
		}
	}
	if _, problem, code := o.try("version"); code != 0 {
		t.Errorf("what needs no repository is refused with %d: %s", code, problem)
	}
	must(t, filepath.WalkDir(o.Dir, func(path string, entry fs.DirEntry, err error) error {
		must(t, err)
		info, err := entry.Info()
		must(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != service {
			t.Errorf("%s belongs to user %d", path, uid)
		}
		return nil
	}))
}

// On a machine without 127.0.0.1, and even without any loopback interface, a node starts and is talked to.
func TestANodeStartsWithoutLoopback(t *testing.T) {
	t.Parallel()
	if exec.Command("unshare", "-n", "true").Run() != nil {
		t.Skip("this test may not make a network of its own")
	}
	o, _ := alone(t)
	o.edit(`"/ip4/127.0.0.1/`, `"/ip4/0.0.0.0/`)
	for what, network := range map[string]string{"only ::1": "ip link set lo up && ip addr del 127.0.0.1/8 dev lo", "no interface that is up": "true"} {
		log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(t, err)
		command := exec.Command("unshare", "-n", "/bin/sh", "-c", network+` && exec "$@"`, "sh", slnode, "--repo", o.Dir, "daemon")
		command.Stderr = log
		must(t, command.Start())
		must(t, log.Close())
		o.Process = command
		o.ready()
		inside := exec.Command("nsenter", "-t", fmt.Sprint(command.Process.Pid), "-n", slnode, "--repo", o.Dir, "account", "list")
		if out, err := inside.CombinedOutput(); err != nil {
			t.Errorf("with %s the command line does not reach it: %v: %s", what, err, out)
		}
		o.stop()
	}
}

// A client that asks for a collection and leaves before its record is stored takes the alias with it: the next one gets
// the collection, without a restart in between.
func TestAClientThatLeavesKeepsNoAlias(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, faulty(t).byIndexer(), "alpha")
	o := n.members[0]
	o.client()
	o.stop()
	n.fault(t, faults{indexer: only(gateway.Rule{Status: http.StatusServiceUnavailable})})
	o.start() // where the chain stands is not known, so that nothing is made
	ask := func(patience time.Duration) (status int, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.Daemon.TAXII+"/"+o.Name+"/collections", strings.NewReader(`{"title":"Reports","alias":"reports"}`))
		must(t, err)
		request.SetBasicAuth(o.User, o.Password)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		return response.StatusCode, nil
	}
	if status, err := ask(time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a client that is to leave is answered %d, %v", status, err)
	}
	n.fault(t, faults{})
	if status, err := ask(patience); err != nil || status != http.StatusOK {
		t.Errorf("the next one is answered %d, %v", status, err)
	}
	if status, err := ask(patience); err != nil || status != http.StatusConflict {
		t.Errorf("the one after it is answered %d, %v", status, err)
	}
}
