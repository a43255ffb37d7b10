// Package observable knows the values that indicators and observables are about, such as addresses, names and hashes:
//
//   - kind.go says which kinds there are, value.go checks a value and brings it into its one form;
//   - key.go has the form by which values are found in an index, with what contains them beside them;
//   - text.go finds values in what people write, defanged or not;
//   - lexer.go and pattern.go read STIX patterns, object.go whole STIX objects.
//
// It judges nothing: which of the values may be blocked or published is for its callers to say.
package observable

import "fmt"

// Kind is what a value is.
type Kind byte

// The kinds. Lists for firewalls are made of those up to SHA512, and are in their order. The numbers are in the index
// of every node: new ones come last.
const (
	IPv4 Kind = iota + 1 // an address or a network
	IPv6
	Domain
	URL
	MD5
	SHA1
	SHA256
	SHA512
	Email
	ASN         // the number of an autonomous system, "AS64496"
	FileName    // in lower case
	Mutex       // its name
	RegistryKey // of Windows, in lower case, the hive's name in full
	UserAgent   // of HTTP
	Serial      // of an X.509 certificate, in hexadecimal
	MAC         // a hardware address
	CVE         // "CVE-2024-3094"
	Technique   // of MITRE ATT&CK, "T1566.001"
	CID         // of what is on IPFS, version 1 with a SHA-256, in base32
	last        = CID
)

var names = [...]string{"", "ipv4", "ipv6", "domain", "url", "md5", "sha1", "sha256", "sha512", "email", "asn", "file-name", "mutex", "registry-key",
	"user-agent", "x509-serial", "mac", "cve", "technique", "cid"}

func (k Kind) String() string {
	if int(k) >= len(names) {
		return fmt.Sprintf("Kind(%d)", byte(k))
	}
	return names[k]
}

// ParseKind gives the kind with a name.
func ParseKind(name string) (Kind, error) {
	for k := IPv4; k <= last; k++ {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%.40q is no kind of value", name)
}

// ParseKinds gives the kinds of values in lists that a word stands for: one kind, all addresses ("ip") or all hashes
// ("hash").
func ParseKinds(word string) ([]Kind, error) {
	switch word {
	case "ip":
		return []Kind{IPv4, IPv6}, nil
	case "hash":
		return []Kind{MD5, SHA1, SHA256, SHA512}, nil
	}
	if k, err := ParseKind(word); err == nil && k <= SHA512 {
		return []Kind{k}, nil
	}
	return nil, fmt.Errorf("%.40q is none of ip, ipv4, ipv6, domain, url, hash, md5, sha1, sha256 and sha512", word)
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText undoes MarshalText.
func (k *Kind) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKind(string(text))
	return err
}

// IsHash reports whether a value is the hash of a file.
func (k Kind) IsHash() bool { return k >= MD5 && k <= SHA512 }

// IsAddress reports whether a value is an address or a network.
func (k Kind) IsAddress() bool { return k == IPv4 || k == IPv6 }

// isEnd reports whether a value is that of an end of a connection.
func (k Kind) isEnd() bool { return k == sourceEnd || k == destinationEnd }
