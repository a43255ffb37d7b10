package config

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// FollowsBlocks reports whether the end of the chain is followed by algod's blocks. By itself it is where algod is
// near: a provider counts what it gives.
func (c Config) FollowsBlocks(ctx context.Context) bool {
	if c.Algorand.Follow != FollowAuto {
		return c.Algorand.Follow == FollowBoth
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
