package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// acmeAuthority is Let's Encrypt's own test authority, in this process. It validates names as a real one does, at the
// ports that it was given and at the address that a name server of the test's tells for every name.
type acmeAuthority struct {
	*httptest.Server
	names  *db.MemoryStore
	issuer *ca.CAImpl
	away   atomic.Bool // it answers 502
	orders atomic.Int32

	elsewhere atomic.Pointer[string] // it sends everybody there
	forgetful atomic.Bool            // it knows no certificate that it gave
	forgotten atomic.Int32           // orders that it refused for this
}

func startAuthority(t *testing.T, httpPort, tlsPort int, lifetime time.Duration) *acmeAuthority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	silent := log.New(io.Discard, "", 0)
	a := &acmeAuthority{names: db.NewMemoryStore()}
	profiles := map[string]ca.Profile{"default": {ValidityPeriod: uint64(lifetime.Seconds())}}
	a.issuer = ca.New(silent, a.names, "", "ecdsa", 0, 1, profiles)
	validator := va.New(silent, httpPort, tlsPort, true, nameServer(t), a.names)
	frontend := wfe.New(silent, a.names, validator, a.issuer, []string{"pebble.example"}, true, false, 1, 1)
	handler := frontend.Handler()
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if to := a.elsewhere.Load(); to != nil {
			http.Redirect(w, r, *to+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			a.orders.Add(1)
			if a.forgetful.Load() && a.refusesReplacement(w, r) {
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	a.Config.ErrorLog = silent
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

// refusesReplacement answers an order that says which certificate it replaces as one who lost its list of them does.
func (a *acmeAuthority) refusesReplacement(w http.ResponseWriter, r *http.Request) bool {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	var signed struct{ Payload string }
	_ = json.Unmarshal(text, &signed)
	order, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	if !bytes.Contains(order, []byte(`"replaces"`)) {
		return false
	}
	a.forgotten.Add(1)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, `{"type": "urn:ietf:params:acme:error:serverInternal", "status": 500}`)
	return true
}

// nameServer answers every question for an address with loopback.
func nameServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		for _, q := range question.Question {
			if q.Qtype == dns.TypeA {
				answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown(); <-done })
	return listener.Addr().String()
}
