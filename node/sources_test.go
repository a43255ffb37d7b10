package node

import (
	"strings"
	"testing"

	"github.com/serviceledger/slnode/repo/config"
)

func TestIndexersAreNamedWithoutTheirKeys(t *testing.T) {
	c := config.Default()
	c.Algorand.IndexerURL, c.Algorand.Indexers = "https://user:KEY@one.example/KEY", []string{"https://two.example/?key=KEY", "https://one.example/KEY2"}
	list, err := indexers(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range list {
		names = append(names, one.Name)
	}
	if got := strings.Join(names, " "); got != "https://one.example https://two.example https://one.example (2)" {
		t.Error(got)
	}
}

func TestBlocksAreFollowedByThemselvesWhereAlgodIsNear(t *testing.T) {
	for url, near := range map[string]bool{
		"http://127.0.0.1:4001": true, "http://[::1]:4001": true, "http://10.1.2.3:4001": true, "http://192.168.1.9": true, "http://[fd00::1]:4001": true,
		"http://algod:4001": true, "http://localhost:4001": true, "https://8.8.8.8": false, "https://[2001:4860:4860::8888]": false,
		"https://algod.invalid": false, "http://[::ffff:8.8.8.8]": false,
	} {
		c := config.Default()
		c.Algorand.AlgodURL = url
		if got := followsBlocks(t.Context(), c); got != near {
			t.Errorf("%s: %t", url, got)
		}
		for follow, want := range map[string]bool{config.FollowBoth: true, config.FollowIndexer: false} {
			if c.Algorand.Follow = follow; followsBlocks(t.Context(), c) != want {
				t.Errorf("%s with %s: %t", url, follow, !want)
			}
		}
	}
}
