package taxii

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

const (
	credentialTTL = 5 * time.Minute
	maxToken      = 1024             // bytes
	checksAtOnce  = 2                // slow password checks, which take memory by design
	checkTimeout  = 30 * time.Second // of one slow check, waiting for its turn included
)

// errNoCredentials says that a request carries none, not that they are wrong.
var errNoCredentials = unauthorized("This needs credentials: HTTP Basic, a bearer token or an API key.")

// gate tells who makes a request, and sees to it that guessing is slow and that being right is fast.
type gate struct {
	backend  Authenticator
	known    *credentials
	failures *failures
	requests atomic.Pointer[throttle] // requests by credential, or by address without a good one; nil: no limit
	checks   singleflight.Group
	turns    *semaphore.Weighted
	proxies  proxies
	now      func() time.Time
}

// newGate makes a gate that lets a credential make so many requests a second,
// and twice as many at once; any number if it is 0.
func newGate(backend Authenticator, rate int, trusted proxies, now func() time.Time) *gate {
	g := &gate{
		proxies:  trusted,
		now:      now,
		backend:  backend,
		known:    newCredentials(credentialTTL, now),
		failures: newFailures(now),
		turns:    semaphore.NewWeighted(checksAtOnce),
	}
	g.limit(rate)
	return g
}

// limit lets a credential make so many requests a second from now on.
func (g *gate) limit(rate int) {
	if rate <= 0 {
		g.requests.Store(nil)
		return
	}
	g.requests.Store(newThrottle(2*rate, time.Second/time.Duration(rate), g.now))
}

// admit counts a request against the limit of who makes it.
func (g *gate) admit(r *http.Request, who Principal) error {
	requests := g.requests.Load()
	if requests == nil {
		return nil
	}
	key := "from " + g.network(r)
	if who.Role != RoleNone {
		key = who.User + " with " + who.Credential
	}
	if wait := requests.take(key); wait > 0 {
		return retryLater(http.StatusTooManyRequests, wait, "Too many requests.")
	}
	return nil
}

// authenticate tells who makes the request, by HTTP Basic, a token under the scheme Bearer or its synonym Token (which
// taxii2client sends), or an API key in X-API-Key, or a client certificate where there is none of these. It returns
// errNoCredentials if there is nothing that it could go by. login tells that a password was found right just now, and
// not some minutes ago.
func (g *gate) authenticate(r *http.Request) (who Principal, login bool, err error) {
	if user, password, ok := r.BasicAuth(); ok {
		return g.password(r, user, password)
	}
	token := tokenOf(r)
	switch {
	case token == "" && r.Header.Get("Authorization") != "":
		err = unauthorized("The Authorization header is none of Basic, Bearer and Token.")
	case token == "":
		who, err = g.certificate(r)
	default:
		who, err = g.token(r, token)
	}
	return who, false, err
}

// certificate finds out who a client certificate stands for. TLS has proved that the client has its key; who signed it
// is of no interest, as it is known by its fingerprint. One that is not known says nothing: clients present the one
// that they have wherever they are asked for any.
func (g *gate) certificate(r *http.Request) (Principal, error) {
	backend, ok := g.backend.(CertificateAuthenticator)
	if !ok || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Principal{}, errNoCredentials
	}
	presented := r.TLS.PeerCertificates[0]
	if now := g.now(); now.Before(presented.NotBefore) || now.After(presented.NotAfter) {
		return Principal{}, errNoCredentials
	}
	who, err := backend.Certificate(r.Context(), sha256.Sum256(presented.Raw))
	if errors.Is(err, ErrUnauthorized) {
		err = errNoCredentials
	}
	return who, err
}

// claimed is who a request says that it is from, and by what kind of credential, for the audit log.
func claimed(r *http.Request) (user, credential string) {
	if user, _, ok := r.BasicAuth(); ok {
		return user[:min(len(user), MaxAccountField)], "password"
	}
	return "", "token"
}

// carriesCredentials tells whether a request has any, right or wrong.
func carriesCredentials(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("X-API-Key") != "" || r.TLS != nil && len(r.TLS.PeerCertificates) > 0
}

// tokenOf returns the token that a request carries, or nothing.
func tokenOf(r *http.Request) string {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		return strings.TrimSpace(r.Header.Get("X-API-Key"))
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Token") {
		return strings.TrimSpace(token)
	}
	return ""
}

// token checks a token. Since that is fast, only failures are limited: a
// client with a good one is never locked out by its neighbours.
func (g *gate) token(r *http.Request, token string) (Principal, error) {
	who, err := Principal{}, ErrUnauthorized
	if len(token) <= maxToken {
		who, err = g.backend.Token(r.Context(), token)
	}
	if errors.Is(err, ErrUnauthorized) {
		if wait := g.failures.addresses.take(g.network(r)); wait > 0 {
			return Principal{}, tooManyAttempts(wait)
		}
	}
	return who, attempts(err)
}

// password checks what HTTP Basic carries: a user and password, or a token in the password's place under any or no user
// name, as some clients have only a form for that.
func (g *gate) password(r *http.Request, user, password string) (who Principal, login bool, err error) {
	from := source{user: user, address: g.network(r)}
	key := g.known.keyOf(user, password, from.address)
	who, generation, remembered := g.known.get(key)
	if remembered && !g.failures.insists(from) {
		return who, false, nil
	}
	if password != "" && len(password) <= maxToken {
		who, err := g.backend.Token(r.Context(), password)
		var expired *ExpiredError
		if !errors.Is(err, ErrUnauthorized) || errors.As(err, &expired) {
			return who, false, attempts(err)
		}
	}
	// Clients open many connections at once: one check serves them all. It must not end because the first of them leaves.
	// Who comes after a change of an account does not share a check from before it.
	ctx := context.WithoutCancel(r.Context())
	checked, err, _ := g.checks.Do(string(binary.BigEndian.AppendUint64(key[:], generation)), func() (any, error) {
		who, generation, remembered := g.known.get(key) // the check before this one may just have ended
		if remembered && !g.failures.insists(from) {
			return who, nil
		}
		err := g.attempt(ctx, from, func(ctx context.Context) (err error) {
			if user == "" || password == "" || len(user) > MaxAccountField || len(password) > MaxAccountField {
				return ErrUnauthorized
			}
			who, err = g.backend.Password(ctx, user, password)
			return err
		})
		if err == nil {
			login = true
			g.known.put(key, user, who, generation)
		}
		return who, err
	})
	if err != nil {
		return Principal{}, false, err
	}
	return checked.(Principal), login, nil
}

// login trades a password for something, after a check. A password that was
// found right here a moment ago needs to wait for nobody's failures.
func (g *gate) login(r *http.Request, user, password string, check func(context.Context) error) error {
	from := source{user: user, address: g.network(r)}
	if _, _, remembered := g.known.get(g.known.keyOf(user, password, from.address)); remembered && !g.failures.insists(from) {
		return attempts(g.slowly(r.Context(), check))
	}
	return g.attempt(r.Context(), from, check)
}

// attempt runs a slow check of a secret: not too many at a time, and not if too many have failed before.
func (g *gate) attempt(ctx context.Context, from source, check func(context.Context) error) error {
	try := g.failures.try(from)
	if try.refused {
		return try.tooMany(ctx)
	}
	err := g.slowly(ctx, check)
	switch {
	case err == nil:
		try.succeeded()
	case !errors.Is(err, ErrUnauthorized):
		try.giveBack()
	case try.wait > 0:
		return try.tooMany(ctx)
	}
	return attempts(err)
}

// slowly runs what takes much memory or time, when it is its turn.
func (g *gate) slowly(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := g.turns.Acquire(ctx, 1); err != nil {
		return &RetryAfterError{After: checkTimeout}
	}
	defer g.turns.Release(1)
	return do(ctx)
}

// attempts makes a backend's own limit on attempts a 429.
func attempts(err error) error {
	var retry *RetryAfterError
	if errors.As(err, &retry) {
		return tooManyAttempts(retry.After)
	}
	return err
}

// network is what failures are counted by: the client's address, of IPv6 the
// part that a network assigns to one customer.
func (g *gate) network(r *http.Request) string {
	address, ok := g.proxies.client(r)
	if !ok {
		return r.RemoteAddr
	}
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

// remote is the client's address, for the audit log.
func (g *gate) remote(r *http.Request) string {
	if address, ok := g.proxies.client(r); ok {
		return address.String()
	}
	return r.RemoteAddr
}

// ownUser refuses who is no user of the organisation in the path, or has a lower role.
func ownUser(x *exchange, least Role) error {
	switch {
	case x.who.Org != x.variable("org"):
		return ErrNotFound
	case x.who.Role < least:
		return ErrForbidden
	}
	return nil
}
