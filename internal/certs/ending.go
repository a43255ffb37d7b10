package certs

import (
	"crypto/x509"
	"time"
)

// soon is how long before its end a certificate is told of, at the latest when a quarter of its lifetime is left: an
// authority's is renewed when a third is, so that one for a week or a day is told of only if that fails.
const soon = 14 * 24 * time.Hour

// Ending reports whether a certificate ends soon, and whether it has ended.
func Ending(c *x509.Certificate, now time.Time) (ends, ended bool) {
	return c.NotAfter.Sub(now) < min(soon, c.NotAfter.Sub(c.NotBefore)/4), now.After(c.NotAfter)
}
