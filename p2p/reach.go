package p2p

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/multiformats/go-multiaddr"
)

// reach is which kinds of addresses this node itself can be found at: where others can plausibly be.
type reach struct {
	loopback bool        // it listens on loopback alone, as for a trial on one machine
	private  func() bool // it has a private address
}

// reachOf is the reach of a node with these listening addresses.
func reachOf(listen []string) reach {
	loopback := func(text string) bool {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return false
		}
		ip, ok := ipOf(a)
		return ok && ip.IsLoopback()
	}
	return reach{
		loopback: slices.ContainsFunc(listen, loopback) && !slices.ContainsFunc(listen, func(text string) bool { return !loopback(text) }),
		private:  hasPrivateAddress,
	}
}

// hasPrivateAddress reports whether an interface of this machine has a private address.
func hasPrivateAddress() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && isPrivate(prefix.Addr().Unmap())
	})
}

var (
	// shared is the space of large providers' NATs, and of some virtual private networks (RFC 6598).
	shared = netip.MustParsePrefix("100.64.0.0/10")
	// nowhere are networks in which no node is: reserved ones, and those of IPv6 that lead to an IPv4 address of anybody's
	// choice.
	nowhere = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("64:ff9b::/32"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("::/96"),
	}
	// machines are where clouds tell a machine its secrets, apart from the link-local addresses.
	machines = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"), netip.MustParseAddr("168.63.129.16"),
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"), netip.MustParseAddr("fd00:42::42"),
	}
)

func isPrivate(ip netip.Addr) bool { return ip.IsPrivate() || shared.Contains(ip) }

// plausible reports whether a node could be at an address that somebody names for it, as seen from here.
func (r reach) plausible(a multiaddr.Multiaddr) bool {
	ip, ok := ipOf(a)
	if !ok || ip.Zone() != "" || slices.Contains(machines, ip) {
		return false
	}
	if port, ok := portOf(a); !ok || port < 1024 && port != 80 && port != 443 {
		return false // what listens there is something else
	}
	switch {
	case ip.IsLoopback():
		return r.loopback
	case !ip.IsGlobalUnicast() || slices.ContainsFunc(nowhere, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return false
	case isPrivate(ip):
		return r.loopback || r.private()
	}
	return true
}

// ipOf is the IP address that an address begins with.
func ipOf(a multiaddr.Multiaddr) (netip.Addr, bool) {
	if len(a) == 0 {
		return netip.Addr{}, false
	}
	switch a[0].Protocol().Code {
	case multiaddr.P_IP4, multiaddr.P_IP6:
		ip, err := netip.ParseAddr(a[0].Value())
		return ip.Unmap(), err == nil
	}
	return netip.Addr{}, false
}

// portOf is the port of an address.
func portOf(a multiaddr.Multiaddr) (port uint64, ok bool) {
	for _, protocol := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
		if text, err := a.ValueForProtocol(protocol); err == nil {
			port, err = strconv.ParseUint(text, 10, 16)
			return port, err == nil && port > 0
		}
	}
	return 0, false
}

// covers reports whether an address that this node was told of is another one, or is a name that may have led to it.
func covers(told, to multiaddr.Multiaddr) bool {
	if told.Equal(to) {
		return true
	}
	if len(told) == 0 || !isName(told[0].Protocol().Code) {
		return false
	}
	a, ok := portOf(told)
	b, same := portOf(to)
	return told[0].Protocol().Code == multiaddr.P_DNSADDR || ok && same && a == b
}

func isName(protocol int) bool {
	return slices.Contains([]int{multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6, multiaddr.P_DNSADDR}, protocol)
}
