package taxii

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/retry"
	"github.com/serviceledger/slnode/internal/version"
)

// Client speaks to a TAXII 2.1 server. It lives with what servers get wrong: absent date headers, an empty next,
// numbers where strings belong, a 200 where a 202 belongs.
type Client struct {
	base   *url.URL
	http   *http.Client
	login  func(*http.Request)
	answer int64
}

// ClientConfig says how a client speaks. All of it is optional.
type ClientConfig struct {
	User, Password string       // HTTP Basic
	Token          string       // a bearer token, in place of both
	Header         http.Header  // beside these, such as one with an API key
	HTTP           *http.Client // http.DefaultClient if nil
	MaxAnswer      int64        // bytes of an answer, inflated; 256 MiB if 0
}

// maxRedirects bounds how often one request is sent on.
const maxRedirects = 5

// NewClient returns a client for the server at the base URL, such as
// https://taxii.example.
func NewClient(base string, c ClientConfig) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("taxii: %q is not the http or https URL of a server", base)
	}
	client := &Client{
		base:   u,
		login:  func(*http.Request) {},
		answer: c.MaxAnswer,
	}
	if client.answer <= 0 {
		client.answer = 256 << 20
	}
	header := c.Header.Clone()
	switch {
	case c.Token != "":
		client.login = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.Token) }
	case c.User != "" || c.Password != "":
		client.login = func(r *http.Request) { r.SetBasicAuth(c.User, c.Password) }
	}
	if login := client.login; len(header) > 0 {
		client.login = func(r *http.Request) {
			login(r)
			maps.Copy(r.Header, header)
		}
	}
	plain := http.DefaultClient
	if c.HTTP != nil {
		plain = c.HTTP
	}
	transport := *plain
	transport.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects || r.Method != via[0].Method || !sameOrigin(r.URL, client.base) {
			return http.ErrUseLastResponse // which is then reported as it is
		}
		return nil
	}
	client.http = &transport
	return client, nil
}

// ResponseError is an answer that is not a success.
type ResponseError struct {
	Status             int           // HTTP's
	Title, Description string        // as the server gave them, if it did
	Code               string        // its error_code, "" if it gave none
	RetryAfter         time.Duration // 0 if the server named no time
}

func (e *ResponseError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Description != "" {
		return text + ": " + e.Description
	}
	if e.Title != "" {
		return text + ": " + e.Title
	}
	return text
}

// Discovery asks what the server offers.
func (c *Client) Discovery(ctx context.Context) (DiscoveryResource, error) {
	var d DiscoveryResource
	_, err := c.get(ctx, "/taxii2/", nil, &d)
	return d, err
}

// Collections lists the collections of an API root, which is given as in the discovery resource, or by its path.
func (c *Client) Collections(ctx context.Context, root string) ([]CollectionResource, error) {
	var list CollectionsResource
	_, err := c.get(ctx, join(root, "collections"), nil, &list)
	return list.Collections, err
}

// Collection finds one collection of an API root by its id or alias: which is meant by an alias is for the server to
// say.
func (c *Client) Collection(ctx context.Context, root, idOrAlias string) (CollectionResource, error) {
	var found CollectionResource
	_, err := c.get(ctx, join(root, "collections", idOrAlias), nil, &found)
	return found, err
}

// Add adds the objects of an envelope or bundle to a collection.
func (c *Client) Add(ctx context.Context, root, collection string, envelope []byte) (StatusResource, error) {
	var status StatusResource
	r, err := c.request(ctx, http.MethodPost, join(root, "collections", collection, "objects"), nil, envelope)
	if err != nil {
		return status, err
	}
	r.Header.Set("Content-Type", MediaType)
	_, err = c.do(r, &status)
	return status, err
}

// Rehearse asks what adding the objects of an envelope or bundle would do. Only a Service Ledger node can tell.
func (c *Client) Rehearse(ctx context.Context, root, collection string, envelope []byte) (RehearsalResource, error) {
	var rehearsal RehearsalResource
	r, err := c.request(ctx, http.MethodPost, join(root, "collections", collection, "objects"), url.Values{"dry_run": {"true"}}, envelope)
	if err != nil {
		return rehearsal, err
	}
	r.Header.Set("Content-Type", MediaType)
	_, err = c.do(r, &rehearsal)
	return rehearsal, err
}

// Status asks what became of a request to add objects.
func (c *Client) Status(ctx context.Context, root, id string) (StatusResource, error) {
	var status StatusResource
	_, err := c.get(ctx, join(root, "status", id), nil, &status)
	return status, err
}

// Filter says which objects to get. Its zero value asks for the latest version of all of them.
type Filter struct {
	IDs, Types []string
	Version    string // of match[version], such as "all"
	AddedAfter string // a timestamp as a server gave it
	Next       string // the cursor to go on from
	Limit      int    // of a page; the server's own if 0
}

// ObjectsPage is a page of a collection's objects.
type ObjectsPage struct {
	Objects     []jsontext.Value // byte for byte as they came
	First, Last string           // the dates added of the first and last object, if the server told any
	Next        string           // the server's cursor; some give one though there is no more
	More        More             // what the server says of objects after these
	Asked       time.Time        // when the server says that it answered; zero if it does not
}

// More is whether there are objects after a page.
type More int

const (
	MoreUnsaid More = iota // which means no, to the letter of the standard
	MoreNo
	MoreYes
)

// ErrTooLarge means that an answer is larger than the client takes, in bytes or in objects. A smaller limit may help.
var ErrTooLarge = errors.New("the answer is too large")

// maxPageObjects bounds a page, whose memory grows with the objects, too.
const maxPageObjects = 100_000

// Objects gets a collection's objects page by page. It ends with the last page or with the first error. A server that
// says that there is more without getting any further is such an error.
func (c *Client) Objects(ctx context.Context, root, collection string, f Filter) iter.Seq2[ObjectsPage, error] {
	return func(yield func(ObjectsPage, error) bool) {
		var former ObjectsPage
		for {
			page, err := c.Page(ctx, root, collection, f)
			if err != nil {
				yield(ObjectsPage{}, err)
				return
			}
			if !yield(page, nil) || page.More != MoreYes {
				return
			}
			switch {
			case len(page.Objects) == 0:
				err = errors.New("taxii: the server has more objects but sent an empty page")
			// A cursor may stay the same while it moves on (medallion's does), but then the objects are others.
			case page.Next != "" && (page.Next != f.Next || !samePage(page, former)):
				f.Next = page.Next
			case page.Next == "" && later(page.Last, f.AddedAfter):
				f.AddedAfter, f.Next = page.Last, ""
			default:
				err = errors.New("taxii: the server has more objects but its pages repeat")
			}
			if err != nil {
				yield(ObjectsPage{}, err)
				return
			}
			former = page
		}
	}
}

func samePage(a, b ObjectsPage) bool {
	return slices.EqualFunc(a.Objects, b.Objects, func(a, b jsontext.Value) bool { return bytes.Equal(a, b) })
}

// later tells whether the first timestamp is one and after the second, if that is one.
func later(a, b string) bool {
	first, err := parseInstant(a)
	if err != nil {
		return false
	}
	second, err := parseInstant(b)
	return err != nil || first.After(second)
}

// Page gets one page of a collection's objects.
func (c *Client) Page(ctx context.Context, root, collection string, f Filter) (ObjectsPage, error) {
	query := make(url.Values)
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	set("match[id]", strings.Join(f.IDs, ","))
	set("match[type]", strings.Join(f.Types, ","))
	set("match[version]", f.Version)
	set("added_after", f.AddedAfter)
	set("next", f.Next)
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var envelope struct {
		More    jsontext.Value `json:"more"`
		Next    jsontext.Value `json:"next"` // some servers send a number, or null
		Objects objectList     `json:"objects"`
	}
	header, err := c.get(ctx, join(root, "collections", collection, "objects"), query, &envelope)
	if err != nil {
		return ObjectsPage{}, err
	}
	page := ObjectsPage{
		Objects: envelope.Objects,
		First:   dateHeader(header, "First"),
		Last:    dateHeader(header, "Last"),
	}
	page.Asked, _ = http.ParseTime(header.Get("Date")) // zero if it is none
	switch envelope.More.Kind() {
	case 't':
		page.More = MoreYes
	case 'f':
		page.More = MoreNo
	}
	switch envelope.Next.Kind() {
	case '"':
		page.Next = unquote(envelope.Next)
	case '0':
		page.Next = string(envelope.Next)
	}
	return page, nil
}

// dateHeader reads a header that says when an object was added. OpenCTI has been seen to send "undefined".
func dateHeader(header http.Header, which string) string {
	value := header.Get("X-TAXII-Date-Added-" + which)
	if _, err := parseInstant(value); err != nil {
		return ""
	}
	return value
}

// ParseDate reads a date added as servers write it: with any precision, in UTC or with an offset.
func ParseDate(s string) (time.Time, error) { return parseInstant(s) }

// FormatDate writes a time as TAXII 2.1 has it (section 2): in UTC, with microseconds.
func FormatDate(t time.Time) string { return formatTimestamp(t) }

// objectList is the objects of a page.
type objectList []jsontext.Value

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (l *objectList) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	*l, err = AppendObjects(*l, dec, maxPageObjects)
	return err
}

// AppendObjects reads a list of values, byte for byte, and appends them to list. Where that gets more than most, the
// error wraps [ErrTooLarge].
func AppendObjects(list []jsontext.Value, dec *jsontext.Decoder, most int) ([]jsontext.Value, error) {
	if dec.PeekKind() != '[' {
		return list, errors.New("the objects are not a list")
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	for dec.PeekKind() != ']' {
		if len(list) == most {
			return nil, fmt.Errorf("%w: more than %d objects", ErrTooLarge, most)
		}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		list = append(list, value.Clone())
	}
	_, err := dec.ReadToken()
	return list, err
}

// join makes the path of a resource of an API root.
func join(root string, segments ...string) string {
	path := strings.TrimRight(root, "/")
	for _, s := range segments {
		path += "/" + url.PathEscape(s)
	}
	return path + "/"
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) (http.Header, error) {
	r, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return c.do(r, into)
}

// request makes a request to a URL that is the server's, given in full or by its path. Credentials go nowhere else.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	u, err := c.base.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("taxii: %q is not a URL: %w", path, err)
	}
	if !sameOrigin(u, c.base) {
		return nil, fmt.Errorf("taxii: %s is not on %s; it takes a client of its own", u.Redacted(), c.base.Host)
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", MediaType)
	r.Header.Set("User-Agent", version.UserAgent())
	c.login(r)
	return r, nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// do sends a request and decodes the answer.
func (c *Client) do(r *http.Request, into any) (http.Header, error) {
	failed := func(err error) error {
		return fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, failed(errors.Unwrap(err)) // without the query, which the client's own error quotes
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, c.answer+1))
	if err != nil {
		return nil, failed(err)
	}
	if int64(len(body)) > c.answer {
		return nil, failed(fmt.Errorf("%w: larger than %d bytes", ErrTooLarge, c.answer))
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return nil, failed(responseError(response, body))
	}
	if err := json.Unmarshal(TrimByteOrderMark(body), into, lenient()); err != nil {
		return nil, failed(fmt.Errorf("the answer is not what TAXII has there: %w", err))
	}
	return response.Header, nil
}

// lenient is how answers are decoded.
func lenient() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// responseError reads an answer that is not a success.
func responseError(response *http.Response, body []byte) *ResponseError {
	answer := &ResponseError{Status: response.StatusCode}
	var resource struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		Code        string `json:"error_code"`
	}
	if json.Unmarshal(body, &resource, lenient()) == nil { // else it is a proxy's page
		answer.Title, answer.Description, answer.Code = resource.Title, resource.Description, resource.Code
	}
	answer.RetryAfter = RetryAfter(response.Header, time.Now())
	return answer
}

// maxRetryAfter is the longest that is believed: nobody means more, and a duration must hold it.
const maxRetryAfter = 7 * 24 * time.Hour

// RetryAfter is when to come again after an answer; 0 if it names no time.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	return retry.Asked(header, now, maxRetryAfter)
}

// plain asks what is not TAXII, under /v1.
func (c *Client) plain(ctx context.Context, method, org, path string, query url.Values, what, into any) (err error) {
	var body []byte
	if what != nil {
		if body, err = json.Marshal(what); err != nil {
			return err
		}
	}
	r, err := c.request(ctx, method, "/v1/"+url.PathEscape(org)+"/"+path, query, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", plainJSON)
	if what != nil {
		r.Header.Set("Content-Type", plainJSON)
	}
	_, err = c.do(r, into)
	return err
}
