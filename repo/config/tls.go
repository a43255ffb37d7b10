package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ofFiles checks a key that names a file of the certificate: it is needed where files are used, and means that somebody
// counts on TLS where they are not.
func (c *Config) ofFiles(path string) error {
	if c.TAXII.TLS != TLSFiles && path != "" {
		return fmt.Errorf("is not used where taxii.tls is %q: set that to %q, or take this out", c.TAXII.TLS, TLSFiles)
	}
	return neededFor(c.TAXII.TLS == TLSFiles, path)
}

// neededFor refuses a value that is missing where it is needed.
func neededFor(needed bool, values ...string) error {
	if needed && (len(values) == 0 || slices.Contains(values, "")) {
		return errors.New("is needed for the value of taxii.tls")
	}
	return nil
}

// certifiable refuses names that the node can't ask an ACME authority for.
func certifiable(asked bool, names []string) error {
	for _, name := range names {
		if asked && (net.ParseIP(name) != nil || strings.ContainsAny(name, "*:/ ") || name != strings.ToLower(name)) {
			return fmt.Errorf("%q is not a host's name in lower case, as \"acme\" needs it", name)
		}
	}
	return nil
}
