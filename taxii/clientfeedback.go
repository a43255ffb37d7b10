package taxii

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Give says something of an object, at the organisation of an API root.
func (c *Client) Give(ctx context.Context, org string, g Judgement) (judged Judged, err error) {
	return judged, c.plain(ctx, http.MethodPost, org, "feedback", nil, g, &judged)
}

// Given lists what the organisation says of others' objects.
func (c *Client) Given(ctx context.Context, org string) ([]Judged, error) {
	var answer struct {
		Given []Judged `json:"given"`
	}
	err := c.plain(ctx, http.MethodGet, org, "feedback", nil, nil, &answer)
	return answer.Given, err
}

// Inbox lists what others say of the organisation's objects.
func (c *Client) Inbox(ctx context.Context, org string, q InboxQuery) (inbox Inbox, err error) {
	query := url.Values{}
	if q.All {
		query.Set("all", "true")
	}
	if q.Object != "" {
		query.Set("object", q.Object)
	}
	if q.Cursor != "" {
		query.Set("next", q.Cursor)
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	return inbox, c.plain(ctx, http.MethodGet, org, "inbox", query, nil, &inbox)
}

// Respond does something about what others say of an object of the organisation.
func (c *Client) Respond(ctx context.Context, org string, r Response) (done Responded, err error) {
	return done, c.plain(ctx, http.MethodPost, org, "inbox", nil, r, &done)
}

// plain asks what is not TAXII, under /v1.
func (c *Client) plain(ctx context.Context, method, org, path string, query url.Values, what, into any) (err error) {
	var body []byte
	if what != nil {
		if body, err = json.Marshal(what); err != nil {
			return err
		}
	}
	r, err := c.request(ctx, method, "/v1/"+url.PathEscape(org)+"/"+path, query, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", plainJSON)
	if what != nil {
		r.Header.Set("Content-Type", plainJSON)
	}
	_, err = c.do(r, into)
	return err
}
