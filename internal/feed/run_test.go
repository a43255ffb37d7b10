package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serviceledger/slnode/internal/stix"
)

// script is a source that gives what a test says: portion after portion, whatever the place.
type script struct {
	portions []portion
	endless  bool
	err      error // after the portions
	at       []string
	has      map[string]string // the definitions of markings
	asked    [][]string        // … that were asked for
	refuses  error
	says     Description
}

func (s *script) fetch(_ context.Context, at []byte) (portion, error) {
	s.at = append(s.at, string(at))
	n := len(s.at)
	if n > len(s.portions) {
		if s.endless {
			return portion{more: true, place: fmt.Append(nil, n), keep: fmt.Append(nil, n)}, nil
		}
		return portion{}, s.err
	}
	p := s.portions[n-1]
	if p.place == nil {
		p.place = fmt.Append(nil, n)
	}
	if p.keep == nil {
		p.keep = p.place
	}
	p.more = p.more || n < len(s.portions) || s.err != nil
	return p, nil
}

func (s *script) definitions(_ context.Context, ids []string) (found []jsontext.Value, err error) {
	s.asked = append(s.asked, ids)
	for _, id := range ids {
		if raw, ok := s.has[id]; ok {
			found = append(found, jsontext.Value(raw))
		}
	}
	return append(found, jsontext.Value(`{"no":"object"}`), jsontext.Value(definition("7777", ""))), s.refuses // what nobody asked for
}

func (s *script) describe(context.Context) (Description, error) { return s.says, s.refuses }

// objects is a page of indicators.
func objects(numbers ...int) (page []jsontext.Value) {
	for _, n := range numbers {
		page = append(page, jsontext.Value(indicator(n, "")))
	}
	return page
}

func markingID(n string) string { return strings.Replace(ownMarking, "aaaa", n, 1) }

// definition is a statement, which may have markings itself.
func definition(n, further string) string {
	return strings.Replace(strings.Replace(defined, "aaaa", n, 1), `,"definition_type"`, further+`,"definition_type"`, 1)
}

// walk runs a feed over a source.
func walk(t *testing.T, config Config, memory Memory, s source, sink Sink, rehearsal bool) (*Report, error) {
	t.Helper()
	f, _ := newFeed(t, config, memory)
	r := f.run(sink, rehearsal)
	r.source = s
	err := r.walk(t.Context())
	r.report.finish(f.clock.now(), err)
	return r.report, err
}

// broken is a sink, or a memory, of which a part fails.
type broken struct {
	*ledger
	memo
	check, publish, marking, get, set error
	short                             bool
	verdicts                          []Verdict // of Publish
}

func (b broken) Check(ctx context.Context, o []*stix.Object) ([]Verdict, error) {
	verdicts, err := b.ledger.Check(ctx, o)
	if b.short {
		verdicts = verdicts[1:]
	}
	return verdicts, errors.Join(err, b.check)
}

func (b broken) Publish(ctx context.Context, o []*stix.Object) ([]Verdict, error) {
	verdicts, err := b.ledger.Publish(ctx, o)
	if b.verdicts != nil {
		verdicts = b.verdicts
	}
	return verdicts, errors.Join(err, b.publish)
}

func (b broken) Marking(id string) (*stix.Object, error) { return b.markings[id], b.marking }
func (b broken) Memo(name string) ([]byte, error)        { return b.memo[name], b.get }
func (b broken) SetMemo(name string, data []byte) error {
	if b.set == nil {
		b.memo[name] = data
	}
	return b.set
}

func TestThePlaceMovesOnOnlyAfterWhatCameBeforeWasTakenIn(t *testing.T) {
	disk := errors.New("the disk is full")
	for name, b := range map[string]broken{
		"the check": {check: disk}, "the publication": {publish: disk}, "a marking": {marking: disk}, "the place": {get: disk}, "to set the place": {set: disk},
	} {
		b.ledger, b.memo = newLedger(), memo{}
		s := &script{portions: []portion{{objects: []jsontext.Value{jsontext.Value(indicator(1, marked))}}}}
		if _, err := walk(t, taxiiConfig("http://x"), b, s, b, false); !errors.Is(err, disk) || len(b.memo) != 0 {
			t.Errorf("%s fails: %v, and the place is %s", name, err, b.memo)
		}
	}
	memory := memo{}
	cut := errors.New("the line is cut")
	s := &script{portions: []portion{{objects: objects(1)}, {objects: objects(2), keep: []byte(`"before"`)}}, err: cut}
	if report, err := walk(t, taxiiConfig("http://x"), memory, s, newLedger(), false); !errors.Is(err, cut) || report.New != 2 || report.Pages != 2 || report.Rest || report.Problem != cut.Error() {
		t.Errorf("%+v, %v", report, err)
	}
	f, _ := newFeed(t, taxiiConfig("http://x"), memory)
	if place, err := f.place(); err != nil || string(place) != `"before"` || !slices.Equal(s.at, []string{"", "1", "2"}) {
		t.Errorf("the place is %s, after %q were asked for: %v", place, s.at, err)
	}
	must(t, f.Forget())
	if place, err := f.place(); err != nil || place != nil {
		t.Errorf("what was forgotten is %s, %v", place, err)
	}
}

func TestARunTakesNoMoreThanItsLimits(t *testing.T) {
	for _, c := range []struct {
		objects int
		cost    uint64
		known   int // of four
		refused int
		taken   int
		rest    bool
	}{
		{4, 0, 0, 0, 4, false}, {3, 0, 0, 0, 3, true}, {3, 0, 1, 0, 3, false}, {3, 0, 0, 1, 3, false}, {1, 0, 0, 0, 1, true},
		{9, 4 * price, 0, 0, 4, false}, {9, 4*price - 1, 0, 0, 3, true}, {9, 1, 0, 0, 0, true}, {9, 3 * price, 1, 0, 3, false},
	} {
		config := taxiiConfig("http://x")
		config.MaxObjects, config.MaxCost = c.objects, c.cost
		sink, memory := newLedger(), memo{}
		for n := range c.known {
			sink.published[publicationOf(t, indicator(n, ""))] = 1
		}
		for n := range c.refused {
			sink.refuse[indicatorID(n)] = "no"
		}
		for _, rehearsal := range []bool{true, false} {
			s := &script{portions: []portion{{objects: objects(0, 1, 2, 3)}}}
			report, err := walk(t, config, memory, s, sink, rehearsal)
			if err != nil || report.New != c.taken || report.Cost != uint64(c.taken)*price || report.Known != c.known || report.Refused != c.refused || report.Rest != c.rest {
				t.Errorf("%+v: %+v, %v", c, report, err)
			}
			if want := map[bool]int{false: c.taken, true: 0}[rehearsal]; len(sink.order) != want || (len(memory) > 0) != (!rehearsal && !c.rest) {
				t.Errorf("%+v: %d are published, and the place is %s", c, len(sink.order), memory)
			}
		}
	}
}

func TestTheLimitsOfARunHoldForAllOfItsPages(t *testing.T) {
	config := taxiiConfig("http://x")
	config.MaxObjects = 3
	report, err := walk(t, config, memo{}, &script{portions: []portion{{objects: objects(0, 1)}, {objects: objects(2, 3)}, {objects: objects(4)}}}, newLedger(), false)
	if err != nil || report.New != 3 || report.Pages != 2 || !report.Rest {
		t.Errorf("%+v, %v", report, err)
	}
	config.MaxObjects, config.MaxCost = 9, 3*price
	report, err = walk(t, config, memo{}, &script{portions: []portion{{objects: objects(0, 1)}, {objects: objects(2, 3)}}}, newLedger(), false)
	if err != nil || report.New != 3 || report.Cost != 3*price || !report.Rest {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestARunReadsAThousandPagesAndATrialThree(t *testing.T) {
	for rehearsal, want := range map[bool]int{false: 1000, true: 3} {
		s := &script{endless: true, says: Description{Title: "a source"}}
		report, err := walk(t, taxiiConfig("http://x"), memo{}, s, newLedger(), rehearsal)
		if err != nil || report.Pages != want || len(s.at) != want || !report.Rest {
			t.Errorf("%d pages, %d requests, %v", report.Pages, len(s.at), err)
		}
	}
	away := errors.New("it is away")
	s := &script{refuses: away}
	if _, err := walk(t, taxiiConfig("http://x"), memo{}, s, newLedger(), true); !errors.Is(err, away) || len(s.at) != 0 {
		t.Errorf("a source that is not there is asked for objects: %v", err)
	}
}

func TestWhatASourceCanNotGiveIsToldAndTheRestIsTaken(t *testing.T) {
	stuck, memory := errors.New("there is no way on"), memo{}
	s := &script{portions: []portion{{objects: objects(1), failed: []string{"event 7 could not be had"}, stuck: stuck, more: true}}}
	report, err := walk(t, taxiiConfig("http://x"), memory, s, newLedger(), false)
	if !errors.Is(err, stuck) || report.New != 1 || report.Refused != 1 || report.Reasons[0].Reason != "event 7 could not be had" || len(memory) != 1 || len(s.at) != 1 {
		t.Errorf("%+v, %v; the place is %s", report, err, memory)
	}
}

func TestWhatASinkSaysAtTheEndCounts(t *testing.T) {
	b := broken{ledger: newLedger(), memo: memo{}, verdicts: []Verdict{{Known: true}, {Refused: "too late"}, {Cost: 7, Note: "odd"}}}
	report, err := walk(t, taxiiConfig("http://x"), b, &script{portions: []portion{{objects: objects(1, 2, 3)}}}, b, false)
	if err != nil || report.Known != 1 || report.Refused != 1 || report.New != 1 || report.Cost != 7 || report.Reasons[0] != (Reason{"too late", 1, indicatorID(2)}) ||
		report.Remarks[0] != (Reason{"odd", 1, indicatorID(3)}) {
		t.Errorf("%+v, %v", report, err)
	}
	b.short = true
	if _, err := walk(t, taxiiConfig("http://x"), memo{}, &script{portions: []portion{{objects: objects(4, 5)}}}, b, false); err == nil || !strings.Contains(err.Error(), "1 verdicts about 2 objects") {
		t.Errorf("a sink that says nothing of some: %v", err)
	}
}

func TestAPlaceIsKeptUpToAMebibyte(t *testing.T) {
	f, _ := newFeed(t, taxiiConfig("http://x"), memo{})
	must(t, f.setPlace([]byte(`"`+strings.Repeat("x", 1<<20-2)+`"`)))
	if err := f.setPlace([]byte(`"` + strings.Repeat("x", 1<<20-1) + `"`)); err == nil {
		t.Error("a source may have anything kept")
	}
	if err := f.setPlace([]byte(`no JSON`)); err == nil {
		t.Error("what can't be read again is kept")
	}
	f.memory.(memo)[f.memo()] = []byte("damaged")
	if place, err := f.place(); place != nil || err != nil {
		t.Errorf("a damaged place is %s, %v", place, err)
	}
}

func TestAFeedBeginsAgainWhenWhatItTakesIsAnother(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		again  bool
	}{
		"page size": {func(c *Config) { c.PageSize = 7 }, false}, "objects": {func(c *Config) { c.MaxObjects = 7 }, false}, "cost": {func(c *Config) { c.MaxCost = 7 }, false},
		"credentials": {func(c *Config) { c.Credentials.User = "u" }, false},
		"url":         {func(c *Config) { c.URL = "http://y" }, true}, "collection": {func(c *Config) { c.Collection = "y" }, true}, "target": {func(c *Config) { c.Target = "y" }, true},
		"filter": {func(c *Config) { c.Filter.MinConfidence = 1 }, true}, "levels": {func(c *Config) { c.Others = map[string]stix.Level{"x": stix.Red} }, true},
	} {
		memory, config := memo{}, taxiiConfig("http://x")
		f, _ := newFeed(t, config, memory)
		must(t, f.setPlace([]byte(`1`)))
		c.change(&config)
		f, _ = newFeed(t, config, memory)
		if place, err := f.place(); (place == nil) != c.again || err != nil {
			t.Errorf("%s: the place is %s, %v", name, place, err)
		}
	}
}

func TestARunThatIsEndedSaysWhy(t *testing.T) {
	f, _ := newFeed(t, taxiiConfig("http://127.0.0.1:1"), memo{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the node ends")
	cancel(why)
	report, err := f.Run(ctx, newLedger())
	if !errors.Is(err, why) || !strings.Contains(report.Problem, why.Error()) || report.Started.IsZero() || report.Ended.IsZero() {
		t.Errorf("%+v, %v", report, err)
	}
	trial, err := f.Test(ctx, newLedger())
	if !errors.Is(err, why) || !strings.Contains(trial.Problem, why.Error()) || trial.Credentials != "none" || trial.Ended.IsZero() {
		t.Errorf("%+v, %v", trial, err)
	}
}

func parsed(t *testing.T, raw string) *stix.Object {
	t.Helper()
	o, err := stix.Parse([]byte(raw))
	must(t, err)
	return o
}

func TestDefinitionsAreLookedForInTheSinkAndThenAtTheSource(t *testing.T) {
	sink := newLedger()
	sink.markings[markingID("0001")] = parsed(t, definition("0001", ""))
	s := &script{has: map[string]string{}}
	for n := 2; n <= 6; n++ { // each is marked with the next
		s.has[markingID(fmt.Sprintf("%04d", n))] = definition(fmt.Sprintf("%04d", n), refs(markingID(fmt.Sprintf("%04d", n+1))))
	}
	var d definitions
	of := parsed(t, indicator(1, refs(markingID("0001"), markingID("0002"), markingID("9999"), redMarking, "x--1")))
	must(t, d.find(t.Context(), &run{sink: sink, source: s}, []*stix.Object{of}))
	want := [][]string{{markingID("0002"), markingID("9999")}, {markingID("0003")}, {markingID("0004")}}
	if fmt.Sprint(s.asked) != fmt.Sprint(want) {
		t.Errorf("the source was asked for %v, want %v", s.asked, want)
	}
	for id, there := range map[string]bool{markingID("0001"): true, markingID("0002"): true, markingID("0004"): true, markingID("9999"): false, markingID("7777"): false} {
		if (d.resolve(id) != nil) != there {
			t.Errorf("%s is found: %v", id, !there)
		}
	}
	if d.fetched[markingID("0001")] || !d.fetched[markingID("0002")] {
		t.Errorf("from the source came %v", d.fetched)
	}
	asked := len(s.asked)
	must(t, d.find(t.Context(), &run{sink: sink, source: s}, []*stix.Object{of}))
	if len(s.asked) != asked {
		t.Error("what nobody has is asked for again")
	}
}

func TestDefinitionsThatCanNotBeAskedForEndTheRun(t *testing.T) {
	away := errors.New("it is away")
	var d definitions
	if err := d.find(t.Context(), &run{sink: newLedger(), source: &script{refuses: away}}, []*stix.Object{parsed(t, indicator(1, marked))}); !errors.Is(err, away) {
		t.Errorf("the error is %v", err)
	}
}

func TestAHundredDefinitionsAreAskedForAtOnce(t *testing.T) {
	var ids []string
	for n := range 101 {
		ids = append(ids, markingID(fmt.Sprintf("%04d", n)))
	}
	var d definitions
	s := &script{}
	must(t, d.find(t.Context(), &run{sink: newLedger(), source: s}, []*stix.Object{{Markings: ids}}))
	if len(s.asked) != 1 || len(s.asked[0]) != 100 {
		t.Errorf("asked for %v", s.asked)
	}
}

// With the definitions come those of their own markings, each once in a run.
func TestAllThatIsNeededToReadAMarkingIsPublishedOnce(t *testing.T) {
	s := &script{has: map[string]string{
		markingID("0001"): definition("0001", refs(markingID("0002"))), markingID("0002"): definition("0002", refs(greenMarking)),
	}}
	s.portions = []portion{
		{objects: []jsontext.Value{jsontext.Value(indicator(1, refs(markingID("0001"))))}},
		{objects: []jsontext.Value{jsontext.Value(indicator(2, refs(markingID("0001")))), jsontext.Value(definition("0003", "")), jsontext.Value(indicator(3, refs(markingID("0003"))))}},
	}
	sink := newLedger()
	report, err := walk(t, taxiiConfig("http://x"), memo{}, s, sink, false)
	must(t, err)
	slices.Sort(sink.order)
	want := []string{indicatorID(1), indicatorID(2), indicatorID(3), markingID("0001"), markingID("0002"), markingID("0003")}
	if slices.Sort(want); !slices.Equal(sink.order, want) || report.New != 6 || report.Objects != 4 {
		t.Errorf("published %v, want %v; %+v", sink.order, want, report)
	}
}

func TestWhatIsNoObjectIsRefusedByItsReasonAndId(t *testing.T) {
	page := []jsontext.Value{jsontext.Value(`7`), jsontext.Value(strings.Replace(indicator(1, ""), `"created":"2026`, `"created":"x`, 1)), jsontext.Value(indicator(2, "")), jsontext.Value(indicator(2, ""))}
	report, err := walk(t, taxiiConfig("http://x"), memo{}, &script{portions: []portion{{objects: page}}}, newLedger(), false)
	if err != nil || report.Objects != 4 || report.New != 1 || report.Refused != 2 || len(report.Reasons) != 2 ||
		!slices.ContainsFunc(report.Reasons, func(r Reason) bool { return r.Example == indicatorID(1) }) {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestAnObjectWithoutVersionsIsKnownByItsContent(t *testing.T) {
	const address = `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}`
	one, two := parsed(t, address), parsed(t, strings.Replace(address, "2dd", "2de", 1))
	other := parsed(t, strings.Replace(address, `"value"`, `"defanged":true,"value"`, 1))
	if publication(one) == publication(two) || publication(one) == publication(other) || publication(one) != publication(parsed(t, address)) {
		t.Errorf("%q, %q, %q", publication(one), publication(two), publication(other))
	}
	if got := distinct([]*stix.Object{one, other, parsed(t, address)}); len(got) != 2 {
		t.Errorf("%d objects of two", len(got))
	}
	if got, want := publicationOf(t, indicator(1, "")), indicatorID(1)+"@2026-01-02T03:04:05.678Z"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWhatWaitsIsDecidedAboutWhenItsTimeOrItsRoomIsOver(t *testing.T) {
	waits, ready := parsed(t, indicator(1, marked)), parsed(t, indicator(2, ""))
	var h held
	if got := h.exchange([]*stix.Object{waits, ready}, &definitions{}, true); len(got) != 2 || !h.isEmpty() {
		t.Errorf("on the last page %d of 2 are given", len(got))
	}
	if got := h.exchange([]*stix.Object{waits, ready}, &definitions{}, false); len(got) != 1 || got[0] != ready || h.isEmpty() {
		t.Errorf("on a page before, %d are given", len(got))
	}
	for n := range 200 {
		if got := h.exchange(nil, &definitions{}, false); len(got) != 0 {
			t.Fatalf("it waits for %d pages", n)
		}
	}
	if got := h.exchange(nil, &definitions{}, false); len(got) != 1 || !h.isEmpty() || h.pages != 0 {
		t.Errorf("after 200 pages %d are given", len(got))
	}
	h.exchange([]*stix.Object{waits}, &definitions{}, false) // the next one's time begins
	if h.pages != 0 || h.size != len(waits.Raw) {
		t.Errorf("%d pages, %d bytes", h.pages, h.size)
	}
	for extra, all := range map[int]bool{0: false, 1: true} {
		full := *waits
		full.Raw = make([]byte, 16<<20-len(waits.Raw)+extra)
		h = held{}
		if got := h.exchange([]*stix.Object{waits, &full}, &definitions{}, false); (len(got) == 2) != all {
			t.Errorf("with %d bytes more than there is room for, %d are given", extra, len(got))
		}
	}
}

func TestWhatIsKnownOfDefinitionsIsForgottenWhenItIsTooMuch(t *testing.T) {
	o := parsed(t, definition("0001", ""))
	large := *o
	large.Raw = make([]byte, 8<<20-200-len(o.ID))
	var d definitions
	d.set(o.ID, &large)
	d.set("x", nil) // within the bound, still
	if len(d.known) != 2 || d.size != 8<<20+201 {
		t.Errorf("%d are known, with %d bytes", len(d.known), d.size)
	}
	if d.set("y", nil); len(d.known) != 1 || d.size != 201 || len(d.fetched) != 0 {
		t.Errorf("%d are known, with %d bytes", len(d.known), d.size)
	}
}

func TestAPageIsOfTheClockOfTheFeed(t *testing.T) {
	f, _ := newFeed(t, taxiiConfig("http://127.0.0.1:1"), memo{})
	f.clock.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)) }
	report, _ := f.Run(t.Context(), newLedger())
	if want := time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC); report.Started != want || report.Ended != want {
		t.Errorf("from %s to %s", report.Started, report.Ended)
	}
}
