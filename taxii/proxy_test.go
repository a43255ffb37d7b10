package taxii

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"
)

func TestTheClientIsWhoTheTrustedProxiesSay(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.7:1", nil, "192.0.2.7"},
		{"192.0.2.7:1", []string{"198.51.100.1"}, "192.0.2.7"}, // whoever it is, it is not a proxy of ours
		{"127.0.0.1:1", nil, "127.0.0.1"},
		{"127.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[::ffff:127.0.0.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"}, // the first was written by the client
		{"127.0.0.1:1", []string{"203.0.113.9", "198.51.100.1, 10.1.2.3"}, "198.51.100.1"},
		{"127.0.0.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"127.0.0.1:1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"[fd00::1%eth0]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"127.0.0.1:1", []string{"nonsense"}, "127.0.0.1"},
		{"127.0.0.1:1", []string{"198.51.100.1, nonsense, 10.1.2.3"}, "10.1.2.3"},
		{"127.0.0.1:1", []string{""}, "127.0.0.1"},
		{"10.1.0.9:1", []string{"10.1.0.1, 10.1.0.2"}, "10.1.0.1"}, // all of them ours: the farthest
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.forwarded}}
		if got, ok := trusted.client(r); !ok || got.String() != test.want {
			t.Errorf("%s for %q: %v, want %s", test.remote, test.forwarded, got, test.want)
		}
	}
}

func TestAConnectionIsSecureIfTheTrustedProxySaysSo(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("127.0.0.1/32")}
	header := http.Header{"X-Forwarded-Proto": {"https"}}
	for want, r := range map[bool]*http.Request{
		true:  {RemoteAddr: "127.0.0.1:1", Header: header},
		false: {RemoteAddr: "192.0.2.7:1", Header: header},
	} {
		if trusted.secure(r) != want {
			t.Errorf("from %s: %v", r.RemoteAddr, !want)
		}
	}
	if !trusted.secure(&http.Request{RemoteAddr: "192.0.2.7:1", TLS: &tls.ConnectionState{}}) {
		t.Error("TLS is not secure")
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("127.0.0.1:1", "203.0.113.9, 198.51.100.1")
	f.Add("127.0.0.1:1", "[::1]:1,,%")
	f.Add("[fe80::1%lo]:1", "::ffff:127.0.0.1")
	f.Add("@", ",")
	trusted := proxies{netip.MustParsePrefix("127.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got, ok := trusted.client(r)
		peer, err := netip.ParseAddrPort(remote)
		if ok != (err == nil) {
			t.Fatalf("%q: %v, %v", remote, ok, err)
		}
		if ok && (!got.IsValid() || got.Zone() != "" || got.Is4In6()) {
			t.Errorf("%q for %q: %v", remote, forwarded, got)
		}
		if address := peer.Addr().Unmap().WithZone(""); ok && !trusted.trust(address) && got != address {
			t.Errorf("%q is believed that the client is %v", remote, got)
		}
	})
}
