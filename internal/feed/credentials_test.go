package feed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestASecretIsReadFromWhereItIs(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) Secret {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return Secret("file:" + path)
	}
	t.Setenv("FEED_TEST_SECRET", "of the environment")
	t.Setenv("FEED_TEST_EMPTY", "")
	for name, c := range map[string]struct {
		from Secret
		want string
		bad  bool
	}{
		"itself":                         {"hush-hush", "hush-hush", false},
		"nothing":                        {"", "", false},
		"a variable":                     {"env:FEED_TEST_SECRET", "of the environment", false},
		"an empty variable":              {"env:FEED_TEST_EMPTY", "", true},
		"a file, less space at its ends": {file("a", "\n of a file \r\n"), "of a file", false},
		"an empty file":                  {file("b", " \n"), "", true},
		"a file as large as may be":      {file("c", strings.Repeat("x", 64<<10)), strings.Repeat("x", 64<<10), false},
		"a file that is no secret's":     {file("d", strings.Repeat("x", 64<<10+1)), "", true},
		"a file that is not there":       {"file:" + Secret(filepath.Join(dir, "absent")), "", true},
		"a folder, which can't be read":  {"file:" + Secret(dir), "", true},
	} {
		got, err := c.from.read()
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestWhereASecretIsIsShownAndTheSecretIsNot(t *testing.T) {
	for secret, want := range map[Secret]string{"": "", "hush": "(secret)", "env:NAME": "env:NAME", "file:/x": "file:/x", "xenv:NAME": "(secret)"} {
		text, err := secret.MarshalText()
		if got := fmt.Sprintf("%s|%v|%#v|%s", secret, secret, secret, text); err != nil || got != strings.Join([]string{want, want, want, want}, "|") {
			t.Errorf("it is shown as %q, want %q: %v", got, want, err)
		}
	}
	for want, c := range map[string]Credentials{
		"none":                                    {},
		"Basic, user env:WHO":                     {User: "env:WHO"},
		"Basic, user , password (secret)":         {Password: "x"},
		"Basic, user (secret), password file:/x":  {User: "me", Password: "file:/x"},
		"bearer token (secret)":                   {Token: "x"},
		"API key (secret), client certificate /c": {APIKey: "x", ClientCert: "/c"},
		"client certificate /c":                   {ClientCert: "/c"},
	} {
		if got := c.String(); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func TestCredentialsAreOfOneKind(t *testing.T) {
	for _, c := range []struct {
		kind        string
		credentials Credentials
		wrong       string
	}{
		{KindTAXII, Credentials{}, ""},
		{KindTAXII, Credentials{User: "u", Password: "p", ClientCert: "c", ClientKey: "k"}, ""},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "X-aZ-09"}, ""},
		{KindMISP, Credentials{APIKey: "k"}, ""},
		{KindMISP, Credentials{}, "api_key: MISP"},
		{KindMISP, Credentials{Token: "t"}, "api_key: MISP"},
		{KindTAXII, Credentials{User: "u", Token: "t"}, "user and password"},
		{KindTAXII, Credentials{Password: "p", APIKey: "k"}, "user and password"},
		{KindTAXII, Credentials{ClientKey: "k"}, "client_cert"},
		{KindTAXII, Credentials{ClientCert: "k"}, "client_cert"},
		{KindTAXII, Credentials{APIKeyHeader: "X"}, "api_key_header: there"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "X Y"}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "X:"}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "X/"}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "@"}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "["}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "`"}, "api_key_header: it"},
		{KindTAXII, Credentials{APIKey: "k", APIKeyHeader: "{"}, "api_key_header: it"},
	} {
		if err := c.credentials.validate(c.kind); (err == nil) != (c.wrong == "") || err != nil && !strings.HasPrefix(err.Error(), c.wrong) {
			t.Errorf("%s with %+v: %v", c.kind, c.credentials, err)
		}
	}
}

func TestAnAPIKeyGoesInItsHeader(t *testing.T) {
	for _, c := range []struct{ kind, header, want string }{
		{KindTAXII, "", "X-Api-Key"}, {KindMISP, "", "Authorization"}, {KindTAXII, "x-key", "X-Key"}, {KindMISP, "x-key", "X-Key"},
	} {
		k, err := Credentials{APIKey: "the key", APIKeyHeader: c.header}.read(c.kind)
		if err != nil || len(k.headers()) != 1 || k.headers().Get(c.want) != "the key" {
			t.Errorf("%s with %q: %v, %v", c.kind, c.header, k.headers(), err)
		}
	}
	if k, err := (Credentials{Token: "t"}).read(KindTAXII); err != nil || k.headers() != nil || k.token != "t" || k.header != "" {
		t.Errorf("without a key: %+v, %v", k, err)
	}
}

func TestASecretOfMoreThanOneLineIsNone(t *testing.T) {
	for name, c := range map[string]Credentials{
		"user": {User: "a\nb"}, "password": {Password: "a\rb"}, "token": {Token: "a\x00b"}, "api_key": {APIKey: "a\nb"},
	} {
		if k, err := c.read(KindTAXII); err == nil || !strings.HasPrefix(err.Error(), name+": ") || k != (known{}) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	if k, err := (Credentials{User: "u", Password: "env:FEED_TEST_ABSENT"}).read(KindTAXII); err == nil || !strings.HasPrefix(err.Error(), "password: ") || k != (known{}) {
		t.Errorf("%+v, %v", k, err)
	}
}

// A shorter one is no secret, and its removal would garble every text.
func TestSecretsHaveFourLettersAtLeast(t *testing.T) {
	got := known{user: "abcd", password: "abc", token: "token", key: "a key"}.secrets()
	want := []string{base64.StdEncoding.EncodeToString([]byte("abcd:abc")), "token", "a key", "abcd"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// pair writes a certificate and its key.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	certificate, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	must(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return certificate, key
}

func TestTLSIsOfTheFilesThatAreNamed(t *testing.T) {
	certificate, key := pair(t)
	_, another := pair(t)
	for name, c := range map[string]struct {
		credentials Credentials
		wrong       string
	}{
		"nothing":               {Credentials{}, ""},
		"a client certificate":  {Credentials{ClientCert: certificate, ClientKey: key}, ""},
		"another's key":         {Credentials{ClientCert: certificate, ClientKey: another}, "client_cert and client_key: "},
		"authorities":           {Credentials{CA: certificate}, ""},
		"no authorities":        {Credentials{CA: key}, "ca: "},
		"authorities elsewhere": {Credentials{CA: key + ".absent"}, "ca: "},
	} {
		config, err := c.credentials.tls()
		if c.wrong != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.wrong) || config != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := (Config{Kind: KindTAXII, URL: "https://x", Credentials: c.credentials}).open(patience{}); err == nil {
				t.Errorf("%s: a connection can be opened", name)
			}
			continue
		}
		if err != nil || config.MinVersion != tls.VersionTLS12 || (len(config.Certificates) == 1) != (c.credentials.ClientCert != "") ||
			(config.RootCAs != nil) != (c.credentials.CA != "") {
			t.Errorf("%s: %+v, %v", name, config, err)
		}
		if len(config.Certificates) == 1 {
			data, err := os.ReadFile(certificate)
			must(t, err)
			if block, _ := pem.Decode(data); !bytes.Equal(block.Bytes, config.Certificates[0].Certificate[0]) {
				t.Error("another certificate is shown")
			}
		}
	}
}
