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
func (c *Client) Given(ctx context.Context, org string, q GivenQuery) (page Given, err error) {
	return page, c.plain(ctx, http.MethodGet, org, "feedback", pageOf(q.Cursor, q.Limit), nil, &page)
}

// pageOf are the parameters of a page.
func pageOf(cursor string, limit int) url.Values {
	query := url.Values{}
	if cursor != "" {
		query.Set("next", cursor)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return query
}

// Inbox lists what others say of the organisation's objects.
func (c *Client) Inbox(ctx context.Context, org string, q InboxQuery) (inbox Inbox, err error) {
	query := pageOf(q.Cursor, q.Limit)
	if q.All {
		query.Set("all", "true")
	}
	if q.Object != "" {
		query.Set("object", q.Object)
	}
	return inbox, c.plain(ctx, http.MethodGet, org, "inbox", query, nil, &inbox)
}

// Respond does something about what others say of an object of the organisation.
func (c *Client) Respond(ctx context.Context, org string, r Response) (done Responded, err error) {
	return done, c.plain(ctx, http.MethodPost, org, "inbox", nil, r, &done)
}
