package feed

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/taxii"
)

// second is a moment of one day.
func second(n float64) time.Time {
	return time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(time.Second)))
}

func zulu(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

// pageOf is a page with so many objects, which are the page's own.
func pageOf(name string, objects int, first, last time.Time) taxii.ObjectsPage {
	p := taxii.ObjectsPage{Asked: second(1000)}
	for n := range objects {
		p.Objects = append(p.Objects, jsontext.Value(fmt.Sprint(name, n)))
	}
	if !first.IsZero() {
		p.First, p.Last = zulu(first), zulu(last)
	}
	return p
}

func says(p taxii.ObjectsPage, more taxii.More, next string) taxii.ObjectsPage {
	p.More, p.Next = more, next
	return p
}

func TestAWalkGoesOnByTheCursorAndThenByTheDates(t *testing.T) {
	dated := func(name string, n int) taxii.ObjectsPage { return pageOf(name, n, second(10), second(20)) }
	before := taxiiPlace{After: second(5), Limit: 100}
	hash := func(p taxii.ObjectsPage) []byte {
		var q taxiiPlace
		q.advance(says(p, taxii.MoreYes, "x"))
		return q.Page
	}
	for _, c := range []struct {
		what  string
		from  func(*taxiiPlace)
		page  taxii.ObjectsPage
		more  bool
		stuck string
		want  func(p *taxiiPlace)
	}{
		{"a cursor", nil, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(20) }},
		{"a cursor of a server that does not say", nil, says(dated("a", 2), taxii.MoreUnsaid, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(20) }},
		{"a cursor after the last page", nil, says(dated("a", 2), taxii.MoreNo, "c"), false, "", func(p *taxiiPlace) { p.After = second(19) }},
		{"a cursor after an empty page, unsaid", nil, says(dated("a", 0), taxii.MoreUnsaid, "c"), false, "", func(p *taxiiPlace) { p.After = second(19) }},
		{"a cursor after the same page, unsaid", func(p *taxiiPlace) { p.Page = hash(dated("a", 2)) }, says(dated("a", 2), taxii.MoreUnsaid, "c"), false, "", func(p *taxiiPlace) { p.After = second(19) }},
		{"nothing of more", nil, says(dated("a", 2), taxii.MoreUnsaid, ""), false, "", func(p *taxiiPlace) { p.After = second(19) }},
		{"another cursor", func(p *taxiiPlace) { p.Next = "b" }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last, p.Moves = "c", second(20), true }},
		{"the same cursor", func(p *taxiiPlace) { p.Next = "c" }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(20) }},
		{"no cursor after one", func(p *taxiiPlace) { p.Next = "c" }, says(dated("a", 2), taxii.MoreYes, ""), true, "", func(p *taxiiPlace) { p.After, p.Last = second(20).Add(-time.Microsecond), second(20) }},
		{"moves, once and for all", func(p *taxiiPlace) { p.Moves = true }, says(dated("a", 2), taxii.MoreNo, ""), false, "", func(p *taxiiPlace) { p.After, p.Moves = second(19), true }},
		{"dates", nil, says(dated("a", 2), taxii.MoreYes, ""), true, "", func(p *taxiiPlace) { p.After, p.Last = second(20).Add(-time.Microsecond), second(20) }},
		{"dates in another order", nil, says(pageOf("a", 2, second(20), second(10)), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last, p.Mixed = "c", second(20), true }},
		{"dates before those of the page before", func(p *taxiiPlace) { p.Last = second(11) }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last, p.Mixed = "c", second(20), true }},
		{"dates from that of the page before on", func(p *taxiiPlace) { p.Last = second(10) }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(20) }},
		{"all with one date", nil, says(pageOf("a", 2, second(10), second(10)), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(10) }},
		{"a page again, with a cursor", func(p *taxiiPlace) { p.Page, p.Same = hash(dated("a", 2)), 1 }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last, p.Same = "c", second(20), 2 }},
		{"a page for the third time", func(p *taxiiPlace) { p.Page, p.Same = hash(dated("a", 2)), 2 }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.After, p.Last = second(20).Add(-time.Microsecond), second(20) }},
		{"another page after that", func(p *taxiiPlace) { p.Page, p.Same = hash(dated("b", 2)), 2 }, says(dated("a", 2), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Last = "c", second(20) }},
		{"an empty page with a cursor", func(p *taxiiPlace) { p.Same = 98 }, says(pageOf("", 0, time.Time{}, time.Time{}), taxii.MoreYes, "c"), true, "", func(p *taxiiPlace) { p.Next, p.Same = "c", 99 }},
		{"a hundred empty pages", func(p *taxiiPlace) { p.Same = 99 }, says(pageOf("", 0, time.Time{}, time.Time{}), taxii.MoreYes, "c"), false, "sent 100 empty pages", func(p *taxiiPlace) { p.Next = "c" }},
		{"an empty page and no way on", func(p *taxiiPlace) { p.Next = "b" }, says(pageOf("", 0, time.Time{}, time.Time{}), taxii.MoreYes, ""), false, "an empty page and no way", func(p *taxiiPlace) { p.Next = "b" }},
		{"a page without dates and no cursor", func(p *taxiiPlace) { p.Began = second(1) }, says(pageOf("a", 2, time.Time{}, time.Time{}), taxii.MoreYes, ""), true, "", func(p *taxiiPlace) { p.Limit, p.Began = 400, second(1) }},
		{"no page may be larger", func(p *taxiiPlace) { p.Limit = 2501 }, says(pageOf("a", 2, time.Time{}, time.Time{}), taxii.MoreYes, ""), true, "", func(p *taxiiPlace) { p.Limit = 10_000 }},
		{"no page is larger", func(p *taxiiPlace) { p.Limit = 10_000 }, says(pageOf("a", 2, time.Time{}, time.Time{}), taxii.MoreYes, ""), false, "its pages repeat", func(p *taxiiPlace) { p.Limit = 10_000 }},
		{"the same dates again", func(p *taxiiPlace) { p.After = second(20).Add(-time.Microsecond); p.Page = hash(dated("a", 2)) }, says(dated("a", 2), taxii.MoreYes, ""), true, "",
			func(p *taxiiPlace) { p.After, p.Last, p.Limit = second(20).Add(-time.Microsecond), second(20), 400 }},
		{"one object again and again", func(p *taxiiPlace) { p.After = second(20).Add(-time.Microsecond); p.Page = hash(dated("a", 1)) }, says(dated("a", 1), taxii.MoreYes, ""), true, "",
			func(p *taxiiPlace) { p.After, p.Last = second(20), second(20) }},
		{"a last date that is no date", nil, says(taxii.ObjectsPage{Objects: objects(1), First: zulu(second(10)), Last: "undefined", Asked: second(1000)}, taxii.MoreYes, ""), true, "", func(p *taxiiPlace) { p.Last, p.Limit = second(10), 400 }},
	} {
		p := before
		if c.from != nil {
			c.from(&p)
		}
		more, stuck := p.advance(c.page)
		want := before
		c.want(&want)
		want.Page = p.Page // which is a hash
		if more != c.more || (stuck != nil) != (c.stuck != "") || stuck != nil && !strings.Contains(stuck.Error(), c.stuck) || fmt.Sprint(p) != fmt.Sprint(want) {
			t.Errorf("%s: more %v, %v\n got %+v\nwant %+v", c.what, more, stuck, p, want)
		}
		if more && p.Next != "" && len(p.Page) != 32 {
			t.Errorf("%s: the page is not remembered", c.what)
		}
	}
}

// Where a page comes again, its date is asked for more narrowly than its text shows.
func TestAPageThatComesAgainIsAskedForMoreNarrowly(t *testing.T) {
	p := taxiiPlace{After: second(5), Limit: 100}
	page := says(pageOf("a", 2, second(10), second(20)), taxii.MoreYes, "")
	page.First, page.Last = "2026-01-02T03:00:10Z", "2026-01-02T03:00:20Z"
	for _, want := range []time.Time{second(19), second(20).Add(-time.Microsecond)} {
		if more, err := p.advance(page); !more || err != nil || !p.After.Equal(want) || p.Limit != 100 {
			t.Errorf("after %s with a limit of %d: %v, %v", p.After, p.Limit, more, err)
		}
	}
	if p.advance(page); p.Limit != 400 {
		t.Errorf("what has one date is asked for in pages of %d", p.Limit)
	}
}

func TestTheNextWalkBeginsWhereNothingCanBeMissed(t *testing.T) {
	for _, c := range []struct {
		what string
		p    taxiiPlace
		any  bool
		want time.Time
	}{
		{"a second before the last date", taxiiPlace{After: second(5), Last: second(20), Began: second(900)}, true, second(19)},
		{"not before the walk's own", taxiiPlace{After: second(19.5), Last: second(20)}, true, second(19.5)},
		{"ten minutes before the walk began", taxiiPlace{After: second(5), Began: second(900)}, true, second(300)},
		{"not before the walk's own, either", taxiiPlace{After: second(500), Began: second(900)}, true, second(500)},
		{"where it began, if there was nothing", taxiiPlace{After: second(5), Began: second(900)}, false, second(5)},
		{"where it began, if nobody knows when", taxiiPlace{After: second(5)}, true, second(5)},
	} {
		if got := c.p.end(c.any); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestDatesOfTheFutureAreNotBelieved(t *testing.T) {
	now := second(0)
	for text, want := range map[string]time.Time{
		"": {}, "undefined": {}, zulu(now): now, zulu(now.Add(24 * time.Hour)): now.Add(24 * time.Hour), zulu(now.Add(24*time.Hour + time.Microsecond)): {},
		"2026-01-02T04:00:00+01:00": now,
	} {
		if got := believable(text, now); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"2026-01-02T03:04:05Z": time.Second, "2026-01-02T03:04:05.1Z": 100 * time.Millisecond, "2026-01-02T03:04:05.123+00:00": time.Millisecond,
		"2026-01-02T03:04:05.123456Z": time.Microsecond, "2026-01-02T03:04:05.123456789Z": time.Microsecond,
	} {
		if got := precision(text); got != want {
			t.Errorf("%q shows %s, want %s", text, got, want)
		}
	}
}

func TestAWalkIsMovedBehindWhatItHasSeen(t *testing.T) {
	last := second(20)
	for _, c := range []struct {
		what string
		p    taxiiPlace
		want time.Time // zero: nowhere
	}{
		{"by a second", taxiiPlace{After: second(5), Last: last}, second(19)},
		{"by a millisecond", taxiiPlace{After: second(19), Last: last}, last.Add(-time.Millisecond)},
		{"by a microsecond", taxiiPlace{After: last.Add(-time.Millisecond), Last: last}, last.Add(-time.Microsecond)},
		{"no farther", taxiiPlace{After: last.Add(-time.Microsecond), Last: last}, time.Time{}},
		{"not where dates are mixed", taxiiPlace{After: second(5), Last: last, Mixed: true}, time.Time{}},
		{"not without dates", taxiiPlace{}, time.Time{}},
	} {
		before := c.p.After
		if moved := c.p.skip(); moved == c.want.IsZero() || moved && !c.p.After.Equal(c.want) || !moved && !c.p.After.Equal(before) {
			t.Errorf("%s: %v, to %s", c.what, moved, c.p.After)
		}
	}
}

// requests is a TAXII server that notes what it is asked.
type requests struct {
	queries []string
	answer  func(n int, w http.ResponseWriter, r *http.Request)
}

func (s *requests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.queries = append(s.queries, r.URL.Query().Encode())
	s.answer(len(s.queries), w, r)
}

func taxiiSourceOf(t *testing.T, config Config, attempts int) (*taxiiSource, *[]time.Duration) {
	t.Helper()
	f, pauses := newFeed(t, config, memo{})
	f.clock.now = func() time.Time { return second(0) }
	c, err := config.open(patience{clock: f.clock, attempts: attempts})
	must(t, err)
	t.Cleanup(c.close)
	return c.source.(*taxiiSource), pauses
}

func TestTheFirstRequestAsksForWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		since time.Time
		size  int
		want  string
	}{
		{time.Time{}, 0, "limit=500"}, {time.Time{}, 7, "limit=7"}, {second(0), 0, "added_after=2026-01-01T03%3A00%3A00.000000Z&limit=500"},
	} {
		s := &requests{answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }}
		config := taxiiConfig(serve(t, s))
		config.Filter.Since, config.PageSize = c.since, c.size
		source, _ := taxiiSourceOf(t, config, 1)
		got, err := source.fetch(t.Context(), nil)
		if err != nil || s.queries[0] != c.want || got.more || got.stuck != nil || string(got.keep) != string(got.place) {
			t.Errorf("asked for %q, want %q; %+v, %v", s.queries, c.want, got, err)
		}
	}
}

// A server's clock that is a day ahead is not one; and the walk began by its clock where that is one.
func TestAWalkBeganByTheServersClock(t *testing.T) {
	for date, want := range map[string]time.Time{
		second(3600).Format(http.TimeFormat): second(3600), second(24 * 3600).Format(http.TimeFormat): second(24 * 3600), second(24*3600 + 1).Format(http.TimeFormat): second(0), "": second(0),
	} {
		s := &requests{answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			w.Header()["Date"] = nil
			if date != "" {
				w.Header().Set("Date", date)
			}
			fmt.Fprintf(w, `{"more":true,"next":"%d","objects":[%s]}`, n, indicator(n, ""))
		}}
		source, _ := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 1)
		got, err := source.fetch(t.Context(), nil)
		must(t, err)
		var p taxiiPlace
		if !readPlace(got.place, &p) || !p.Began.Equal(want) {
			t.Errorf("with the date %q the walk began at %s, want %s", date, p.Began, want)
		}
		date = second(1).Format(http.TimeFormat)
		got, err = source.fetch(t.Context(), got.place)
		must(t, err)
		if readPlace(got.place, &p); !p.Began.Equal(want) || !p.Moves || s.queries[1] != "limit=500&next=1" || string(got.keep) != string(got.place) {
			t.Errorf("then it is %+v, by %q", p, s.queries)
		}
	}
}

// A cursor that stays the same is used up by its use: the place that holds is where the walk began.
func TestAPlaceThatCouldBeLostIsNotKept(t *testing.T) {
	s := &requests{answer: func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"more":true,"next":"same","objects":[%s]}`, indicator(n, ""))
	}}
	source, pauses := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 4)
	first, err := source.fetch(t.Context(), nil)
	must(t, err)
	second, err := source.fetch(t.Context(), first.place)
	must(t, err)
	if string(second.keep) != `{"limit":500}` || string(second.place) == string(second.keep) {
		t.Errorf("at %s it keeps %s", second.place, second.keep)
	}
	if _, err = source.fetch(t.Context(), second.place); err != nil {
		t.Fatal(err)
	}
	// The request that failed is not made again: the walk begins again, after a pause.
	if want := []string{"limit=500", "limit=500&next=same", "limit=500&next=same", "limit=500"}; !slices.Equal(s.queries, want) || len(*pauses) != 1 {
		t.Errorf("asked for %q after the pauses %v", s.queries, *pauses)
	}
}

func TestAPageThatIsTooLargeIsHalved(t *testing.T) {
	large := strings.Repeat(" ", 64<<10)
	s := &requests{answer: func(n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("limit") != "1" {
			fmt.Fprint(w, large, `{}`)
			return
		}
		if n > 4 {
			fmt.Fprint(w, large, `{}`)
			return
		}
		fmt.Fprintf(w, `{"more":true,"next":"%d","objects":[%s]}`, n, indicator(n, ""))
	}}
	config := taxiiConfig(serve(t, s))
	config.PageSize, config.most = 4, 64<<10
	source, _ := taxiiSourceOf(t, config, 1)
	got, err := source.fetch(t.Context(), []byte(`{"limit":4,"next":"moving","moves":true}`))
	if want := []string{"limit=4&next=moving", "limit=2&next=moving", "limit=1&next=moving"}; err != nil || !slices.Equal(s.queries, want) {
		t.Errorf("asked for %q: %v", s.queries, err)
	}
	s.queries = s.queries[:0]
	if _, err := source.fetch(t.Context(), []byte(`{"limit":2,"next":"same"}`)); err != nil || !slices.Equal(s.queries, []string{"limit=2&next=same", "limit=1"}) {
		t.Errorf("a cursor that may be used up is used again: %q, %v", s.queries, err)
	}
	s.queries = append(s.queries, "", "", "")
	if _, err := source.fetch(t.Context(), got.place); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("an object that is too large: %v", err)
	}
}

func TestWhatASourceSaysOfItsCollections(t *testing.T) {
	list := func(collections ...string) string { return `{"collections":[` + strings.Join(collections, ",") + `]}` }
	var many []string
	for n := range 12 {
		many = append(many, fmt.Sprintf(`{"id":"c%d","title":"T%d","can_read":true,"can_write":false}`, n, n))
	}
	for name, c := range map[string]struct {
		status     int
		list       string
		discovery  string
		collection string
		reached    bool
		title      string
		hints      []string
		wrong      string
	}{
		"it is there":           {200, list(many...), "", "c7", true, "T7", nil, ""},
		"by its alias":          {200, list(`{"id":"x","title":"T","alias":"a","can_read":true,"can_write":false}`), "", "a", true, "T", nil, ""},
		"it can't be read":      {200, list(`{"id":"c","title":"T","can_read":false,"can_write":true}`), "", "c", true, "T", []string{"can't read the collection"}, ""},
		"its title":             {200, list(many...), "", "T7", true, "", nil, `"T7" is the title of a collection; its id is "c7"`},
		"another":               {200, list(many...), "", "x", true, "", []string{"does not list the collection", "collections there: c0 T0, c1 T1, c2 T2, c3 T3, c4 T4, c5 T5, c6 T6, c7 T7, c8 T8, c9 T9 and 2 others"}, ""},
		"one other":             {200, list(many[:1]...), "", "x", true, "", []string{"does not list the collection", "collections there: c0 T0"}, ""},
		"ten others":            {200, list(many[:10]...), "", "x", true, "", []string{"does not list the collection", "c9 T9"}, ""},
		"none":                  {200, list(), "", "x", true, "", []string{"does not list the collection"}, ""},
		"no list":               {404, "", `{"title":"S","api_roots":["https://x/a/","https://x/b/"]}`, "x", false, "", []string{"lists no collections", "API roots of this server: https://x/a/, https://x/b/"}, ""},
		"no list and no server": {404, "", "", "x", false, "", []string{"lists no collections"}, ""},
		"no entry":              {401, "", "", "x", false, "", nil, "401"},
		"out of order":          {500, "", "", "x", false, "", nil, "500"},
	} {
		s := &requests{answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/taxii+json;version=2.1")
			if strings.HasSuffix(r.URL.Path, "/taxii2/") {
				if c.discovery == "" {
					w.WriteHeader(http.StatusNotFound)
				}
				fmt.Fprint(w, c.discovery)
				return
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.list)
		}}
		config := taxiiConfig(serve(t, s))
		config.Collection = c.collection
		source, _ := taxiiSourceOf(t, config, 1)
		d, err := source.describe(t.Context())
		if d.Reached != c.reached || d.Title != c.title || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) || len(d.Hints) != len(c.hints) {
			t.Errorf("%s: %+v, %v", name, d, err)
			continue
		}
		for i, hint := range c.hints {
			if !strings.HasSuffix(d.Hints[i], hint) && !strings.Contains(d.Hints[i], hint+": ") {
				t.Errorf("%s: %q, want %q", name, d.Hints[i], hint)
			}
		}
	}
}

func TestDefinitionsThatAServerDoesNotGiveAreNone(t *testing.T) {
	for status, bad := range map[int]bool{200: false, 400: false, 404: false, 499: false, 401: true, 403: true, 500: true, 302: true} {
		s := &requests{answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"objects":[%s]}`, definition("0001", ""))
		}}
		source, _ := taxiiSourceOf(t, taxiiConfig(serve(t, s)), 1)
		found, err := source.definitions(t.Context(), []string{"a", "b"})
		if (err != nil) != bad || (len(found) == 1) != (status == 200) || s.queries[0] != "limit=2&match%5Bid%5D=a%2Cb" {
			t.Errorf("status %d: %d definitions, %v; asked for %q", status, len(found), err, s.queries)
		}
	}
}
