package export

import (
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

// wants reports whether values of a kind are asked for.
func (o *Options) wants(k Kind) bool { return len(o.Kinds) == 0 || slices.Contains(o.Kinds, k) }
