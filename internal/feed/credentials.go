package feed

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Secret is a text that is not shown. Written as "env:NAME" it is the value of an environment variable, written as
// "file:PATH" what is in a file, less white space at its ends; any other text is the secret itself.
type Secret string

// The prefixes of secrets that are elsewhere.
const (
	fromEnvironment = "env:"
	fromFile        = "file:"
	maxSecret       = 64 << 10 // bytes
)

// String hides the secret.
func (s Secret) String() string { return s.describe() }

// GoString hides it, too.
func (s Secret) GoString() string { return s.describe() }

// MarshalText hides it, too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.describe()), nil }

// Elsewhere reports whether the secret itself is not in the text.
func (s Secret) Elsewhere() bool {
	return strings.HasPrefix(string(s), fromEnvironment) || strings.HasPrefix(string(s), fromFile)
}

func (s Secret) describe() string {
	switch {
	case s == "":
		return ""
	case s.Elsewhere():
		return string(s)
	}
	return "(secret)"
}

// read gives the secret itself. It is read for each run, so that it can be changed without a restart.
func (s Secret) read() (string, error) {
	if name, ok := strings.CutPrefix(string(s), fromEnvironment); ok {
		value := os.Getenv(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is empty", name)
		}
		return value, nil
	}
	path, ok := strings.CutPrefix(string(s), fromFile)
	if !ok {
		return string(s), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch text := strings.TrimSpace(string(data)); {
	case err != nil:
		return "", err
	case len(data) > maxSecret:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecret)
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	default:
		return text, nil
	}
}

// Credentials say how a source is told who asks.
type Credentials struct {
	User, Password Secret // HTTP Basic. For some the API key is the user.
	Token          Secret // a bearer token
	APIKey         Secret
	APIKeyHeader   string // in which the API key is sent; X-API-Key, for MISP Authorization, if empty

	ClientCert, ClientKey string // files in PEM
	CA                    string // file in PEM: whose certificates the source may have, in place of the system's
}

func (c Credentials) validate(kind string) error {
	ways := 0
	for _, given := range []bool{c.User != "" || c.Password != "", c.Token != "", c.APIKey != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("user and password, token, api_key: only one of them can be used")
	case kind == KindMISP && c.APIKey == "":
		return errors.New("api_key: MISP asks for one")
	case (c.ClientCert == "") != (c.ClientKey == ""):
		return errors.New("client_cert and client_key: one is of no use without the other")
	case c.APIKeyHeader != "" && c.APIKey == "":
		return errors.New("api_key_header: there is no api_key")
	case strings.ContainsFunc(c.APIKeyHeader, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}):
		return errors.New("api_key_header: it is no name of a header")
	}
	return nil
}

// String says which credentials are used, without them.
func (c Credentials) String() string {
	var said []string
	switch {
	case c.User != "" || c.Password != "":
		said = append(said, "Basic", "user "+c.User.describe())
		if c.Password != "" {
			said = append(said, "password "+c.Password.describe())
		}
	case c.Token != "":
		said = append(said, "bearer token "+c.Token.describe())
	case c.APIKey != "":
		said = append(said, "API key "+c.APIKey.describe())
	}
	if c.ClientCert != "" {
		said = append(said, "client certificate "+c.ClientCert)
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, ", ")
}

// known are the credentials themselves.
type known struct {
	user, password, token, key, header string
}

func (c Credentials) read(kind string) (known, error) {
	k := known{header: c.APIKeyHeader}
	for _, one := range []struct {
		name string
		from Secret
		to   *string
	}{
		{"user", c.User, &k.user}, {"password", c.Password, &k.password}, {"token", c.Token, &k.token}, {"api_key", c.APIKey, &k.key},
	} {
		value, err := one.from.read()
		if err != nil {
			return known{}, fmt.Errorf("%s: %w", one.name, err)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return known{}, fmt.Errorf("%s: it has more than one line", one.name)
		}
		*one.to = value
	}
	if k.key != "" && k.header == "" {
		k.header = "X-Api-Key"
		if kind == KindMISP {
			k.header = "Authorization"
		}
	}
	return k, nil
}

// headers are those that an API key is sent in.
func (k known) headers() http.Header {
	if k.key == "" {
		return nil
	}
	return http.Header{http.CanonicalHeaderKey(k.header): {k.key}}
}

// secrets are all texts that must not be shown.
func (k known) secrets() (list []string) {
	for _, s := range []string{base64.StdEncoding.EncodeToString([]byte(k.user + ":" + k.password)), k.password, k.token, k.key, k.user} {
		if len(s) >= 4 { // a shorter one is no secret, and its removal would garble every text
			list = append(list, s)
		}
	}
	return list
}

func (c Credentials) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("client_cert and client_key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate", c.CA)
		}
	}
	return config, nil
}

// Check reads the credentials from where they are, and reports what is wrong with them.
func (c Credentials) Check(kind string) error {
	if err := c.validate(kind); err != nil {
		return err
	}
	_, err := c.read(kind)
	return err
}
