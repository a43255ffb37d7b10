// Package algorand makes the REST clients of algod and of the indexer such that a slow, busy or hostile server can't
// exhaust the node: bodies are bounded, and an answer that asks for less is an error of its own ([Throttled]).
package algorand

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/common"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
)

// maxBody is more than the largest answer that is asked for: a full block (5 MiB), or a page of 1,000 transactions
// with notes of 4 KiB.
const maxBody = 64 << 20

// Throttled is a server's answer 429, 503 or, from providers whose daily quota is used up, 403.
type Throttled struct {
	Status int
	After  time.Duration // how long the server asks to wait; 0 if it doesn't say
}

func (t *Throttled) Error() string {
	if t.After > 0 {
		return fmt.Sprintf("the server answered %d and asks to wait %s", t.Status, t.After)
	}
	return fmt.Sprintf("the server answered %d", t.Status)
}

// NewAlgod makes a client of an algod. It has no timeout of its own: every call needs a context with a deadline.
func NewAlgod(url, token string) (*algod.Client, error) {
	return algod.MakeClientWithTransport(url, token, nil, newTransport())
}

// NewIndexer makes a client of an indexer. It has no timeout of its own: every call needs a context with a deadline.
func NewIndexer(url, token string) (*indexer.Client, error) {
	return indexer.MakeClientWithTransport(url, token, nil, newTransport())
}

// NotFound reports whether a call failed because there is no such thing.
func NotFound(err error) bool {
	var notFound common.NotFound
	return errors.As(err, &notFound)
}

// BadRequest gives the server's message if it refused a request as such.
func BadRequest(err error) (message string, ok bool) {
	var bad common.BadRequest
	if errors.As(err, &bad) {
		return bad.Message, true
	}
	return "", false
}

type transport struct{ http.RoundTripper }

func newTransport() *transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 8
	t.ResponseHeaderTimeout = 90 * time.Second // algod holds wait-for-block-after for 60 s
	return &transport{t}
}

// RoundTrip bounds the body. It returns [Throttled] instead of the answers that say so, because the SDK would drop
// their Retry-After.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusForbidden:
		defer response.Body.Close()
		return nil, &Throttled{Status: response.StatusCode, After: retryAfter(response.Header.Get("Retry-After"))}
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxBody}
	return response, nil
}

// retryAfter reads a number of seconds (RFC 9110, section 10.2.3) and bounds it.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, 10*time.Minute)
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
