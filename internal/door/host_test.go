package door

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestABrowserIsAnsweredUnderOurNamesOnly(t *testing.T) {
	hosts := NewHosts("taxii.acme.example", "NODE.Acme.Example.", "listen.example:9440", ":9441", "")
	for host, ours := range map[string]bool{
		"127.0.0.1:9440": true, "127.0.0.1": true, "[::1]:9440": true, "[::1]": true, "192.0.2.7:80": true, "[fe80::1%25eth0]:1": true,
		"localhost": true, "LocalHost:9440": true, "localhost.": true, "127.0.0.1.": true,
		"taxii.acme.example": true, "TAXII.acme.example.:443": true, "node.acme.example": true, "listen.example": true,

		"": false, ":9440": false, "rebind.attacker.example": false, "rebind.attacker.example:9440": false, "localhost.attacker.example": false,
		"attacker.localhost": false, "acme.example": false, "x.taxii.acme.example": false, "127.0.0.1.attacker.example": false,
		"127.0.0.1:9440.attacker.example": false, "localhost:9440:1": false, "127.0.0.1@attacker.example": false, "[::1].attacker.example": false,
		"2130706433": false, "0x7f.1": false, // a browser writes these out before it asks
	} {
		for _, header := range []string{"Origin: http://x.example", "Origin: null", "Origin: ", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = host
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Set(name, value)
			if got := hosts.Misdirected(r, false); got == ours {
				t.Errorf("Host %q with %q: misdirected is %v", host, header, got)
			}
		}
	}
}

// Integrators' programs reach a node by whatever name and through whatever proxy.
func TestProgramsMayCallUsAnything(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Host = "taxii.behind-a-proxy.example"
	for _, agent := range []string{"", "curl/8.14.1", "python-requests/2.32", "Prometheus/3.1"} {
		r.Header.Set("User-Agent", agent)
		if hosts := NewHosts(); hosts.Misdirected(r, false) || hosts.Misdirected(r, true) {
			t.Errorf("%q is refused", agent)
		}
	}
	// Some programs write what browsers do: they have credentials.
	r.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT; PowerShell)")
	r.Header.Set("Accept-Language", "en")
	if NewHosts().Misdirected(r, false) {
		t.Error("a program with credentials is refused")
	}
}

// Over plain HTTP a page's GET under its own name has neither Origin nor Sec-Fetch-Site.
func TestAPageCanNotReadWhatIsOpenUnderItsOwnName(t *testing.T) {
	asked := false
	guarded := NewHosts().Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = true
		_, _ = io.WriteString(w, "the content")
	}))
	ask := func(host string, headers ...string) *httptest.ResponseRecorder {
		asked = false
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		return w
	}
	for _, headers := range [][]string{{"Accept-Language: de"}, {"User-Agent: Mozilla/5.0", "Authorization: Bearer x"}, {"Accept-Language: ", "User-Agent: curl/8"}, {"Sec-Fetch-Site: cross-site"}} {
		w := ask("rebind.attacker.example:9441", headers...)
		if w.Code != http.StatusMisdirectedRequest || asked {
			t.Errorf("%q: %d", headers, w.Code)
		}
		if body := w.Body.String(); !strings.Contains(body, `hosts = ["rebind.attacker.example"]`) {
			t.Errorf("the answer does not say what to do: %q", body)
		}
		if w := ask("127.0.0.1:9441", headers...); w.Code != http.StatusOK || !asked {
			t.Errorf("%q under an address: %d", headers, w.Code)
		}
	}
	if w := ask(strings.Repeat("a", 5000)+"<b>.example", "Origin: x"); len(w.Body.String()) > 600 || strings.Contains(w.Body.String(), "<b>") {
		t.Errorf("the name is said back in full: %d bytes", w.Body.Len())
	}
}

func TestARefusalIsShownAndKeptByNobody(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = strings.Repeat("a", 101)
	r.Header.Set("Origin", "x")
	w := httptest.NewRecorder()
	NewHosts().Guard(nil).ServeHTTP(w, r)
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if body := w.Body.String(); strings.Count(body, strings.Repeat("a", 100)) != 2 || strings.Contains(body, strings.Repeat("a", 101)) {
		t.Errorf("of a long name it says back: %q", body)
	}
}

func TestAHostIsComparedWithoutItsPort(t *testing.T) {
	for host, want := range map[string]string{
		"a.example": "a.example", "A.Example.": "a.example", "a.example:80": "a.example", "a.example:": "a.example", "a.example:65535": "a.example",
		"a.example:65536": "a.example:65536", "a.example:http": "a.example:http", "[::1]:80": "::1", "[::1]": "::1", "::1": "::1", "": "", ":80": "",
	} {
		if got := bare(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
}
