package export

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/observable"
)

func TestValuesComeInOneForm(t *testing.T) {
	for _, test := range []struct {
		kind     Kind
		text     string
		wantKind Kind
		want     string // empty: it is no value
	}{
		{IPv4, "198.51.100.7", IPv4, "198.51.100.7"},
		{IPv4, "198.51.100.7/32", IPv4, "198.51.100.7"},
		{IPv4, "198.51.100.7/24", IPv4, "198.51.100.0/24"},
		{IPv4, "198.51.100.007", 0, ""},
		{IPv4, "2001:db8::1", 0, ""},
		{IPv4, "198.51.100.7\n0.0.0.0/0", 0, ""},
		{IPv4, "0.0.0.0/0", 0, ""},
		{IPv4, "128.0.0.0/1", 0, ""},
		{IPv4, "10.1.2.3", 0, ""},
		{IPv4, "172.0.0.0/8", 0, ""}, // holds a private network
		{IPv4, "127.0.0.1", 0, ""},
		{IPv4, "255.255.255.255", 0, ""},
		{IPv6, "2001:DB8:0:0::1", IPv6, "2001:db8::1"},
		{IPv6, "::ffff:198.51.100.7", IPv4, "198.51.100.7"},
		{IPv6, "::ffff:10.0.0.1", 0, ""},
		{IPv6, "fe80::1%eth0", 0, ""},
		{IPv6, "::/0", 0, ""},
		{IPv6, "2000::/3", 0, ""},
		{IPv6, "::1", 0, ""},
		{IPv6, "fd00::1", 0, ""},
		{Domain, "Evil.EXAMPLE.", Domain, "evil.example"},
		{Domain, "bücher.example", Domain, "xn--bcher-kva.example"},
		{Domain, "xn--bcher-kva.example", Domain, "xn--bcher-kva.example"},
		{Domain, "_dmarc.evil.example", Domain, "_dmarc.evil.example"},
		{Domain, "r3---sn-abc.evil.example", Domain, "r3---sn-abc.evil.example"},
		{Domain, "evil[.]example", 0, ""},
		{Domain, "com", 0, ""},
		{Domain, "*.evil.example", 0, ""},
		{Domain, "evil.example.\n* CNAME .", 0, ""},
		{Domain, "evil .example", 0, ""},
		{Domain, "evil..example", 0, ""},
		{Domain, "198.51.100.7", 0, ""},
		{Domain, "0.0.0.0.0.rpz-ip", 0, ""},
		{Domain, "a.localhost", 0, ""},
		{Domain, strings.Repeat("a", 64) + ".example", 0, ""},
		{Domain, strings.Repeat("a.", 130) + "example", 0, ""},
		{URL, "HTTP://Evil.Example:80/A?b#c", URL, "http://evil.example/A?b"},
		{URL, "https://evil.example:8443", URL, "https://evil.example:8443/"},
		{URL, "http://[2001:db8::1]:8080/x", URL, "http://[2001:db8::1]:8080/x"},
		{URL, "http://evil.example/a b\"c'd|e\\f", URL, "http://evil.example/a%20b%22c%27d%7Ce%5Cf"},
		{URL, "http://evil.example/?q=ü%zz;\"", URL, "http://evil.example/?q=%C3%BC%25zz;%22"},
		{URL, "http://evil.example/%2f", URL, "http://evil.example/%2f"},
		{URL, "http://evil.example/\nalert ip any any -> any any", 0, ""},
		{URL, "http://user:secret@evil.example/", 0, ""},
		{URL, "http://127.0.0.1/", 0, ""},
		{URL, "http://evil.example:0/", 0, ""},
		{URL, "http://evil.example:/", 0, ""},
		{URL, "javascript:alert(1)", 0, ""},
		{URL, "//evil.example/", 0, ""},
		{URL, "http:evil.example", 0, ""},
		{URL, "http://evil.example/" + strings.Repeat("a", observable.MaxValue), 0, ""},
		{MD5, "0123456789ABCDEF0123456789abcdef", MD5, "0123456789abcdef0123456789abcdef"},
		{MD5, "0123456789abcdef0123456789abcde", 0, ""},
		{MD5, "d41d8cd98f00b204e9800998ecf8427e", 0, ""},
		{SHA1, strings.Repeat("ab", 20), SHA1, strings.Repeat("ab", 20)},
		{SHA256, strings.Repeat("ab", 20), 0, ""},
		{SHA256, strings.Repeat("g", 64), 0, ""},
		{SHA512, strings.Repeat("ab", 64), SHA512, strings.Repeat("ab", 64)},
	} {
		kind, value, good := normalise(observable.Atom{Kind: test.kind, Text: test.text})
		if good != (test.want != "") || good && (kind != test.wantKind || value != test.want) {
			t.Errorf("%v %.60q is %v %q, %v", test.kind, test.text, kind, value, good)
		}
	}
}

var safe = regexp.MustCompile(`^[0-9A-Za-z_.:/?&=%,;~!$()*+@\[\]-]+$`)

func TestNoValueHoldsWhatAFormatIsMadeOf(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`(https?://)?[a-z0-9._-]{1,20}\.example(:[0-9]{1,5})?/[ -~\n]{0,20}`))
	rapid.Check(t, func(t *rapid.T) {
		a := observable.Atom{Kind: Kind(rapid.IntRange(int(IPv4), int(SHA512)).Draw(t, "kind")), Text: text.Draw(t, "text")}
		kind, value, good := normalise(a)
		if !good {
			return
		}
		if !safe.MatchString(value) {
			t.Fatalf("%q is %q", a.Text, value)
		}
		if k, again, good := normalise(observable.Atom{Kind: kind, Text: value}); !good || k != kind || again != value {
			t.Fatalf("%q is %q, and that is %q", a.Text, value, again)
		}
	})
}
