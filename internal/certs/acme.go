package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/serviceledger/slnode/internal/disk"
	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/signal"
	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/repo/config"
)

const (
	acmeRetry     = 2 * time.Minute // after a failure; doubles each time if the authority refuses
	acmeRetryMost = time.Hour       // authorities allow some five failures an hour
	acmeTimeout   = 30 * time.Second
)

// ACME is a certificate from an ACME authority (RFC 8555) for all names of the node. It is got in the background when
// the node starts, and again when a third of its lifetime is left, or when the authority wants it. Clients never wait
// for the authority: they are shown what is there.
type ACME struct {
	names      []string
	email      string
	folder     string
	client     acmez.Client
	challenges *acmeChallenges
	retry      time.Duration
	log        *slog.Logger
	Again      signal.Signal // the authority is to be asked now

	current atomic.Pointer[tls.Certificate] // nil until there is one
	renewal renewal                         // Run's alone
}

// The files in the folder.
const (
	acmeAccountFile     = "account.pem"     // the key of the account at the authority
	acmeCertificateFile = "certificate.pem" // the certificate's key, the certificate and what leads up to the authority
)

// newACMECertificate reads what is on the disk already.
func newACMECertificate(c config.Config, dir string, authorities *x509.CertPool, log *slog.Logger) (*ACME, error) {
	directory, err := url.Parse(c.TAXII.ACMEDirectory)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: authorities}
	challenges := &acmeChallenges{byName: map[string]*tls.Certificate{}, byPath: map[string]string{}}
	a := &ACME{
		names: c.TAXII.TLSNames, email: c.TAXII.ACMEEmail,
		// A folder for each authority: after trials with another one its certificate must not be shown on.
		folder: filepath.Join(dir, "acme", directory.Host), challenges: challenges, retry: acmeRetry,
		log: log,
		client: acmez.Client{
			Client: &acme.Client{
				Directory: directory.String(), UserAgent: version.UserAgent(), HTTPClient: &http.Client{
					Transport: transport, Timeout: acmeTimeout,
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the authority is who was configured
				},
			},
			ChallengeSolvers: map[string]acmez.Solver{acme.ChallengeTypeTLSALPN01: byTLS{challenges}},
		},
	}
	if c.TAXII.ACMEListen != "" {
		a.client.ChallengeSolvers[acme.ChallengeTypeHTTP01] = byHTTP{challenges}
	}
	text, err := os.ReadFile(filepath.Join(a.folder, acmeCertificateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if err := a.use(text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(a.folder, acmeCertificateFile), err)
	}
	return a, nil
}

// readAuthorities reads certificates in PEM.
func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// use shows clients a certificate from now on, unless it isn't for all of the names.
func (a *ACME) use(text []byte) error {
	certificate, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	for _, name := range a.names {
		if certificate.Leaf.VerifyHostname(name) != nil {
			return nil // the configuration was changed
		}
	}
	a.current.Store(&certificate)
	return nil
}

// tlsConfig serves clients, and the authority's TLS challenge on the same port.
func (a *ACME) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: a.get, NextProtos: []string{"h2", "http/1.1", acmez.ACMETLS1Protocol}}
}

// get gives the challenge's certificate to the authority and the real one to everybody else.
func (a *ACME) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Contains(hello.SupportedProtos, acmez.ACMETLS1Protocol) {
		return a.challenges.certificate(hello.ServerName)
	}
	if certificate := a.current.Load(); certificate != nil {
		return certificate, nil
	}
	return nil, errors.New("the ACME authority has not given a certificate yet")
}

// Condition is told what keeps the authority from giving a certificate.
type Condition interface {
	Set(problem, detail string)
	Clear()
}

// Run gets the certificate and renews it, until the context ends.
func (a *ACME) Run(ctx context.Context, condition Condition) error {
	for failures := 0; ; {
		again := a.Again.Changed()
		wait := a.untilDue(ctx)
		if wait <= 0 {
			err := a.obtain(ctx)
			var refused acme.Problem
			switch {
			case ctx.Err() != nil:
				return nil
			case err == nil:
				failures = 0
				condition.Clear()
				continue
			case errors.As(err, &refused):
				wait = retry.Backoff{First: a.retry, Most: acmeRetryMost}.After(failures)
				failures++
				a.renewal.disputed = true
				condition.Set("refused", err.Error())
			default:
				wait = a.retry
				condition.Set("authority", err.Error())
			}
		}
		timer := time.NewTimer(min(wait, acmeRetryMost)) // it stands still while the machine sleeps
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-again:
			timer.Stop()
			failures, a.renewal = 0, renewal{}
		case <-timer.C:
		}
	}
}

// obtain asks the authority for a certificate with a new key. The error wraps an acme.Problem if the authority refuses.
func (a *ACME) obtain(ctx context.Context) error {
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		return err
	}
	account, err := a.account(ctx)
	if err != nil {
		return fmt.Errorf("the account at %s: %w", a.client.Directory, err)
	}
	key, keyPEM, err := makeKey()
	if err != nil {
		return err
	}
	chains, err := a.order(ctx, account, key)
	if err != nil {
		return fmt.Errorf("a certificate of %s: %w", a.client.Directory, err)
	}
	text := slices.Concat(keyPEM, chains[0].ChainPEM) // the first chain is the one that the authority prefers
	if err := disk.WriteFile(filepath.Join(a.folder, acmeCertificateFile), text); err != nil {
		return err
	}
	before := a.current.Load()
	if err := a.use(text); err != nil {
		return fmt.Errorf("the certificate of %s: %w", a.client.Directory, err)
	}
	now := a.current.Load()
	if now == before {
		return fmt.Errorf("the certificate of %s is not for %v", a.client.Directory, a.names)
	}
	a.log.Info("an ACME authority gave a certificate for TAXII clients", "names", a.names, "issuer", now.Leaf.Issuer, "until", now.Leaf.NotAfter)
	return nil
}

// order orders the certificate. An authority that tells when to renew is told what is replaced, too, unless it refused
// that: a certificate matters more than whether it counts as one more.
func (a *ACME) order(ctx context.Context, account acme.Account, key crypto.Signer) ([]acme.Certificate, error) {
	request, err := acmez.NewCSR(key, a.names)
	if err != nil {
		return nil, err
	}
	order, err := acmez.OrderParametersFromCSR(account, request)
	if err != nil {
		return nil, err
	}
	if !a.renewal.at.IsZero() && !a.renewal.disputed {
		order.Replaces = a.renewal.of
	}
	return a.client.ObtainCertificate(ctx, order)
}

// account makes an account at the authority, which gives the one that belongs to the key if there is one.
func (a *ACME) account(ctx context.Context) (acme.Account, error) {
	path := filepath.Join(a.folder, acmeAccountFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, text, err = makeKey(); err == nil {
			err = disk.WriteFile(path, text)
		}
	}
	if err != nil {
		return acme.Account{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return acme.Account{}, fmt.Errorf("%s holds no key in PEM", path)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return acme.Account{}, fmt.Errorf("%s: %w", path, err)
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if a.email != "" {
		account.Contact = []string{"mailto:" + a.email}
	}
	return a.client.NewAccount(ctx, account)
}

func makeKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// acmeChallenges are the authority's questions that wait to be asked, and their answers.
type acmeChallenges struct {
	mu     sync.RWMutex
	byName map[string]*tls.Certificate // tls-alpn-01 (RFC 8737)
	byPath map[string]string           // http-01 (RFC 8555, section 8.3)
}

func (c *acmeChallenges) certificate(name string) (*tls.Certificate, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if certificate := c.byName[name]; certificate != nil {
		return certificate, nil
	}
	return nil, fmt.Errorf("no ACME challenge for %.255q is expected", name)
}

// ServeHTTP answers the HTTP challenge, and nothing else.
func (c *acmeChallenges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.RLock()
	answer, expected := c.byPath[r.URL.Path]
	c.mu.RUnlock()
	if !expected {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, answer) // the authority has gone
}

// byTLS and byHTTP hand challenges over to where they are answered.
type (
	byTLS  struct{ *acmeChallenges }
	byHTTP struct{ *acmeChallenges }
)

func (c byTLS) Present(_ context.Context, challenge acme.Challenge) error {
	certificate, err := acmez.TLSALPN01ChallengeCert(challenge)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[challenge.Identifier.Value] = certificate
	return nil
}

func (c byTLS) CleanUp(_ context.Context, challenge acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, challenge.Identifier.Value)
	return nil
}

func (c byHTTP) Present(_ context.Context, challenge acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byPath[challenge.HTTP01ResourcePath()] = challenge.KeyAuthorization
	return nil
}

func (c byHTTP) CleanUp(_ context.Context, challenge acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byPath, challenge.HTTP01ResourcePath())
	return nil
}
