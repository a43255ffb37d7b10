package search

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sighted is what a sighting of an object has beside its type and id.
func sighted(of string, more string) string { return fmt.Sprintf(`"sighting_of_ref":%q%s`, of, more) }

// said is a Seen in one line.
func (s Seen) said() string {
	var parts []string
	for _, b := range s.By {
		parts = append(parts, fmt.Sprintf("%s%s %d in %d", b.Member, b.Author, b.Count, b.Reports))
	}
	for _, m := range s.Month {
		parts = append(parts, fmt.Sprintf("%s: %d", m.Month, m.Count))
	}
	return fmt.Sprintf("%d %s", s.Count, strings.Join(parts, ", "))
}

func TestSightingsOfAnObjectAreAddedUpByMemberAndMonth(t *testing.T) {
	w := newWorld(t)
	of := id("indicator", 1)
	w.add("ALPHA", collectionA, of, says("ipv4-addr:value = '203.0.113.7'"))
	w.add("ALPHA", collectionA, id("sighting", 1), sighted(of, `,"count":30,"first_seen":"2026-01-29T00:00:00Z","last_seen":"2026-02-03T10:00:00Z"`))
	w.add("BRAVO", collectionB, id("sighting", 2), sighted(of, `,"count":5,"first_seen":"2026-02-03T00:00:00Z","last_seen":"2026-02-03T00:00:00Z"`))
	w.add("BRAVO", collectionB, id("sighting", 3), sighted(of, ``)) // once, when it came
	w.add("BRAVO", collectionA, id("sighting", 4), sighted(of, `,"revoked":true,"count":7`))
	w.add("BRAVO", collectionA, id("sighting", 5), sighted(of, `,"count":0`))
	w.add("ALPHA", collectionA, id("sighting", 6), sighted(id("indicator", 2), `,"count":9`))
	// What another member publishes under the id of a sighting is not counted again.
	w.add("CHARLIE", collectionB, id("sighting", 1), sighted(of, `,"count":999999999,"last_seen":"2026-02-03T10:00:00Z"`))
	seen, err := w.Seen(t.Context(), reader, of)
	must(t, err)
	months := seen.Month
	seen.Month = nil
	if got := seen.said(); got != "36 CHARLIE 999999999 in 1, ALPHA 30 in 1, BRAVO 6 in 3" {
		t.Errorf("it was seen %s", got)
	}
	if len(months) != 11 || months[0] != (SeenIn{"2026-01", 15}) || months[1] != (SeenIn{"2026-02", 20}) || months[2].Count != 0 || months[10] != (SeenIn{"2026-11", 1}) {
		t.Errorf("in months: %+v", months)
	}
	if !seen.First.Equal(time.Date(2026, 1, 29, 0, 0, 0, 0, time.UTC)) || !seen.Last.Equal(monday) {
		t.Errorf("from %v to %v", seen.First, seen.Last)
	}
	if seen, err = w.Seen(t.Context(), limited, of); err != nil || seen.Count != 6 {
		t.Errorf("a limited account is told %+v, %v", seen, err)
	}
	brief, err := w.Sighted(t.Context(), reader, []string{id("indicator", 3), of, id("indicator", 2)})
	if err != nil || len(brief) != 3 || brief[0].Count != 0 || brief[1].Count != 36 || len(brief[1].By) != 3 || brief[1].More || brief[2].Count != 9 {
		t.Errorf("in a list it was seen %+v, %v", brief, err)
	}
	for n := range MaxBrief {
		w.add("ALPHA", collectionA, id("sighting", 100+n), sighted(id("indicator", 2), ``))
	}
	if brief, err = w.Sighted(t.Context(), reader, []string{id("indicator", 2)}); err != nil || brief[0].Count != MaxBrief || !brief[0].More {
		t.Errorf("of more sightings than are looked at a list says %+v, %v", brief, err)
	}
	if brief, err = w.Sighted(t.Context(), limited, []string{of}); err != nil || brief[0].Count != 6 {
		t.Errorf("a limited account is told %+v, %v", brief, err)
	}
	if answer := w.lookup(reader, "203.0.113.7"); answer.Seen == nil || answer.Seen.Count != 36 {
		t.Errorf("a lookup says %+v", answer.Seen)
	}
	if answer := w.lookup(limited, "203.0.113.7"); answer.Seen != nil {
		t.Errorf("a limited account looks up %+v", answer.Seen)
	}
}

func TestWhatFeedsBringIsAnotherSourceThanThisOrganisation(t *testing.T) {
	w := newWorld(t)
	of := id("malware", 1)
	for n, author := range []string{"", id("identity", 7), id("identity", 7)} {
		w.add("SELF", collectionA, id("sighting", n), sighted(of, fmt.Sprintf(`,"created_by_ref":%q,"count":2,"last_seen":"2026-02-03T10:00:00Z"`, author)))
	}
	seen, err := w.Seen(t.Context(), reader, of)
	must(t, err)
	if got := seen.said(); got != "6 SELF"+id("identity", 7)+" 4 in 2, SELF 2 in 1, 2026-02: 6" {
		t.Errorf("it was seen %s", got)
	}
}

// Whatever a stranger writes, months add up to the count, and nothing was seen after it came.
func TestMonthsAddUpToTheCount(t *testing.T) {
	added := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		when := rapid.Custom(func(t *rapid.T) string {
			year := rapid.SampledFrom([]int{0, 1, 1970, 2025, 2026, 2027, 9999}).Draw(t, "year")
			return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 364*24).Draw(t, "hours")) * time.Hour).Format(time.RFC3339)
		})
		object := fmt.Sprintf(`{"type":"sighting","sighting_of_ref":"x","count":%d,"first_seen":%q,"last_seen":%q}`,
			rapid.IntRange(0, 2_000_000_000).Draw(t, "count"), when.Draw(t, "first"), when.Draw(t, "last"))
		s, is := ReadSighting([]byte(object), added)
		if !is || s.Last.After(added) || s.First.After(s.Last) {
			t.Fatalf("%s is %+v, %t", object, s, is)
		}
		months := map[int]uint64{}
		spread(s, months)
		var sum uint64
		for m, n := range months {
			sum += n
			if m > monthOf(s.Last) || m < monthOf(s.Last)-mostMonths {
				t.Fatalf("%s counts in month %d", object, m)
			}
		}
		if recent := s.Last.Sub(s.First) < 600*24*time.Hour; sum > s.Count || recent && sum != s.Count {
			t.Fatalf("%s: %d of %d are in months", object, sum, s.Count)
		}
	})
}

func TestWhatMembersCallBenignIsFound(t *testing.T) {
	w := newWorld(t)
	kind := `"indicator_types":["benign"]`
	w.add("ALPHA", collectionA, id("indicator", 1), says("ipv4-addr:value = '203.0.113.7'", kind))
	w.add("ALPHA", collectionA, id("indicator", 2), says("ipv4-addr:value = '203.0.113.8'", `"indicator_types":["benign-looking"]`))
	w.add("ALPHA", collectionA, id("indicator", 3), says("ipv4-addr:value = '203.0.113.9'", kind, `"valid_until":"2026-02-01T00:00:00Z"`))
	w.add("ALPHA", collectionA, id("indicator", 4), says("ipv4-addr:value = '203.0.113.10'", kind, `"revoked":true`))
	w.add("BRAVO", collectionA, id("indicator", 5), says("ipv4-addr:value = '203.0.113.11'", kind))
	gone := w.add("ALPHA", collectionA, id("indicator", 6), says("ipv4-addr:value = '203.0.113.12'", kind))
	before, err := w.BenignChanged()
	must(t, err)
	w.withdraw("ALPHA", gone)
	if after, err := w.BenignChanged(); err != nil || after == before {
		t.Errorf("a withdrawal changes %d to %d, %v", before, after, err)
	}
	said, err := w.Benign([]string{"ALPHA"})
	must(t, err)
	if got := fmt.Sprint(said); got != "map[ALPHA:[203.0.113.7]]" {
		t.Errorf("benign are %s", got)
	}
}
