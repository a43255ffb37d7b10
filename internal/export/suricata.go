package export

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// maxContent is the longest content that all versions of Suricata match, in bytes.
const maxContent = 255

// takesSuricata: hashes are read from files of their own, and what goes over TLS can't be seen.
func takesSuricata(k Kind, value string) bool {
	switch k {
	case IPv4, IPv6, Domain:
		return true
	case URL:
		host, _, path := splitURL(value)
		return strings.HasPrefix(value, "http://") && !strings.Contains(host, ":") && len(path) <= maxContent
	}
	return false
}

// splitURL takes a normalised URL apart: the host, the port or any, and the path with the query.
func splitURL(value string) (host, port, path string) {
	_, rest, _ := strings.Cut(value, "://")
	at := strings.IndexByte(rest, '/')
	host, path = rest[:at], rest[at:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		return host[:colon], host[colon+1:], path
	}
	return host, "any", path
}

func beginSuricata(w *bufio.Writer, l *List) { l.remark(w, "#") }

// lineSuricata writes a rule. The value alone makes its numbers, so that they stay whatever else comes and goes;
// Suricata wants the pair of gid and sid to be unique.
func lineSuricata(w *bufio.Writer, i Item) {
	var match string
	switch i.Kind {
	case IPv4, IPv6:
		match = fmt.Sprintf("ip $HOME_NET any <> [%s] any (msg:%q;", i.Value, "slnode address "+i.Value)
	case Domain:
		match = fmt.Sprintf(`dns $HOME_NET any -> any any (msg:%q; dns.query; content:"%s"; nocase; bsize:%d;`, "slnode domain "+i.Value, contentOf(i.Value), len(i.Value))
	case URL:
		host, port, path := splitURL(i.Value)
		match = fmt.Sprintf(`http $HOME_NET any -> any %s (msg:"slnode URL at %s"; flow:established,to_server; http.host; content:"%s"; bsize:%d; http.uri.raw; content:"%s"; bsize:%d;`,
			port, host, contentOf(host), len(host), contentOf(path), len(path))
	}
	sum := sha256.Sum256([]byte(i.key()))
	const lowest = 1 << 30 // above all numbers that are given to anybody
	gid, sid := lowest|binary.BigEndian.Uint32(sum[:])>>2, lowest|binary.BigEndian.Uint32(sum[4:])>>2
	fmt.Fprintf(w, "alert %s metadata:stix_id %s; gid:%d; sid:%d; rev:1;)\n", match, i.indicatorID(), gid, sid)
}

// contentOf writes bytes to look for. All that could have a meaning in a rule is in hexadecimal.
func contentOf(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlphanumeric(c) || strings.IndexByte("_-./", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "|%02X|", c)
		}
	}
	return b.String()
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
