// Package certs gives the HTTPS for TAXII clients its certificate: from files, from an ACME authority, or made here.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/repo/config"
)

// TLS is how TAXII clients are served.
type TLS struct {
	Config      *tls.Config  // nil: plain HTTP
	Fingerprint string       // SHA-256 of a certificate that clients must be told to trust
	Challenges  http.Handler // answers an ACME authority on plain HTTP, or is nil
	Acme        *ACME
	Files       *Files
}

// Shown is the certificate that clients are shown now; nil if there is none.
func (t TLS) Shown() *x509.Certificate {
	var shown *tls.Certificate
	switch {
	case t.Acme != nil:
		shown = t.Acme.current.Load()
	case t.Files != nil:
		shown, _ = t.Files.get(nil) // which gives the old one rather than fail
	case t.Config != nil && len(t.Config.Certificates) > 0:
		shown = &t.Config.Certificates[0]
	}
	if shown == nil {
		return nil
	}
	return shown.Leaf
}

// ErrFiles means that the files of a certificate can't be used until they, or the configuration, are put right.
var ErrFiles = errors.New("correct taxii.tls_certificate and taxii.tls_key, or the files that they name")

// Open makes what the configuration says. Every certificate is presented to every client; client certificates are
// asked for and not verified by a chain: those that count are known by their fingerprints.
func Open(c config.Config, dir string, log *slog.Logger) (TLS, error) {
	t, err := certificates(c, dir, log)
	if err != nil {
		return t, fmt.Errorf("HTTPS for TAXII clients (taxii.tls = %q): %w", c.TAXII.TLS, err)
	}
	if t.Config != nil {
		t.Config.ClientAuth = tls.RequestClientCert
		warnOfToolchain(runtime.Version(), log)
	}
	return t, nil
}

func certificates(c config.Config, dir string, log *slog.Logger) (TLS, error) {
	within := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	switch c.TAXII.TLS {
	case config.TLSFiles:
		files := &Files{certificate: within(c.TAXII.TLSCertificate), key: within(c.TAXII.TLSKey), now: time.Now, log: log}
		if err := files.load(); err != nil {
			return TLS{}, fmt.Errorf("%s and %s: %w: %w", files.certificate, files.key, err, ErrFiles)
		}
		return TLS{Config: &tls.Config{GetCertificate: files.get}, Files: files}, nil
	case config.TLSSelfSigned:
		certificate, err := selfSigned(filepath.Join(dir, "tls"), SelfSignedNames(c), time.Now())
		if err != nil {
			return TLS{}, err
		}
		sum := sha256.Sum256(certificate.Certificate[0])
		return TLS{Config: &tls.Config{Certificates: []tls.Certificate{certificate}}, Fingerprint: fmt.Sprintf("%x", sum)}, nil
	case config.TLSACME:
		var authorities *x509.CertPool // nil: the system's
		if path := c.TAXII.ACMECA; path != "" {
			var err error
			if authorities, err = readAuthorities(within(path)); err != nil {
				return TLS{}, fmt.Errorf("acme_ca: %w", err)
			}
		}
		certificate, err := newACMECertificate(c, dir, authorities, log)
		if err != nil {
			return TLS{}, err
		}
		secure := TLS{Config: certificate.tlsConfig(), Acme: certificate}
		if c.TAXII.ACMEListen != "" {
			secure.Challenges = certificate.challenges
		}
		return secure, nil
	}
	return TLS{}, nil
}

// Files is a certificate and its key in two files, which something else renews.
type Files struct {
	certificate, key string
	now              func() time.Time
	log              *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	written [2]time.Time // when the files were written that are loaded
	looked  time.Time
}

// readEvery is how often the files are looked at, at most.
const readEvery = 10 * time.Second

func (f *Files) times() (t [2]time.Time, err error) {
	for i, path := range []string{f.certificate, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

// load reads the files. The lock is held, or nobody else has the value yet.
func (f *Files) load() error {
	written, err := f.times()
	if err != nil {
		return err
	}
	f.looked = f.now()
	if f.loaded != nil && written == f.written {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return err
	}
	f.loaded, f.written = &certificate, written
	return nil
}

// Reload reads the files now, whenever they were written.
func (f *Files) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = [2]time.Time{}
	return f.load()
}

// get gives the certificate that is there now. While new files don't fit together, as when only one of them is
// written yet, the old certificate is given.
func (f *Files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now().Sub(f.looked) >= readEvery {
		f.looked = f.now()
		if err := f.load(); err != nil {
			f.log.Warn("the certificate for TAXII clients can't be read again; the old one is used", "error", err)
		}
	}
	return f.loaded, nil
}

// SelfSignedNames are the names that a self-signed certificate is for: the configured ones, the address that is
// listened on, and this machine's.
func SelfSignedNames(c config.Config) []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.TAXII.TLSNames...)
	if host, _, err := net.SplitHostPort(c.TAXII.Listen); err == nil && host != "" && !net.ParseIP(host).IsUnspecified() {
		names = append(names, host)
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

const (
	selfSignedFor   = 5 * 365 * 24 * time.Hour
	selfSignedRenew = 30 * 24 * time.Hour // before its end
)

// selfSigned gives the certificate in a folder. Another one, with another fingerprint, is made only if there is none,
// or it ends soon, or it isn't for all of the names.
func selfSigned(folder string, names []string, now time.Time) (tls.Certificate, error) {
	certPath, keyPath := filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	certificate, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err == nil && certificate.Leaf.NotAfter.After(now.Add(selfSignedRenew)) && !slices.ContainsFunc(names, func(name string) bool {
		return certificate.Leaf.VerifyHostname(name) != nil
	}) {
		return certificate, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, err
	}
	certPEM, keyPEM, err := makeSelfSigned(names, now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return tls.Certificate{}, err
	}
	// The certificate comes last: should the machine stop in between, the next start makes both again.
	err = errors.Join(os.RemoveAll(certPath), disk.WriteFile(keyPath, keyPEM), disk.WriteFile(certPath, certPEM))
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

func makeSelfSigned(names []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "slnode"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, // so that clients can be given it as an authority
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// Colons writes a fingerprint as clients show it.
func Colons(fingerprint string) string {
	var parts []string
	for pair := range slices.Chunk([]byte(strings.ToUpper(fingerprint)), 2) {
		parts = append(parts, string(pair))
	}
	return strings.Join(parts, ":")
}
