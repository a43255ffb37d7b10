package taxii

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Report reports hits to the organisation of an API root: lines as [ReadHits] reads them, of which there may be
// MaxHits. A key names the request, so that it can be repeated.
func (c *Client) Report(ctx context.Context, org, key string, lines []byte) (taken HitsTaken, err error) {
	r, err := c.request(ctx, http.MethodPost, "/v1/"+url.PathEscape(org)+"/hits", nil, lines)
	if err != nil {
		return taken, err
	}
	r.Header.Set("Accept", plainJSON)
	r.Header.Set("Content-Type", hitLines)
	if key != "" {
		r.Header.Set(idempotencyKey, key)
	}
	_, err = c.do(r, &taken)
	return taken, err
}

// Hits lists the indicators that hit at the organisation.
func (c *Client) Hits(ctx context.Context, org string, q HitsQuery) (list HitList, err error) {
	query := url.Values{}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.UTC().Format(time.RFC3339))
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	return list, c.plain(ctx, http.MethodGet, org, "hits", query, nil, &list)
}

// Seen tells how often an object was seen.
func (c *Client) Seen(ctx context.Context, org, object string, into any) error {
	return c.plain(ctx, http.MethodGet, org, "sightings", url.Values{"object": {object}}, nil, into)
}
