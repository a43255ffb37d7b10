package certs

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/serviceledger/slnode/repo/config"
)

func TestASelfSignedCertificateIsMadeAnewOnlyInItsLastMonth(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tls")
	now := time.Now().Truncate(time.Second)
	made := func(at time.Time) []byte {
		t.Helper()
		c, err := selfSigned(folder, []string{"a.example", "192.0.2.1"}, at)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificate[0]
	}
	first := made(now)
	leaf, err := x509.ParseCertificate(first)
	if err != nil || !leaf.IsCA || !leaf.MaxPathLenZero || leaf.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign || !slices.Equal(leaf.DNSNames, []string{"a.example"}) || len(leaf.IPAddresses) != 1 ||
		leaf.NotBefore.Sub(now).Abs() != time.Hour || leaf.NotAfter.Sub(now) != 5*365*day || leaf.SerialNumber.BitLen() < 64 || leaf.SerialNumber.BitLen() > 127 {
		t.Errorf("%+v, %v", leaf, err)
	}
	last := leaf.NotAfter.Add(-30 * day)
	if !bytes.Equal(made(last.Add(-time.Second)), first) {
		t.Error("it is made anew before its last month")
	}
	if bytes.Equal(made(last), first) {
		t.Error("it is kept in its last month")
	}
	if err := os.WriteFile(filepath.Join(folder, "key.pem"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := selfSigned(folder, nil, now); err == nil {
		t.Error("a damaged one is replaced without a word")
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := selfSigned(folder, nil, now); err == nil {
		t.Error("it is in a folder that is none")
	}
	if _, err := Open(tlsConfig(config.TLSSelfSigned), filepath.Dir(folder), slog.Default()); err == nil {
		t.Error("an error is dropped")
	}
}

func TestTheNamesOfASelfSignedCertificate(t *testing.T) {
	c := tlsConfig(config.TLSSelfSigned)
	host, _ := os.Hostname()
	for listen, more := range map[string]string{"192.0.2.7:443": "192.0.2.7", "0.0.0.0:443": "", "[::]:443": "", ":443": "", "taxii.example:443": "taxii.example", "nonsense": "", "localhost:443": ""} {
		c.TAXII.Listen, c.TAXII.TLSNames = listen, []string{"a.example", "a.example"}
		want := []string{"localhost", "127.0.0.1", "::1", "a.example"}
		for _, name := range []string{more, host} {
			if name != "" && !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if got := SelfSignedNames(c); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
}

func TestFilesAreLookedAtEveryTenSecondsAndWhenSomebodySaysSo(t *testing.T) {
	dir := t.TempDir()
	certificate, key := writeCertificate(t, dir, "one.example")
	clock := time.Now()
	files := &Files{certificate: certificate, key: key, now: func() time.Time { return clock }, log: slog.New(slog.DiscardHandler)}
	if err := files.load(); err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		t.Helper()
		c, err := files.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.DNSNames[0]
	}
	written := clock.Add(time.Minute)
	writeCertificate(t, dir, "two.example")
	for _, path := range []string{certificate, key} {
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(10*time.Second - 1)
	if got := shown(); got != "one.example" {
		t.Errorf("before ten seconds it is %s", got)
	}
	clock = clock.Add(1)
	if got := shown(); got != "two.example" {
		t.Errorf("after ten seconds it is %s", got)
	}
	writeCertificate(t, dir, "three.example")
	for _, path := range []string{certificate, key} { // as by a program that keeps the times
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	clock = clock.Add(time.Hour)
	if got := shown(); got != "two.example" {
		t.Errorf("files that were not written are read: %s", got)
	}
	if err := files.Reload(); err != nil || shown() != "three.example" {
		t.Errorf("it is %s, %v", shown(), err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := files.Reload(); err == nil {
		t.Error("a file that is missing is no error")
	}
	if got := shown(); got != "three.example" {
		t.Errorf("then it is %s", got)
	}
	if got := Colons("0aff10"); got != "0A:FF:10" || Colons("") != "" {
		t.Errorf("%q", got)
	}
}
