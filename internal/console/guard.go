package console

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/serviceledger/slnode/internal/door"
	"github.com/serviceledger/slnode/taxii"
)

// policy lets a page load what this node serves, run no inline script, set no HTML from script, and be framed by
// nobody.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard tells requests that the console's own pages make from those that others have a browser make.
type guard struct {
	hosts  door.Hosts
	origin *http.CrossOriginProtection
}

func newGuard(hosts door.Hosts, origins []string) (guard, error) {
	g := guard{hosts, http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if err := g.origin.AddTrustedOrigin(origin); err != nil {
			return g, fmt.Errorf("console.origins: %w", err)
		}
	}
	return g, nil
}

// headers sets what every answer has. With the referrer policy of the API, no-referrer, browsers would send "Origin:
// null" with this page's own forms, and they would be refused.
func (guard) headers(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	header.Set("Cache-Control", "no-store")
}

// check refuses what comes under a foreign name, and what would change something and comes from another page. cookie
// says that the request carries a login.
func (g guard) check(r *http.Request, cookie bool) error {
	if !g.hosts.Ours(r) {
		return &refusal{status: http.StatusMisdirectedRequest, title: "This node has another name", text: door.Remedy(r)}
	}
	if err := g.origin.Check(r); err != nil {
		return errCrossOrigin
	}
	// CrossOriginProtection takes a request without both for one of a program: programs have no cookies of ours.
	if cookie && !safe(r.Method) && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return errCrossOrigin
	}
	return nil
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// refusal is an error with a page of its own.
type refusal struct {
	status      int
	title, text string
	code        string // lines to be copied, if there are any
}

func (r *refusal) Error() string { return r.title + ": " + r.text }

var (
	errCrossOrigin = &refusal{
		status: http.StatusForbidden, title: "This form came from another page",
		text: "The browser says that another site sent it, so nothing was done. If this is the console's own form, a proxy between the browser and this node " +
			"changes the Host header: have it pass the header on, or name the address that the browser shows in config.toml and restart the node.",
		code: "proxy_set_header Host $host;          # nginx\n\n[console]\norigins = [\"https://name.as.in.the.browser\"]",
	}
	errClear = &refusal{
		status: http.StatusForbidden, title: "The console needs an encrypted connection",
		text: "This node answers on a network address without TLS, so that passwords and intelligence could be read on the way. Use one of these in config.toml, and restart " +
			"the node. The last line is for those who know why it does no harm.",
		code: "[taxii]\ntls = \"self-signed\"                   # or \"acme\", or \"files\"\nlisten = \"127.0.0.1:9440\"              # and reach it through ssh -L 9440:127.0.0.1:9440\ntrusted_proxies = [\"10.0.0.2\"]         # behind a proxy that does TLS\n\n[console]\ninsecure = true",
	}
)

const (
	usualBody = 64 << 10 // of a form, in bytes
	mostParts = 200      // fields of a form
)

// read reads the form of a post and, where the route asks for it, has the password confirmed. It is false if the answer
// was given.
func (c *Console) read(v *visit) (bool, error) {
	if v.who.Role < v.route.writes || v.route.sudo && v.who.Limits.Any() {
		return false, taxii.ErrForbidden
	}
	most := v.route.body
	if most == 0 {
		most = usualBody
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, most)
	var err error
	if v.form, err = readForm(v.r); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return false, &refusal{status: http.StatusRequestEntityTooLarge, title: "Too much at once", text: fmt.Sprintf("This form takes %d bytes at most.", large.Limit)}
		}
		return false, &refusal{status: http.StatusBadRequest, title: "Not readable", text: "The form could not be read: " + err.Error()}
	}
	if !v.route.sudo {
		return true, nil
	}
	return c.confirmed(v)
}

// readForm reads a form. Files become fields: those that forms here take are small, and text.
func readForm(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-www-form-urlencoded":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(body), "&"); n > mostParts {
			return nil, fmt.Errorf("it has %d fields, at most %d are taken", n, mostParts)
		}
		return url.ParseQuery(string(body))
	case err != nil || kind != "multipart/form-data":
		return nil, errors.New("it is not a form")
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, err
	}
	form := url.Values{}
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil {
			return nil, err
		}
		if n == mostParts {
			return nil, fmt.Errorf("it has more than %d fields", mostParts)
		}
		text, err := io.ReadAll(part) // the body is bounded
		if err != nil {
			return nil, err
		}
		if name := part.FormName(); name != "" && (len(text) > 0 || part.FileName() == "") {
			form.Add(name, string(text))
		}
	}
}
