package feed

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Bounds on one request.
const (
	maxAnswer      = 64 << 20 // bytes, inflated
	requestTimeout = 2 * time.Minute
	maxAttempts    = 4
	firstPause     = time.Second
	maxPause       = 2 * time.Minute // a source that asks for a longer one is left alone until the next run
)

// clock is the time, for tests to set.
type clock struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

func systemClock() clock {
	return clock{now: time.Now, sleep: func(ctx context.Context, d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// connection is a source that can be asked, for as long as a run takes.
type connection struct {
	source  source
	http    *http.Client
	secrets []string
}

// answer is how many bytes an answer may have, inflated.
func (c Config) answer() int64 { return cmp.Or(c.most, maxAnswer) }

// open reads the credentials. It asks the source nothing yet.
func (c Config) open(p patience) (*connection, error) {
	credentials, err := c.Credentials.read(c.Kind)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.Credentials.tls()
	if err != nil {
		return nil, err
	}
	connection := &connection{secrets: credentials.secrets(), http: &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true, MaxIdleConns: 2, MaxResponseHeaderBytes: 1 << 20,
		DialContext: (&net.Dialer{Timeout: 30 * time.Second}).DialContext, TLSHandshakeTimeout: 30 * time.Second,
	}}}
	if c.Kind == KindMISP {
		connection.source = &mispSource{config: c, http: connection.http, headers: credentials.headers(), patience: p}
		return connection, nil
	}
	client, err := taxii.NewClient(c.URL, taxii.ClientConfig{
		User: credentials.user, Password: credentials.password, Token: credentials.token, Header: credentials.headers(),
		HTTP: connection.http, MaxAnswer: c.answer(),
	})
	if err != nil {
		return nil, err
	}
	connection.source = &taxiiSource{config: c, client: client, patience: p}
	return connection, nil
}

func (c *connection) close() { c.http.CloseIdleConnections() }

// maxErrorText bounds what is repeated of a source's words, in bytes.
const maxErrorText = 400

// clean makes an error fit to be shown: a source may say anything, the secret that it was sent among it.
func (c *connection) clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range c.secrets {
		text = strings.ReplaceAll(text, secret, "(secret)")
	}
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "..."
	}
	text = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return &sourceError{text: text, cause: err}
}

// sourceError is an error with a text that can be shown.
type sourceError struct {
	text  string
	cause error
}

func (e *sourceError) Error() string { return e.text }
func (e *sourceError) Unwrap() error { return e.cause }

// Pause is how long a source wants to be left alone, by an error of [Feed.Run]; 0 if it didn't say.
func Pause(err error) time.Duration {
	var answer *taxii.ResponseError
	if errors.As(err, &answer) {
		return answer.RetryAfter
	}
	return 0
}

// Rejected reports whether a source refused the credentials: trying again soon could lock the account.
func Rejected(err error) bool {
	return statusOf(err) == http.StatusUnauthorized || statusOf(err) == http.StatusForbidden
}

// statusOf is the HTTP status that an error is about; 0 if there is none.
func statusOf(err error) int {
	var answer *taxii.ResponseError
	if errors.As(err, &answer) {
		return answer.Status
	}
	return 0
}

// patience tries again what may pass.
type patience struct {
	clock    clock
	attempts int
}

// try does something, and does it again after a pause if it failed in a way that may pass.
func (p patience) try(ctx context.Context, do func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, do)
		if err == nil || ctx.Err() != nil || attempt >= p.attempts || !mayPass(err) {
			return err
		}
		if p.pause(ctx, err, attempt) != nil {
			return err
		}
	}
}

// pause waits after a failed attempt, longer after each. It returns an error if it isn't worth while.
func (p patience) pause(ctx context.Context, err error, attempt int) error {
	pause := firstPause << (2 * (attempt - 1))
	pause += rand.N(pause / 4) // so that several don't come back at once
	if asked := Pause(err); asked > maxPause {
		return err
	} else if asked > 0 {
		pause = asked
	}
	return p.clock.sleep(ctx, pause)
}

func once(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, fmt.Errorf("no answer within %s", requestTimeout))
	defer cancel()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// mayPass reports whether a failure may be another time's success.
func mayPass(err error) bool {
	switch statusOf(err) {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case 0:
		var stranger *tls.CertificateVerificationError
		return !errors.Is(err, taxii.ErrTooLarge) && !errors.Is(err, errMalformed) && !errors.As(err, &stranger)
	}
	return false
}
