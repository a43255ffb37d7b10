package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/serviceledger/slnode/repo/config"
)

// oracle is an authority that does no more than to say when it wants certificates to be renewed.
type oracle struct {
	*httptest.Server
	silent     bool // it says nothing of renewals
	start, end time.Time
	retryAfter string
	asked      int
	held       chan struct{} // gets something when it is asked for more, which it never answers; nil: it does
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/directory" {
			where := fmt.Sprintf(`,"renewalInfo":"%s/renewal"`, o.URL)
			if o.silent {
				where = ""
			}
			fmt.Fprintf(w, `{"newNonce":"%s/nonce","newOrder":"%s/order"%s}`, o.URL, o.URL, where)
			return
		}
		if o.held != nil {
			o.held <- struct{}{}
			<-r.Context().Done()
			return
		}
		o.asked++
		if o.retryAfter != "" {
			w.Header().Set("Retry-After", o.retryAfter)
		}
		fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q}}`, o.start.UTC().Format(time.RFC3339), o.end.UTC().Format(time.RFC3339))
	}))
	t.Cleanup(o.Close)
	return o
}

// acme is a certificate of this authority that is not there yet.
func (o *oracle) acme(t *testing.T, change func(*config.Config)) *ACME {
	t.Helper()
	c, dir := tlsConfig(config.TLSACME), t.TempDir()
	c.TAXII.TLSNames, c.TAXII.ACMEDirectory, c.TAXII.ACMECA = []string{acmeName}, o.URL+"/directory", "authority.pem"
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "authority.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	secure, err := Open(c, dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return secure.Acme
}

// issued is a certificate and its key, in one text.
func issued(t *testing.T, from, to time.Time, names ...string) []byte {
	t.Helper()
	key, keyPEM, err := makeKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1 << 40), NotBefore: from, NotAfter: to, DNSNames: names, AuthorityKeyId: []byte("the authority's key")}
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(keyPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func (a *ACME) shows(t *testing.T, from, to time.Time) *x509.Certificate {
	t.Helper()
	if err := a.use(issued(t, from, to, acmeName)); err != nil {
		t.Fatal(err)
	}
	return a.current.Load().Leaf
}

const day = 24 * time.Hour

func near(got, want time.Time) bool { return got.Sub(want).Abs() < 30*time.Second }

func TestACertificateIsDueWhenAThirdOfItsTimeIsLeftOrEarlierIfItsAuthorityWants(t *testing.T) {
	o := newOracle(t)
	o.silent = true
	a := o.acme(t, nil)
	if due := a.untilDue(t.Context()); due != 0 {
		t.Errorf("one that is not there is due in %s", due)
	}
	now := time.Now()
	a.shows(t, now.Add(-10*day), now.Add(80*day))
	if due := now.Add(a.untilDue(t.Context())); !near(due, now.Add(50*day)) {
		t.Errorf("due at %s", due)
	}
	o = newOracle(t)
	o.start, o.end = now.Add(20*day), now.Add(20*day+time.Minute)
	a = o.acme(t, nil)
	a.shows(t, now.Add(-10*day), now.Add(80*day))
	if due := now.Add(a.untilDue(t.Context())); due.Before(o.start.Add(-time.Second)) || due.After(o.end) {
		t.Errorf("wanted at %s, due at %s", o.start, due)
	}
	o.start, o.end = now.Add(60*day), now.Add(61*day) // it is not asked to wait any longer
	a.renewal = renewal{}
	if due := now.Add(a.untilDue(t.Context())); !near(due, now.Add(50*day)) {
		t.Errorf("wanted at %s, due at %s", o.start, due)
	}
}

func TestAnAuthorityIsAskedForItsWishesAsOftenAsItSaysWithinBounds(t *testing.T) {
	o := newOracle(t)
	now := time.Now()
	o.start, o.end = now.Add(20*day), now.Add(21*day)
	for retryAfter, want := range map[string]time.Duration{"": time.Hour, "1": time.Minute, "60": time.Minute, "7200": 2 * time.Hour, "86400": day, "999999": day} {
		o.retryAfter = retryAfter
		a := o.acme(t, nil)
		leaf := a.shows(t, now, now.Add(90*day))
		o.asked = 0
		at := a.wanted(t.Context(), leaf)
		if at.Before(o.start.Add(-time.Second)) || at.After(o.end) || !near(a.renewal.askAgain, now.Add(want)) || a.renewal.of != leaf {
			t.Errorf("Retry-After %q: it wants %s, asked again in %s", retryAfter, at, a.renewal.askAgain.Sub(now))
		}
		if again := a.wanted(t.Context(), leaf); !again.Equal(at) || o.asked != 1 {
			t.Errorf("asked %d times: %s, then %s", o.asked, at, again)
		}
		a.renewal.askAgain = time.Now() // its time has come
		if again := a.wanted(t.Context(), leaf); !again.Equal(at) || o.asked != 2 {
			t.Errorf("in one window it wants %s and %s, asked %d times", at, again, o.asked)
		}
		other := a.shows(t, now, now.Add(90*day))
		if a.wanted(t.Context(), other); o.asked != 3 || a.renewal.of != other {
			t.Errorf("another certificate's wish is taken for its own: asked %d times", o.asked)
		}
	}
}

func TestAMomentIsDrawnAnewWhereTheWindowIsAnother(t *testing.T) {
	o := newOracle(t)
	a := o.acme(t, nil)
	now := time.Now()
	leaf := a.shows(t, now, now.Add(90*day))
	for _, from := range []time.Duration{20 * day, 30 * day, 10 * day} {
		o.start, o.end = now.Add(from), now.Add(from+time.Minute)
		a.renewal.askAgain = time.Time{}
		if at := a.wanted(t.Context(), leaf); at.Before(o.start.Add(-time.Second)) || at.After(o.end) {
			t.Errorf("it wants a moment from %s on, and gets %s", o.start, at)
		}
	}
	last := a.renewal.at
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.renewal.askAgain = time.Time{}
	if at := a.wanted(ctx, leaf); !at.Equal(last) || !near(a.renewal.askAgain, now.Add(time.Hour)) {
		t.Errorf("without an answer it is %s, want %s; asked again in %s", at, last, a.renewal.askAgain.Sub(now))
	}
}

func TestAnAuthorityThatSaysNothingIsAskedOnceADay(t *testing.T) {
	o := newOracle(t)
	o.silent = true
	a := o.acme(t, nil)
	now := time.Now()
	leaf := a.shows(t, now, now.Add(90*day))
	if at := a.wanted(t.Context(), leaf); !at.IsZero() || !near(a.renewal.askAgain, now.Add(day)) {
		t.Errorf("%s, asked again in %s", at, a.renewal.askAgain.Sub(now))
	}
}

func TestWhatIsShownIsForAllNames(t *testing.T) {
	a := newOracle(t).acme(t, func(c *config.Config) { c.TAXII.TLSNames = []string{acmeName, "other.acme.example"} })
	now := time.Now()
	if err := a.use([]byte("no PEM")); err == nil {
		t.Error("a damaged certificate is shown")
	}
	if err := a.use(issued(t, now, now.Add(day), acmeName)); err != nil || a.current.Load() != nil {
		t.Errorf("one for another configuration is shown, or an error: %v", err)
	}
	none := &tls.ClientHelloInfo{SupportedProtos: []string{"h2"}}
	if c, err := a.get(none); err == nil || c != nil {
		t.Error("there is none, and it is shown")
	}
	if err := a.use(issued(t, now, now.Add(day), acmeName, "other.acme.example")); err != nil || a.current.Load() == nil {
		t.Fatal(err)
	}
	if c, err := a.get(none); err != nil || c != a.current.Load() {
		t.Errorf("%v, %v", c, err)
	}
	challenge := &tls.ClientHelloInfo{SupportedProtos: []string{acmez.ACMETLS1Protocol}, ServerName: acmeName}
	if c, err := a.get(challenge); err == nil || c != nil {
		t.Error("the authority is shown what clients are")
	}
	if protos := a.tlsConfig().NextProtos; !slices.Equal(protos, []string{"h2", "http/1.1", acmez.ACMETLS1Protocol}) {
		t.Errorf("it speaks %q", protos)
	}
}

func TestAChallengeIsAnsweredWhileItIsOpen(t *testing.T) {
	c := &acmeChallenges{byName: map[string]*tls.Certificate{}, byPath: map[string]string{}}
	challenge := acme.Challenge{Type: acme.ChallengeTypeHTTP01, Token: "token", KeyAuthorization: "token.key", Identifier: acme.Identifier{Type: "dns", Value: acmeName}}
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	const path = "/.well-known/acme-challenge/token"
	if code, _ := ask(path); code != http.StatusNotFound {
		t.Errorf("before it is asked: %d", code)
	}
	if err := (byHTTP{c}).Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	if code, body := ask(path); code != http.StatusOK || body != "token.key" {
		t.Errorf("%d, %q", code, body)
	}
	if code, _ := ask("/"); code != http.StatusNotFound {
		t.Errorf("something else: %d", code)
	}
	if err := (byHTTP{c}).CleanUp(t.Context(), challenge); err != nil || len(c.byPath) != 0 {
		t.Errorf("it stays open: %v", err)
	}
	if err := (byTLS{c}).Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	certificate, err := c.certificate(acmeName)
	if err != nil || certificate == nil {
		t.Fatal(err)
	}
	if leaf, err := x509.ParseCertificate(certificate.Certificate[0]); err != nil || leaf.VerifyHostname(acmeName) != nil {
		t.Errorf("it is for %v, %v", leaf, err)
	}
	if _, err := c.certificate("other.example"); err == nil {
		t.Error("another name's challenge is answered")
	}
	if err := (byTLS{c}).CleanUp(t.Context(), challenge); err != nil || len(c.byName) != 0 {
		t.Errorf("it stays open: %v", err)
	}
}

func TestWhatIsOnTheDiskIsReadOrRefused(t *testing.T) {
	o := newOracle(t)
	now := time.Now()
	dir := t.TempDir()
	c := tlsConfig(config.TLSACME)
	c.TAXII.TLSNames, c.TAXII.ACMEDirectory = []string{acmeName}, o.URL+"/directory"
	path := filepath.Join(dir, "acme", strings.TrimPrefix(o.URL, "https://"), "certificate.pem")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, issued(t, now, now.Add(day), acmeName), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if secure, err := Open(c, dir, log); err != nil || secure.Acme.current.Load() == nil || secure.Challenges != nil || len(secure.Acme.client.ChallengeSolvers) != 1 {
		t.Errorf("a certificate that is there: %v", err)
	}
	c.TAXII.ACMEListen = "127.0.0.1:80"
	if secure, err := Open(c, dir, log); err != nil || secure.Challenges == nil || len(secure.Acme.client.ChallengeSolvers) != 2 || secure.Config.ClientAuth != tls.RequestClientCert {
		t.Errorf("with a port for challenges: %v", err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c, dir, log); err == nil || !strings.Contains(err.Error(), path) || !strings.HasPrefix(err.Error(), `HTTPS for TAXII clients (taxii.tls = "acme"): `) {
		t.Errorf("a damaged certificate: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c, dir, log); err == nil {
		t.Error("a folder is a certificate")
	}
	c.TAXII.ACMEDirectory = "https://\x7f"
	if _, err := Open(c, dir, log); err == nil {
		t.Error("a directory that is no URL will do")
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.TAXII.ACMECA = "ca.pem"
	if _, err := Open(c, dir, log); err == nil || !strings.Contains(err.Error(), "acme_ca: ") || !strings.Contains(err.Error(), "holds no certificate in PEM") {
		t.Errorf("authorities that are none: %v", err)
	}
}

// An account's key that can't be read is not replaced: the authority knows its account by it.
func TestADamagedAccountIsNotReplaced(t *testing.T) {
	a := newOracle(t).acme(t, nil)
	if err := os.MkdirAll(a.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.folder, "account.pem")
	for text, want := range map[string]string{"no PEM": "holds no key in PEM", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n": path + ": "} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := a.obtain(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "the account at "+a.client.Directory+": ") {
			t.Errorf("%q: %v", text, err)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("it has become %q, %v", kept, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := a.account(t.Context()); err == nil {
		t.Error("a folder is a key")
	}
}

func TestTheAuthorityIsAskedInTheBackgroundUntilTheEnd(t *testing.T) {
	a := newOracle(t).acme(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	now := time.Now()
	a.shows(t, now, now.Add(90*day))
	done := make(chan error)
	var condition conditionCount
	go func() { done <- a.Run(ctx, &condition) }()
	cancel()
	if err := <-done; err != nil || condition != 0 {
		t.Errorf("%v, and %d words of a condition", err, condition)
	}
}

// … as a node does that is stopped while it waits for an answer.
func TestWhatTheEndInterruptedIsNoFailureOfTheAuthority(t *testing.T) {
	o := newOracle(t)
	o.held = make(chan struct{}, 1)
	a := o.acme(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	var condition conditionCount
	go func() { done <- a.Run(ctx, &condition) }()
	<-o.held
	cancel()
	if err := <-done; err != nil || condition != 0 {
		t.Errorf("%v, and %d words of a condition", err, condition)
	}
}

// conditionCount counts what is said of the certificate's condition.
type conditionCount int

func (c *conditionCount) Set(string, string) { *c++ }
func (c *conditionCount) Clear()             { *c++ }
