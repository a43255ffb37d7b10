package config

import "testing"

func TestBlocksAreFollowedByThemselvesWhereAlgodIsNear(t *testing.T) {
	for url, near := range map[string]bool{
		"http://127.0.0.1:4001": true, "http://[::1]:4001": true, "http://10.1.2.3:4001": true, "http://192.168.1.9": true, "http://[fd00::1]:4001": true,
		"http://algod:4001": true, "http://localhost:4001": true, "https://8.8.8.8": false, "https://[2001:4860:4860::8888]": false,
		"https://algod.invalid": false, "http://[::ffff:8.8.8.8]": false,
	} {
		c := Default()
		c.Algorand.AlgodURL = url
		if got := c.FollowsBlocks(t.Context()); got != near {
			t.Errorf("%s: %t", url, got)
		}
		for follow, want := range map[string]bool{FollowBoth: true, FollowIndexer: false} {
			if c.Algorand.Follow = follow; c.FollowsBlocks(t.Context()) != want {
				t.Errorf("%s with %s: %t", url, follow, !want)
			}
		}
	}
}
