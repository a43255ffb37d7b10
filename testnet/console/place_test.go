package console

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
)

// proxy passes on what is below a prefix, without it.
type proxy struct {
	prefix  string
	target  *url.URL
	rewrite bool // the Host header becomes the target's

	mu      sync.Mutex
	astray  []string // requests that were not for it
	through http.Handler
}

func newProxy(t *testing.T, prefix, target string, rewrite bool) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{prefix: prefix, target: to, rewrite: rewrite}
	p.through = http.StripPrefix(prefix, &httputil.ReverseProxy{Transport: trusting(), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		if !rewrite {
			r.Out.Host = r.In.Host
		}
	}})
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, p.prefix+"/") {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.astray = append(p.astray, r.Method+" "+r.URL.String())
		http.NotFound(w, r)
		return
	}
	p.through.ServeHTTP(w, r)
}

// trusting asks servers whose certificate nobody has signed.
func trusting() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the node's own, on this machine
}

// serve starts the proxy. It gives its address.
func (p *proxy) serve(t *testing.T, tls bool) string {
	t.Helper()
	server := httptest.NewUnstartedServer(p)
	if tls {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, one := range p.astray {
			t.Errorf("outside of the prefix was asked for: %s", one)
		}
	})
	return server.URL
}

// stroll does a little of everything at an address: it enters, searches, opens an object, has a preview made and
// changes something. Whatever a page links to stays below the address.
func stroll(b *browser, ticket, address string) {
	b.t.Helper()
	below := func() {
		b.t.Helper()
		var found []string
		b.ask(links, &found)
		for _, link := range found {
			if !strings.HasPrefix(link, address+"/-/") {
				b.t.Errorf("%s is linked to, outside of %s", link, address)
			}
		}
		if len(found) < 5 {
			b.t.Errorf("of a page %d links were found", len(found))
		}
	}
	_, query, _ := strings.Cut(ticket, "?")
	b.goTo(address + "/-/enter?" + query)
	b.leads(press("main form button"))
	b.said() // the favicon of a page that was left
	b.says("Today")
	below()
	b.goTo(address + "/-/search?type=malware")
	below()
	b.leads(press("table[data-rows] tbody th a"))
	b.says("Around it")
	below()
	b.goTo(address + "/-/publish")
	b.do(chromedp.SendKeys("textarea[name=paste]", "proxy.harbour-pilots.example", chromedp.ByQuery))
	b.until(`document.querySelectorAll("#rows input:checked").length === 1`)
	b.goTo(address + "/-/me")
	b.leads(press("input[name=theme][value=dark]"), press("form[action=me] button"))
	b.says("Saved.")
	below()
	theme := ""
	if b.ask(`document.documentElement.dataset.theme`, &theme); theme != "dark" {
		b.t.Errorf("what was chosen is kept as %q", theme)
	}
	b.quiet(address)
}

// cookie is that with which a browser is known.
func (b *browser) cookie() (login *network.Cookie) {
	b.t.Helper()
	list, err := storage.GetCookies().WithBrowserContextID(b.jar).Do(cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range list {
		if strings.HasPrefix(c.Name, "slnode-") && !strings.HasSuffix(c.Name, "-theme") {
			login = c
		}
	}
	if login == nil {
		b.t.Fatal("there is no cookie")
	}
	return login
}

func testPrefix(t *testing.T, c *consortium, chromium context.Context) {
	alpha := c.member(1)
	address := newProxy(t, "/cti/node-1", alpha.url, false).serve(t, false) + "/cti/node-1"
	b := open(t, chromium, address)
	b.look("light", 1280)
	b.goTo(address + "/")
	b.until(`location.pathname === "/cti/node-1/-/login"`)
	stroll(b, alpha.ticket(), address)
	if cookie := b.cookie(); cookie.Path != "/cti/node-1/-" || !cookie.HTTPOnly || cookie.Secure || cookie.SameSite != network.CookieSameSiteLax {
		t.Errorf("the login's cookie is %+v", cookie)
	}
	b.leads(press(".self form button"))
	b.says("Log in")
}

func testTLS(t *testing.T, c *consortium, chromium context.Context) {
	charlie := c.member(3)
	secure := newProxy(t, "/sl", strings.Replace(charlie.url, "http:", "https:", 1), true)
	behind := secure.serve(t, true)
	config := charlie.name + "/config.toml"
	c.edit(config, `(?m)^tls = "off"`, `tls = "self-signed"`)
	c.edit(config, `(?m)^origins = \[\]`, `origins = ["`+behind+`"]`)
	c.run("bin/testnet", "restart", "3")

	address := strings.Replace(charlie.url, "http:", "https:", 1)
	b := open(t, chromium, address)
	b.look("light", 1280)
	stroll(b, charlie.ticket(), address)
	if cookie := b.cookie(); cookie.Path != "/-" || !cookie.HTTPOnly || !cookie.Secure {
		t.Errorf("the login's cookie is %+v", cookie)
	}

	// Also through a proxy that changes Host, once its origin is named.
	b = open(t, chromium, behind)
	stroll(b, charlie.ticket(), behind+"/sl")
	if cookie := b.cookie(); cookie.Path != "/sl/-" || !cookie.Secure {
		t.Errorf("the login's cookie is %+v", cookie)
	}
}
