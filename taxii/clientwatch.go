package taxii

import (
	"context"
	"net/http"
)

// Assets lists what the organisation watches for.
func (c *Client) Assets(ctx context.Context, org string) ([]Asset, error) {
	var answer struct {
		Assets []Asset `json:"assets"`
	}
	err := c.plain(ctx, http.MethodGet, org, "watch", nil, nil, &answer)
	return answer.Assets, err
}

// ChangeAssets changes what the organisation watches for.
func (c *Client) ChangeAssets(ctx context.Context, org string, change AssetChange) (done AssetsChanged, err error) {
	return done, c.plain(ctx, http.MethodPost, org, "watch", nil, change, &done)
}

// AssetMatches lists the objects that are about what the organisation watches for.
func (c *Client) AssetMatches(ctx context.Context, org string) (found AssetMatches, err error) {
	return found, c.plain(ctx, http.MethodGet, org, "watch/matches", nil, nil, &found)
}
