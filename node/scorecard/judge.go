package scorecard

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	mostValues   = 5      // of one indicator that are looked up
	mostSame     = 200    // objects about one value: one that more are about says nothing
	mostSameBy   = 20     // … of which one member's count: nobody makes a value common alone
	mostPostings = 2000   // … that are looked at, the newest
	mostReads    = 50_000 // objects that are read for one card
	mostDisputes = 20_000 // … for all, of what is disputed
	leastVoices  = 2      // distinct members, beside the publisher, that make a dispute
)

// judging is a look at what became of one member's indicators.
type judging struct {
	*find.Reader
	room    *Room
	id      string // the member's first account
	present map[string]bool
	said    map[observable.Value]bool // values of what was looked at
	reads   int
	leads   []time.Duration
	revoked []time.Duration
}

// judge counts what a card says beside what was set.
func (r *Room) judge(ctx context.Context, id string, card *taxii.MemberCard) error {
	if err := r.countWrong(ctx); err != nil {
		return err
	}
	card.Disputed = r.wrong[id]
	published := r.book.members[id]
	if published == nil {
		return nil
	}
	card.Objects, card.Indicators = published.objects, published.indicators
	j := judging{room: r, id: id, present: r.present(), said: map[observable.Value]bool{}}
	err := r.Index.Read(func(reader *find.Reader) error {
		j.Reader = reader
		seen := map[string]bool{}
		for _, date := range slices.SortedFunc(slices.Values(published.dates), func(a, b int64) int { return cmp.Compare(hash(a), hash(b)) }) {
			if err := ctx.Err(); err != nil || j.reads > mostReads {
				return err
			}
			e, err := reader.Entry(date, true)
			if err != nil {
				return err
			}
			if e == nil || seen[e.ID] { // it was taken back, or another version was called the first before
				card.LookedAt++
				continue
			}
			seen[e.ID] = true
			hidden, err := j.indicator(e, card)
			if err != nil {
				return err
			}
			if !hidden { // what others cover by many objects of its value stands for nothing
				card.LookedAt++
			}
		}
		return nil
	})
	card.Lead, card.RevokedAfter = median(j.leads), median(j.revoked)
	return err
}

func (r *Room) present() map[string]bool {
	members := map[string]bool{}
	for _, m := range r.State.Members() {
		members[m.ID] = m.Removed == nil
	}
	return members
}

// indicator looks what became of one. A value counts once, however many indicators of the member are about it. hidden
// says that nobody can tell, as more objects are about its values than are looked at.
func (j *judging) indicator(e *view.Entry, card *taxii.MemberCard) (hidden bool, err error) {
	o, err := observable.ReadProperties(e.Object)
	if err != nil {
		return false, nil // nobody can say the same
	}
	if err := j.wasRevoked(e); err != nil {
		return false, err
	}
	card.Revoked = len(j.revoked)
	values, _ := o.Values()
	values = slices.DeleteFunc(values, func(v observable.Found) bool { return v.Role == observable.ExternalID || j.said[v.Value] })
	known, second, origins := false, (*view.Entry)(nil), search.Origins(o)
	for _, v := range values[:min(len(values), mostValues)] {
		j.said[v.Value] = true
		others, more, err := j.others(v.Value, e, origins)
		if err != nil {
			return false, err
		}
		hidden = hidden || more
		for _, other := range others {
			known = known || other.Position.Before(e.Position)
			if second == nil || other.Position.Before(second.Position) {
				second = other
			}
		}
	}
	switch {
	case known:
		card.Known++
	case second != nil:
		card.Corroborated++
		from, err := j.room.timeOf(e)
		if err != nil {
			return false, err
		}
		to, err := j.room.timeOf(second)
		j.leads = append(j.leads, max(0, to.Sub(from)))
		return false, err
	}
	return hidden && !known, nil
}

// others are the objects in which independent members say a value; none if too many are about it. Of each member
// mostSameBy objects count, so that nobody makes a value common alone; more says that there are more than were looked
// at.
func (j *judging) others(v observable.Value, own *view.Entry, origins []string) (list []*view.Entry, more bool, err error) {
	looked, same, by := 0, 0, map[string]int{}
	err = j.Exact(v, 0, func(p find.Posting) (bool, error) {
		if more = looked == mostPostings; more {
			return false, nil
		}
		looked++
		j.reads++
		e, err := j.Entry(p.Date, false)
		if err != nil || e == nil {
			return err == nil, err
		}
		if by[e.Owner()]++; by[e.Owner()] > mostSameBy {
			return true, nil
		}
		if same++; same > mostSame {
			list = nil
			return false, nil
		}
		if e.Owner() == j.id || !j.present[e.Owner()] || p.Role == observable.ExternalID {
			return true, nil
		}
		if e, err = j.Entry(p.Date, true); err != nil || e == nil {
			return err == nil, err
		}
		o, err := observable.ReadProperties(e.Object)
		if err != nil || o.Revoked() || slices.ContainsFunc(search.Origins(o), func(mark string) bool { return slices.Contains(origins, mark) }) {
			return true, nil
		}
		list = append(list, e)
		return true, nil
	})
	return list, more, err
}

// wasRevoked notes after which time the member took an indicator back, if it did.
func (j *judging) wasRevoked(e *view.Entry) error {
	j.reads++
	last, err := j.room.View.LatestOf(j.id, everyone, e.ID)
	if err != nil || last == nil {
		return err
	}
	o, err := observable.ReadProperties(last.Object)
	if err != nil || !o.Revoked() {
		return nil
	}
	from, err := j.room.timeOf(e)
	if err != nil {
		return err
	}
	to, err := j.room.timeOf(last)
	j.revoked = append(j.revoked, max(0, to.Sub(from)))
	return err
}

// countWrong counts, by member, the objects that are called wrong: by this organisation, or by so many others.
func (r *Room) countWrong(ctx context.Context) error {
	if r.wrong != nil && r.Now().Sub(r.wrongAt) < keptFor {
		return nil
	}
	all, err := r.Disputes.Disputes()
	if err != nil {
		return err
	}
	type version struct{ object, owner string }
	counted, reads := map[version]bool{}, 0
	for _, d := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.Of == "" && len(d.By) < leastVoices {
			continue
		}
		if reads++; reads > mostDisputes {
			break
		}
		var e *view.Entry
		if d.Of == "" {
			e, err = r.View.Latest(everyone, d.Object)
		} else {
			e, err = r.View.LatestOf(d.Of, everyone, d.Object)
		}
		if err != nil {
			return err
		}
		if e == nil || e.Position.Round < r.book.first {
			continue
		}
		others := len(d.By)
		if slices.Contains(d.By, e.Owner()) {
			others--
		}
		if d.Of != "" || others >= leastVoices {
			counted[version{d.Object, e.Owner()}] = true
		}
	}
	r.wrong, r.wrongAt = map[string]int{}, r.Now()
	for v := range counted {
		r.wrong[v.owner]++
	}
	return nil
}

// median is that of some times, in seconds; 0 of none.
func median(list []time.Duration) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.SortFunc(list, cmp.Compare)
	return list[len(list)/2].Seconds()
}
