package console

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// behind puts a console behind a proxy that strips a prefix, over TLS. It gives the proxy's address.
func behind(t *testing.T, w *world, prefix string) (address string, browser *http.Client) {
	t.Helper()
	node := httptest.NewServer(w.c.Mount(http.NotFoundHandler()))
	t.Cleanup(node.Close)
	to, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	strip := http.StripPrefix(prefix, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}})
	proxy := httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, prefix+"/") {
			t.Errorf("outside of the prefix was asked for: %s", r.URL)
			http.NotFound(out, r)
			return
		}
		strip.ServeHTTP(out, r)
	}))
	t.Cleanup(proxy.Close)
	browser = proxy.Client()
	if browser.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return proxy.URL + prefix, browser
}

func TestBehindAPrefixOfAProxyEverythingStaysBelowIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.clerk.secure = true
	address, browser := behind(t, w, "/cti/node-1")
	ask := func(method, page string, form url.Values) (*url.URL, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, page, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", strings.TrimSuffix(address, "/cti/node-1"))
		}
		answer, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s %s is answered with %d, %v", method, page, answer.StatusCode, err)
		}
		return answer.Request.URL, string(body)
	}
	if at, _ := ask(http.MethodGet, address+"/", nil); at.Path != "/cti/node-1/-/login" {
		t.Errorf("who is not known is led to %s", at)
	}
	at, page := ask(http.MethodPost, address+"/-/login", url.Values{"user": {"admin"}, "password": {"right"}})
	if at.Path != "/cti/node-1/-/" {
		t.Errorf("a login leads to %s", at)
	}
	if n := len(browser.Jar.Cookies(at)); n == 0 {
		t.Error("the cookie does not come back")
	}
	outside := *at
	if outside.Path = "/cti/node-1/taxii2/"; len(browser.Jar.Cookies(&outside)) > 0 {
		t.Error("the cookie is sent outside of the console")
	}
	followed := 0
	for _, to := range linksOf(t, page) {
		next, err := at.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		if next.Fragment = ""; next.Path == at.Path && next.RawQuery == "" || strings.HasPrefix(next.Path, "/cti/node-1/-/object") {
			continue // what the test's rooms know by another id
		}
		ask(http.MethodGet, next.String(), nil)
		followed++
	}
	if followed < 10 {
		t.Errorf("only %d links were followed", followed)
	}
}

// linksOf are where a page leads, and what it loads.
func linksOf(t *testing.T, page string) (list []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "href" || a.Key == "src" {
				list = append(list, a.Val)
			}
		}
	}
	return list
}
