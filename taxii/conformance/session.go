package conformance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const mediaType = "application/taxii+json;version=2.1"

// session is a server with the objects that were put there to be found.
type session struct {
	Target
	root       string // path, with a slash at both ends
	collection string // path
	described  collection
	seed       seed
}

type collection struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Alias      string   `json:"alias"`
	CanRead    *bool    `json:"can_read"`
	CanWrite   *bool    `json:"can_write"`
	MediaTypes []string `json:"media_types"`
}

func (c collection) can(read, write bool) bool {
	return c.CanRead != nil && c.CanWrite != nil && *c.CanRead == read && *c.CanWrite == write
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

func newSession(ctx context.Context, target Target) (*session, error) {
	s := &session{Target: target, root: target.Root}
	s.URL = strings.TrimRight(s.URL, "/")
	if s.HTTP == nil {
		s.HTTP = &http.Client{Timeout: time.Minute}
	}
	direct := *s.HTTP // a redirect is an answer like any other here
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.HTTP = &direct

	if s.root == "" {
		var d struct {
			Default string   `json:"default"`
			Roots   []string `json:"api_roots"`
		}
		if err := s.read(ctx, "/taxii2/", &d); err != nil {
			return nil, err
		}
		root, err := url.Parse(cmp.Or(d.Default, slices.Concat(d.Roots, []string{""})[0]))
		if err != nil || root.Path == "" {
			return nil, errors.New("discovery names no API root")
		}
		s.root = root.Path
	}
	s.root = "/" + strings.Trim(s.root, "/") + "/"

	var list struct {
		Collections []collection `json:"collections"`
	}
	if err := s.read(ctx, s.root+"collections/", &list); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(list.Collections, func(c collection) bool {
		return c.ID == target.Collection || target.Collection == "" && c.can(true, true)
	})
	if at < 0 {
		return nil, fmt.Errorf("%s has no such collection that can be read and written", s.root)
	}
	s.described = list.Collections[at]
	s.collection = s.root + "collections/" + s.described.ID + "/"
	return s, s.sow(ctx)
}

// read gets a resource that there is no going on without.
func (s *session) read(ctx context.Context, path string, into any) error {
	a, err := s.send(ctx, request{path: path})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("GET %s is answered with %d: %.200s", path, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// request is one to make. Its headers are given as "Name: value"; a name alone takes the header away.
type request struct {
	method    string // GET if empty
	path      string // with the query string
	body      io.Reader
	length    int64 // of the body, where it does not tell by itself; unknown if 0
	headers   []string
	anonymous bool
}

// answer is a whole response.
type answer struct {
	request
	status int
	header http.Header
	body   []byte
}

// send makes a request with TAXII's headers and the session's credentials.
func (s *session) send(ctx context.Context, q request) (*answer, error) {
	q.method = cmp.Or(q.method, http.MethodGet)
	r, err := http.NewRequestWithContext(ctx, q.method, s.URL+q.path, q.body)
	if err != nil {
		return nil, err
	}
	if q.length > 0 {
		r.ContentLength = q.length
	}
	r.Header.Set("Accept", mediaType)
	if q.method == http.MethodPost {
		r.Header.Set("Content-Type", mediaType)
	}
	if !q.anonymous {
		s.authorize(r)
	}
	for _, h := range q.headers {
		name, value, given := strings.Cut(h, ": ")
		switch {
		case given:
			r.Header.Set(name, value)
		case name == "User-Agent": // without which net/http names itself
			r.Header.Set(name, "")
		default:
			r.Header.Del(name)
		}
	}
	response, err := s.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	return &answer{request: q, status: response.StatusCode, header: response.Header, body: body}, nil
}

func (s *session) authorize(r *http.Request) {
	switch {
	case s.Token != "":
		r.Header.Set("Authorization", "Bearer "+s.Token)
	case s.User != "" || s.Password != "":
		r.SetBasicAuth(s.User, s.Password)
	}
}

// do makes a request that must be answered, whatever with.
func (t *trial) do(q request) *answer {
	a, err := t.send(t.ctx, q)
	if err != nil {
		t.fail("no answer: %v", err)
	}
	return a
}

// get gets a path of the server.
func (t *trial) get(path string, headers ...string) *answer {
	return t.do(request{path: path, headers: headers})
}

// want fails unless the answer has one of the statuses.
func (t *trial) want(a *answer, statuses ...int) {
	if !slices.Contains(statuses, a.status) {
		t.fail("%s %s: %d: %.120s", a.method, shown(a.path), a.status, bytes.TrimSpace(a.body))
	}
}

// decode reads an answer's body.
func (t *trial) decode(a *answer, into any) {
	if err := json.Unmarshal(a.body, into); err != nil {
		t.fail("%s %s: %v in %.120q", a.method, shown(a.path), err, a.body)
	}
}

// shown shortens a path for a message, as a list of ids fills lines.
func shown(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	if len(plain) > 160 {
		plain = plain[:70] + "..." + plain[len(plain)-80:]
	}
	return plain
}

// listing is what the endpoints answer that list something.
type listing struct {
	More     bool              `json:"more"`
	Next     any               `json:"next"`
	Objects  []json.RawMessage `json:"objects"`
	Versions []string          `json:"versions"`
	ids      []string          // of the objects or records
}

// list gets a listing of the collection, such as "objects/", with a query string
// of names and values in turn. Unless the query names ids it is about the seeds.
func (t *trial) list(listed string, query ...string) (listing, *answer) {
	a := t.get(t.at(listed, query...))
	t.want(a, http.StatusOK)
	var l listing
	t.decode(a, &l)
	for _, o := range l.Objects {
		var object struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(o, &object); err != nil {
			t.fail("%s lists something without an id: %.100s", listed, o)
		}
		l.ids = append(l.ids, object.ID)
	}
	return l, a
}

// at is the path of a listing of the seeds.
func (t *trial) at(listed string, query ...string) string {
	values := make(url.Values)
	for i := 0; i+1 < len(query); i += 2 {
		values.Add(query[i], query[i+1])
	}
	if (listed == "objects/" || listed == "manifest/") && !values.Has("match[id]") {
		values.Set("match[id]", strings.Join(t.seed.ids(), ","))
	}
	if len(values) == 0 {
		return t.session.collection + listed
	}
	return t.session.collection + listed + "?" + values.Encode()
}
