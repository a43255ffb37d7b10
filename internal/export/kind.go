package export

import (
	"fmt"
	"slices"
)

// Kind is what a value is.
type Kind byte

// The kinds, in the order of a list.
const (
	IPv4 Kind = iota + 1 // an address or a network
	IPv6
	Domain
	URL
	MD5
	SHA1
	SHA256
	SHA512
)

func (k Kind) String() string {
	return [...]string{"", "ipv4", "ipv6", "domain", "url", "md5", "sha1", "sha256", "sha512"}[k]
}

// isHash reports whether a value is the hash of a file.
func (k Kind) isHash() bool { return k >= MD5 && k <= SHA512 }

// isEnd reports whether a value is that of an end of a connection.
func (k Kind) isEnd() bool { return k == sourceEnd || k == destinationEnd }

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
