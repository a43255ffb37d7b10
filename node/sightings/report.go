package sightings

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/serviceledger/slnode/internal/observable"
	"github.com/serviceledger/slnode/repo/find"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/view"
	"github.com/serviceledger/slnode/taxii"
)

const (
	mostOfValue  = 20               // indicators that count for one value
	mostLookedAt = 100              // … and of which so many objects are looked at
	ahead        = 10 * time.Minute // that a sensor's clock may be
	keyUser      = "key:"           // begins the user that an API key acts as; no account's name has a colon
)

// seenThen is what was seen: a value, or what an indicator describes.
type seenThen struct {
	value     observable.Value
	indicator string
}

// Report counts hits: of an indicator, or of all in force whose pattern is just the value or, of an address, a network
// that it is in. What is of no indicator here is not kept.
func (r *Room) Report(ctx context.Context, who taxii.Principal, report taxii.HitReport) (taken taxii.HitsTaken, err error) {
	if who.Role < taxii.RolePublisher && (who.Role < taxii.RoleReader || !strings.HasPrefix(who.User, keyUser)) {
		return taken, taxii.ErrForbidden
	}
	now := r.Now()
	days, lines := sorted(report.Hits, now, &taken)
	request := hits.Request{By: who.User, Key: report.Key, At: now, Hits: map[string]map[hits.Day]uint64{}}
	err = r.Finder.Index.Read(func(reader *find.Reader) error {
		for what, on := range days {
			indicators, err := r.indicators(ctx, reader, who, what, now)
			if err != nil {
				return err
			}
			for _, indicator := range indicators {
				if request.Hits[indicator] == nil {
					request.Hits[indicator] = map[hits.Day]uint64{}
				}
				for day, n := range on {
					request.Hits[indicator][day] += n
				}
			}
			if len(indicators) == 0 {
				taken.Unknown += lines[what]
			} else {
				taken.Counted += lines[what]
			}
		}
		return nil
	})
	if err != nil {
		return taken, fmt.Errorf("looking up what hit: %w", err)
	}
	done, err := r.Book.Add(request)
	taken.Indicators, taken.Again = done.Counted, done.Again
	if done.Full > 0 {
		r.Log.Warn("hits of some indicators are not counted, as so many have hit already", "indicators", done.Full)
	}
	if isOver(request, hits.DayOf(now)) {
		r.changed.Notify()
	}
	return taken, err
}

// sorted adds hits up by what was seen and day, and counts the lines of each. What can't count fails.
func sorted(list []taxii.Hit, now time.Time, taken *taxii.HitsTaken) (days map[seenThen]map[hits.Day]uint64, lines map[seenThen]int) {
	days, lines = map[seenThen]map[hits.Day]uint64{}, map[seenThen]int{}
	for _, hit := range list {
		what, wrong := meant(hit)
		at := hit.Time
		if at.IsZero() {
			at = now
		}
		switch {
		case wrong != "":
		case at.After(now.Add(ahead)):
			wrong = "time is in the future: look at the sensor's clock"
		case hits.DayOf(at)+hits.KeptDays <= hits.DayOf(now):
			wrong = fmt.Sprintf("time is %d days ago or more", hits.KeptDays)
		}
		if wrong != "" {
			taken.Fail(hit.Line, wrong)
			continue
		}
		if days[what] == nil {
			days[what] = map[hits.Day]uint64{}
		}
		days[what][min(hits.DayOf(at), hits.DayOf(now))] += hit.Count
		lines[what]++
	}
	return days, lines
}

// isOver reports whether a request has hits of days that are over: of these others may be told.
func isOver(request hits.Request, today hits.Day) bool {
	for _, on := range request.Hits {
		for day := range on {
			if day < today {
				return true
			}
		}
	}
	return false
}

// meant reads what a hit is of. What is wrong with it is told without quoting it.
func meant(hit taxii.Hit) (what seenThen, wrong string) {
	if hit.Indicator != "" {
		if !isIndicatorID(hit.Indicator) {
			return what, "indicator is no STIX id of an indicator"
		}
		return seenThen{indicator: hit.Indicator}, ""
	}
	values := observable.Parse(hit.Value)
	if len(values) != 1 {
		return what, "value is not one address, domain, URL, hash or other value that is known here"
	}
	return seenThen{value: values[0]}, ""
}

func isIndicatorID(id string) bool {
	rest, is := strings.CutPrefix(id, "indicator--")
	return is && len(rest) == 36 && strings.Trim(rest, "0123456789abcdefABCDEF-") == ""
}

// indicators are those that something is a hit of, of those that who reports may read.
func (r *Room) indicators(ctx context.Context, reader *find.Reader, who taxii.Principal, what seenThen, now time.Time) (ids []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if what.indicator != "" {
		e, err := r.Finder.View.Latest(everything, what.indicator)
		if err != nil || e == nil || !who.Limits.MayRead(e.Collection) {
			return nil, err
		}
		return []string{what.indicator}, nil
	}
	known, looked := map[string]bool{}, 0
	visit := func(p find.Posting) (bool, error) {
		if looked++; looked > mostLookedAt || len(ids) == mostOfValue {
			return false, nil
		}
		if p.Role != observable.Pattern {
			return true, nil
		}
		e, err := reader.Entry(p.Date, true)
		if err != nil || e == nil || e.Type != "indicator" || known[e.ID] || !who.Limits.MayRead(e.Collection) {
			return err == nil, err
		}
		if last, err := reader.IsLast(e); err != nil || !last || !inForce(e.Object, now) {
			return err == nil, err
		}
		known[e.ID] = true
		ids = append(ids, e.ID)
		return true, nil
	}
	if err := reader.Exact(what.value, 0, visit); err != nil || !what.value.Kind.IsAddress() {
		return ids, err
	}
	return ids, reader.Around(what.value, func(p find.Posting) (bool, error) {
		if p.Value.Kind != what.value.Kind {
			return true, nil
		}
		return visit(p)
	})
}

// inForce reports whether an indicator counts at a time.
func inForce(object []byte, at time.Time) bool {
	o, err := observable.ReadProperties(object)
	if err != nil || o.Revoked() {
		return false
	}
	until, err := time.Parse(time.RFC3339Nano, o.Text("valid_until"))
	return err != nil || until.After(at)
}

// everything is the collection with everything.
const everything = view.Everything
