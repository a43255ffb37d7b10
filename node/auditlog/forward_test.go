package auditlog

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/auditlog"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// office is a trail with a forwarder.
type office struct {
	t     *testing.T
	trail *Trail
	dir   string
}

func newOffice(t *testing.T) *office {
	dir := t.TempDir()
	log, err := auditlog.Open(auditlog.Path(dir), 1<<20, 4, time.Now)
	nodetest.Must(t, err)
	t.Cleanup(func() { nodetest.Must(t, log.Close()) })
	trail := &Trail{log: log, dir: dir}
	trail.Watch(func(err error) { t.Error(err) })
	return &office{t, trail, dir}
}

// forwards runs a forwarder until stop is called.
func (o *office) forwards(to string, change func(*forwarder)) (stop func()) {
	o.t.Helper()
	where, err := config.ParseForward(to)
	nodetest.Must(o.t, err)
	f := o.trail.newForwarder(where, nodetest.Discard)
	f.again = 10 * time.Millisecond
	if change != nil {
		change(f)
	}
	last, err := f.sent() // what is written from now on is sent, though it may come before the first look
	nodetest.Must(o.t, errors.Join(err, f.keep(last)))
	ctx, cancel := context.WithCancel(o.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			o.t.Error(err)
		}
	}
}

func (o *office) publishes(subject string) {
	e := taxii.Event{Time: time.Now().UTC(), Name: taxii.EventPublish, User: "ann", Subject: subject, Count: 1}
	e.NameObjects([]string{"ipv4-addr--" + subject})
	o.trail.Record(e)
	o.trail.log.Flush()
}

// hash is that of the last record in the log.
func (o *office) hash() string {
	v, err := auditlog.Verify(o.t.Context(), o.dir)
	nodetest.Must(o.t, err)
	return v.Head
}

// said reads what a message says, and refuses one that tells which objects it is about.
func said(t *testing.T, message string) (fields struct {
	Event, User, Subject, Hash string
	Seq                        uint64
}) {
	t.Helper()
	if strings.Contains(message, "ipv4-addr--") || strings.Contains(message, "nonce") {
		t.Errorf("it tells %s", message)
	}
	nodetest.Must(t, json.Unmarshal([]byte(message), &fields))
	return fields
}

func gram(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	nodetest.Must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func nextGram(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	nodetest.Must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	data := make([]byte, 1<<16)
	n, err := conn.Read(data)
	nodetest.Must(t, err)
	return string(data[:n])
}

func TestTheAuditLogIsForwardedToThisMachinesSyslogAndJournald(t *testing.T) {
	o := newOffice(t)
	for _, kind := range []string{"syslog", "journald"} {
		socket := filepath.Join(t.TempDir(), "s")
		receiver := gram(t, socket)
		last, err := auditlog.Last(o.dir)
		nodetest.Must(t, err)
		o.from(last)
		stop := o.forwards(kind+"://"+socket, nil)
		o.publishes(kind)
		text := nextGram(t, receiver)
		message := text[strings.Index(text, "{"):]
		if kind == "journald" {
			message, _, _ = strings.Cut(message, "\n")
			if !strings.HasPrefix(text, "MESSAGE={") || !strings.Contains(text, "\nPRIORITY=6\n") || !strings.Contains(text, "\nSYSLOG_IDENTIFIER=slnode\n") {
				t.Errorf("journald gets %q", text)
			}
		} else if !strings.HasPrefix(text, "<86>") || !strings.Contains(text, " slnode["+strconv.Itoa(os.Getpid())+"]: {") {
			t.Errorf("syslog gets %q", text)
		}
		if got := said(t, message); got.Event != "publish" || got.User != "ann" || got.Subject != kind || got.Hash != o.hash() {
			t.Errorf("%s is told %+v, the log ends with %s", kind, got, o.hash())
		}
		stop()
	}
}

// from says which record was the last that was sent.
func (o *office) from(last uint64) {
	nodetest.Must(o.t, os.WriteFile(filepath.Join(auditlog.Path(o.dir), forwardedFile), strconv.AppendUint(nil, last, 10), 0o600))
}

func TestAReceiverThatIsAwayMissesNothingAndSlowsNothing(t *testing.T) {
	o := newOffice(t)
	socket := filepath.Join(t.TempDir(), "s")
	o.from(0)
	stop := o.forwards("syslog://"+socket, nil)
	const records = 500
	began := time.Now()
	for n := range records {
		o.publishes(strconv.Itoa(n))
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("writing took %v", took)
	}
	receiver := gram(t, socket)
	for n := range records / 2 {
		text := nextGram(t, receiver)
		if got := said(t, text[strings.Index(text, "{"):]); got.Subject != strconv.Itoa(n) || got.Seq != uint64(n+1) {
			t.Fatalf("as %d comes %+v", n, got)
		}
	}
	// It stops in the middle, with a receiver that takes nothing more, and goes on where it was.
	stop()
	last := uint64(records / 2)
	nodetest.Must(t, receiver.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	for data := make([]byte, 1<<16); ; last++ { // what it has not looked at yet
		if _, err := receiver.Read(data); err != nil {
			break
		}
	}
	nodetest.Must(t, receiver.Close())
	nodetest.Must(t, os.Remove(socket))
	receiver = gram(t, socket)
	stop = o.forwards("syslog://"+socket, nil)
	defer stop()
	for last < records {
		text := nextGram(t, receiver)
		got := said(t, text[strings.Index(text, "{"):])
		if got.Seq > last+1 {
			t.Fatalf("after %d comes %d", last, got.Seq)
		}
		last = got.Seq
	}
}

func TestTheAuditLogIsForwardedToASyslogServer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	certificates := server.TLS.Certificates
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()
	for _, kind := range []string{"tcp", "tls"} {
		o := newOffice(t)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		nodetest.Must(t, err)
		if kind == "tls" {
			listener = tls.NewListener(listener, &tls.Config{Certificates: certificates})
		}
		defer listener.Close()
		o.from(0)
		stop := o.forwards(kind+"://"+listener.Addr().String(), func(f *forwarder) { f.roots = &tls.Config{RootCAs: roots} })
		o.publishes("first")
		conn, err := listener.Accept()
		nodetest.Must(t, err)
		nodetest.Must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		in := bufio.NewReader(conn)
		for n, want := range []string{"first", "second"} {
			if n == 1 {
				o.publishes(want)
			}
			length, err := in.ReadString(' ')
			nodetest.Must(t, err)
			size, err := strconv.Atoi(strings.TrimSpace(length))
			nodetest.Must(t, err)
			text := make([]byte, size)
			_, err = io.ReadFull(in, text)
			nodetest.Must(t, err)
			if got := said(t, string(text)[strings.Index(string(text), "{"):]); got.Subject != want || !strings.HasPrefix(string(text), "<86>1 20") {
				t.Errorf("%s: it gets %s", kind, text)
			}
		}
		stop()
	}
}
