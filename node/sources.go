package node

import (
	"fmt"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/repo/config"
)

// indexers are those of the configuration, by names that can be shown.
func indexers(c config.Config) (list []chainwatch.Indexer, err error) {
	named := map[string]int{}
	add := func(url string, token ...string) error {
		client, err := algorand.NewIndexer(url, token[0], token[1:]...)
		if err != nil {
			return err
		}
		name := algorand.Redact(url)
		if named[name]++; named[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, named[name])
		}
		list = append(list, chainwatch.Indexer{Name: name, Client: client})
		return nil
	}
	if err := add(c.Algorand.IndexerURL, c.Algorand.IndexerToken, c.Algorand.IndexerTokenHeader); err != nil {
		return nil, err
	}
	for _, url := range c.Algorand.Indexers {
		if err := add(url, ""); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// followAll has those sources that are new be asked for what was passed without them.
func (n *Node) followAll(list []chainwatch.Indexer) error {
	cursor, err := n.repo.View.Cursor()
	if err != nil {
		return err
	}
	var names []string
	for _, one := range list {
		names = append(names, one.Name)
	}
	return n.repo.Found.Follow(names, cursor)
}
