package export

import "strings"

// maxPANOS is the longest entry of an external dynamic list, in bytes.
const maxPANOS = 255

// takesPANOS: external dynamic lists are of addresses, of domains or of URLs. The URLs have no scheme and no port, and
// in them an asterisk or a circumflex stands for anything, so that a URL that has one would block others.
func takesPANOS(k Kind, value string) bool {
	switch k {
	case IPv4, IPv6, Domain:
		return len(value) <= maxPANOS
	case URL:
		host, port, _ := splitURL(value)
		return port == "any" && !strings.HasPrefix(host, "[") && !strings.HasPrefix(value, "ftp:") &&
			!strings.ContainsAny(value, "*^") && len(withoutScheme(value)) <= maxPANOS
	}
	return false
}

// asPANOS writes a URL without its scheme. The slash that every URL has after its host ends the name: without it the
// entry would cover hosts whose names begin with it.
func asPANOS(k Kind, value string) string {
	if k == URL {
		return withoutScheme(value)
	}
	return value
}

func withoutScheme(value string) string {
	_, rest, _ := strings.Cut(value, "://")
	return rest
}
