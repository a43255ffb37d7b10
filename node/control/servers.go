package control

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/node/auditlog"
	"github.com/serviceledger/slnode/node/problem"
	"github.com/serviceledger/slnode/repo"
	"github.com/serviceledger/slnode/taxii"
)

// Daemon says how to reach a running daemon. It is in the repository's daemon.json, for its owner only.
type Daemon struct {
	PID     int    `json:"pid"`
	Lock    string `json:"lock"`             // of the repository, see [repo.LockID]: a copy of the folder has another
	Admin   string `json:"admin"`            // host:port, loopback; or the path of a socket
	Socket  string `json:"socket,omitempty"` // the path of a socket that tells who calls; the command line prefers it
	Token   string `json:"token"`            // what the admin interface asks for
	TAXII   string `json:"taxii"`            // host:port
	URL     string `json:"taxii_url"`
	Gateway string `json:"gateway,omitempty"`
	Metrics string `json:"metrics,omitempty"`
}

// shutdownTimeout is how long running requests may take when the node stops.
const shutdownTimeout = 2 * time.Second

// ListenOperator listens for the command line: on a socket in the repository, at which the kernel tells who calls,
// and on a free port of loopback, for other programs. Either will do where the machine has no loopback, or the path
// is too long for a socket. The handler is made for anyone who has a new token.
func (s *Servers) ListenOperator(dir string, make func(token string) (http.Handler, error)) (Daemon, error) {
	token := [32]byte{}
	rand.Read(token[:]) // never fails: it ends the process rather
	daemon := Daemon{PID: os.Getpid(), Token: hex.EncodeToString(token[:])}
	handler, err := make(daemon.Token)
	if err != nil {
		return Daemon{}, err
	}
	handler = s.hosts.Guard(handler)
	socket, noSocket := listenSocket(repo.SocketPath(dir))
	if noSocket == nil {
		daemon.Socket = s.add(socket, handler, nil, s.bounds.others)
		daemon.Admin = daemon.Socket
	}
	listener, err := listenLocally()
	switch {
	case err == nil:
		daemon.Admin = s.add(listener, handler, nil, s.bounds.others)
	case noSocket != nil:
		return Daemon{}, fmt.Errorf("listening for the command line: %w", errors.Join(noSocket, err))
	}
	if noSocket != nil {
		s.log.Info("the audit log can't tell who uses the command line: there is no socket in the repository", "error", noSocket)
	}
	return daemon, nil
}

// listenSocket listens on a socket, for its owner only.
func listenSocket(path string) (net.Listener, error) {
	path, err := filepath.Abs(path) // whoever calls is elsewhere
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// listenLocally listens where this machine reaches itself.
func listenLocally() (net.Listener, error) {
	var failed error
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
		if err == nil {
			_ = conn.Close() // nothing was said
			return listener, nil
		}
		failed = errors.Join(failed, err, listener.Close())
	}
	return nil, failed
}

// listenOn listens on a TCP address. Where 127.0.0.1 is meant and this machine has IPv6 only, it is ::1.
func listenOn(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if host, port, splitErr := net.SplitHostPort(address); errors.Is(err, syscall.EADDRNOTAVAIL) && splitErr == nil && host == "127.0.0.1" {
		if other, otherErr := net.Listen("tcp", net.JoinHostPort("::1", port)); otherErr == nil {
			return other, nil
		}
	}
	return listener, err
}

// CheckFree reports an error, with the remedy, if the node could not listen on a TCP address. An empty one is none.
func CheckFree(address string) error {
	if address == "" {
		return nil
	}
	listener, err := listenOn(address)
	if err != nil {
		return problem.Listening(err)
	}
	return listener.Close()
}

// Servers are HTTP servers that begin and end together.
type Servers struct {
	log    *slog.Logger
	hosts  door.Hosts
	bounds bounds
	list   []listening
}

type listening struct {
	net.Listener
	*http.Server
}

// NewServers are servers that answer browsers only under the given names.
func NewServers(log *slog.Logger, hosts door.Hosts) *Servers {
	return &Servers{log: log, hosts: hosts, bounds: boundsFor(maxFiles())}
}

// Listen opens a port for plain HTTP without accounts. Nothing is answered before serve.
func (s *Servers) Listen(whom, address string, handler http.Handler) (string, error) {
	return s.open(whom, address, s.hosts.Guard(handler), nil, s.bounds.others)
}

// ListenIfThere is listen for what a node can do without: if this machine doesn't have the address, nobody is answered
// there.
func (s *Servers) ListenIfThere(whom, address string, handler http.Handler) (string, error) {
	at, err := s.Listen(whom, address, handler)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		s.log.Warn("this machine does not have an address that is configured; nobody is answered there", "error", err)
		return "", nil
	}
	return at, err
}

// ListenTLS opens a port for TAXII clients: HTTPS, or plain HTTP if there is no configuration.
func (s *Servers) ListenTLS(whom, address string, handler http.Handler, config *tls.Config) (string, error) {
	return s.open(whom, address, handler, config, s.bounds.clients)
}

func (s *Servers) open(whom, address string, handler http.Handler, config *tls.Config, most int) (string, error) {
	listener, err := listenOn(address)
	if err != nil {
		return "", fmt.Errorf("listening for %s: %w", whom, problem.Listening(err))
	}
	return s.add(listener, handler, config, most), nil
}

// add takes a listener in, and returns where it listens.
func (s *Servers) add(listener net.Listener, handler http.Handler, config *tls.Config, most int) string {
	server := taxii.NewServer(handler, config, s.log)
	if listener.Addr().Network() == "unix" {
		known := server.ConnContext
		server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return auditlog.ConnContext(known(ctx, c), c) }
	}
	s.list = append(s.list, listening{door.Limit(listener, most, s.log), server})
	return listener.Addr().String()
}

// bounds are how many connections an HTTP listener may have, so that all together leave most files of the process to
// its stores, to other members' nodes (see package p2p) and to what it asks itself.
type bounds struct {
	clients int // of TAXII
	others  int // of each of the others
}

func boundsFor(files uint64) bounds {
	within := func(n, least, most uint64) int { return int(min(max(n, least), most)) }
	return bounds{clients: within(files/4, 32, 4096), others: within(files/32, 8, 128)}
}

// maxFiles is how many files this process may have open.
func maxFiles() uint64 {
	const usual = 1024
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return usual
	}
	return limit.Cur
}

// Serve answers until the context ends.
func (s *Servers) Serve(ctx context.Context, group *errgroup.Group) {
	for _, one := range s.list {
		group.Go(func() error { return serve(ctx, one.Server, one.Listener) })
	}
	s.list = nil
}

// Close gives the ports back that were never served.
func (s *Servers) Close() {
	for _, one := range s.list {
		_ = one.Listener.Close() // nothing was written to it
	}
}

// serve serves until the context ends; running requests are given a moment.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := server.Shutdown(shutdown)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // anyone who isn't done by now is cut off
		}
		stopped <- err
	})
	begin := server.Serve
	if server.TLSConfig != nil {
		begin = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	err := begin(listener)
	if stop() { // the server ended by itself
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	}
	return <-stopped
}

// ReadDaemon reads how to reach the daemon of a repository. It is an error wrapping [os.ErrNotExist] if none runs; the
// file may also be a left-over of one that was killed.
func ReadDaemon(dir string) (Daemon, error) {
	data, err := os.ReadFile(repo.DaemonPath(dir))
	if err != nil {
		return Daemon{}, err
	}
	var d Daemon
	if err := json.Unmarshal(data, &d); err != nil {
		return Daemon{}, fmt.Errorf("reading %s: %w", repo.DaemonPath(dir), err)
	}
	return d, nil
}
