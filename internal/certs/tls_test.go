package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/taxii"
)

func writeCertificate(t *testing.T, folder string, names ...string) (certificate, key string) {
	t.Helper()
	certPEM, keyPEM, err := makeSelfSigned(names, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	if err := errors.Join(os.WriteFile(certificate, certPEM, 0o600), os.WriteFile(key, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func tlsConfig(kind string) config.Config {
	c := config.Default()
	c.TAXII.TLS = kind
	return c
}

// handshake connects to a server with the configuration and returns the certificate that it shows.
func handshake(t *testing.T, server *tls.Config, client *tls.Config) (*x509.Certificate, tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := taxii.NewServer(http.NotFoundHandler(), server, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() { defer close(done); _ = web.ServeTLS(listener, "", "") }()
	defer func() { _ = web.Close(); <-done }()
	client = client.Clone()
	client.InsecureSkipVerify = true // the test looks at the certificate itself
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return nil, tls.ConnectionState{}, err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	return state.PeerCertificates[0], state, nil
}

func TestASelfSignedCertificateStaysTheSame(t *testing.T) {
	dir := t.TempDir()
	c := tlsConfig(config.TLSSelfSigned)
	c.TAXII.TLSNames = []string{"taxii.acme.example", "192.0.2.1"}
	first, err := Open(c, dir, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	shown, state, err := handshake(t, first.Config, &tls.Config{})
	if err != nil || state.Version != tls.VersionTLS13 {
		t.Fatalf("version %x, %v", state.Version, err)
	}
	for _, name := range []string{"taxii.acme.example", "192.0.2.1", "localhost", "127.0.0.1", "::1"} {
		if err := shown.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	again, err := Open(c, dir, slog.Default())
	if err != nil || again.Fingerprint != first.Fingerprint || len(first.Fingerprint) != 64 {
		t.Errorf("after a restart: %v, %v", again.Fingerprint, err)
	}
	c.TAXII.TLSNames = append(c.TAXII.TLSNames, "other.example")
	other, err := Open(c, dir, slog.Default())
	if err != nil || other.Fingerprint == first.Fingerprint {
		t.Errorf("for another name: %v, %v", other.Fingerprint, err)
	}
	info, err := os.Stat(filepath.Join(dir, "tls", "key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	if _, err := selfSigned(filepath.Join(dir, "tls"), nil, time.Now().Add(selfSignedFor)); err != nil {
		t.Error(err)
	}
	if late, err := Open(c, dir, slog.Default()); err != nil || late.Fingerprint == other.Fingerprint {
		t.Errorf("one that ends soon is kept: %v", err)
	}
}

// TAXII 2.1 section 8.2.2: TLS 1.2 is accepted, older ones are not, nor what RFC 7540 rules out.
func TestTheVersionsAndSuitesOfTLS(t *testing.T) {
	secure, err := Open(tlsConfig(config.TLSSelfSigned), t.TempDir(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if _, state, err := handshake(t, secure.Config, &tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || state.Version != tls.VersionTLS12 {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, _, err := handshake(t, secure.Config, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	cbc := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	if _, _, err := handshake(t, secure.Config, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: cbc}); err == nil {
		t.Error("a CBC suite is accepted")
	}
	// Clients are asked for a certificate, and need none.
	asked := false
	_, _, err = handshake(t, secure.Config, &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return &tls.Certificate{}, nil
	}})
	if err != nil || !asked {
		t.Errorf("asked for a certificate: %v, %v", asked, err)
	}
}

func TestCertificateFilesAreReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	certificate, key := writeCertificate(t, dir, "one.example")
	clock := time.Now()
	var log bytes.Buffer
	files := &Files{certificate: certificate, key: key, now: func() time.Time { return clock }, log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := files.load(); err != nil {
		t.Fatal(err)
	}
	shows := func(name string) {
		t.Helper()
		c, err := files.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	renew := func(name string) {
		t.Helper()
		writeCertificate(t, dir, name)
		clock = clock.Add(readEvery)
		for _, path := range []string{certificate, key} {
			if err := os.Chtimes(path, clock, clock); err != nil {
				t.Fatal(err)
			}
		}
	}
	shows("one.example")
	renew("two.example")
	shows("two.example")
	renew("three.example")
	if err := os.WriteFile(key, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows("two.example")
	if !bytes.Contains(log.Bytes(), []byte("can't be read again")) {
		t.Errorf("the log says %s", &log)
	}
	renew("four.example")
	shows("four.example")
}

func TestHTTPSNeedsWhatItIsMadeOf(t *testing.T) {
	c := tlsConfig(config.TLSFiles)
	c.TAXII.TLSCertificate, c.TAXII.TLSKey = "cert.pem", "key.pem"
	refused := func(what, dir string) {
		t.Helper()
		if _, err := Open(c, dir, slog.Default()); !errors.Is(err, ErrFiles) || !strings.Contains(err.Error(), filepath.Join(dir, "key.pem")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("files that are not there", t.TempDir())
	other := t.TempDir()
	_, key := writeCertificate(t, other, "one.example")
	one, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, other, "two.example")
	if err := os.WriteFile(key, one, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a key that does not fit", other)
	if err := os.WriteFile(key, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a key that is none", other)
	dir := t.TempDir()
	writeCertificate(t, dir, "one.example") // names are relative to the repository
	if secure, err := Open(c, dir, slog.Default()); err != nil || secure.Config == nil {
		t.Error(err)
	}
	if secure, err := Open(tlsConfig(config.TLSOff), dir, slog.Default()); err != nil || secure.Config != nil {
		t.Errorf("off: %+v, %v", secure, err)
	}
}
