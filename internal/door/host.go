package door

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Hosts are the names by which browsers may call a listener, beside addresses and localhost.
//
// A page in a browser can't read what another site says, unless that site has the page's own name: so a hostile page
// has its name resolve to an address that only the browser can reach, loopback above all, and asks under its own name
// (DNS rebinding). Programs that are no browsers may say what they like.
type Hosts struct{ names map[string]bool }

// NewHosts makes a list of names. What has a port, as a listener's address, counts by its host.
func NewHosts(names ...string) Hosts {
	h := Hosts{names: map[string]bool{"localhost": true}}
	for _, name := range names {
		if name = bare(name); name != "" {
			h.names[name] = true
		}
	}
	return h
}

// Misdirected tells whether a request comes from a browser that calls us by a name that is not ours. open is for
// requests that are answered without credentials, where a mere look is too much.
func (h Hosts) Misdirected(r *http.Request, open bool) bool {
	if !ofBrowser(r.Header) && !(open && likeBrowser(r.Header)) {
		return false
	}
	return !h.Ours(r)
}

// ofBrowser tells a browser by the headers that no program has a reason to send.
func ofBrowser(header http.Header) bool {
	return header.Values("Origin") != nil || header.Values("Sec-Fetch-Site") != nil
}

// likeBrowser tells what may be one: over plain HTTP neither of those two comes with a page's GET under its own name.
// Accept-Language does, and no script can take it off.
func likeBrowser(header http.Header) bool {
	return header.Values("Accept-Language") != nil || strings.HasPrefix(header.Get("User-Agent"), "Mozilla/")
}

// bare is a host without its port, brackets and final dot, in lower case.
func bare(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil || port == "" {
			host = name
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// maxNamed bounds how much of a foreign name is said back, in bytes.
const maxNamed = 100

// Remedy says what was asked for, and what to configure if it is right.
func Remedy(r *http.Request) string {
	name := bare(r.Host)
	name = name[:min(len(name), maxNamed)]
	return fmt.Sprintf("A browser asks this node as %q, which is none of its names. If it is one, add it to config.toml and restart the node: [console] hosts = [%q]", name, name)
}

// Guard answers 421 to requests that are misdirected, for a handler that asks for no credentials. Nothing of them
// reaches it.
func (h Hosts) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Misdirected(r, true) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, Remedy(r), http.StatusMisdirectedRequest)
	})
}

// Ours tells whether a request calls us by an address, localhost, or one of the names: whoever answers browsers only
// has no reason to take another.
func (h Hosts) Ours(r *http.Request) bool {
	name := bare(r.Host)
	_, err := netip.ParseAddr(name) // nobody can make an address resolve to another one
	return err == nil || h.names[name]
}
