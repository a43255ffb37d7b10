package taxii

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// clientCertificate makes a certificate that signed itself, for a time from a clock's on.
func clientCertificate(t *testing.T, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientCertificatesLetIn(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewUnstartedServer(f.handler)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.url = server.URL
	now := f.clock.Now()
	known, stranger := clientCertificate(t, now.Add(-time.Hour), now.Add(time.Hour)), clientCertificate(t, now.Add(-time.Hour), now.Add(time.Hour))
	expired, early := clientCertificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour)), clientCertificate(t, now.Add(time.Hour), now.Add(2*time.Hour))
	for _, c := range []tls.Certificate{known, expired, early} {
		f.backend.tokens[fmt.Sprintf("%x", sha256.Sum256(c.Certificate[0]))] = f.backend.tokens["tok-paul"]
	}
	with := func(c ...tls.Certificate) *http.Client {
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = c
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	for _, test := range []struct {
		name      string
		client    *http.Client
		header    string
		root      int
		discovery int
	}{
		{"known", with(known), "X-Other: 1", 200, 200},
		{"a stranger's", with(stranger), "X-Other: 1", 401, 200},
		{"expired", with(expired), "X-Other: 1", 401, 200},
		{"not valid yet", with(early), "X-Other: 1", 401, 200},
		{"none", with(), "X-Other: 1", 401, 200},
		{"known, but a wrong token beside it", with(known), "Authorization: Bearer wrong", 401, 401},
		{"a stranger's, but a good token beside it", with(stranger), "Authorization: Bearer tok-rita", 200, 200},
	} {
		if got := f.doAs(test.client, http.MethodGet, "/acme/", nil, test.header).status; got != test.root {
			t.Errorf("%s: %d, want %d", test.name, got, test.root)
		}
		if got := f.doAs(test.client, http.MethodGet, "/taxii2/", nil, test.header).status; got != test.discovery {
			t.Errorf("%s, discovery: %d, want %d", test.name, got, test.discovery)
		}
	}
}

func TestWhoHoldsAnExpiredKeyIsToldThatItHasExpired(t *testing.T) {
	f := newFixture(t)
	f.backend.expired = map[string]time.Time{"tok-old": f.clock.Now().Add(-time.Hour)}
	said := "has expired, at " + f.clock.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	basic := func(password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("paul:"+password))
	}
	for header, told := range map[string]bool{
		"Authorization: Bearer tok-old": true, "X-API-Key: tok-old": true, basic("tok-old"): true,
		"Authorization: Bearer tok-ol": false, basic("tok-ol"): false,
	} {
		a := f.anonymous(http.MethodGet, "/acme/", "", header)
		a.wantProblem(t, http.StatusUnauthorized)
		if strings.Contains(string(a.body), said) != told || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s", header, a.body)
		}
	}
}

func TestRequestsAreLimitedByCredential(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimit = 10 })
	for i := range 20 {
		if a := f.get("/acme/"); a.status != http.StatusOK {
			t.Fatalf("request %d: %d", i, a.status)
		}
	}
	a := f.get("/acme/")
	a.wantProblem(t, http.StatusTooManyRequests)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	f.get("/acme/", "Authorization: Bearer tok-rita").want(t, http.StatusOK) // another credential
	for range 20 {
		f.anonymous(http.MethodGet, "/taxii2/", "")
	}
	f.anonymous(http.MethodGet, "/taxii2/", "").want(t, http.StatusTooManyRequests) // the address
	f.anonymous(http.MethodPost, "/v1/login", `{"username":"paul","password":"pw-paul"}`, jsonBody).want(t, http.StatusTooManyRequests)
	f.clock.advance(time.Second)
	f.get("/acme/").want(t, http.StatusOK)
	f.anonymous(http.MethodGet, "/taxii2/", "").want(t, http.StatusOK)
}

// Whatever stands in the headers, only a credential that is right lets in.
func FuzzCredentials(f *testing.F) {
	for _, seed := range [][2]string{
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("paul:pw-paul")), ""},
		{"basic " + base64.StdEncoding.EncodeToString([]byte(":tok-paul")), ""},
		{"Bearer tok-paul", "tok-rita"}, {"token  tok-paul ", ""}, {"", "tok-paul"}, {"Basic", "x"}, {"Bearer", "tok-paul"},
		{"Basic !!!", ""}, {"Basic Og==", ""}, {"\x00", "\xff"}, {"Bearer tok-paul, Bearer x", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	m := newMemory()
	clock := &clock{now: time.Unix(0, 0)}
	f.Fuzz(func(t *testing.T, authorization, key string) {
		clock.advance(time.Hour) // past every limit
		g := newGate(m, 0, nil, clock.Now)
		r := &http.Request{RemoteAddr: "192.0.2.1:1", Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		who, _, err := g.authenticate(r)
		if (err == nil) != (who.Role != RoleNone) {
			t.Fatalf("%+v with %v", who, err)
		}
		if err != nil {
			return
		}
		carried := authorization + " " + key
		if _, encoded, ok := strings.Cut(authorization, " "); ok {
			if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				carried += string(plain)
			}
		}
		if !strings.Contains(carried, "tok-"+who.User) && !strings.Contains(carried, "pw-"+who.User) {
			t.Errorf("%q and %q let %s in", authorization, key, who.User)
		}
	})
}
