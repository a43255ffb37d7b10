package outbound

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestAWebhookReachesNoPrivateAddressUnlessItMay(t *testing.T) {
	called := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer server.Close()
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		response, err := NewClient(false, time.Minute).Get(url)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || called || !strings.Contains(err.Error(), "public address") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("what is no address is public")
	}
	for text, want := range map[string]bool{
		"198.51.100.7": true, "8.8.8.8": true, "::ffff:8.8.8.8": true, "2606:4700::1111%eth0": true, "2001::1%eth0": false, "2606:4700::1111": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false,
		"255.255.255.255": false, "224.0.0.1": false, "::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::127.0.0.1": false,
	} {
		if isPublic(netip.MustParseAddr(text)) != want {
			t.Errorf("%s is public: %v", text, !want)
		}
	}
}

// Each special network ends where it ends: the addresses beside it are anybody's.
func TestSpecialNetworksAreNotPublicFromTheirFirstAddressToTheirLast(t *testing.T) {
	for _, network := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"2001::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
	} {
		prefix := netip.MustParsePrefix(network)
		first := prefix.Addr()
		bytes := first.AsSlice()
		for bit := prefix.Bits(); bit < first.BitLen(); bit++ {
			bytes[bit/8] |= 0x80 >> (bit % 8)
		}
		last, _ := netip.AddrFromSlice(bytes)
		if isPublic(first) || isPublic(last) {
			t.Errorf("of %s, %s is public: %v, %s: %v", network, first, isPublic(first), last, isPublic(last))
		}
		if first.Is4() {
			for _, beside := range []netip.Addr{first.Prev(), last.Next()} {
				if beside.IsValid() && !isPublic(beside) {
					t.Errorf("%s, beside %s, is not public", beside, network)
				}
			}
		}
	}
	for beside, want := range map[string]bool{"2001:1::": true, "2000:ffff::": true, "2003::": true, "2001:ffff::": true, "1fff::": false, "4000::": false} {
		if isPublic(netip.MustParseAddr(beside)) != want {
			t.Errorf("%s is public: %v", beside, !want)
		}
	}
	for at, want := range map[string]bool{"239.255.255.255": false, "240.0.0.0": false, "223.255.255.255": true} {
		if isPublic(netip.MustParseAddr(at)) != want {
			t.Errorf("%s is public: %v", at, !want)
		}
	}
}

// … which a name in the environment could have it do, or whoever answers.
func TestWhatIsSentGoesNowhereElse(t *testing.T) {
	called := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer server.Close()
	client := NewClient(true, time.Minute)
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if called || response.StatusCode != http.StatusFound {
		t.Errorf("a redirect is followed: %v, status %d", called, response.StatusCode)
	}
	if client.Transport.(*http.Transport).Proxy != nil {
		t.Error("it takes the environment's proxy")
	}
}

// What is packed could be a thousand times as large as it looks.
func TestNothingIsUnpackedAndHTTP2IsSpoken(t *testing.T) {
	asked := make(chan *http.Request, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	client := NewClient(true, time.Minute)
	client.Transport.(*http.Transport).TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if r := <-asked; r.Header.Get("Accept-Encoding") != "" || r.ProtoMajor != 2 {
		t.Errorf("it asks for %q, with %s", r.Header.Get("Accept-Encoding"), r.Proto)
	}
}

func TestWhoAnswersCanNeitherHoldNorFillTheNode(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Long", strings.Repeat("x", 70<<10))
	}))
	defer server.Close()
	for path, timeout := range map[string]time.Duration{"/never": time.Millisecond, "/long": time.Minute} {
		response, err := NewClient(true, timeout).Get(server.URL + path)
		if err == nil {
			response.Body.Close()
			t.Errorf("%s: it is answered", path)
		}
	}
}
