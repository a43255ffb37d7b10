package sightings

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serviceledger/slnode/internal/export"
	"github.com/serviceledger/slnode/internal/microalgo"
	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/internal/nodetest"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/taxii"
)

func (w *world) told(want ...string) {
	w.T.Helper()
	if got := strings.Join(w.inView(), "; "); got != strings.Join(want, "; ") {
		w.T.Errorf("others are told %q, want %q", got, strings.Join(want, "; "))
	}
}

func TestAThousandHitsAreOneSightingAndAMonthLaterItsSecondVersion(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	for range 100 {
		w.hit(1, 10, 0)
	}
	w.look()
	w.told() // the day is not over
	w.now = w.now.Add(day)
	w.look()
	w.told("1: 1000 from 1 to 1 days ago, made 0, changed 0")
	w.hit(1, 7, 0)
	w.now = w.now.Add(10 * day)
	w.look()
	w.told("1: 1000 from 11 to 11 days ago, made 10, changed 10")
	w.now = w.now.Add(20 * day)
	w.hit(1, 1100, 2*day)
	w.stuck = true
	w.look()
	if n := len(w.inView()); n != 2 {
		t.Errorf("with the earlier version not withdrawn there are %d", n)
	}
	w.restart()
	w.stuck = false
	w.look()
	w.told("1: 2000 from 31 to 2 days ago, made 30, changed 0")
	w.look()
	if len(w.author.log) != 2 || len(w.lines) != 2 || w.lines[0].Name != taxii.EventPublish || w.lines[0].User != User {
		t.Errorf("published were %v; the audit log has %+v", w.author.log, w.lines)
	}
	// Without further hits there is no further version.
	w.now = w.now.Add(60 * day)
	w.look()
	if len(w.author.log) != 2 {
		t.Errorf("without further hits others are told %v", w.author.log)
	}
}

func TestAnEarlierVersionThatKeepsNothingLockedStays(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.hit(1, 1, day)
	w.look()
	w.now, w.released = w.now.Add(31*day), true
	w.hit(1, 1, day)
	w.look()
	c, _, err := w.R.Hits.Of(indicatorID(1))
	if n := len(w.inView()); n != 2 || err != nil || c.Told.Older {
		t.Errorf("%d versions are there; %+v, %v", n, c.Told, err)
	}
}

func TestKilledAfterItPublishedItPublishesNothingTwice(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.hit(1, 3, 3*day)
	w.author.killed = true
	w.look()
	w.hit(1, 40, 2*day)
	w.restart()
	w.now = w.now.Add(day)
	w.look()
	w.told("1: 2 from 4 to 4 days ago, made 1, changed 1")
	if len(w.author.log) != 1 {
		t.Errorf("published were %v", w.author.log)
	}
	used, err := w.R.Hits.Today(hits.DayOf(w.now.Add(-day)))
	if err != nil || used.Sightings != 1 || used.Money != microalgo.PerNFT {
		t.Errorf("counted are %+v, %v", used, err)
	}
}

func TestANodeWhoseStateIsLostGoesOnWithItsSighting(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.hit(1, 50, day)
	w.look()
	c, _, err := w.R.Hits.Of(indicatorID(1))
	nodetest.Must(t, err)
	first := c.Told.ID
	w.now = w.now.Add(40 * day)
	nodetest.Must(t, w.R.Hits.Forget(hits.DayOf(w.now), hits.DayOf(w.now)))
	w.hit(1, 30, 2*day)
	w.restart()
	w.look()
	w.told("1: 50 from 41 to 2 days ago, made 40, changed 0")
	if c, _, err = w.R.Hits.Of(indicatorID(1)); err != nil || c.Told.ID != first {
		t.Errorf("it goes on with %+v, %v", c.Told, err)
	}
}

func TestOnlyTheProducerIsToldWhereThatIsWanted(t *testing.T) {
	w := newWorld(t, config.ShareProducer)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.EnterBy(w.State.Self, indicator(2, "")) // of its own it tells nobody
	w.hit(1, 1, day)
	w.hit(2, 1, day)
	w.look()
	if len(w.author.log) != 1 || fmt.Sprint(w.author.members) != "["+w.State.Name(w.Founder.Address())+"]" {
		t.Errorf("%v are told %v", w.author.members, w.author.log)
	}
	if used, err := w.R.Hits.Today(hits.DayOf(w.now)); err != nil || used.Money != 3*microalgo.PerNFT { // the collection, the identity in it, and the sighting
		t.Errorf("it took %+v, %v", used, err)
	}
}

func TestASightingWaitsForTheCollectionThatItGoesTo(t *testing.T) {
	w := newWorld(t, config.ShareProducer)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.hit(1, 1, day)
	w.author.making = true
	for range 2 {
		if pause := w.room.look(t.Context()); pause != settleAgain {
			t.Errorf("it looks again after %v", pause)
		}
	}
	c, _, err := w.R.Hits.Of(indicatorID(1))
	if err != nil || c.Told == nil || c.Told.Refused || len(c.Told.Document) == 0 || len(w.author.members) != 1 || len(w.author.log) != 0 {
		t.Errorf("%+v, %v; asked for were %v, published %v", c.Told, err, w.author.members, w.author.log)
	}
}

func TestNobodyIsToldWhereThatIsNotWanted(t *testing.T) {
	w := newWorld(t, config.ShareNo)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.hit(1, 1, day)
	w.look()
	if s, err := w.room.Status(); len(w.author.log) != 0 || s != nil || err != nil {
		t.Errorf("others are told %v", w.author.log)
	}
	w.set.Share, w.set.Via = config.ShareProducer, w.State.Name(w.Mallory.Address())
	w.author.planned = true
	w.configure()
	w.look()
	if len(w.author.log) != 1 {
		t.Errorf("through another member are told %v", w.author.log)
	}
	if s, err := w.room.Status(); s == nil || err != nil || s.Today != 1 || s.Via == "" {
		t.Errorf("the status is %+v, %v", s, err)
	}
}

func TestWhatIsHeldToBeAMistakeIsNotTold(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	for n := range 4 {
		w.EnterBy(w.Founder.Address(), indicator(n, ""))
		w.hit(n, 1, day)
	}
	w.left = export.Left{
		Indicator: func(id string, _ time.Time) bool { return id == indicatorID(1) },
		Value:     func(v observable.Value) bool { return v.Text == "203.0.113.2" },
	}
	w.EnterBy(w.Founder.Address(), strings.Replace(indicator(3, `"revoked":true,`), `"modified":"2026-01-02`, `"modified":"2026-01-03`, 1))
	w.look()
	if got := w.inView(); len(got) != 1 || !strings.HasPrefix(got[0], ": 1 ") { // that of 0
		t.Errorf("others are told %q", got)
	}
}

func TestADayBringsWhatItMay(t *testing.T) {
	w := newWorld(t, config.ShareCollection)
	for n := range 9 {
		w.EnterBy(w.Founder.Address(), indicator(n, ""))
		w.hit(n, 1, day)
	}
	w.set.MaxPerDay = 2
	w.configure()
	w.look()
	w.look()
	if n := len(w.author.log); n != 2 {
		t.Errorf("a day brings %d", n)
	}
	w.now = w.now.Add(day)
	w.set.MaxPerDay, w.set.MaxALGO = 20, microalgo.Text(3*microalgo.PerNFT+1)
	w.configure()
	w.look()
	if n := len(w.author.log); n != 5 {
		t.Errorf("a day brings %d for so much ALGO", n-2)
	}
	w.now, w.set.MaxALGO, w.spendable = w.now.Add(day), 0, microalgo.PerNFT
	w.configure()
	w.look()
	if n := len(w.author.log); n != 6 || w.room.Condition.Get().Problem != "funds" {
		t.Errorf("with money for one it brings %d, %+v", n-5, w.room.Condition.Get())
	}
	w.spendable = 100 * microalgo.PerNFT
	w.look()
	if n := len(w.author.log); n != 9 || w.room.Condition.Get().Problem != "" {
		t.Errorf("with money it brings %d, %+v", n-6, w.room.Condition.Get())
	}
}

func TestHitsAreOfWhatIsInForce(t *testing.T) {
	w := newWorld(t, config.ShareNo)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	w.EnterBy(w.Mallory.Address(), strings.Replace(indicator(2, ""), "203.0.113.2'", "203.0.113.0/24'", 1))
	w.EnterBy(w.Mallory.Address(), indicator(3, `"valid_until":"2026-01-03T00:00:00Z",`))
	w.EnterBy(w.Mallory.Address(), strings.Replace(indicator(4, ""), "[ipv4-addr:value = '203.0.113.4']", "[ipv4-addr:value = '198.51.100.4' AND file:name = 'x']", 1))
	for _, c := range []struct {
		hit                         taxii.Hit
		counted, unknown, wrong, of int
	}{
		{taxii.Hit{Value: "203.0.113[.]1"}, 1, 0, 0, 2},
		{taxii.Hit{Value: "203.0.113.3"}, 1, 0, 0, 1}, // the network alone: its own is over
		{taxii.Hit{Value: "198.51.100.4"}, 0, 1, 0, 0},
		{taxii.Hit{Value: "203.0.113.1 203.0.113.2"}, 0, 0, 1, 0},
		{taxii.Hit{Value: "?"}, 0, 0, 1, 0},
		{taxii.Hit{Indicator: indicatorID(1)}, 1, 0, 0, 1},
		{taxii.Hit{Indicator: indicatorID(77)}, 0, 1, 0, 0},
		{taxii.Hit{Indicator: "malware--1"}, 0, 0, 1, 0},
		{taxii.Hit{Value: "203.0.113.1", Time: w.now.Add(time.Hour)}, 0, 0, 1, 0},
		{taxii.Hit{Value: "203.0.113.1", Time: w.now.Add(-400 * day)}, 0, 0, 1, 0},
	} {
		c.hit.Count = 1
		taken, err := w.room.Report(t.Context(), publisher, taxii.HitReport{Hits: []taxii.Hit{c.hit}})
		nodetest.Must(t, err)
		if taken.Counted != c.counted || taken.Unknown != c.unknown || taken.Failed != c.wrong || taken.Indicators != c.of {
			t.Errorf("%+v: %+v", c.hit, taken)
		}
	}
	if _, err := w.room.Report(t.Context(), reader, taxii.HitReport{}); !errors.Is(err, taxii.ErrForbidden) {
		t.Errorf("a reader reports: %v", err)
	}
	limited := sensor
	limited.Limits.Read = []string{"another"}
	if taken, err := w.room.Report(t.Context(), limited, taxii.HitReport{Hits: []taxii.Hit{{Value: "203.0.113.1", Count: 1}, {Indicator: indicatorID(1), Count: 1}}}); err != nil || taken.Unknown != 2 {
		t.Errorf("who may read nothing of it is told %+v, %v", taken, err)
	}
	list, err := w.room.Hits(t.Context(), reader, taxii.HitsQuery{})
	if err != nil || len(list.Hits) != 2 || list.Hits[0].Count != 2 || list.Hits[0].Member == "" || list.Share != "no" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = w.room.Hits(t.Context(), limited, taxii.HitsQuery{}); err != nil || len(list.Hits) != 0 {
		t.Errorf("who may read nothing of it is shown %+v, %v", list, err)
	}
	seen, err := w.room.Seen(t.Context(), reader, indicatorID(1))
	if err != nil || seen.Here == nil || seen.Here.Count != 2 {
		t.Errorf("%+v, %v", seen, err)
	}
	if _, err := w.room.Seen(t.Context(), limited, indicatorID(1)); !errors.Is(err, taxii.ErrNotFound) {
		t.Errorf("who may read nothing of it asks: %v", err)
	}
}

func TestListsAgeByWhatWasSeenLast(t *testing.T) {
	w := newWorld(t, config.ShareNo)
	w.EnterBy(w.Founder.Address(), indicator(1, ""))
	before, err := w.room.SightedChanged()
	nodetest.Must(t, err)
	sighting := func(n int, last string) string {
		return fmt.Sprintf(`{"type":"sighting","spec_version":"2.1","id":"sighting--%08x-27d4-4cbf-938f-98ee46b3cd3f","created":"2026-01-02T03:04:05.678Z","modified":"2026-01-02T03:04:05.678Z","sighting_of_ref":%q,"last_seen":%q}`, n, indicatorID(n), last)
	}
	w.EnterBy(w.Mallory.Address(), sighting(1, "2026-02-03T00:00:00Z"))
	after, err := w.room.SightedChanged()
	sighted, _ := w.room.Sighted()
	if err != nil || after <= before || !sighted(indicatorID(1)).Equal(time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)) || !sighted(indicatorID(2)).IsZero() {
		t.Errorf("%v; changed %d after %d, %v", sighted(indicatorID(1)), after, before, err)
	}
	if again, err := w.room.SightedChanged(); err != nil || again != after {
		t.Errorf("without a change it changed at %d, %v", again, err)
	}
	w.now = time.Now()
	w.hit(1, 1, 0)
	hit, err := w.room.SightedChanged()
	sighted, _ = w.room.Sighted()
	if err != nil || hit <= after || !sighted(indicatorID(1)).Equal(w.now.UTC().Truncate(day)) {
		t.Errorf("after it hit here: %v, changed %d after %d, %v", sighted(indicatorID(1)), hit, after, err)
	}
}

func TestCountsAreRoundedDown(t *testing.T) {
	for n, want := range map[uint64]uint64{1: 1, 2: 2, 3: 2, 4: 2, 5: 5, 9: 5, 10: 10, 19: 10, 20: 20, 49: 20, 99: 50, 1100: 1000, 1 << 40: 500_000_000, 499_999_999: 200_000_000} {
		if got := rounded(n); got != want {
			t.Errorf("%d is told as %d", n, got)
		}
	}
}

// Whatever sensors report, days pass and nodes are killed: each indicator has one sighting, its versions are at least
// so far apart, each says no more than was seen, and a day brings no more than it may.
func TestWhateverHappensOthersAreToldOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, config.ShareCollection)
		w.set.MaxPerDay, w.set.Every.Duration = 2, 3*day
		w.configure()
		m := &model{w: w, reported: map[int]uint64{}, ids: map[int]string{}, versions: map[int][]time.Time{}}
		for n := range 3 {
			w.EnterBy(w.Founder.Address(), indicator(n, ""))
		}
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				n, count := rapid.IntRange(0, 2).Draw(rt, "indicator"), uint64(rapid.IntRange(1, 30).Draw(rt, "count"))
				w.hit(n, count, time.Duration(rapid.IntRange(0, 3).Draw(rt, "ago"))*day)
				m.reported[n] += count
			case 2:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "days")) * day)
			case 3:
				w.author.killed = rapid.Bool().Draw(rt, "killed")
				w.stuck = rapid.Bool().Draw(rt, "stuck")
				w.look()
				w.restart()
				w.stuck, w.author.killed = false, false
			default:
				w.look()
			}
			m.check(rt)
		}
		for range 2 {
			w.look()
		}
		if got := w.inView(); len(got) != len(versionsOf(w)) {
			rt.Fatalf("in the end there are %q", got)
		}
	})
}

// versionsOf are the indicators of which others are told.
func versionsOf(w *world) map[string]bool {
	all := map[string]bool{}
	for _, raw := range w.author.log {
		var d document
		nodetest.Must(w.T, unmarshal(raw, &d))
		all[d.Of] = true
	}
	return all
}

// model is what others were told, as it is looked at from outside.
type model struct {
	w        *world
	reported map[int]uint64
	ids      map[int]string
	versions map[int][]time.Time
	seen     int
}

// check looks at what was published since it looked last.
func (m *model) check(rt *rapid.T) {
	byDay := map[string]int{}
	for i, raw := range m.w.author.log {
		var d document
		nodetest.Must(m.w.T, unmarshal(raw, &d))
		if byDay[d.Modified]++; byDay[d.Modified] > 2 {
			rt.Fatalf("%s brought more than 2", d.Modified)
		}
		if i < m.seen {
			continue
		}
		var n int
		_, err := fmt.Sscanf(d.Of, "indicator--%08x", &n)
		nodetest.Must(m.w.T, err)
		at, err := time.Parse(time.RFC3339Nano, d.Modified)
		nodetest.Must(m.w.T, err)
		if m.ids[n] == "" {
			m.ids[n] = d.ID
		}
		last := m.versions[n]
		if m.ids[n] != d.ID || len(last) > 0 && at.Sub(last[len(last)-1]) < 3*day || d.Count > m.reported[n] {
			rt.Fatalf("of %d hits others are told %s after %v", m.reported[n], raw, last)
		}
		m.versions[n] = append(last, at)
	}
	m.seen = len(m.w.author.log)
}
