package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// renewal is when the authority wants a certificate to be renewed: ACME Renewal Information (RFC 9773). It says so
// early where it has to revoke many.
type renewal struct {
	of       *x509.Certificate
	at       time.Time // zero: it says nothing
	askAgain time.Time
	disputed bool // the authority refused an order that said what it replaces: it may not know it any longer
}

// How often an authority is asked, whatever it says itself.
const (
	renewalOften  = time.Minute
	renewalSeldom = 24 * time.Hour
)

// untilDue is how long the certificate need not be renewed: until a third of its lifetime is left, or the authority
// wants it.
func (a *ACME) untilDue(ctx context.Context) time.Duration {
	certificate := a.current.Load()
	if certificate == nil {
		return 0
	}
	leaf := certificate.Leaf
	due := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
	if at := a.wanted(ctx, leaf); !at.IsZero() && at.Before(due) {
		due = at
	}
	return time.Until(due)
}

// wanted gives the moment that the authority wants, or the zero time. What it doesn't answer changes nothing.
func (a *ACME) wanted(ctx context.Context, leaf *x509.Certificate) time.Time {
	now := time.Now()
	known := a.renewal.of == leaf
	if known && now.Before(a.renewal.askAgain) {
		return a.renewal.at
	}
	if !known {
		a.renewal = renewal{of: leaf}
	}
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	info, err := a.client.GetRenewalInfo(ctx, leaf)
	switch {
	case errors.Is(err, acme.ErrUnsupported):
		a.renewal.askAgain = now.Add(renewalSeldom)
		return time.Time{}
	case err != nil:
		a.renewal.askAgain = now.Add(acmeRetryMost)
		a.log.Debug("the ACME authority does not say when it wants the certificate to be renewed", "error", err)
		return a.renewal.at
	}
	a.renewal.askAgain = now.Add(acmeRetryMost)
	if info.RetryAfter != nil {
		pause := min(max(info.RetryAfter.Sub(now), renewalOften), renewalSeldom)
		a.renewal.askAgain = now.Add(pause)
	}
	// The moment is drawn once from each window, or the draws would all be the earliest one.
	if at := a.renewal.at; at.IsZero() || at.Before(info.SuggestedWindow.Start) || at.After(info.SuggestedWindow.End) {
		a.renewal.at = info.SelectedTime
	}
	return a.renewal.at
}
