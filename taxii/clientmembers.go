package taxii

import (
	"context"
	"net/http"
	"net/url"
)

// Cards gives the score cards that the organisation has of members, or of one.
func (c *Client) Cards(ctx context.Context, org, member string) (cards MemberCards, err error) {
	return cards, c.plain(ctx, http.MethodGet, org, memberPath(member), nil, nil, &cards)
}

// Rate says how reliable a member is.
func (c *Client) Rate(ctx context.Context, org, member string, r Rating) (cards MemberCards, err error) {
	return cards, c.plain(ctx, http.MethodPost, org, memberPath(member), nil, r, &cards)
}

func memberPath(member string) string {
	if member == "" {
		return "members"
	}
	return "members/" + url.PathEscape(member)
}
