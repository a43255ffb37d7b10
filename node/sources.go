package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/serviceledger/slnode/chainwatch"
	"github.com/serviceledger/slnode/internal/algorand"
	"github.com/serviceledger/slnode/repo"
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

// followsBlocks reports whether the end of the chain is followed by algod's blocks. By itself it is where algod is near:
// a provider counts what it gives.
func followsBlocks(ctx context.Context, c config.Config) bool {
	if c.Algorand.Follow != config.FollowAuto {
		return c.Algorand.Follow == config.FollowBoth
	}
	u, err := url.Parse(c.Algorand.AlgodURL)
	if err != nil {
		return false
	}
	host := u.Hostname()
	if address, err := netip.ParseAddr(host); err == nil {
		return isNear(address)
	}
	if !strings.Contains(host, ".") { // a name of this machine, of a container beside it, or of its network
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addresses) == 0 {
		return false
	}
	for _, address := range addresses {
		if !isNear(address) {
			return false
		}
	}
	return true
}

func isNear(address netip.Addr) bool {
	address = address.Unmap()
	return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
}

// beginSources has sources that are followed from now on be asked for what was passed without them.
func beginSources(r *repo.Repo, list []chainwatch.Indexer) error {
	cursor, err := r.View.Cursor()
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = one.Name
	}
	added, err := r.Found.Sources(names)
	if err != nil || cursor == 0 {
		return err
	}
	for _, name := range added {
		if err := r.Found.Miss(name, 1, cursor); err != nil {
			return err
		}
	}
	return nil
}
