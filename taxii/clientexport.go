package taxii

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// LeftOut is how many indicators are not, or not wholly, in a list.
type LeftOut struct {
	All         int
	Reliability int // … that would be, were their publishers held to be completely reliable
}

// Export writes a list of what a collection's indicators say, and tells how
// many of them are not, or not wholly, in it. Only a Service Ledger node can.
func (c *Client) Export(ctx context.Context, root, collection string, q ExportQuery, to io.Writer) (left LeftOut, err error) {
	query := url.Values{"format": {q.Format}}
	if len(q.Kinds) > 0 {
		query.Set("kind", strings.Join(q.Kinds, ","))
	}
	if q.MinConfidence != 0 {
		query.Set("min_confidence", strconv.Itoa(q.MinConfidence))
	}
	if q.Score != 0 {
		query.Set("score", strconv.Itoa(q.Score))
	}
	if q.DropShared {
		query.Set("warninglists", "drop")
	}
	if q.Subdomains {
		query.Set("subdomains", "true")
	}
	r, err := c.request(ctx, http.MethodGet, join(root, "collections", collection, "export"), query, nil)
	if err != nil {
		return left, err
	}
	r.Header.Set("Accept", "*/*")
	response, err := c.http.Do(r)
	if err != nil {
		return left, fmt.Errorf("GET %s: %w", r.URL.Path, errors.Unwrap(err)) // as in do
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		if err != nil {
			return left, fmt.Errorf("GET %s: %w", r.URL.Path, err)
		}
		return left, fmt.Errorf("GET %s: %w", r.URL.Path, responseError(response, body))
	}
	n, err := io.Copy(to, io.LimitReader(response.Body, c.answer+1))
	if err == nil && n > c.answer { // a part of a list is none
		err = fmt.Errorf("%w: larger than %d bytes", ErrTooLarge, c.answer)
	}
	if err != nil {
		return left, fmt.Errorf("GET %s: %w", r.URL.Path, err)
	}
	left.All, err = strconv.Atoi(response.Header.Get("X-Slnode-Skipped"))
	if err != nil {
		return left, fmt.Errorf("GET %s: the answer does not tell what it leaves out", r.URL.Path)
	}
	if text := response.Header.Get("X-Slnode-Skipped-Reliability"); text != "" {
		left.Reliability, _ = strconv.Atoi(text) // 0 of what is no number
	}
	return left, nil
}
