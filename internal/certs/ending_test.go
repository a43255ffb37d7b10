package certs_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/certs"
)

func TestACertificateIsToldOfTwoWeeksOrAQuarterOfItsLifeBeforeItEnds(t *testing.T) {
	t.Parallel()
	now, day := time.Unix(1_700_000_000, 0), 24*time.Hour
	for name, c := range map[string]struct {
		life, left  time.Duration
		ends, ended bool
	}{
		"of a year, with fifteen days":     {365 * day, 15 * day, false, false},
		"of a year, with thirteen days":    {365 * day, 13 * day, true, false},
		"of a year, over":                  {365 * day, -time.Second, true, true},
		"of six days, which is renewed":    {6 * day, 2 * day, false, false},
		"of six days, which is not":        {6 * day, 35 * time.Hour, true, false},
		"of a day, which is renewed":       {day, 8 * time.Hour, false, false},
		"of three months, with three days": {90 * day, 3 * day, true, false},
	} {
		leaf := &x509.Certificate{NotBefore: now.Add(c.left - c.life), NotAfter: now.Add(c.left)}
		if ends, ended := certs.Ending(leaf, now); ends != c.ends || ended != c.ended {
			t.Errorf("a certificate %s: ends soon %t, has ended %t", name, ends, ended)
		}
	}
}
