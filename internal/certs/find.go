package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"

	"github.com/serviceledger/slnode/repo/config"
)

// Find reads the certificate that is on the disk for a configuration, with its key, and makes none. The error wraps
// [fs.ErrNotExist] if there is none.
func Find(c config.Config, dir string) (*x509.Certificate, error) {
	within := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	var certificate, key string
	switch c.TAXII.TLS {
	case config.TLSFiles:
		certificate, key = within(c.TAXII.TLSCertificate), within(c.TAXII.TLSKey)
	case config.TLSSelfSigned:
		certificate, key = filepath.Join(dir, "tls", "certificate.pem"), filepath.Join(dir, "tls", "key.pem")
	case config.TLSACME:
		directory, err := url.Parse(c.TAXII.ACMEDirectory)
		if err != nil {
			return nil, err
		}
		certificate = filepath.Join(dir, "acme", directory.Host, acmeCertificateFile)
		key = certificate
	default:
		return nil, os.ErrNotExist
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	return pair.Leaf, nil
}
