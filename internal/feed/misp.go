package feed

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	jsonx "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/version"
	"github.com/serviceledger/slnode/taxii"
)

// mispSource pulls the published events of a MISP instance, as the STIX 2.1 that it makes of them.
//
// The place is a publish_timestamp: that is the instance's own time, also for events that it got from others, whose
// other dates are of long before (MISP #527, #879). First the events after it are listed, without content, and put in
// order; then their content is asked for, some events at once. MISP's own pages have no order that holds.
type mispSource struct {
	config  Config
	http    *http.Client
	headers http.Header
	patience

	listed bool
	todo   []mispEvent // in this run, in the order of their publication
	size   int         // events asked for at once
}

var _ source = (*mispSource)(nil)

// mispEvent is a publication of an event.
type mispEvent struct {
	ID        int64 `json:"id"`
	Published int64 `json:"published"` // unix seconds
}

// mispPlace is a place among the publications.
type mispPlace struct {
	After int64           `json:"after"`           // unix seconds; all before are done
	Seen  map[int64]int64 `json:"seen,omitempty"`  // event -> its publication that is done, near After
	Again []mispEvent     `json:"again,omitempty"` // those that the instance could not give
}

const (
	usualEvents = 10
	// listLimit is how many events are listed at once.
	listLimit    = 1000
	maxListPages = 1000
	// mispSpan is listed again: a publication shows some time after the moment that it is stamped with.
	mispSpan = 600 // seconds
	maxAgain = 1000
	maxSeen  = 10_000
)

// errMalformed is an answer that MISP doesn't give.
var errMalformed = errors.New("the answer is not what MISP has there")

func (s *mispSource) fetch(ctx context.Context, at []byte) (portion, error) {
	var p mispPlace
	if at == nil || json.Unmarshal(at, &p) != nil {
		p = mispPlace{}
	}
	if p.Seen == nil {
		p.Seen = map[int64]int64{}
	}
	if !s.listed {
		if err := s.list(ctx, p); err != nil {
			return portion{}, err
		}
		if s.size = usualEvents; s.config.PageSize > 0 {
			s.size = s.config.PageSize
		}
		s.listed = true
	}
	events := s.todo[:min(s.size, len(s.todo))]
	var got portion
	if len(events) > 0 {
		var err error
		if got.objects, err = s.content(ctx, events); err != nil {
			if !s.unable(err) {
				return portion{}, err
			}
			if len(events) > 1 { // one of them is the trouble
				s.size = max(len(events)/4, 1)
				return s.fetch(ctx, at)
			}
			if len(p.Again) >= maxAgain {
				return portion{}, err
			}
			p.Again = append(slices.DeleteFunc(p.Again, func(e mispEvent) bool { return e.ID == events[0].ID }), events[0])
			got.failed = []string{fmt.Sprintf("event %d could not be had, it is tried again in the next run: %v", events[0].ID, err)}
		} else {
			p.Again = slices.DeleteFunc(p.Again, func(e mispEvent) bool {
				return slices.ContainsFunc(events, func(done mispEvent) bool { return done.ID == e.ID })
			})
		}
	}
	s.todo = s.todo[len(events):]
	for _, e := range events {
		p.After, p.Seen[e.ID] = max(p.After, e.Published), e.Published
	}
	for span := int64(mispSpan); ; span /= 2 { // what is forgotten is only asked for again
		maps.DeleteFunc(p.Seen, func(_, published int64) bool { return published < p.After-span })
		if len(p.Seen) <= maxSeen {
			break
		}
		if span == 0 {
			clear(p.Seen)
		}
	}
	var err error
	if got.place, err = json.Marshal(p); err != nil {
		return portion{}, fmt.Errorf("keeping the place among the events: %w", err)
	}
	got.keep, got.more = got.place, len(s.todo) > 0
	return got, nil
}

// unable reports whether an error is about what was asked for, rather than about the instance.
func (s *mispSource) unable(err error) bool {
	return errors.Is(err, taxii.ErrTooLarge) || errors.Is(err, errMalformed) || statusOf(err) == http.StatusInternalServerError
}

// list finds out which events are to be done.
func (s *mispSource) list(ctx context.Context, p mispPlace) error {
	from := max(p.After-mispSpan, s.since(), 1)
	published := map[int64]int64{}
	for page := 1; ; page++ {
		if page > maxListPages {
			return fmt.Errorf("the instance lists more than %d events", maxListPages*listLimit)
		}
		events, err := s.listPage(ctx, from, page)
		if err != nil {
			return err
		}
		fresh := false
		for _, e := range events {
			_, listed := published[e.ID]
			fresh = fresh || !listed
			published[e.ID] = max(published[e.ID], e.Published)
		}
		if !fresh { // it is empty, or the instance has no pages
			break
		}
	}
	for _, e := range p.Again {
		published[e.ID] = max(published[e.ID], e.Published)
	}
	for id, at := range published {
		again := slices.ContainsFunc(p.Again, func(e mispEvent) bool { return e.ID == id })
		if at < from && !again || p.Seen[id] >= at && !again {
			continue
		}
		s.todo = append(s.todo, mispEvent{id, at})
	}
	slices.SortFunc(s.todo, func(a, b mispEvent) int {
		return cmp.Or(cmp.Compare(a.Published, b.Published), cmp.Compare(a.ID, b.ID))
	})
	return nil
}

// since is the least publish_timestamp that is asked for: what was made after a time was published after it.
func (s *mispSource) since() int64 {
	if s.config.Filter.Since.IsZero() {
		return 0
	}
	return s.config.Filter.Since.Add(-sinceSpan).Unix()
}

func (s *mispSource) listPage(ctx context.Context, from int64, page int) (events []mispEvent, err error) {
	body, err := s.search(ctx, map[string]any{
		"returnFormat": "json", "metadata": true, "publish_timestamp": strconv.FormatInt(from, 10), "limit": listLimit, "page": page,
	})
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return readEvents(body)
}

// readEvents reads a list of events. Those that are not published, or are none, are passed over.
func readEvents(body []byte) (events []mispEvent, err error) {
	var answer struct {
		Response []struct {
			Event struct {
				ID               jsontext.Value `json:"id"`
				Published        jsontext.Value `json:"published"`
				PublishTimestamp jsontext.Value `json:"publish_timestamp"`
			} `json:"Event"`
		} `json:"response"`
	}
	if err := jsonx.Unmarshal(taxii.TrimByteOrderMark(body), &answer, lenient); err != nil {
		return nil, fmt.Errorf("listing events: %w: %w", errMalformed, err)
	}
	for _, one := range answer.Response {
		id, published := number(one.Event.ID), number(one.Event.PublishTimestamp)
		if id <= 0 || published <= 0 || isFalse(one.Event.Published) {
			continue
		}
		events = append(events, mispEvent{id, published})
	}
	return events, nil
}

var lenient = jsonx.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// number reads a number, which MISP mostly writes as a string; 0 if it is none.
func number(v jsontext.Value) int64 {
	n, err := strconv.ParseInt(strings.Trim(string(v), `"`), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func isFalse(v jsontext.Value) bool {
	return v.Kind() == 'f' || slices.Contains([]string{"0", `"0"`, `"false"`}, string(v))
}

// content asks for events as STIX 2.1.
func (s *mispSource) content(ctx context.Context, events []mispEvent) ([]jsontext.Value, error) {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = strconv.FormatInt(e.ID, 10)
	}
	body, err := s.search(ctx, map[string]any{"returnFormat": "stix2", "stix-version": "2.1", "published": true, "eventid": ids})
	if err != nil {
		return nil, fmt.Errorf("exporting events: %w", err)
	}
	return readBundle(body)
}

// readBundle reads the objects of a bundle.
func readBundle(body []byte) ([]jsontext.Value, error) {
	var bundle struct {
		Type    jsontext.Value `json:"type"`
		Objects bounded        `json:"objects"`
	}
	if err := jsonx.Unmarshal(taxii.TrimByteOrderMark(body), &bundle, lenient); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if string(bundle.Type) != `"bundle"` {
		return nil, fmt.Errorf("%w: it is no bundle", errMalformed)
	}
	return bundle.Objects, nil
}

// bounded is a list of no more than maxBundle values.
type bounded []jsontext.Value

const maxBundle = 100_000

// UnmarshalJSONFrom implements [jsonx.UnmarshalerFrom].
func (l *bounded) UnmarshalJSONFrom(dec *jsontext.Decoder) (err error) {
	*l, err = taxii.AppendObjects(*l, dec, maxBundle)
	return err
}

// search asks /events/restSearch.
func (s *mispSource) search(ctx context.Context, query map[string]any) (answer []byte, err error) {
	body, err := json.Marshal(query)
	if err != nil {
		return nil, fmt.Errorf("asking MISP: %w", err)
	}
	err = s.try(ctx, func(ctx context.Context) (err error) {
		answer, err = s.ask(ctx, http.MethodPost, "/events/restSearch", body)
		return err
	})
	return answer, err
}

// ask makes one request. Credentials go to the instance's own address and nowhere else: redirects are not followed.
func (s *mispSource) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.config.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, s.headers)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", version.UserAgent())
	client := *s.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	most := s.config.answer()
	data, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s %s: %w: larger than %d bytes", method, path, taxii.ErrTooLarge, most)
	}
	if response.StatusCode != http.StatusOK {
		refusal := &taxii.ResponseError{Status: response.StatusCode, RetryAfter: taxii.RetryAfter(response.Header, s.clock.now())}
		var said struct {
			Message string `json:"message"`
		}
		if jsonx.Unmarshal(data, &said, lenient) == nil {
			refusal.Description = said.Message
		}
		return nil, fmt.Errorf("%s %s: %w", method, path, refusal)
	}
	return data, nil
}

// definitions gives none: MISP's bundles hold them.
func (s *mispSource) definitions(context.Context, []string) ([]jsontext.Value, error) {
	return nil, nil
}

// describe asks for the version, which takes a good key.
func (s *mispSource) describe(ctx context.Context) (d Description, err error) {
	var body []byte
	err = s.try(ctx, func(ctx context.Context) (err error) {
		body, err = s.ask(ctx, http.MethodGet, "/servers/getVersion", nil)
		return err
	})
	if err != nil {
		return d, err
	}
	var said struct {
		Version string `json:"version"`
	}
	if jsonx.Unmarshal(taxii.TrimByteOrderMark(body), &said, lenient) != nil || said.Version == "" {
		return d, fmt.Errorf("GET /servers/getVersion: %w", errMalformed)
	}
	return Description{Reached: true, Title: "MISP " + said.Version}, nil
}
