package export

import (
	"encoding/hex"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// maxURL bounds a URL, in bytes.
const maxURL = 4096

// normalise checks a value and brings it into its one form, in printable ASCII without spaces, quotes and backslashes.
// To normalise that again changes nothing.
func normalise(a atom) (kind Kind, value string, good bool) {
	switch a.kind {
	case IPv4, IPv6:
		return network(a)
	case Domain:
		value, good = domain(a.text)
	case URL:
		value, good = address(a.text)
	default:
		value, good = hash(a.kind, a.text)
	}
	return a.kind, value, good
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

// network reads an address or a network in CIDR notation.
func network(a atom) (Kind, string, bool) {
	prefix, err := netip.ParsePrefix(a.text)
	if err != nil {
		single, err := netip.ParseAddr(a.text)
		if err != nil || single.Zone() != "" {
			return 0, "", false
		}
		single = single.Unmap()
		prefix = netip.PrefixFrom(single, single.BitLen())
	}
	prefix = prefix.Masked()
	kind := IPv6
	if prefix.Addr().Is4() {
		kind = IPv4
	}
	if kind != a.kind && a.kind == IPv4 || !blockable(prefix) {
		return 0, "", false
	}
	if prefix.IsSingleIP() {
		return kind, prefix.Addr().String(), true
	}
	return kind, prefix.String(), true
}

func blockable(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() >= widestIPv4 && !slices.ContainsFunc(notBlockable, p.Overlaps)
	}
	return p.Bits() >= widestIPv6 && globalUnicast.Contains(p.Addr())
}

// domain reads a domain name of two labels or more, into its A-labels without the last dot. Underscores are taken: they
// are no host names, but they are looked up.
func domain(text string) (string, bool) {
	// Letters are not all that hyphens in third and fourth place announce: some large networks' names have them.
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true), idna.StrictDomainName(false), idna.CheckHyphens(false))
	if len(text) > maxURL {
		return "", false
	}
	name, err := profile.ToASCII(strings.TrimSuffix(text, "."))
	if err != nil {
		return "", false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.ContainsFunc(label, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' }) {
			return "", false
		}
	}
	top := labels[len(labels)-1]
	switch {
	case len(labels) < 2, top == "localhost", !strings.ContainsFunc(top, func(r rune) bool { return r >= 'a' && r <= 'z' }):
		return "", false
	case strings.HasPrefix(top, "rpz-"): // to a resolver it would be a rule about addresses
		return "", false
	}
	return name, true
}

// address reads an http, https or ftp URL. What is never sent is dropped: the fragment, and the scheme's own port.
func address(text string) (string, bool) {
	if len(text) > maxURL {
		return "", false
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil {
		return "", false
	}
	port, known := map[string]string{"http": "80", "https": "443", "ftp": "21"}[u.Scheme]
	if !known {
		return "", false
	}
	host, good := host(u.Hostname())
	if !good {
		return "", false
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", false
		}
		if decimal := strconv.FormatUint(n, 10); decimal != port {
			host += ":" + decimal
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	path := escape(u.EscapedPath())
	if path == "" {
		path = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + escape(u.RawQuery)
	}
	value := u.Scheme + "://" + host + path
	return value, len(value) <= maxURL
}

// host reads the host of a URL.
func host(text string) (string, bool) {
	single, err := netip.ParseAddr(text)
	if err != nil {
		return domain(text)
	}
	single = single.Unmap()
	if single.Zone() != "" || !blockable(netip.PrefixFrom(single, single.BitLen())) {
		return "", false
	}
	if single.Is6() {
		return "[" + single.String() + "]", true
	}
	return single.String(), true
}

// escape writes everything that RFC 3986 does not let stand in a path or query as %XX, and the apostrophe.
func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		c := part[i]
		escaped := c == '%' && i+2 < len(part) && isHex(part[i+1]) && isHex(part[i+2])
		if escaped || isLetter(c) || isDigit(c) || strings.IndexByte("-.~!$&()*+,;=:@/?", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

// hash reads a hash of the kind's length. The hash of the empty file is none: feeds have it by mistake, and machines
// are full of empty files.
func hash(kind Kind, text string) (string, bool) {
	length, empty := 0, ""
	switch kind {
	case MD5:
		length, empty = 16, "d41d8cd98f00b204e9800998ecf8427e"
	case SHA1:
		length, empty = 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	case SHA256:
		length, empty = 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	case SHA512:
		length, empty = 64, "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
	}
	value := strings.ToLower(text)
	raw, err := hex.DecodeString(value)
	return value, err == nil && len(raw) == length && value != empty
}
