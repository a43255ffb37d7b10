package search

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	MaxSightings = 1000        // sightings of one object that are counted
	mostMonths   = 24          // that are told apart
	mostCount    = 999_999_999 // of one sighting (STIX 2.1, section 5.2)
)

// Seen is what sightings say of an object, in their last versions: how often, when and by whom it was seen. Who
// published each is proved, the rest is what they wrote.
type Seen struct {
	Count uint64    `json:"count"`           // the sum of all, each id once
	First time.Time `json:"first,omitzero"`  // the earliest first_seen
	Last  time.Time `json:"last,omitzero"`   // the latest last_seen, at most when it came in here
	By    []SeenBy  `json:"by,omitzero"`     // the most first
	Month []SeenIn  `json:"months,omitzero"` // the last 24 with any, from the earliest on, those between with none
	More  bool      `json:"more,omitzero"`   // there are more than MaxSightings
}

// SeenBy is what one source says: a member; of what this organisation's feeds bring, the author that it names.
type SeenBy struct {
	Member  string    `json:"member"`
	Own     bool      `json:"own,omitzero"`    // that is this organisation
	Author  string    `json:"author,omitzero"` // created_by_ref, where it is another source than the member
	Count   uint64    `json:"count"`
	Reports int       `json:"reports"` // sightings
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
}

// SeenIn is how often an object was seen in a month. What a sighting counts is spread evenly over its days.
type SeenIn struct {
	Month string `json:"month"` // "2026-11"
	Count uint64 `json:"count"`
}

// sightingOf is the property of a sighting that names what was seen.
const sightingOf = "sighting_of_ref"

// Seen says what sightings say of an object, of those that who asks may read.
func (f *Finder) Seen(ctx context.Context, who taxii.Principal, id string) (Seen, error) {
	var t tally
	err := f.read(ctx, who, func(r *reading) error {
		more, err := r.References(id, MaxSightings, func(p find.Pointer) (bool, error) {
			if p.Kind != sightingOf {
				return true, nil
			}
			e, err := r.whole(p.Date)
			if err == nil && e != nil {
				err = t.add(r, e)
			}
			return err == nil, err
		})
		t.more = slices.Contains(more, sightingOf)
		return err
	})
	if err != nil {
		return Seen{}, fmt.Errorf("looking who has seen %.80q: %w", id, err)
	}
	return t.seen(), nil
}

// Sighting is what one sighting says, as far as it can be believed: nothing was seen after it came in here.
type Sighting struct {
	Of          string // STIX id
	Author      string // created_by_ref
	Count       uint64 // 0: it says that it was looked for and not seen
	First, Last time.Time
}

// ReadSighting reads a sighting of anybody that came in at a time. It is none if it is revoked, or of another type.
func ReadSighting(object []byte, added time.Time) (s Sighting, is bool) {
	o, err := observable.ReadProperties(object)
	if err != nil || o.Text("type") != "sighting" || o.Revoked() {
		return s, false
	}
	s = Sighting{Of: o.Text(sightingOf), Author: o.Text("created_by_ref"), Count: 1, First: timeOf(o, "first_seen"), Last: timeOf(o, "last_seen")}
	if text := strings.Trim(string(o["count"]), `"`); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return s, false
		}
		s.Count = min(n, mostCount)
	}
	for _, other := range []time.Time{s.First, timeOf(o, "modified"), added} {
		if s.Last.IsZero() {
			s.Last = other
		}
	}
	if s.Last.After(added) {
		s.Last = added
	}
	if s.First.IsZero() || s.First.After(s.Last) {
		s.First = s.Last
	}
	s.First, s.Last = s.First.UTC(), s.Last.UTC()
	return s, s.Of != ""
}

// tally adds sightings up.
type tally struct {
	by   []SeenBy
	once map[string]bool // ids that are counted
	list []Sighting      // … what they say
	more bool
}

// add takes a sighting in. What several members publish under one id counts once, as it is served; each of them is
// told of.
func (t *tally) add(r *reading, e *view.Entry) error {
	s, is := ReadSighting(e.Object, e.Added())
	if !is {
		return nil
	}
	leads, err := r.Leads(e)
	if err != nil {
		return err
	}
	shared := r.finder.State
	source := SeenBy{Member: shared.Name(e.Publisher), Own: shared.Ours(e.Publisher)}
	if source.Own { // a feed brings what others have seen
		source.Author = s.Author
	}
	i := slices.IndexFunc(t.by, func(b SeenBy) bool { return b.Member == source.Member && b.Author == source.Author })
	if i < 0 {
		i, t.by = len(t.by), append(t.by, source)
	}
	b := &t.by[i]
	b.Reports++
	b.Count += s.Count
	if s.Count > 0 {
		b.First, b.Last = earlier(b.First, s.First), laterOf(b.Last, s.Last)
	}
	if t.once == nil {
		t.once = map[string]bool{}
	}
	if leads && !t.once[e.ID] {
		t.once[e.ID] = true
		t.list = append(t.list, s)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// seen is the sum.
func (t *tally) seen() Seen {
	all := Seen{By: t.by, More: t.more}
	slices.SortStableFunc(all.By, func(a, b SeenBy) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Member, b.Member))
	})
	months := map[int]uint64{} // since year 0
	for _, s := range t.list {
		if s.Count == 0 {
			continue
		}
		all.Count += s.Count
		all.First, all.Last = earlier(all.First, s.First), laterOf(all.Last, s.Last)
		spread(s, months)
	}
	if len(months) == 0 {
		return all
	}
	last := monthOf(all.Last)
	first := max(monthOf(all.First), last-mostMonths+1)
	for m := first; m <= last; m++ {
		all.Month = append(all.Month, SeenIn{Month: fmt.Sprintf("%04d-%02d", m/12, m%12+1), Count: months[m]})
	}
	return all
}

func monthOf(t time.Time) int { return t.Year()*12 + int(t.Month()) - 1 }

// spread puts the count of a sighting into the months of its days, evenly, so that their sum is the count: of the last
// ones, which are told of.
func spread(s Sighting, months map[int]uint64) {
	const day = 24 * time.Hour
	begin, end := s.First.Truncate(day), s.Last.Truncate(day).Add(day)
	if end.Sub(begin) <= 0 || s.Last.Sub(s.First) > 200*366*day { // beyond what a duration holds
		months[monthOf(s.Last)] += s.Count
		return
	}
	days := uint64(end.Sub(begin) / day)
	passed := func(t time.Time) uint64 { return s.Count * uint64(t.Sub(begin)/day) / days } // below 2^30 × 2^17
	last := monthOf(s.Last)
	from := begin
	if oldest := last - mostMonths + 1; monthOf(begin) < oldest {
		from = time.Date(oldest/12, time.Month(oldest%12+1), 1, 0, 0, 0, 0, time.UTC)
	}
	for from.Before(end) {
		next := time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		if next.After(end) {
			next = end
		}
		months[monthOf(from)] += passed(next) - passed(from)
		from = next
	}
}
