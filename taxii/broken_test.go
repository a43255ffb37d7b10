package taxii

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// broken is a memory whose stores of credentials fail.
type broken struct {
	*memory
	token, password, certificate error
}

func (b *broken) Token(ctx context.Context, token string) (Principal, error) {
	if b.token != nil {
		return Principal{}, b.token
	}
	return b.memory.Token(ctx, token)
}

func (b *broken) Password(ctx context.Context, user, password string) (Principal, error) {
	if b.password != nil {
		return Principal{}, b.password
	}
	return b.memory.Password(ctx, user, password)
}

func (b *broken) Certificate(ctx context.Context, fingerprint [sha256.Size]byte) (Principal, error) {
	if b.certificate != nil {
		return Principal{}, b.certificate
	}
	return b.memory.Certificate(ctx, fingerprint)
}

// Nobody is let in, nobody is called wrong, and nothing of the error is told, where credentials can't be checked.
func TestWhereCredentialsCannotBeCheckedNobodyIsLetIn(t *testing.T) {
	failed := errors.New("badger: the disk is gone")
	for what, change := range map[string]func(*broken){
		"the tokens":    func(b *broken) { b.token = failed },
		"the passwords": func(b *broken) { b.password = failed },
	} {
		var b *broken
		f := newFixture(t, func(c *Config) {
			b = &broken{memory: c.Authenticator.(*memory)}
			c.Authenticator = b
		})
		change(b)
		for name, header := range map[string]string{
			"Basic": basic("paul", "pw-paul"), "Basic with a wrong password": basic("paul", "wrong"), "Basic with a token": basic("", "tok-paul"),
			"Bearer": "Authorization: Bearer tok-paul", "X-API-Key": "X-API-Key: tok-paul",
		} {
			if what == "the passwords" && strings.Contains(header, "tok-paul") || what == "the passwords" && name == "Basic with a token" {
				continue
			}
			a := f.anonymous(http.MethodGet, "/acme/collections/", "", header)
			if a.status != http.StatusInternalServerError || strings.Contains(string(a.body), "badger") {
				t.Errorf("without %s, %s: %d %s", what, name, a.status, a.body)
			}
		}
		// Once the store is there again, nothing has been charged or remembered.
		b.token, b.password = nil, nil
		for range 3 {
			f.anonymous(http.MethodGet, "/acme/collections/", "", basic("paul", "pw-paul")).want(t, http.StatusOK)
		}
	}
}

// A backend that has no time for a check says when it has.
func TestABackendsOwnLimitIsHandedOn(t *testing.T) {
	var b *broken
	f := newFixture(t, func(c *Config) {
		b = &broken{memory: c.Authenticator.(*memory)}
		c.Authenticator = b
	})
	b.token = &RetryAfterError{After: 7 * time.Second}
	for _, header := range []string{basic("paul", "pw-paul"), "Authorization: Bearer tok-paul"} {
		if a := f.anonymous(http.MethodGet, "/acme/collections/", "", header); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "7" {
			t.Errorf("%d, Retry-After %q", a.status, a.header.Get("Retry-After"))
		}
	}
}

func TestACertificateCountsWhileItIsValidAndItsStoreWorks(t *testing.T) {
	var b *broken
	f := newFixture(t, func(c *Config) {
		b = &broken{memory: c.Authenticator.(*memory)}
		c.Authenticator = b
	})
	now := f.clock.Now()
	known := &x509.Certificate{Raw: []byte("known"), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	b.tokens[fmt.Sprintf("%x", sha256.Sum256(known.Raw))] = b.tokens["tok-paul"]
	get := func(presented ...*x509.Certificate) int {
		r := httptest.NewRequest(http.MethodGet, "/acme/collections/", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: presented}
		recorder := httptest.NewRecorder()
		f.handler.ServeHTTP(recorder, r)
		return recorder.Code
	}
	at := func(from, until time.Duration) *x509.Certificate {
		return &x509.Certificate{Raw: known.Raw, NotBefore: now.Add(from), NotAfter: now.Add(until)}
	}
	for what, c := range map[string]struct {
		presented []*x509.Certificate
		want      int
	}{
		"the known one":             {[]*x509.Certificate{known}, http.StatusOK},
		"none":                      {nil, http.StatusUnauthorized},
		"an unknown one":            {[]*x509.Certificate{{Raw: []byte("unknown"), NotBefore: known.NotBefore, NotAfter: known.NotAfter}}, http.StatusUnauthorized},
		"valid from now on":         {[]*x509.Certificate{at(0, time.Hour)}, http.StatusOK},
		"valid from later on":       {[]*x509.Certificate{at(time.Second, time.Hour)}, http.StatusUnauthorized},
		"valid until now":           {[]*x509.Certificate{at(-time.Hour, 0)}, http.StatusOK},
		"valid until some time ago": {[]*x509.Certificate{at(-time.Hour, -time.Second)}, http.StatusUnauthorized},
	} {
		if got := get(c.presented...); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	b.certificate = errors.New("badger: the disk is gone")
	if got := get(known); got != http.StatusInternalServerError {
		t.Errorf("without the store of certificates: %d", got)
	}
}
