package taxii

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// serveTLS serves the fixture's handler over TLS and returns where.
func (f *fixture) serveTLS() string {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server := NewServer(f.handler, config, slog.New(slog.DiscardHandler))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	f.t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			f.t.Error(err)
		}
	})
	return "https://" + listener.Addr().String()
}

// Checklist 1.1: TLS 1.2 and 1.3 and nothing older, HTTP/2 and HTTP/1.1.
func TestTheServerSpeaksTLS12And13(t *testing.T) {
	url := newFixture(t).serveTLS()
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		for _, h2 := range []bool{false, true} {
			transport := &http.Transport{
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version},
				ForceAttemptHTTP2: h2,
			}
			response, err := (&http.Client{Transport: transport}).Get(url + "/taxii2/")
			if (err == nil) != ok {
				t.Errorf("version %x: %v", version, err)
			}
			if err == nil {
				response.Body.Close()
				if response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != h2 {
					t.Errorf("version %x: %d over %s", version, response.StatusCode, response.Proto)
				}
			}
			transport.CloseIdleConnections()
		}
	}
}

// Checklist 1.1: of TLS 1.2 only the suites that HTTP/2 allows.
func TestOldCipherSuitesAreRefused(t *testing.T) {
	url := newFixture(t).serveTLS()
	config := &tls.Config{
		InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
	}
	conn, err := tls.Dial("tcp", url[len("https://"):], config)
	if err == nil {
		conn.Close()
		t.Error("a CBC suite is taken")
	}
}

// Objects go in and out over HTTP/2 as over HTTP/1.1.
func TestHTTP2CarriesObjects(t *testing.T) {
	f := newFixture(t)
	f.url = f.serveTLS()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	paul := "Authorization: Bearer tok-paul"
	body := append([]byte(`{"objects":[`+indicator(1, 1)), bytes.Repeat([]byte(" "), 1<<20)...)
	f.doAs(client, http.MethodPost, boxPath+"objects/", io.Reader(bytes.NewReader(append(body, "]}"...))), paul).want(t, http.StatusAccepted)
	if a := f.doAs(client, http.MethodGet, boxPath+"objects/", nil, paul); string(a.body) != `{"objects":[`+indicator(1, 1)+`]}` {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
