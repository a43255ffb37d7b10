package export

import (
	"bufio"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxRPZName leaves room for the name of the zone, in bytes: one owner name that is too long keeps a server from
// loading all of it.
const maxRPZName = 190

func takesRPZ(k Kind, value string) bool {
	return k == IPv4 || k == IPv6 || k == Domain && len(value) <= maxRPZName
}

// beginRPZ writes the zone's head. The names are relative, so that the zone can be called anything. The serial number
// is the time that the list is of, which grows with every change.
func beginRPZ(w *bufio.Writer, l *List) {
	l.remark(w, ";")
	if l.options.Subdomains {
		fmt.Fprintf(w, "; Names stand for all names below them, too\n")
	}
	fmt.Fprintf(w, "$TTL 60\n@ SOA localhost. hostmaster.localhost. %d 60 60 86400 60\n@ NS localhost.\n", uint32(l.asOf.Unix()))
}

// lineRPZ answers that a domain, or every name with an address in a network, does not exist (draft-vixie-dnsop-dns-rpz,
// sections 4.1.2 and 4.3). A name's rule does not cover the names below it.
func lineRPZ(w *bufio.Writer, i Item) {
	owner := i.Value
	if i.Kind != Domain {
		owner = triggerRPZ(i.Value)
	}
	fmt.Fprintf(w, "%s CNAME .\n", owner)
}

// lineRPZBelow answers the same for the names below a domain.
func lineRPZBelow(w *bufio.Writer, i Item) {
	lineRPZ(w, i)
	if i.Kind == Domain {
		fmt.Fprintf(w, "*.%s CNAME .\n", i.Value)
	}
}

// triggerRPZ writes a network as the name that stands for it: the length of the prefix and the parts of the address in
// reverse, with zz for the longest run of zeros of an IPv6 address.
func triggerRPZ(value string) string {
	p, err := netip.ParsePrefix(value)
	if err != nil {
		single := netip.MustParseAddr(value) // normalise wrote it
		p = netip.PrefixFrom(single, single.BitLen())
	}
	separator, text := ".", p.Addr().String()
	if p.Addr().Is6() {
		separator = ":"
		text = strings.Replace(text, "::", ":zz:", 1)
		text = strings.Trim(text, ":")
	}
	parts := strings.Split(text, separator)
	slices.Reverse(parts)
	return fmt.Sprintf("%d.%s.rpz-ip", p.Bits(), strings.Join(parts, "."))
}
