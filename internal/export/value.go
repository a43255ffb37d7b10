package export

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/serviceledger/slnode/internal/observable"
)

// normalise checks a value and brings it into its one form. What must not be blocked is no value.
func normalise(a observable.Atom) (kind Kind, value string, good bool) {
	v, good := observable.Normalise(a)
	if !good || !mayBlock(v) {
		return a.Kind, "", false
	}
	return v.Kind, v.Text, true
}

// mayBlock reports whether to block a value harms nobody but who it is meant for.
func mayBlock(v observable.Value) bool {
	switch p, isNetwork := v.Prefix(); {
	case isNetwork:
		return blockable(p)
	case v.Kind == Domain:
		return isName(v.Text)
	case v.Kind == URL:
		return isSent(v)
	}
	// Feeds have the hash of the empty file by mistake, and machines are full of empty files.
	return v.Kind.IsHash() && !slices.Contains(empty, v.Text)
}

// empty are the hashes of the empty file.
var empty = []string{
	"d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
}

// notBlockable are the IPv4 networks that belong to nobody or to everybody (RFC 6890): to block them does harm at home,
// and nothing to an attacker. The networks for documentation stay: they are in everybody's examples.
var notBlockable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("224.0.0.0/3"),
}

// globalUnicast is the part of IPv6 that is in public use.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// The widest networks that an indicator may name: what a registry gives to one organisation at most.
const (
	widestIPv4 = 8
	widestIPv6 = 19
)

func blockable(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= widestIPv4 && !slices.ContainsFunc(notBlockable, p.Overlaps)
	}
	return p.Bits() >= widestIPv6 && globalUnicast.Contains(p.Addr())
}

// isName reports whether a domain is one that is looked up outside.
func isName(domain string) bool {
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return top != "localhost" && !strings.HasPrefix(top, "rpz-") // to a resolver that would be a rule about addresses
}

// isSent reports whether a URL is of a protocol that sensors look into, and at a host that may be blocked. Names and
// passwords are not sent with the URL.
func isSent(v observable.Value) bool {
	u, err := url.Parse(v.Text)
	if err != nil || u.User != nil {
		return false
	}
	host, _ := v.Host()
	return (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "ftp") && mayBlock(host)
}
