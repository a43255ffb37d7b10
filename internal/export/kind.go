package export

import (
	"fmt"
	"slices"

	"github.com/serviceledger/slnode/internal/observable"
)

// Kind is what a value is.
type Kind = observable.Kind

// The kinds, in the order of a list.
const (
	IPv4   = observable.IPv4 // an address or a network
	IPv6   = observable.IPv6
	Domain = observable.Domain
	URL    = observable.URL
	MD5    = observable.MD5
	SHA1   = observable.SHA1
	SHA256 = observable.SHA256
	SHA512 = observable.SHA512
)

// ParseKinds gives the kinds that a word stands for: one kind, all addresses ("ip") or all hashes ("hash").
func ParseKinds(word string) ([]Kind, error) {
	switch word {
	case "ip":
		return []Kind{IPv4, IPv6}, nil
	case "hash":
		return []Kind{MD5, SHA1, SHA256, SHA512}, nil
	}
	for k := IPv4; k <= SHA512; k++ {
		if k.String() == word {
			return []Kind{k}, nil
		}
	}
	return nil, fmt.Errorf("%.40q is none of ip, ipv4, ipv6, domain, url, hash, md5, sha1, sha256 and sha512", word)
}

// wants reports whether values of a kind are asked for.
func (o *Options) wants(k Kind) bool { return len(o.Kinds) == 0 || slices.Contains(o.Kinds, k) }
