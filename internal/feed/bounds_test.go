package feed

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/internal/stix"
	"github.com/serviceledger/slnode/taxii"
)

// A server that gives a cursor and refuses it was asked for its first page for ever.
func TestARunEndsWhereAServerNeverGoesOnFromItsCursors(t *testing.T) {
	for name, refuse := range map[string]func(http.ResponseWriter){
		"400": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
		"404": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) },
		"410": func(w http.ResponseWriter) { w.WriteHeader(http.StatusGone) },
		"422": func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnprocessableEntity) },
		"500": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"cut off": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"more":true,"objects":[{"type":"indic`))
		},
		"no JSON": func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"more":true,"objects":[`)) },
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests++; r.URL.Query().Get("next") != "" {
					refuse(w)
					return
				}
				fmt.Fprintf(w, `{"more":true,"next":"page-2","objects":[%s]}`, indicator(1, ""))
			}))
			sink, memory := newLedger(), memo{}
			for range 2 { // the next run is no other
				requests = 0
				f, pauses := newFeed(t, taxiiConfig(url), memory)
				report, err := f.Run(t.Context(), sink)
				if err == nil || report.Problem == "" {
					t.Errorf("the report has no problem: %+v", report)
				}
				if requests > 4*(maxRestarts+2) {
					t.Errorf("%d requests", requests)
				}
				if len(*pauses) < 3 || (*pauses)[2] < 10*time.Second {
					t.Errorf("pauses %v", *pauses)
				}
			}
			if sink.published[publicationOf(t, indicator(1, ""))] != 1 {
				t.Errorf("published %v", sink.published)
			}
			// Somebody who tries the feed is told at once.
			requests = 0
			f, pauses := newFeed(t, taxiiConfig(url), memo{})
			trial, err := f.Test(t.Context(), newLedger())
			if err == nil || requests > 4 || len(*pauses) > 0 {
				t.Errorf("the trial: %+v, %v, %d requests, %v", trial, err, requests, *pauses)
			}
		})
	}
}

// Where its pages have dates, such a server can be read all the same.
func TestAServerThatRefusesItsCursorsIsReadByItsDates(t *testing.T) {
	const total, page = 40, 7
	date := func(i int) time.Time {
		return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(i) * 700 * time.Millisecond)
	}
	requests := 0
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; r.URL.Query().Get("next") != "" {
			w.WriteHeader(http.StatusGone)
			return
		}
		after, _ := taxii.ParseDate(r.URL.Query().Get("added_after"))
		var objects []string
		first, last := -1, -1
		for i := range total {
			if date(i).After(after) && len(objects) < page {
				if objects = append(objects, indicator(i, "")); first < 0 {
					first = i
				}
				last = i
			}
		}
		if last >= 0 {
			w.Header().Set("X-TAXII-Date-Added-First", taxii.FormatDate(date(first)))
			w.Header().Set("X-TAXII-Date-Added-Last", taxii.FormatDate(date(last)))
		}
		fmt.Fprintf(w, `{"more":%t,"next":"n","objects":[%s]}`, last < total-1, strings.Join(objects, ","))
	}))
	sink := newLedger()
	f, _ := newFeed(t, taxiiConfig(url), memo{})
	report, _ := f.Run(t.Context(), sink)
	if len(sink.published) != total || requests > 40 {
		t.Errorf("%d of %d objects by %d requests", len(sink.published), total, requests)
	}
	if !strings.Contains(report.Problem, "cursors") {
		t.Errorf("nobody is told: %+v", report)
	}
}

func publicationOf(t *testing.T, raw string) string {
	t.Helper()
	o, err := stix.Parse([]byte(raw))
	must(t, err)
	return publication(o)
}

// strictLedger refuses objects with markings that it does not know, as a node does.
type strictLedger struct{ *ledger }

func (l strictLedger) Check(ctx context.Context, objects []*stix.Object) ([]Verdict, error) {
	verdicts, err := l.ledger.Check(ctx, objects)
	resolve := func(id string) *stix.Object {
		if i := slices.IndexFunc(objects, func(o *stix.Object) bool { return o.ID == id }); i >= 0 {
			return objects[i]
		}
		return l.markings[id]
	}
	for i, o := range objects {
		if level, _, because := (stix.Levels{Resolve: resolve}).Of(o); level > stix.Green && !verdicts[i].Known {
			verdicts[i].Refused = because
		}
	}
	return verdicts, err
}

func (l strictLedger) Publish(ctx context.Context, objects []*stix.Object) ([]Verdict, error) {
	verdicts, err := l.ledger.Publish(ctx, objects)
	for i, o := range objects {
		verdicts[i].Known, verdicts[i].Note = false, strings.Join(o.Notes(), "; ")
	}
	return verdicts, err
}

// pagesOf serves a collection whose pages are these, and which knows no filter by id.
func pagesOf(t *testing.T, pages ...string) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("match[id]") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		n, _ := strconv.Atoi(r.URL.Query().Get("next"))
		if n >= len(pages) || r.URL.Query().Get("added_after") != "" {
			fmt.Fprint(w, `{}`)
			return
		}
		fmt.Fprintf(w, `{"more":%t,"next":"%d","objects":[%s]}`, n+1 < len(pages), n+1, pages[n])
	}))
}

const ownMarking = "marking-definition--0000aaaa-17d4-4cbf-938f-98ee46b3cd3f"

const (
	marked  = `,"object_marking_refs":["` + ownMarking + `"]`
	defined = `{"type":"marking-definition","spec_version":"2.1","id":"` + ownMarking + `","created":"2026-01-02T03:04:05.678Z","definition_type":"statement","definition":{"statement":"(c) Acme"}}`
)

func TestObjectsWaitForDefinitionsOnLaterPages(t *testing.T) {
	for name, pages := range map[string][]string{
		"before":                {defined + "," + indicator(0, ""), indicator(1, marked)},
		"on the same page":      {indicator(1, marked) + "," + defined},
		"on the next page":      {indicator(1, marked) + "," + indicator(2, ""), defined},
		"on the last of many":   {indicator(1, marked), indicator(2, marked), indicator(3, ""), indicator(4, marked), indicator(5, "") + "," + defined},
		"in a bundle among all": {indicator(1, marked), `{"type":"bundle","id":"bundle--1","objects":[` + indicator(2, "") + `,` + defined + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			sink, memory := strictLedger{newLedger()}, memo{}
			f, _ := newFeed(t, taxiiConfig(pagesOf(t, pages...)), memory)
			report, err := f.Run(t.Context(), sink)
			must(t, err)
			all := strings.Join(pages, ",")
			if want := strings.Count(all, `"type":"indicator"`) + 1; report.New != want || report.Refused != 0 || report.Known != 0 {
				t.Errorf("%d of %d are published: %+v", report.New, want, report)
			}
			if first := slices.Index(sink.order, ownMarking); first < 0 || first > slices.Index(sink.order, indicatorID(1)) {
				t.Errorf("the order is %q", sink.order)
			}
			if report, err := f.Run(t.Context(), sink); err != nil || report.New != 0 || report.Objects != 0 {
				t.Errorf("a second run: %+v, %v", report, err)
			}
		})
	}
}

// The filter lets no definitions through; an object on a later page needs one all the same.
func TestADefinitionThatTheFilterPassesOverIsRemembered(t *testing.T) {
	config := taxiiConfig(pagesOf(t, defined, indicator(1, ""), indicator(2, marked)))
	config.Filter.Types = []string{"indicator"}
	f, _ := newFeed(t, config, memo{})
	report, err := f.Run(t.Context(), strictLedger{newLedger()})
	if err != nil || report.New != 3 || report.Refused != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatWaitsInVainIsRefusedAtTheEndAndNotLostByAnInterruption(t *testing.T) {
	pages := []string{indicator(1, marked), indicator(2, ""), indicator(4, ""), indicator(3, marked)}
	sink, memory := strictLedger{newLedger()}, memo{}
	config := taxiiConfig(pagesOf(t, pages...))
	config.MaxObjects = 1
	f, _ := newFeed(t, config, memory)
	report, err := f.Run(t.Context(), sink)
	if err != nil || report.New != 1 || report.Refused != 0 || !report.Rest {
		t.Fatalf("%+v, %v", report, err)
	}
	// The run ended while the first object waited: the next one meets it again.
	report, err = f.Run(t.Context(), sink)
	if err != nil || report.New != 1 || report.Known != 1 || report.Refused != 2 || report.Rest {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := f.Run(t.Context(), sink); err != nil || report.Objects != 0 {
		t.Errorf("a third run: %+v, %v", report, err)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	d := definitions{}
	object := func(n, size int) *stix.Object {
		o, err := stix.Parse([]byte(indicator(n, marked+`,"x_fill":"`+strings.Repeat("x", size)+`"`)))
		must(t, err)
		return o
	}
	var h held
	for n := range 20 {
		ready := h.exchange([]*stix.Object{object(n, 1<<20)}, &d, false)
		if len(ready) == n+1 && n > 10 {
			return // as much as may wait is exceeded, and nothing waits any more
		}
		if len(ready) > 0 {
			t.Fatalf("%d objects after %d", len(ready), n)
		}
	}
	t.Error("any amount is held")
}

func TestWhatWaitsDoesNotWaitForEver(t *testing.T) {
	o, err := stix.Parse([]byte(indicator(1, marked)))
	must(t, err)
	var h held
	h.exchange([]*stix.Object{o}, &definitions{}, false)
	for n := range maxHeldPages + 2 {
		if ready := h.exchange(nil, &definitions{}, false); len(ready) == 1 {
			if n < maxHeldPages-1 {
				t.Errorf("it waited for %d pages", n)
			}
			return
		}
	}
	t.Error("it waits for ever")
}

func TestDefinitionsTakeBoundedMemory(t *testing.T) {
	var d definitions
	for n := range 100_000 {
		d.set(fmt.Sprintf("marking-definition--%08x-17d4-4cbf-938f-98ee46b3cd3f", n), nil)
	}
	if len(d.known) > maxDefinitionBytes/200 {
		t.Errorf("%d are kept", len(d.known))
	}
}

func TestAByteOrderMarkIsNoFault(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "\ufeff"+`{"objects":[%s]}`, indicator(1, ""))
	}))
	f, _ := newFeed(t, taxiiConfig(url), memo{})
	if report, err := f.Run(t.Context(), newLedger()); err != nil || report.New != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if objects, err := readBundle([]byte("\ufeff" + `{"type":"bundle","objects":[{}]}`)); err != nil || len(objects) != 1 {
		t.Errorf("%d objects, %v", len(objects), err)
	}
}

func TestTheReportSaysWhatIsOddAboutWhatWasPublished(t *testing.T) {
	odd := strings.Replace(indicator(1, `,"confidence":85.0`), `"pattern":`, `"x_pattern":`, 1)
	f, _ := newFeed(t, taxiiConfig(pagesOf(t, odd+","+indicator(2, ""))), memo{})
	report, err := f.Run(t.Context(), strictLedger{newLedger()})
	must(t, err)
	if report.New != 2 || len(report.Remarks) != 1 || report.Remarks[0].Count != 1 || report.Remarks[0].Example != indicatorID(1) ||
		!strings.Contains(report.Remarks[0].Reason, "pattern is missing") || !strings.Contains(report.Remarks[0].Reason, "confidence") {
		t.Errorf("%+v", report)
	}
}

// Some producers write the confidence as a fraction.
func TestAConfidenceThatIsAFractionCounts(t *testing.T) {
	for text, want := range map[string]bool{"85.0": true, "50": true, "49.9": false, `"85"`: false, "null": false} {
		o, err := stix.Parse([]byte(indicator(1, `,"confidence":`+text)))
		must(t, err)
		if got := (Filter{MinConfidence: 50}).passesOver(o) == ""; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
