package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Seen is a little of everything.
func (l library) Seen(_ context.Context, _ By, id string) (Seen, error) {
	if id == malwareID {
		return Seen{}, nil
	}
	first, last := l.at.AddDate(0, -4, 0), l.at.AddDate(0, 0, -1)
	s := Seen{Count: 1240, First: first, Last: last, By: []SeenBy{{Member: "bravo", Count: 1200, First: first, Last: last}, {Member: "acme", Author: "identity--5", Count: 40, First: first, Last: first}, {Member: "delta"}},
		Here: &HitsHere{Count: 37, First: "2026-11-02", Last: "2026-11-29", Sighting: "sighting--7", Told: 20}}
	for i, n := range []uint64{120, 0, 400, 700, 20} {
		s.Months = append(s.Months, SeenMonth{time.Date(2026, time.July+time.Month(i), 1, 0, 0, 0, 0, time.UTC), n})
	}
	return s, nil
}

// Saw knows one indicator.
func (l library) Saw(_ context.Context, _ By, id string) error {
	if id != indicatorID {
		return &taxii.InvalidError{Reason: "Nothing was counted."}
	}
	return nil
}

func TestWhatIsSeenHereIsCountedByOneClick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const button = "<button>Seen here</button>"
	form := func(id string) url.Values { return url.Values{"do": {"saw"}, "id": {id}} }
	has(t, w.ask("publisher", "object?id="+indicatorID, nil).Body.String(), button)
	for visitor, id := range map[string]string{"reader": indicatorID, "publisher": malwareID} {
		if page := w.ask(visitor, "object?id="+id, nil).Body.String(); strings.Contains(page, button) {
			t.Errorf("the %s's page of %s has the button", visitor, id)
		}
	}
	a := w.ask("publisher", "object", form(indicatorID))
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "object?id="+indicatorID+"&done=counted" {
		t.Errorf("it leads to %d %s", a.Code, a.Header().Get("Location"))
	}
	has(t, w.ask("publisher", a.Header().Get("Location"), nil).Body.String(), "It is counted: seen here today.")
	if a := w.ask("reader", "object", form(indicatorID)); a.Code != http.StatusForbidden {
		t.Errorf("a reader is answered %d", a.Code)
	}
	if a := w.ask("publisher", "object", form(malwareID)); a.Code != http.StatusUnprocessableEntity && a.Code != http.StatusBadRequest {
		t.Errorf("what is no indicator is answered with %d", a.Code)
	}
}

// eyes have seen something, or fail.
type eyes struct {
	seen Seen
	err  error
}

func (e eyes) Saw(context.Context, By, string) error { return e.err }

func (e eyes) Seen(context.Context, By, string) (Seen, error) { return e.seen, e.err }

func TestAnObjectShowsHowOftenItWasSeen(t *testing.T) {
	t.Parallel()
	page := newWorld(t, nil).ask("reader", "object?id="+indicatorID, nil).Body.String()
	has(t, page, "Seen 1,240 times by 2 members, first on 30 July 2026, last on 29 November 2026. 1 member looked for it and did not see it.",
		"37 times, first on 2 November 2026, last on 29 November 2026.", `<a href="object?id=sighting--7">Others are told of 20 times</a>`,
		"Seen 1,240 times in 5 months; the most, 700, in October 2026.", "Oct ’26, seen: 700 times", `<th scope="row">October 2026</th><td class="number">700</td>`,
		`<a class="muted" href="object?id=identity--5"><bdi>identity--5</bdi></a>`)
}

func TestAnObjectShowsOfSightingsOnlyWhatThereIs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 4, 5, 6, 0, time.UTC)
	month := []SeenMonth{{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), 1}}
	many := Seen{Count: 25, First: at, Last: at, Most: 1000}
	for i := range 25 {
		many.By = append(many.By, SeenBy{Member: fmt.Sprint("m", i), Count: 1, First: at, Last: at})
	}
	const section, here, chart = `id="seen"`, "<strong>Here:", "By month"
	for name, c := range map[string]struct {
		eyes
		shows, not []string
	}{
		"nothing":              {eyes{}, nil, []string{section}},
		"what may not be read": {eyes{err: taxii.ErrNotFound}, nil, []string{section}},
		"once":                 {eyes{seen: Seen{Count: 1, First: at, Last: at, By: []SeenBy{{Member: "bravo", Count: 1, First: at, Last: at}}, Months: month}}, []string{"Seen once by 1 member, on 3 November 2026."}, []string{here, chart}},
		"not seen":             {eyes{seen: Seen{By: []SeenBy{{Member: "bravo"}}}}, []string{"<p>1 member looked for it and did not see it.</p>"}, []string{"Seen never", here, chart}},
		"here alone":           {eyes{seen: Seen{Here: &HitsHere{Count: 1, First: "2026-11-02", Last: "2026-11-02"}}}, []string{here, "once, on 2 November 2026."}, []string{"By whom", chart, "told"}},
		"on its way":           {eyes{seen: Seen{Here: &HitsHere{Count: 3, Sighting: "sighting--7", Told: 2, Pending: true}}}, []string{"On its way to others: 2 times"}, nil},
		"too many":             {eyes{seen: many}, []string{"by 25 members", "20 sources, and 5 more that are not named", "more sightings than the 1,000 that are counted"}, []string{"m20"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := newWorld(t, func(config *Config) { config.Rooms.Sightings = c.eyes }).ask("reader", "object?id="+indicatorID, nil)
			if answer.Code != 200 {
				t.Fatalf("the page is answered with %d", answer.Code)
			}
			has(t, answer.Body.String(), c.shows...)
			for _, text := range c.not {
				if strings.Contains(answer.Body.String(), text) {
					t.Errorf("it shows %q", text)
				}
			}
		})
	}
}
