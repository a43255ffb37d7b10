package testnet

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/repo/config"
)

// ownMemory is what a process holds of its own, in bytes: what is mapped from files the system can take back.
func ownMemory(t testing.TB, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if text, found := strings.CutPrefix(line, "RssAnon:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			must(t, err)
			return kilobytes << 10
		}
	}
	t.Fatal("no memory in the status")
	return 0
}

// bulky is a STIX object of about so many bytes that compresses badly.
func bulky(n, size int) string {
	text := make([]byte, size)
	state := uint64(n)*2654435761 + 88172645463325252
	for i := range text {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		text[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[state>>58]
	}
	return strings.Replace(indicator(n), `"name":"`, `"description":"`+string(text)+`","name":"`, 1)
}

// silentReader asks for a page of a collection and reads nothing of it.
func silentReader(t testing.TB, o *organisation, collection string, headers ...string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Control: smallBuffer}).Dial("tcp", o.Daemon.TAXII)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/%s/collections/%s/objects/?limit=10000", o.Daemon.TAXII, o.Name, collection), nil)
	must(t, err)
	request.SetBasicAuth(o.User, o.Password)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	must(t, request.Write(conn))
	return conn
}

// smallBuffer keeps the system from reading for who doesn't.
func smallBuffer(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
}

// Sixty readers that don't read: each of them holds a chunk of its page, and what one in gzip needs.
func TestReadersThatDoNotReadCostLittleMemory(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha")
	o := n.members[0]
	var objects []string
	for i := range 28 {
		objects = append(objects, bulky(i+1, 512<<10))
	}
	o.post(n.collection, objects...)
	o.shows(n.collection, objects...)
	page := func() {
		_, err := o.tryObjects(n.collection)
		must(t, err)
	}
	page()
	before := ownMemory(t, o.Daemon.PID)
	const readers = 60
	var conns []net.Conn
	for i := range readers {
		headers := []string{}
		if i%2 == 0 {
			headers = append(headers, "Accept-Encoding: gzip")
		}
		conns = append(conns, silentReader(t, o, n.collection, headers...))
	}
	most := int64(0)
	for _, conn := range conns { // its answer has begun, so that what it holds is held
		must(t, conn.SetReadDeadline(waiting.End()))
		_, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 200")))
		must(t, err)
		most = max(most, ownMemory(t, o.Daemon.PID))
	}
	t.Logf("%d readers that don't read a page of 14 MiB: from %d to %d MiB", readers, before>>20, most>>20)
	if grown := most - before; grown > 192<<20 {
		t.Errorf("they take %d MiB", grown>>20)
	}
	page() // others are served
}

// openFiles is how many files a process has open.
func openFiles(t testing.TB, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	return len(files)
}

// crowd opens connections that nothing comes of: some say nothing, some begin to.
func crowd(t testing.TB, n int, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		for i := range n {
			conn, err := net.DialTimeout("tcp", address, 10*time.Second)
			if err != nil {
				continue // the system's own bound
			}
			t.Cleanup(func() { conn.Close() })
			if i%2 == 1 {
				_, _ = conn.Write([]byte("GET / HT")) // it may have been closed already
			}
		}
	}
}

// Connections that do nothing, on every listener at once and more of them than the process may have files: it lives,
// and whoever has an account is answered and publishes. So it is after a restart into the crowd.
func TestIdleConnectionsNeitherEndTheProcessNorKeepClientsOut(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha", "bravo")
	o := n.members[0]
	o.stop()
	const files = 256
	o.Shell = fmt.Sprintf("ulimit -n %d", files)
	metrics := "127.0.0.1:" + newPort()
	for round := range 2 {
		o.start("SLNODE_METRICS_LISTEN=" + metrics)
		pid := o.Daemon.PID
		crowd(t, files, o.Daemon.TAXII, o.Daemon.Gateway, metrics, o.Daemon.Admin, o.ipfs())
		object := indicator(round + 1)
		o.post(n.collection, object)
		o.shows(n.collection, object)
		n.members[1].shows(n.collection, object)
		if status := o.status(); status.Publishing.Problem != "" {
			t.Errorf("publishing waits: %+v", status.Publishing)
		}
		for _, url := range []string{"http://" + metrics + "/metrics", "http://" + o.Daemon.Gateway + "/ipfs/x"} {
			response, err := http.Get(url)
			must(t, err)
			response.Body.Close()
		}
		if open := openFiles(t, pid); open > files*9/10 {
			t.Errorf("%d of %d files are open", open, files)
		}
		if o.Daemon.PID != pid || o.Process.Process.Signal(syscall.Signal(0)) != nil {
			t.Error("the daemon has ended")
		}
		if round == 0 {
			o.kill()
		}
	}
	o.stop()
}

// ipfs is where the node listens for other members' nodes.
func (o *organisation) ipfs() string {
	o.t.Helper()
	c, err := config.Read(o.Dir)
	must(o.t, err)
	return "127.0.0.1:" + c.IPFS.Listen[0][strings.LastIndex(c.IPFS.Listen[0], "/")+1:]
}

// A page whose name was made to resolve to this machine asks every listener under that name. None answers it, and it is
// not the first administrator. Programs, which send no Origin, are answered under any name.
func TestAPageWhoseNameLeadsHereIsAnsweredByNoListener(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, newChain(t), "alpha")
	o := n.members[0]
	o.stop()
	metrics := "127.0.0.1:" + newPort()
	o.start("SLNODE_METRICS_LISTEN="+metrics, "SLNODE_CONSOLE_HOSTS=taxii.acme.example,other.acme.example")
	ask := func(method, address, path, host, body string, headers ...string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
		must(t, err)
		request.Host = host
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		must(t, err)
		return response.StatusCode, string(text)
	}
	const rebound = "rebind.attacker.example"
	signUp := fmt.Sprintf(`{"org_name":%q,"username":"mallory","password":"long enough"}`, o.Name)
	status, text := ask(http.MethodPost, o.Daemon.TAXII, "/v1/signup/admin", rebound, signUp, "Origin: http://"+rebound, "Sec-Fetch-Site: same-origin")
	if status != http.StatusMisdirectedRequest || !strings.Contains(text, rebound) || !strings.Contains(text, "hosts = [") {
		t.Errorf("a page that signs up is answered %d %s", status, text)
	}
	if accounts := o.cli("account", "list"); strings.Contains(accounts, "mallory") {
		t.Errorf("it has an account: %s", accounts)
	}
	for what, url := range map[string]string{
		o.Daemon.TAXII: "/taxii2/", o.Daemon.Gateway: "/ipfs/bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/", metrics: "/metrics", o.Daemon.Admin: "/admin/alive",
	} {
		plain, _ := ask(http.MethodGet, what, url, what, "")
		for _, header := range []string{"Origin: http://" + rebound, "Origin: null", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"} {
			if status, _ := ask(http.MethodGet, what, url, rebound, "", header); status != http.StatusMisdirectedRequest {
				t.Errorf("%s%s under another name with %q: %d", what, url, header, status)
			}
			for _, name := range []string{what, "localhost", "taxii.acme.example:443", "OTHER.acme.example.", "[::1]:80"} {
				if status, _ := ask(http.MethodGet, what, url, name, "", header); status != plain {
					t.Errorf("%s%s as %s with %q: %d, want %d", what, url, name, header, status, plain)
				}
			}
		}
		if status, _ := ask(http.MethodGet, what, url, "node.behind-a-proxy.example", ""); status != plain {
			t.Errorf("a program that calls %s%s something else is answered %d", what, url, status)
		}
		if status, _ := ask(http.MethodGet, what, url, rebound, "", "Accept-Language: en", "User-Agent: Mozilla/5.0"); status != http.StatusMisdirectedRequest {
			t.Errorf("%s%s: a page's plain GET under its own name: %d", what, url, status)
		}
	}
}
