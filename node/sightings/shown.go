package sightings

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/repo/config"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/taxii"
)

const (
	shownDays = 31
	spare     = 4 // times as many are looked at as are shown, as some may not be read
)

// Hits lists the indicators that hit here, what hit last first.
func (r *Room) Hits(ctx context.Context, who taxii.Principal, q taxii.HitsQuery) (list taxii.HitList, err error) {
	if who.Role < taxii.RoleReader {
		return list, taxii.ErrForbidden
	}
	limit := cmp.Or(min(max(q.Limit, 0), taxii.MaxHitList), 100)
	since, most := hits.DayOf(q.Since), spare*limit
	var top []hits.Counter
	trim := func() {
		slices.SortFunc(top, func(a, b hits.Counter) int {
			return cmp.Or(cmp.Compare(b.Last(), a.Last()), cmp.Compare(b.Count(), a.Count()), cmp.Compare(a.Indicator, b.Indicator))
		})
		top = top[:min(len(top), most+1)]
	}
	err = r.Book.Each(func(c hits.Counter) error {
		if c.Last() < since {
			return nil
		}
		if top = append(top, c); len(top) > 2*most {
			trim()
		}
		return ctx.Err()
	})
	if err != nil {
		return list, err
	}
	trim()
	list.Share = cmp.Or(r.settings().Share, config.ShareNo)
	for some := range slices.Chunk(top, search.MaxPage) {
		shown, err := r.describe(ctx, who, some)
		if err != nil {
			return list, err
		}
		list.Hits = append(list.Hits, shown...)
	}
	list.More = len(list.Hits) > limit || len(top) > most
	list.Hits = list.Hits[:min(len(list.Hits), limit)]
	return list, nil
}

// describe shows counters. What an account with limits may not read, or what is not here, it is not told of.
func (r *Room) describe(ctx context.Context, who taxii.Principal, some []hits.Counter) (shown []taxii.HitCounter, err error) {
	var ids []string
	for _, c := range some {
		ids = append(ids, c.Indicator)
	}
	described, err := r.Finder.Describe(ctx, who, ids)
	if err != nil {
		return nil, err
	}
	for _, c := range some {
		one := counter(c)
		at := slices.IndexFunc(described, func(s search.Summary) bool { return s.ID == c.Indicator })
		if at < 0 && who.Limits.Read != nil {
			continue
		}
		if at >= 0 {
			one.Title, one.Member = described[at].Title, described[at].Member
		}
		shown = append(shown, one)
	}
	return shown, nil
}

func counter(c hits.Counter) taxii.HitCounter {
	one := taxii.HitCounter{Indicator: c.Indicator, Count: c.Count(), First: date(c.First), Last: date(c.Last()), Days: []taxii.HitDay{}}
	for _, on := range c.Days[max(0, len(c.Days)-shownDays):] {
		one.Days = append(one.Days, taxii.HitDay{Day: date(on.Day), Count: on.Count})
	}
	if t := c.Told; t != nil && !t.Refused {
		one.Sighting, one.Told, one.Through, one.Pending = t.ID, t.Count, date(t.Through), len(t.Document) > 0
	}
	return one
}

func date(d hits.Day) string { return d.Begin().Format(time.DateOnly) }

// Seen tells how often an object was seen, here and by members.
func (r *Room) Seen(ctx context.Context, who taxii.Principal, object string) (seen taxii.SeenResource, err error) {
	here, err := r.Finder.Describe(ctx, who, []string{object})
	if err != nil {
		return seen, err
	}
	if len(here) == 0 {
		return seen, taxii.ErrNotFound
	}
	told, err := r.Finder.Seen(ctx, who, object)
	if err != nil {
		return seen, err
	}
	seen = taxii.SeenResource{Object: object, Seen: told}
	c, found, err := r.Book.Of(object)
	if err == nil && found {
		one := counter(c)
		one.Title, one.Member = here[0].Title, here[0].Member
		seen.Here = &one
	}
	return seen, err
}
