package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// root is where the programs are run: the repository, in which they are built, or a folder that stands for it, with
// those that SLNODE_TEST_BIN has.
func root(t *testing.T) string {
	t.Helper()
	repository, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	built := os.Getenv("SLNODE_TEST_BIN")
	if built == "" {
		return repository
	}
	dir := t.TempDir()
	for name, to := range map[string]string{"bin": built, "internal": filepath.Join(repository, "internal")} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte("build:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// consortium is one on this machine: three organisations with what "demo console" fills them with, and delta, which has
// no money.
type consortium struct {
	t    *testing.T
	root string
	dir  string // of the network
}

func up(t *testing.T) *consortium {
	t.Helper()
	if there := os.Getenv("SLNODE_TEST_NET"); there != "" {
		return &consortium{t: t, root: root(t), dir: there}
	}
	short, err := os.MkdirTemp("", "net") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	c := &consortium{t: t, root: root(t), dir: filepath.Join(short, "net")}
	if os.Getenv("SLNODE_TEST_BIN") == "" {
		c.run("make", "--silent", "build")
	}
	t.Cleanup(func() { c.run("bin/testnet", "down") })
	c.run("bin/testnet", "up", "--nodes", "3")
	c.run("bin/testnet", "demo", "console")
	c.edit("env", `(?m)^SL_ALGO=.*$`, "SL_ALGO=0.15")
	c.run("bin/testnet", "add", "delta")
	return c
}

func (c *consortium) run(name string, args ...string) string {
	c.t.Helper()
	out, err := c.try(name, args...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (c *consortium) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if strings.Contains(name, "/") {
		name = filepath.Join(c.root, name)
	}
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = c.root, append(os.Environ(), "SL_TESTNET="+c.dir)
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// edit changes what a pattern finds in a file of the network.
func (c *consortium) edit(file, pattern, with string) {
	c.t.Helper()
	path := filepath.Join(c.dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	changed := regexp.MustCompile(pattern).ReplaceAllLiteral(text, []byte(with))
	if bytes.Equal(text, changed) {
		c.t.Fatalf("%s has nothing like %s", file, pattern)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// member is one of the organisations, as the network's env file has it.
type member struct {
	c                                    *consortium
	name                                 string
	url, user, password, collection, dir string
}

func (c *consortium) member(n int) member {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "env"))
	if err != nil {
		c.t.Fatal(err)
	}
	has := func(name string) string {
		found := regexp.MustCompile(fmt.Sprintf(`(?m)^SL_%d_%s=(.*)$`, n, name)).FindSubmatch(text)
		if found == nil {
			c.t.Fatalf("the env file says nothing of SL_%d_%s", n, name)
		}
		return strings.ReplaceAll(string(found[1]), `\`, "")
	}
	return member{c, has("ORG"), has("URL"), has("USER"), has("PASSWORD"), has("COLLECTION"), has("REPO")}
}

// console is where its console is.
func (m member) console() string { return m.url + "/-/" }

func (m member) slnode(args ...string) string {
	m.c.t.Helper()
	return m.c.run("bin/slnode", append([]string{"--repo", m.dir}, args...)...)
}

// ticket gives the address at which the operator enters.
func (m member) ticket() string { return m.slnode("console") }

// ask asks the member's TAXII server.
func (m member) ask(method, path string, body []byte) []byte {
	t := m.c.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(m.user, m.password)
	request.Header.Set("Content-Type", taxii)
	request.Header.Set("Accept", taxii)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 300 {
		t.Fatalf("%s is answered with %s, %.2000s, %v", path, answer.Status, said, err)
	}
	return said
}

const taxii = "application/taxii+json;version=2.1"

// objects is where those are that every member reads.
func (m member) objects() string { return "/alpha/collections/" + m.collection + "/objects/" }

// has waits until the member's view has an object.
func (m member) has(id string) {
	t := m.c.t
	t.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); ; <-look.C {
		said, err := m.c.try("bin/slnode", "--repo", m.dir, "show", id)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s has not got %s: %s", m.name, id, said)
		}
	}
}
