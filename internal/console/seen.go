package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serviceledger/slnode/taxii"
)

// Sightings is what the page of an object asks about how often it was seen.
type Sightings interface {
	// Seen sums up what sightings say of an object, of those that by may read, and what hit here. ErrNotFound where by may
	// not read the object.
	Seen(ctx context.Context, by By, id string) (Seen, error)
	// Saw counts that somebody here saw today what an indicator describes. *taxii.InvalidError where by may read none.
	Saw(ctx context.Context, by By, id string) error
}

// Seen is how often an object was seen, by what its sightings say, and here.
type Seen struct {
	Count       uint64
	First, Last time.Time
	By          []SeenBy    // the most first
	Months      []SeenMonth // the oldest first, none left out between
	Most        int         // sightings that were counted, if there are more; else 0
	Here        *HitsHere   // nil: none
}

// SeenBy is what one source says: a member, or an author that this organisation's own feeds bring.
type SeenBy struct {
	Member      string
	Author      string // STIX id; "" where it is the member
	Count       uint64 // 0: it was looked for and not seen
	First, Last time.Time
}

// SeenMonth is how often an object was seen in a month.
type SeenMonth struct {
	Month time.Time // its first day
	Count uint64
}

// HitsHere is how often the sensors of this organisation hit.
type HitsHere struct {
	Count       uint64
	First, Last string // days in UTC: "2026-11-30"
	Sighting    string // STIX id of the one by which others are told, if they are
	Told        uint64 // what that says
	Pending     bool   // it is not on the chain yet
}

// maxSources is how many who saw an object are named.
const maxSources = 20

type seenModel struct {
	Says  string // what members say
	Most  int
	By    []seenBy
	More  int // sources that are not named
	Chart *Figure
	Here  string
	Told  string // STIX id of the sighting that tells others
	Tells string
	Wrong string
}

type seenBy struct {
	Member, Author, Link, Count string
	First, Last                 time.Time
}

// sightings tells how often an object was seen, nil where nobody says anything, and when last. That it is not known is
// no reason not to show the rest.
func (c *Console) sightings(v *visit, id string) (model *seenModel, last time.Time) {
	if c.Rooms.Sightings == nil {
		return nil, last
	}
	is, err := c.Rooms.Sightings.Seen(v.r.Context(), v.by(), id)
	switch {
	case errors.Is(err, taxii.ErrNotFound): // a version that is in no list
		return nil, last
	case err != nil:
		return &seenModel{Wrong: v.lacks("sightings", err)}, last
	case len(is.By) == 0 && is.Here == nil:
		return nil, last
	}
	model, last = &seenModel{Most: is.Most, Chart: seenChart(is.Months)}, is.Last
	if len(is.By) > 0 {
		model.Says = is.inWords()
	}
	for _, b := range is.By[:min(len(is.By), maxSources)] {
		one := seenBy{Member: name(b.Member), Author: name(b.Author), Count: howOften(b.Count), First: b.First, Last: b.Last}
		if b.Author != "" {
			one.Link = objectLink(b.Author, "")
		}
		model.By = append(model.By, one)
	}
	model.More = len(is.By) - len(model.By)
	if h := is.Here; h != nil {
		if day := dayOf(h.Last); day.After(last) {
			last = day
		}
		model.Here = fmt.Sprintf("%s, %s.", howOften(h.Count), span(dayOf(h.First), dayOf(h.Last)))
		if h.Sighting != "" {
			model.Told, model.Tells = h.Sighting, fmt.Sprintf("Others are told of %s", howOften(h.Told))
			if h.Pending {
				model.Tells = fmt.Sprintf("On its way to others: %s", howOften(h.Told))
			}
		}
	}
	return model, last
}

// postObject counts what somebody has seen.
func (c *Console) postObject(v *visit) error {
	if v.form.Get("do") != "saw" || c.Rooms.Sightings == nil {
		return errUnknownForm
	}
	id := v.form.Get("id")
	if err := c.Rooms.Sightings.Saw(v.r.Context(), v.by(), id); err != nil {
		return err
	}
	return v.see(link("object", "id", id, "done", "counted"))
}

// inWords says in a sentence who saw an object how often, and when.
func (s Seen) inWords() string {
	members, without := map[string]bool{}, map[string]bool{}
	for _, b := range s.By {
		if b.Count > 0 {
			members[b.Member] = true
		} else {
			without[b.Member] = true
		}
	}
	for member := range members {
		delete(without, member)
	}
	var said []string
	if len(members) > 0 {
		said = append(said, fmt.Sprintf("Seen %s by %s, %s.", howOften(s.Count), countOf(len(members), "member", "members"), span(s.First, s.Last)))
	}
	if n := len(without); n > 0 {
		said = append(said, fmt.Sprintf("%s looked for it and did not see it.", countOf(n, "member", "members")))
	}
	return strings.Join(said, " ")
}

// howOften says how often.
func howOften(n uint64) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return thousands(int64(min(n, 1<<62))) + " times"
}

// span says from when to when something was seen.
func span(first, last time.Time) string {
	const day = "2 January 2006"
	from, to := first.UTC().Format(day), last.UTC().Format(day)
	if from == to {
		return "on " + from
	}
	return "first on " + from + ", last on " + to
}

func dayOf(text string) time.Time {
	day, _ := time.Parse(time.DateOnly, text) // the zero time shows that it is none
	return day
}

// seenChart draws bars by month: nil where one month says what the sentence does.
func seenChart(months []SeenMonth) *Figure {
	if len(months) < 2 {
		return nil
	}
	slots, values, sum, most := make([]slot, len(months)), make([]float64, len(months)), uint64(0), 0
	for i, m := range months {
		slots[i] = slot{Long: m.Month.Format("January 2006"), Short: m.Month.Format("Jan ’06")}
		values[i] = float64(m.Count)
		sum += m.Count
		if m.Count > months[most].Count {
			most = i
		}
	}
	f, _ := bars("By month", "times", "Month", slots, []Series{{Name: "seen", Values: values}})
	f.Legend = nil
	f.Says = fmt.Sprintf("Seen %s in %s; the most, %s, in %s.", howOften(sum), countOf(len(months), "month", "months"), thousands(int64(min(months[most].Count, 1<<62))), slots[most].Long)
	return &f
}
