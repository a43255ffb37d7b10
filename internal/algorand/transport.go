package algorand

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	// maxBody is more than the largest answer that is asked for: a full block (5 MiB), or a page of 1,000 transactions
	// with notes of 4 KiB.
	maxBody = 64 << 20
	// maxErrorBody is how much of an error's body is read, and maxMessage how much of it is passed on. Algod names a
	// group's failing transaction first and the reason last.
	maxErrorBody = 16 << 10
	maxMessage   = 1000
)

// transport makes the requests of one client. The SDK's own client knows no more of the server's URL than its host:
// what else is in it can be a key, and would stand in every error.
type transport struct {
	server  string // as people call it
	key     string // what the keys of its configuration begin with
	base    *url.URL
	header  string // that carries the token
	token   string
	replace string // the header that the SDK sets, without a token
	secrets *strings.Replacer
	gate    gate
	next    http.RoundTripper
}

// configured is what the keys of the configuration begin with that say where a server is, and with which token.
var configured = map[string]string{algodServer: "algorand.algod", indexerServer: "algorand.indexer"}

// newTransport gives the transport and the URL to tell to the SDK.
func newTransport(server, base, token, own string, header []string) (string, *transport, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", nil, fmt.Errorf("the URL of %s is not one of http or https", server)
	}
	next := http.DefaultTransport.(*http.Transport).Clone()
	next.MaxIdleConnsPerHost = 8
	next.ResponseHeaderTimeout = 90 * time.Second // algod holds wait-for-block-after for 60 s
	next.MaxResponseHeaderBytes = 64 << 10
	t := &transport{server: server, key: configured[server], base: u, header: own, token: token, replace: own, next: next}
	if len(header) > 0 && header[0] != "" {
		t.header = http.CanonicalHeaderKey(header[0])
	}
	if t.header == "Authorization" && token != "" && !strings.Contains(token, " ") {
		t.token = "Bearer " + token
	}
	t.secrets = secretsOf(u, token)
	return u.Scheme + "://" + u.Host, t, nil
}

// secretsOf finds what must not be shown: the token, and whatever in the URL could be a key.
func secretsOf(u *url.URL, token string) *strings.Replacer {
	const shortest = 6 // a shorter one is no key, and its letters are everywhere
	var list []string
	hide := func(texts ...string) {
		for _, text := range texts {
			if len(text) >= shortest {
				list = append(list, text, "…", url.QueryEscape(text), "…", url.PathEscape(text), "…")
			}
		}
	}
	hide(token)
	hide(strings.Fields(token)...)
	if u.User != nil {
		password, _ := u.User.Password()
		hide(u.User.Username(), password)
	}
	for _, values := range u.Query() {
		hide(values...)
	}
	hide(strings.Split(u.Path, "/")...)
	return strings.NewReplacer(list...)
}

// RoundTrip makes a request. Its errors are fit to be shown.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.gate.pass(request.Context()); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // RoundTrip must
		}
		return nil, err
	}
	response, err := t.next.RoundTrip(t.address(request))
	if err != nil {
		return nil, t.explain(t.unreached(err))
	}
	if response.StatusCode == http.StatusOK {
		return t.own(request, response)
	}
	defer response.Body.Close()
	return t.refusal(request, response)
}

// address completes a request with what the SDK isn't told.
func (t *transport) address(request *http.Request) *http.Request {
	r := request.Clone(request.Context())
	u := *t.base
	u.Path = strings.TrimRight(u.Path, "/") + request.URL.Path
	u.RawPath = ""
	if u.RawQuery != "" && request.URL.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += request.URL.RawQuery
	r.URL = &u
	if u.User != nil && r.Header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		r.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	r.Header.Del(t.replace)
	if t.token != "" {
		r.Header.Set(t.header, t.token)
	}
	return r
}

// explain calls an error by its name where the words of a library mislead.
func (t *transport) explain(err error) error {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil {
		return fmt.Errorf("the certificate of %s is valid from %s to %s, and this machine's clock says %s: is it right? (%w)", t.server,
			stamp(invalid.Cert.NotBefore), stamp(invalid.Cert.NotAfter), stamp(time.Now()), err)
	}
	if text := err.Error(); t.secrets.Replace(text) != text {
		return errors.New(t.show([]byte(text)))
	}
	return err
}

// unreached names the key of the configuration where nobody answers, or there is no such name.
func (t *transport) unreached(err error) error {
	var name *net.DNSError
	var dialled *net.OpError
	if errors.As(err, &name) || errors.As(err, &dialled) && dialled.Op == "dial" {
		return fmt.Errorf("%s can't be reached; is %s_url right? (%w)", t.server, t.key, err)
	}
	return err
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// own passes an answer on, unless it begins as none of the server's does.
func (t *transport) own(request *http.Request, response *http.Response) (*http.Response, error) {
	reader := bufio.NewReader(response.Body)
	start, err := reader.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		defer response.Body.Close()
		return nil, t.explain(fmt.Errorf("reading the answer of %s: %w", t.server, err))
	}
	msgpack := request.URL.Query().Get("format") == "msgpack"
	if text := bytes.TrimLeft(start, " \t\r\n"); msgpack && !isMap(start) || !msgpack && !bytes.HasPrefix(text, []byte("{")) {
		defer response.Body.Close()
		return nil, &ForeignError{t.server, response.StatusCode, describe(response.Header.Get("Content-Type"), text)}
	}
	t.gate.answered()
	response.Body = &boundedBody{Reader: reader, Closer: response.Body, left: maxBody}
	return response, nil
}

// isMap reports whether something begins as a map in msgpack.
func isMap(start []byte) bool {
	return len(start) > 0 && (start[0]&0xf0 == 0x80 || start[0] == 0xde || start[0] == 0xdf)
}

// describe says what an answer is that is not the server's.
func describe(contentType string, start []byte) string {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch {
	case kind == "text/html", bytes.HasPrefix(bytes.TrimSpace(start), []byte("<")):
		return "an HTML page"
	case len(start) == 0:
		return "nothing in it"
	case kind == "" || kind == "application/json" || kind == "application/msgpack":
		return "something else than its answers"
	}
	return "content of the type " + printable(kind, 40)
}

// refusal gives an answer other than 200 to the SDK, with a message that can be shown, or returns what it means.
func (t *transport) refusal(request *http.Request, response *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err != nil {
		return nil, t.explain(fmt.Errorf("reading an answer with status %d: %w", response.StatusCode, err))
	}
	message, its := t.message(body)
	status := response.StatusCode
	after := retryAfter(response.Header, time.Now())
	if status == http.StatusForbidden {
		message += fmt.Sprintf(" (if it goes on, look at %s_token)", t.key)
	}
	switch {
	case status == http.StatusUnauthorized:
		return nil, &DeniedError{Server: t.server, Key: t.key, Message: message}
	case after > 0, status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == http.StatusForbidden:
		throttled := &Throttled{Status: status, After: after, Message: message}
		t.gate.refused(throttled)
		return nil, throttled
	case status >= 300 && status < 400:
		return nil, &ForeignError{t.server, status, "a redirect to " + printable(Redact(response.Header.Get("Location")), 100) +
			", which is not followed: configure the address that is meant"}
	case !its || status < 400:
		return nil, &ForeignError{t.server, status, describe(response.Header.Get("Content-Type"), body)}
	}
	response.Body = io.NopCloser(bytes.NewReader([]byte(message)))
	response.ContentLength = int64(len(message))
	return response, nil
}

// message is what the body of an error says, as it may be shown; its own if it has the form that algod and the indexer
// give to theirs.
func (t *transport) message(body []byte) (text string, its bool) {
	var e struct {
		Message *string `json:"message"`
	}
	if json.Unmarshal(body, &e) == nil && e.Message != nil {
		return t.show([]byte(*e.Message)), true
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return "", false // a page for people
	}
	return t.show(body), false
}

// show shortens a text and takes out what is secret or can't be printed.
func (t *transport) show(text []byte) string {
	return printable(t.secrets.Replace(string(text)), maxMessage)
}

func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if text = strings.TrimSpace(text); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

type boundedBody struct {
	io.Reader
	io.Closer
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
