package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/clients"
	"github.com/serviceledger/slnode/node/collections"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/node/internal/worldtest"
	"github.com/serviceledger/slnode/node/members"
	"github.com/serviceledger/slnode/node/withdraw"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/repo/accounts"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/keys"
)

// saying answers everything with a text.
type saying string

func (s saying) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, string(s))
}

func get(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func TestServersBeginAndEndTogetherAndAnswerBrowsersByTheirNamesOnly(t *testing.T) {
	s := NewServers(nodetest.Discard, door.Hosts{})
	open, err := s.Listen("metrics", "127.0.0.1:0", saying("metrics"))
	nodetest.Must(t, err)
	taxii, err := s.ListenTLS("TAXII clients", "127.0.0.1:0", saying("taxii"), nil)
	nodetest.Must(t, err)
	if _, err := s.Listen("the gateway", open, saying("x")); err == nil || !strings.Contains(err.Error(), "listening for the gateway") || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("a port that is taken: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	s.Serve(ctx, group)
	s.Close() // what is served stays so
	for address, want := range map[string]string{open: "metrics", taxii: "taxii"} {
		if got, err := get("http://" + address + "/"); err != nil || got != want {
			t.Errorf("%s: %q, %v", want, got, err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+open+"/", nil)
	nodetest.Must(t, err)
	request.Host = "evil.example"
	request.Header.Set("Origin", "http://evil.example")
	if response, err := http.DefaultClient.Do(request); err != nil || response.StatusCode == http.StatusOK {
		t.Errorf("under another's name it answers: %v", err)
	} else {
		_ = response.Body.Close()
	}
	stop()
	nodetest.Must(t, group.Wait())
	if _, err := get("http://" + open + "/"); err == nil {
		t.Error("it answers after its end")
	}
}

func TestPortsThatWereNeverServedAreGivenBack(t *testing.T) {
	s := NewServers(nodetest.Discard, door.Hosts{})
	address, err := s.Listen("metrics", "127.0.0.1:0", saying("x"))
	nodetest.Must(t, err)
	s.Close()
	again, err := net.Listen("tcp", address)
	nodetest.Must(t, err)
	nodetest.Must(t, again.Close())
}

// A node can do without its metrics on a machine that doesn't have their address, and not without what it is for.
func TestWhatANodeCanDoWithoutIsLeftOutWhereTheAddressIsMissing(t *testing.T) {
	var said strings.Builder
	s := NewServers(slog.New(slog.NewTextHandler(&said, nil)), door.Hosts{})
	defer s.Close()
	const elsewhere = "192.0.2.1:0" // of nobody
	if at, err := s.ListenIfThere("metrics", elsewhere, saying("x")); err != nil || at != "" || !strings.Contains(said.String(), "nobody is answered there") {
		t.Errorf("%q, %v, the log says %s", at, err, said.String())
	}
	if _, err := s.Listen("metrics", elsewhere, saying("x")); err == nil {
		t.Error("it listens where it is not")
	}
	if _, err := s.ListenIfThere("metrics", "nonsense", saying("x")); err == nil {
		t.Error("what is no address is passed over")
	}
}

// A request that takes its time is cut off at the end: a node stops within seconds.
func TestARequestThatDoesNotEndIsCutOffAtTheEnd(t *testing.T) {
	s := NewServers(nodetest.Discard, door.Hosts{})
	entered := make(chan struct{})
	address, err := s.Listen("metrics", "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	nodetest.Must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	s.Serve(ctx, group)
	asked := make(chan error, 1)
	go func() { _, err := get("http://" + address + "/"); asked <- err }()
	<-entered
	stop()
	nodetest.Must(t, group.Wait())
	if err := <-asked; err == nil {
		t.Error("the request was answered")
	}
}

func TestConnectionsLeaveMostFilesOfTheProcessToTheRest(t *testing.T) {
	for files, want := range map[uint64]bounds{
		0: {32, 8}, 127: {32, 8}, 1024: {256, 32}, 4096: {1024, 128}, 16_384: {4096, 128}, 1 << 40: {4096, 128},
	} {
		if got := boundsFor(files); got != want {
			t.Errorf("%d files: %+v, want %+v", files, got, want)
		}
	}
	if maxFiles() == 0 {
		t.Error("this process may have no file open")
	}
}

func newRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := config.Default()
	config.Organisation.Name = "acme"
	_, err := repo.Init(dir, config, "")
	nodetest.Must(t, err)
	return dir
}

// running is a daemon of a repository, as far as the command line sees it.
func running(t *testing.T, dir string) Daemon {
	t.Helper()
	_, daemon := runningWorld(t, dir)
	return daemon
}

func runningWorld(t *testing.T, dir string) (*operated, Daemon) {
	t.Helper()
	s := NewServers(nodetest.Discard, door.Hosts{})
	o := newOperatedIn(t, worldtest.NewStoredHostileWorld(t))
	daemon, err := s.ListenOperator(dir, o.api.Handler)
	nodetest.Must(t, err)
	daemon.Lock, err = repo.LockID(dir)
	nodetest.Must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	group, ctx := errgroup.WithContext(ctx)
	s.Serve(ctx, group)
	t.Cleanup(func() { stop(); nodetest.Must(t, group.Wait()) })
	writeDaemon(t, dir, daemon)
	return o, daemon
}

func writeDaemon(t *testing.T, dir string, daemon Daemon) {
	t.Helper()
	data, err := json.Marshal(daemon)
	nodetest.Must(t, err)
	nodetest.Must(t, os.WriteFile(repo.DaemonPath(dir), data, 0o600))
}

func TestTheDaemonOfARepositoryIsFoundAndNoOther(t *testing.T) {
	dir := newRepository(t)
	absent := func(what string) {
		t.Helper()
		if c, err := FindDaemon(t.Context(), dir); c != nil || err != nil {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
	absent("none runs")
	if _, err := ReadDaemon(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none runs: %v", err)
	}
	daemon := running(t, dir)
	if c, err := FindDaemon(t.Context(), dir); err != nil || c == nil || !c.IsDaemon() || c.Close() != nil {
		t.Errorf("it runs: %v", err)
	}
	if len(daemon.Token) != 64 {
		t.Errorf("its token is %q", daemon.Token)
	}
	copied := daemon
	copied.Lock = "another"
	writeDaemon(t, dir, copied)
	absent("the folder was copied")
	other := daemon
	other.Token = strings.Repeat("0", 64)
	writeDaemon(t, dir, other)
	absent("another program has its port")
	gone := daemon
	gone.Admin, gone.Socket = "127.0.0.1:1", ""
	writeDaemon(t, dir, gone)
	absent("it was killed")
	nodetest.Must(t, os.WriteFile(repo.DaemonPath(dir), []byte("{"), 0o600))
	if _, err := FindDaemon(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "daemon.json") {
		t.Errorf("a file that can't be read: %v", err)
	}
}

func TestTheCommandLineIsReachedOverASocketAsOverLoopback(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	nodetest.Must(t, err)
	server := &http.Server{Handler: saying(`{"organisation":"acme"}`)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() { _ = server.Close(); <-done }()
	c := newClient(Daemon{Admin: socket}, func() error { return nil })
	if s, err := c.Status(t.Context()); err != nil || s.Organisation != "acme" {
		t.Errorf("%+v, %v", s, err)
	}
	if own := NewOwnClient(Daemon{Admin: socket}, func() error { return errors.New("closed") }); own.IsDaemon() || own.Close() == nil {
		t.Error("a node in this process is taken for a daemon")
	}
}

// With a daemon its accounts are asked: two processes must not open one repository.
func TestAccountsAndBackupsAreTheDaemonsWhereOneRuns(t *testing.T) {
	dir := newRepository(t)
	running(t, dir)
	c, err := ConnectAccounts(t.Context(), dir, nil, nodetest.Discard)
	if err != nil || !c.IsDaemon() {
		t.Fatalf("%v", err)
	}
	_, err = c.AddAccount(t.Context(), clients.AccountSpec{User: "alice", Password: "correct horse", Role: "reader", Limits: accounts.Limits{Read: []string{"notes"}}})
	nodetest.Must(t, err) // and what a collection is called is known
	if _, err := Backup(t.Context(), dir, nil, nil, io.Discard); err != nil {
		t.Errorf("a backup beside the daemon: %v", err)
	}
	if _, err := Backup(t.Context(), dir, nil, nil, failing{}); err == nil {
		t.Error("a backup that can't be written is called one")
	}
}

// What the command line can ask for arrives at the part that it is for, as it was said.
func TestEveryMethodOfTheClientReachesItsPart(t *testing.T) {
	o := newOperated(t)
	c, ctx := o.client, t.Context()
	title := "Other"
	for want, ask := range map[string]func() error{
		"admit a":       func() error { _, err := c.Admit(ctx, []byte("a")); return err },
		"admit-price a": func() error { _, err := c.PriceOfAdmission(ctx, []byte("a")); return err },
		"verify a?&b":   func() error { _, err := c.Verify(ctx, "a?&b"); return err },
		"show a":        func() error { _, err := c.Show(ctx, "a"); return err },
		"remove a":      func() error { _, err := c.Remove(ctx, "a"); return err },
		"replace a b":   func() error { _, err := c.ReplaceKeys(ctx, "a", []byte("b")); return err },
		"governor":      func() error { _, err := c.Governor(ctx); return err },
		"submit 2":      func() error { _, err := c.SubmitProposal(ctx, [][]byte{{1}, {2}}); return err },
		"renew a":       func() error { _, err := c.RenewProposal(ctx, []byte("a")); return err },
		"withdraw a b":  func() error { _, err := c.Withdraw(ctx, withdraw.Selection{What: "a", Collection: "b"}); return err },
		"create a [b]": func() error {
			_, err := c.CreateCollection(ctx, collections.Spec{Title: "a", Readers: []string{"b"}})
			return err
		},
		"revoke a [b]":  func() error { _, err := c.Revoke(ctx, "a", []string{"b"}); return err },
		"rotate a":      func() error { _, err := c.Rotate(ctx, "a"); return err },
		"set a Other":   func() error { _, err := c.SetCollection(ctx, "a", collections.Change{Title: &title}); return err },
		"add-feed a b":  func() error { _, err := c.AddFeed(ctx, config.Feed{Name: "a", URL: "b"}); return err },
		"remove-feed a": func() error { return c.RemoveFeed(ctx, "a") },
		"test-feed a":   func() error { _, err := c.TestFeed(ctx, "a"); return err },
		"try-feed a b":  func() error { _, err := c.TryFeed(ctx, config.Feed{Name: "a", URL: "b"}); return err },
		"run-feed a true": func() error {
			report, err := c.RunFeed(ctx, "a", true)
			if report.New != 3 {
				t.Errorf("the report is %+v", report)
			}
			return err
		},
		"sole":    func() error { return c.Sole(ctx) },
		"rebuild": func() error { return c.Rebuild(ctx) },
		"set-governor 1 [A]": func() error {
			_, err := c.SetGovernor(ctx, members.GovernorChange{Threshold: 1, Accounts: []string{"A"}})
			return err
		},
		"rotate-keys {Account:true Peer:false Identity:true}": func() error { _, err := c.RotateKeys(ctx, keys.Change{Account: true, Identity: true}); return err },
		"grant a {Organisations:[b] Contribute:false From:all}": func() error {
			_, err := c.Grant(ctx, "a", collections.Grant{Organisations: []string{"b"}, From: "all"})
			return err
		},
	} {
		if err := ask(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if asked := o.parts.taken(); asked != want {
			t.Errorf("asked is %q, want %q", asked, want)
		}
	}
	if list, err := c.Feeds(ctx); err != nil || len(list) != 1 || list[0].Name != "misp" {
		t.Errorf("%+v, %v", list, err)
	}
	o.parts.err = errors.New("no")
	if _, err := c.RunFeed(ctx, "a", false); err == nil {
		t.Error("a run that failed is taken for one")
	}
}

func TestAnAnswerThatIsNoneIsAnErrorThatSaysSo(t *testing.T) {
	for answer, want := range map[string]string{"": "reading the node's answer", "{": "reading the node's answer"} {
		server := &http.Server{Handler: saying(answer)}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		nodetest.Must(t, err)
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		c := newClient(Daemon{Admin: listener.Addr().String()}, nil)
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", answer, err)
		}
		nodetest.Must(t, server.Close())
		<-done
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "asking the node") {
			t.Errorf("nobody there: %v", err)
		}
	}
}

func TestTheLogKeepsTheCommandLinesRequestsForDebugging(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		var said strings.Builder
		log := slog.New(quiet{slog.NewTextHandler(&said, &slog.HandlerOptions{Level: level})}).With("a", 1).WithGroup("g")
		log.Info("a request")
		log.Warn("a warning")
		if got := said.String(); strings.Contains(got, "a request") != want || !strings.Contains(got, "level=WARN msg=\"a warning\" a=1") {
			t.Errorf("%v: %s", level, got)
		}
	}
}
