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
