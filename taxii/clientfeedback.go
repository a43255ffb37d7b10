package taxii

import (
	"context"
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
