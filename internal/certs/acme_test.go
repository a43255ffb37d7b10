package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/serviceledger/slnode/internal/waiting"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

// certified is a TAXII server with certificates of an authority, and the authority.
type certified struct {
	*acmeAuthority
	acme    *ACME
	problem condition
	dir     string // of the repository
	config  config.Config
	address string
}

// condition remembers what it was told.
type condition struct {
	mu              sync.Mutex
	problem, detail string
}

func (c *condition) Set(problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.problem, c.detail = problem, detail
}

func (c *condition) Clear() { c.Set("", "") }

func (c *condition) get() (problem, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem, c.detail
}

func (c *condition) is(problem string) bool {
	now, _ := c.get()
	return now == problem
}

const acmeName = "taxii.acme.example"

// startCertified starts both. With the TLS challenge nothing answers the HTTP one, and the other way round.
func startCertified(t *testing.T, overHTTP bool, lifetime time.Duration, prepare func(*acmeAuthority)) *certified {
	t.Helper()
	listen := func() (net.Listener, int) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return listener, listener.Addr().(*net.TCPAddr).Port
	}
	clients, tlsPort := listen()
	challenges, httpPort := listen()
	s := &certified{dir: t.TempDir(), config: tlsConfig(config.TLSACME), address: clients.Addr().String()}
	if overHTTP {
		s.acmeAuthority = startAuthority(t, httpPort, 1, lifetime)
		s.config.TAXII.ACMEListen = challenges.Addr().String()
	} else {
		s.acmeAuthority = startAuthority(t, 1, tlsPort, lifetime)
	}
	if prepare != nil {
		prepare(s.acmeAuthority)
	}
	pemFile := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(s.dir, "authority.pem"), pemFile, 0o600); err != nil {
		t.Fatal(err)
	}
	s.config.TAXII.TLSNames, s.config.TAXII.ACMEEmail = []string{acmeName, "other.acme.example"}, "soc@acme.example"
	s.config.TAXII.ACMEDirectory, s.config.TAXII.ACMECA = s.URL+wfe.DirectoryPath, "authority.pem"
	secure, err := Open(s.config, s.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.acme = secure.Acme
	s.acme.retry = 50 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	if (secure.Challenges != nil) != overHTTP {
		t.Fatalf("the HTTP challenge is answered: %t", secure.Challenges != nil)
	}
	web := taxii.NewServer(http.NotFoundHandler(), secure.Config, slog.New(slog.DiscardHandler))
	answers := taxii.NewServer(secure.Challenges, nil, slog.New(slog.DiscardHandler))
	running.Go(func() { _ = web.ServeTLS(clients, "", "") })
	if overHTTP {
		running.Go(func() { _ = answers.Serve(challenges) })
	} else {
		_ = challenges.Close()
	}
	running.Go(func() { _ = s.acme.Run(ctx, &s.problem) })
	t.Cleanup(func() {
		stop()
		_, _ = web.Close(), answers.Close()
		running.Wait()
	})
	return s
}

// shown connects as a client that trusts the authority, and gives the certificate that it is shown.
func (s *certified) shown(name string, change func(*tls.Config)) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AddCert(s.issuer.GetRootCert(0).Cert)
	client := &tls.Config{RootCAs: roots, ServerName: name}
	if change != nil {
		change(client)
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.address, client)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// await waits until there is a certificate that clients believe for both names.
func (s *certified) await(t *testing.T) *x509.Certificate {
	t.Helper()
	var leaf *x509.Certificate
	waitFor(t, "the certificate", func() bool {
		_, err := s.shown("other.acme.example", nil)
		if err != nil {
			return false
		}
		leaf, err = s.shown(acmeName, nil)
		return err == nil
	})
	return leaf
}

// waitFor waits until something is true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	waiting.Until(t, what, is)
}

func TestACertificateIsGotFromAnACMEAuthority(t *testing.T) {
	for name, overHTTP := range map[string]bool{"by the TLS challenge": false, "by the HTTP challenge": true} {
		t.Run(name, func(t *testing.T) {
			s := startCertified(t, overHTTP, 90*24*time.Hour, nil)
			leaf := s.await(t)
			if problem, detail := s.problem.get(); problem != "" {
				t.Errorf("the condition is %s: %s", problem, detail)
			}
			for what, change := range map[string]func(*tls.Config){
				"TLS 1.3 alone": func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
				"TLS 1.2":       func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
				"no name":       func(c *tls.Config) { c.InsecureSkipVerify, c.ServerName = true, "" },
			} {
				if same, err := s.shown(acmeName, change); err != nil || !same.Equal(leaf) {
					t.Errorf("%s: another certificate, or none: %v", what, err)
				}
			}
			if _, err := s.shown("evil.example", nil); err == nil {
				t.Error("the certificate is for a name that was not configured")
			}
			for _, file := range []string{acmeAccountFile, acmeCertificateFile} {
				info, err := os.Stat(filepath.Join(s.acme.folder, file))
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", file, info, err)
				}
			}
			if _, err := s.acme.challenges.certificate(acmeName); err == nil {
				t.Error("a challenge is left over")
			}
		})
	}
}

func TestACertificateOfAnACMEAuthorityIsKept(t *testing.T) {
	s := startCertified(t, false, 90*24*time.Hour, nil)
	leaf := s.await(t)
	again := func() *ACME {
		secure, err := Open(s.config, s.dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return secure.Acme
	}
	kept := again()
	if c, err := kept.get(&tls.ClientHelloInfo{}); err != nil || !c.Leaf.Equal(leaf) || kept.untilDue(t.Context()) < 50*24*time.Hour {
		t.Errorf("after a restart it is another one, or due: %v", err)
	}
	s.config.TAXII.TLSNames = []string{acmeName, "new.acme.example"}
	if again().untilDue(t.Context()) > 0 {
		t.Error("a certificate without one of the names will do")
	}
	s.config.TAXII.TLSNames = []string{acmeName}
	if again().untilDue(t.Context()) <= 0 {
		t.Error("a certificate with one name more won't do")
	}
	s.config.TAXII.ACMEDirectory = "https://acme.example/directory"
	if again().untilDue(t.Context()) > 0 {
		t.Error("the certificate of another authority will do")
	}
}

func TestACertificateIsGotWhenTheACMEAuthorityComesBack(t *testing.T) {
	s := startCertified(t, false, 90*24*time.Hour, func(a *acmeAuthority) { a.away.Store(true) })
	waitFor(t, "the condition", func() bool { return s.problem.is("authority") })
	if _, err := s.shown(acmeName, nil); err == nil {
		t.Fatal("there is a certificate without an authority")
	}
	s.away.Store(false)
	s.await(t)
	waitFor(t, "the end of the condition", func() bool { return s.problem.is("") })
}

func TestAnACMEAuthorityThatRefusesIsAskedLessAndLess(t *testing.T) {
	s := startCertified(t, false, 90*24*time.Hour, func(a *acmeAuthority) {
		if err := a.names.AddBlockedDomain(acmeName); err != nil {
			t.Fatal(err)
		}
	})
	waitFor(t, "the condition", func() bool { return s.problem.is("refused") })
	if _, detail := s.problem.get(); !strings.Contains(detail, acmeName) || !strings.Contains(detail, "rejectedIdentifier") {
		t.Errorf("the detail is %q", detail)
	}
	waitFor(t, "some orders", func() bool { return s.orders.Load() >= 5 }) // half of each pause is random
	began := time.Now()
	if _, err := s.shown(acmeName, nil); err == nil {
		t.Fatal("a certificate was refused, and is there")
	}
	orders := s.orders.Load()
	waitFor(t, "two more orders", func() bool { return s.orders.Load() >= orders+2 })
	if took := time.Since(began); took < 8*s.acme.retry {
		t.Errorf("two orders took %s: the pause doesn't grow", took)
	}
}

func TestACertificateOfAnACMEAuthorityIsRenewed(t *testing.T) {
	s := startCertified(t, false, 6*time.Second, nil)
	first := s.await(t)
	waitFor(t, "another certificate", func() bool {
		leaf, err := s.shown(acmeName, nil)
		return err == nil && !leaf.Equal(first)
	})
	// What can't be renewed is shown on. Whether it is too old is for clients to say.
	s.away.Store(true)
	waitFor(t, "the condition", func() bool { return s.problem.is("authority") })
	valid := func() time.Time { return s.acme.current.Load().Leaf.NotBefore }
	if _, err := s.shown(acmeName, func(c *tls.Config) { c.Time = valid }); err != nil {
		t.Error(err)
	}
}

func TestACertificateIsRenewedByAnAuthorityThatForgotIt(t *testing.T) {
	s := startCertified(t, false, 6*time.Second, func(a *acmeAuthority) { a.forgetful.Store(true) })
	first := s.await(t)
	waitFor(t, "another certificate", func() bool {
		leaf, err := s.shown(acmeName, nil)
		return err == nil && !leaf.Equal(first)
	})
	if s.forgotten.Load() == 0 {
		t.Error("no order said what it replaces")
	}
}

// As where it has to revoke many: RFC 9773.
func TestACertificateIsRenewedWhenTheACMEAuthorityWantsIt(t *testing.T) {
	s := startCertified(t, false, 90*24*time.Hour, nil)
	first := s.await(t)
	for first.SerialNumber.Bytes()[0] >= 0x80 { // Pebble doesn't know such a number again, one in 256
		first = s.renewedAtWish(t, first)
	}
	order, err := s.names.GetOrderByIssuedSerial(hex.EncodeToString(first.SerialNumber.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	orders := len(s.names.GetOrdersByAccountID(order.AccountID))
	s.renewedAtWish(t, first)
	// The authority is told what is replaced, so that it does not count as one more.
	waitFor(t, "the authority's note of it", func() bool {
		order.RLock()
		defer order.RUnlock()
		return order.IsReplaced
	})
	if now := len(s.names.GetOrdersByAccountID(order.AccountID)); now != orders+1 {
		t.Errorf("%d orders, want one more than %d", now, orders)
	}
	if contact := s.names.GetAccountByID(order.AccountID).Contact; len(contact) != 1 || contact[0] != "mailto:soc@acme.example" {
		t.Errorf("the account is of %q", contact)
	}
}

// renewedAtWish has the authority want a certificate renewed, and gives the one after it.
func (s *certified) renewedAtWish(t *testing.T, first *x509.Certificate) (next *x509.Certificate) {
	t.Helper()
	at := time.Now().Add(-time.Hour).UTC()
	window := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q}}`, at.Add(-time.Hour).Format(time.RFC3339), at.Format(time.RFC3339))
	if err := s.names.SetARIResponse(first.SerialNumber, window); err != nil {
		t.Fatal(err)
	}
	s.acme.Again.Notify() // rather than to wait until it is asked next
	waitFor(t, "another certificate", func() bool {
		leaf, err := s.shown(acmeName, nil)
		next = leaf
		return err == nil && !leaf.Equal(first)
	})
	return next
}

func TestABuildWithAnUnsafeGoIsWarnedOf(t *testing.T) {
	for built, warned := range map[string]bool{"go1.26.8": true, "go1.26.10": false, "go1.27.3": false, "devel go1.28-abc": false} {
		var log strings.Builder
		warnOfToolchain(built, slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), built) != warned {
			t.Errorf("%s: %q", built, &log)
		}
	}
}

func TestAnACMEAuthoritySendsNobodyElsewhere(t *testing.T) {
	var asked atomic.Int32
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	s := startCertified(t, false, time.Hour, func(a *acmeAuthority) { a.elsewhere.Store(&elsewhere.URL) })
	if err := s.acme.obtain(t.Context()); err == nil || asked.Load() > 0 {
		t.Errorf("the error is %v, and elsewhere was asked %d times", err, asked.Load())
	}
}

func TestAnACMEAuthorityIsBelievedOnlyByItsOwnCertificate(t *testing.T) {
	s := startCertified(t, false, time.Hour, nil)
	s.config.TAXII.ACMECA = ""
	secure, err := Open(s.config, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var unknown *tls.CertificateVerificationError
	if err := secure.Acme.obtain(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("the error is %v", err)
	}
	s.config.TAXII.ACMECA = "absent.pem"
	if _, err := Open(s.config, s.dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file that is not there will do")
	}
}
