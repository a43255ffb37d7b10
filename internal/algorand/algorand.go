// Package algorand makes the REST clients of algod and of the indexer such that a slow, busy, misled or hostile server
// can't exhaust or deceive the node. What holds for every request holds here, in one place:
//
//   - bodies are bounded, and an error's text is short, printable and free of the token and of keys in the URL;
//   - an answer that asks for less ([Throttled]) is heeded by every request that follows, whoever makes it;
//   - redirects are not followed: the token would go along;
//   - what is not the server's own words, such as a gateway's page, is a [ForeignError] and never an answer.
package algorand

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/algorand/go-algorand-sdk/v2/client/v2/algod"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/common"
	"github.com/algorand/go-algorand-sdk/v2/client/v2/indexer"
)

// The headers that algod and the indexer themselves take a token in. A provider's gateway may want another.
const (
	algodHeader   = "X-Algo-API-Token"
	indexerHeader = "X-Indexer-API-Token"
)

// What people call the servers.
const (
	algodServer   = "algod"
	indexerServer = "the indexer"
)

// NewAlgod makes a client of an algod. The token goes with each request in the header that algod wants it in, or in the
// given one; as "Bearer" in Authorization. The client has no timeout of its own: every call needs a context with a
// deadline.
func NewAlgod(url, token string, header ...string) (*algod.Client, error) {
	base, t, err := newTransport(algodServer, url, token, algodHeader, header)
	if err != nil {
		return nil, err
	}
	return algod.MakeClientWithTransport(base, "", nil, t)
}

// NewIndexer makes a client of an indexer, as [NewAlgod] does of an algod.
func NewIndexer(url, token string, header ...string) (*indexer.Client, error) {
	base, t, err := newTransport(indexerServer, url, token, indexerHeader, header)
	if err != nil {
		return nil, err
	}
	return indexer.MakeClientWithTransport(base, "", nil, t)
}

// Redact is a server's URL as it may be shown: without user, password, path and query, any of which can be a key.
func Redact(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "(a URL that can't be read)"
	}
	return u.Scheme + "://" + u.Host
}

// The words in which algod and the indexer say that there is no such thing, as far as the node asks for such things.
const (
	NoBlock       = "failed to retrieve information from the ledger"
	NoTransaction = "could not find the transaction in the transaction pool or in the last 1000 confirmed rounds"
	NoStateProof  = "no state proof can be found for that round"
)

// NotFound reports whether a call failed because the server itself said, in these words, that there is no such thing.
// Any other 404 is a gateway's, of a path that is wrong or of a server that is not there, and says nothing.
func NotFound(err error, words ...string) bool {
	var notFound common.NotFound
	if !errors.As(err, &notFound) {
		return false
	}
	for _, w := range words {
		if strings.Contains(notFound.Message, w) {
			return true
		}
	}
	return false
}

// BadRequest gives the server's message if it refused a request as such.
func BadRequest(err error) (message string, ok bool) {
	var bad common.BadRequest
	if errors.As(err, &bad) {
		return bad.Message, true
	}
	return "", false
}

// DeniedError means that a server wants another token than the configured one, or any.
type DeniedError struct {
	Server  string // "algod" or "the indexer"
	Key     string // what the keys of its configuration begin with
	Message string // the server's, shortened
}

func (e *DeniedError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s refuses the token, with status 401; look at %s_token and %s_token_header: %s", e.Server, e.Key, e.Key, e.Message), ": ")
}

// ForeignError is an answer that is not the server's own: a gateway's page, a redirect, or something else with the
// status of an answer.
type ForeignError struct {
	Server string // "algod" or "the indexer"
	Status int    // of HTTP; 0 if only the content is wrong
	What   string
}

// key is the key of the configuration that may be wrong.
func (e *ForeignError) key() string {
	if e.Server == "algod" {
		return "algorand.algod_url"
	}
	return "algorand.indexer_url"
}

func (e *ForeignError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("what answered is not %s; is %s right? (%s)", e.Server, e.key(), e.What)
	}
	return fmt.Sprintf("what answered is not %s; is %s right? (status %d with %s)", e.Server, e.key(), e.Status, e.What)
}
