package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

func mispSourceOf(t *testing.T, url string, change func(*Config)) *mispSource {
	t.Helper()
	config := Config{Name: "misp", Kind: KindMISP, URL: url, MaxObjects: 10, Credentials: Credentials{APIKey: "misp-key"}}
	if change != nil {
		change(&config)
	}
	f, _ := newFeed(t, config, memo{})
	c, err := config.open(patience{clock: f.clock, attempts: 1})
	must(t, err)
	t.Cleanup(c.close)
	return c.source.(*mispSource)
}

func placeOf(t *testing.T, at []byte) (p mispPlace) {
	t.Helper()
	must(t, json.Unmarshal(at, &p))
	return p
}

const published = 1767322800

func TestEventsComeInTheOrderOfTheirPublicationAFewAtATime(t *testing.T) {
	m := &misp{published: map[int]int64{}}
	for n := 1; n <= 12; n++ {
		m.published[n] = published + int64(n%3)
	}
	s := mispSourceOf(t, serve(t, m), nil)
	first, err := s.fetch(t.Context(), nil)
	must(t, err)
	if p := placeOf(t, first.place); len(first.objects) != 10 || !first.more || p.After != published+2 || len(p.Seen) != 10 || string(first.keep) != string(first.place) {
		t.Errorf("%d objects, more %v, %+v", len(first.objects), first.more, p)
	}
	var ids []string
	for _, o := range first.objects {
		ids = append(ids, string(o[len(`{"type":"indicator","spec_version":"2.1","id":"indicator--`):][:8]))
	}
	if want := "00000003 00000006 00000009 0000000c 00000001 00000004 00000007 0000000a 00000002 00000005"; strings.Join(ids, " ") != want {
		t.Errorf("in the order %s, want %s", ids, want)
	}
	last, err := s.fetch(t.Context(), first.place)
	if err != nil || len(last.objects) != 2 || last.more || m.exports != 2 {
		t.Errorf("then %d objects, more %v, %v", len(last.objects), last.more, err)
	}
	if done, err := s.fetch(t.Context(), last.place); err != nil || len(done.objects) != 0 || done.more || m.exports != 2 {
		t.Errorf("at the end %d objects, %v", len(done.objects), err)
	}
	small := mispSourceOf(t, serve(t, m), func(c *Config) { c.PageSize = 5 })
	if got, err := small.fetch(t.Context(), nil); err != nil || len(got.objects) != 5 {
		t.Errorf("with a page size of 5 come %d: %v", len(got.objects), err)
	}
}

// What was published in the last ten minutes is listed again: it may not have been shown yet.
func TestPublicationsOfTheLastMinutesAreListedAgain(t *testing.T) {
	for _, c := range []struct {
		place string
		since time.Time
		want  string
	}{
		{"", time.Time{}, "1"}, {`{"after":1000}`, time.Time{}, "400"}, {`{"after":601}`, time.Time{}, "1"}, {`{"after":602}`, time.Time{}, "2"},
		{"", time.Unix(24*3600+7, 0), "7"}, {`{"after":1000}`, time.Unix(24*3600+500, 0), "500"}, {"no place", time.Time{}, "1"},
	} {
		var asked []string
		s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, string(body))
			fmt.Fprint(w, `{"response":[]}`)
		})), func(config *Config) { config.Filter.Since = c.since })
		var at []byte
		if c.place != "" {
			at = []byte(c.place)
		}
		if _, err := s.fetch(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if want := `{"limit":1000,"metadata":true,"page":1,"publish_timestamp":"` + c.want + `","returnFormat":"json"}`; !slices.Equal(asked, []string{want}) {
			t.Errorf("%s since %s: asked for %q, want %s", c.place, c.since, asked, want)
		}
	}
}

func TestAPublicationIsTakenOnceAndALaterOneAgain(t *testing.T) {
	m := &misp{published: map[int]int64{1: published, 2: published + 600, 3: published - 1, 4: published + 5}}
	place := fmt.Appendf(nil, `{"after":%d,"seen":{"2":%d,"4":%d}}`, published+600, published+600, published+4)
	s := mispSourceOf(t, serve(t, m), nil)
	got, err := s.fetch(t.Context(), place)
	must(t, err)
	p := placeOf(t, got.place)
	if len(got.objects) != 2 || p.After != published+600 || fmt.Sprint(p.Seen) != fmt.Sprint(map[int64]int64{1: published, 2: published + 600, 4: published + 5}) {
		t.Errorf("%d objects, %+v", len(got.objects), p)
	}
	// What is long done is forgotten: it is not listed any more.
	m.published[5] = published + 606
	got, err = mispSourceOf(t, serve(t, m), nil).fetch(t.Context(), got.place)
	must(t, err)
	if p := placeOf(t, got.place); len(got.objects) != 1 || fmt.Sprint(p.Seen) != fmt.Sprint(map[int64]int64{2: published + 600, 5: published + 606}) {
		t.Errorf("%d objects, %+v", len(got.objects), p)
	}
}

func TestTenThousandPublicationsAreRemembered(t *testing.T) {
	for n, want := range map[int]int{9_999: 10_000, 10_000: 1} {
		seen := map[int64]int64{}
		for id := range int64(n) {
			seen[id+100] = published
		}
		place, err := json.Marshal(mispPlace{After: published, Seen: seen})
		must(t, err)
		m := &misp{published: map[int]int64{1: published + 1}}
		got, err := mispSourceOf(t, serve(t, m), nil).fetch(t.Context(), place)
		must(t, err)
		if p := placeOf(t, got.place); len(p.Seen) != want || len(got.objects) != 1 {
			t.Errorf("with %d and one more, %d are remembered", n, len(p.Seen))
		}
	}
	seen := map[int64]int64{} // all at one moment, as after an import
	for id := range int64(10_001) {
		seen[id+100] = published
	}
	place, err := json.Marshal(mispPlace{After: published, Seen: seen})
	must(t, err)
	got, err := mispSourceOf(t, serve(t, &misp{}), nil).fetch(t.Context(), place)
	must(t, err)
	if p := placeOf(t, got.place); len(p.Seen) != 0 {
		t.Errorf("%d are remembered", len(p.Seen))
	}
}

func TestAnEventThatCanNotBeHadIsFoundAndTriedAgainInTheNextRun(t *testing.T) {
	m := &misp{published: map[int]int64{1: published, 2: published + 1, 3: published + 2, 4: published + 3, 5: published + 4}, broken: map[int]bool{2: true}}
	s := mispSourceOf(t, serve(t, m), func(c *Config) { c.PageSize = 5 })
	got := portion{more: true}
	var failed []string
	objects := 0
	for got.more {
		var err error
		got, err = s.fetch(t.Context(), got.place)
		must(t, err)
		objects, failed = objects+len(got.objects), append(failed, got.failed...)
	}
	p := placeOf(t, got.place)
	if objects != 4 || len(failed) != 1 || !strings.HasPrefix(failed[0], "event 2 could not be had, it is tried again in the next run: ") || m.exports != 6 ||
		!slices.Equal(p.Again, []mispEvent{{2, published + 1}}) || p.After != published+4 {
		t.Errorf("%d objects by %d requests, %q, %+v", objects, m.exports, failed, p)
	}
	s = mispSourceOf(t, serve(t, m), nil)
	if got, err := s.fetch(t.Context(), got.place); err != nil || len(got.failed) != 1 || len(placeOf(t, got.place).Again) != 1 {
		t.Errorf("in the next run: %+v, %v", got, err)
	}
	m.broken, m.published[2] = nil, published-5000 // it is not listed any more
	s = mispSourceOf(t, serve(t, m), nil)
	if got, err := s.fetch(t.Context(), got.place); err != nil || len(got.objects) != 1 || len(placeOf(t, got.place).Again) != 0 {
		t.Errorf("in the one after: %+v, %v", got, err)
	}
}

func TestNoMoreThanAThousandEventsAreLeftForTheNextRun(t *testing.T) {
	for n, ends := range map[int]bool{999: false, 1000: true} {
		p := mispPlace{After: published, Seen: map[int64]int64{}}
		for id := range int64(n) {
			p.Again = append(p.Again, mispEvent{id + 100, published})
		}
		place, err := json.Marshal(p)
		must(t, err)
		s := mispSourceOf(t, serve(t, &misp{published: map[int]int64{1: published + 1}, broken: map[int]bool{1: true}}), nil)
		s.listed, s.size, s.todo = true, 1, []mispEvent{{1, published + 1}}
		got, err := s.fetch(t.Context(), place)
		if (err != nil) != ends || err == nil && len(placeOf(t, got.place).Again) != 1000 {
			t.Errorf("with %d: %v", n, err)
		}
	}
}

// What is wrong with an instance is no fault of an event's.
func TestAnInstanceInTroubleEndsTheRun(t *testing.T) {
	for status, ends := range map[int]bool{500: false, 502: true, 403: true} {
		s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })), nil)
		s.listed, s.size, s.todo = true, 1, []mispEvent{{1, published}}
		if _, err := s.fetch(t.Context(), nil); (err != nil) != ends {
			t.Errorf("status %d: %v", status, err)
		}
		if _, err := mispSourceOf(t, s.config.URL, nil).fetch(t.Context(), nil); err == nil || !strings.HasPrefix(err.Error(), "listing events: POST /events/restSearch: ") {
			t.Errorf("a list that can't be had, by status %d: %v", status, err)
		}
	}
	s := &mispSource{}
	if !s.unable(taxii.ErrTooLarge) || !s.unable(fmt.Errorf("x: %w", errMalformed)) || s.unable(errors.New("the line is cut")) {
		t.Error("what is wrong with the answer is not told from what is wrong with the instance")
	}
}

// Some instances have no pages: they give the whole list again.
func TestAListEndsWithAPageThatHasNothingNew(t *testing.T) {
	asked := 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), "metadata") {
			fmt.Fprint(w, `{"type":"bundle","objects":[]}`)
			return
		}
		asked++
		fmt.Fprintf(w, `{"response":[{"Event":{"id":7,"published":true,"publish_timestamp":%d}},{"Event":{"id":%d,"published":true,"publish_timestamp":%d}}]}`,
			published+asked, min(asked, 3), published)
	}))
	s := mispSourceOf(t, url, nil)
	if _, err := s.fetch(t.Context(), nil); err != nil || asked != 4 {
		t.Errorf("%d pages, %v", asked, err)
	}
	s.todo = nil
	must(t, s.list(t.Context(), mispPlace{}))
	if want := []mispEvent{{3, published}, {7, published + 6}}; !slices.Equal(s.todo, want) {
		t.Errorf("of two publications the later one counts: %v", s.todo)
	}
}

func TestAListWithoutEndIsGivenUp(t *testing.T) {
	asked := 0
	s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintf(w, `{"response":[{"Event":{"id":%d,"publish_timestamp":"%d"}}]}`, asked, published)
	})), nil)
	if _, err := s.fetch(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "more than 1000000 events") || asked != 1000 {
		t.Errorf("after %d pages: %v", asked, err)
	}
}

func TestWhatIsNoPublishedEventIsPassedOver(t *testing.T) {
	for text, want := range map[string][]mispEvent{
		`{"id":"7","published":true,"publish_timestamp":"9"}`: {{7, 9}}, `{"id":7,"publish_timestamp":9}`: {{7, 9}}, `{"id":1,"published":"1","publish_timestamp":1}`: {{1, 1}},
		`{"id":0,"publish_timestamp":9}`: nil, `{"id":-1,"publish_timestamp":9}`: nil, `{"id":"x","publish_timestamp":9}`: nil, `{"id":7,"publish_timestamp":"0"}`: nil,
		`{"id":7,"publish_timestamp":-9}`: nil, `{"publish_timestamp":9}`: nil, `{"id":7}`: nil,
		`{"id":7,"published":false,"publish_timestamp":9}`: nil, `{"id":7,"published":0,"publish_timestamp":9}`: nil, `{"id":7,"published":"0","publish_timestamp":9}`: nil,
		`{"id":7,"published":"false","publish_timestamp":9}`: nil,
	} {
		got, err := readEvents([]byte(`{"response":[{"Event":` + text + `}]}`))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := readEvents([]byte(`{"response":`)); !errors.Is(err, errMalformed) {
		t.Errorf("an answer that is cut off: %v", err)
	}
	for body, objects := range map[string]int{`{"type":"bundle","objects":[{},{}]}`: 2, `{"type":"bundle"}`: 0, `{"type":"report","objects":[{}]}`: -1, `[]`: -1, ``: -1} {
		got, err := readBundle([]byte(body))
		if (err == nil) != (objects >= 0) || err != nil && !errors.Is(err, errMalformed) || err == nil && len(got) != objects {
			t.Errorf("%s: %d objects, %v", body, len(got), err)
		}
	}
	for n, bad := range map[int]bool{100_000: false, 100_001: true} {
		if got, err := readBundle([]byte(`{"type":"bundle","objects":[0` + strings.Repeat(",0", n-1) + `]}`)); (err != nil) != bad || !bad && len(got) != n {
			t.Errorf("a bundle of %d objects: %v", n, err)
		}
	}
}

func TestAnAnswerOfMISPIsReadUpToItsBound(t *testing.T) {
	if most := (Config{}).answer(); most != 64<<20 {
		t.Errorf("the bound is %d bytes", most)
	}
	const most = 64 << 10
	for extra, bad := range map[int]bool{0: false, 1: true} {
		s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", most+extra))
		})), func(c *Config) { c.most = most })
		if data, err := s.ask(t.Context(), http.MethodGet, "/", nil); errors.Is(err, taxii.ErrTooLarge) != bad || !bad && len(data) != most {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
	s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"message":"slow down"}`)
	})), nil)
	if _, err := s.ask(t.Context(), http.MethodGet, "/", nil); Pause(err) != 7*time.Second || statusOf(err) != 429 || !strings.Contains(err.Error(), "slow down") {
		t.Errorf("the error is %v", err)
	}
	cut := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, `{}`)
	})), nil)
	if data, err := cut.ask(t.Context(), http.MethodGet, "/x", nil); err == nil || !strings.HasPrefix(err.Error(), "GET /x: ") {
		t.Errorf("an answer that is cut off: %q, %v", data, err)
	}
}

func TestAnInstanceSaysItsVersionOrIsNone(t *testing.T) {
	for body, title := range map[string]string{`{"version":"2.5.3"}`: "MISP 2.5.3", "\ufeff" + `{"version":"2.5.3"}`: "MISP 2.5.3", `{}`: "", `{"version":""}`: "", `<html>`: "", `{"version":7}`: ""} {
		s := mispSourceOf(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })), nil)
		d, err := s.describe(t.Context())
		if d.Title != title || d.Reached != (title != "") || errors.Is(err, errMalformed) != (title == "") {
			t.Errorf("%s: %+v, %v", body, d, err)
		}
		if found, err := s.definitions(t.Context(), []string{ownMarking}); found != nil || err != nil {
			t.Error("it is asked for definitions")
		}
	}
}
