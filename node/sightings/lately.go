package sightings

import (
	"fmt"
	"time"

	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/repo/hits"
	"github.com/serviceledger/slnode/repo/view"
)

const (
	mostLately = 100_000          // objects of which it is known when they were seen last
	mostOfOne  = 20_000           // … by one member
	latelyPage = 500              // sightings that are read at once
	readsAnew  = 10 * time.Minute // apart, however often sightings are taken back
)

// lately is when objects were seen last: here, by the counters, and by members, by the sightings in the view. It goes
// on with what is new; when a sighting leaves the view it is read anew.
type lately struct {
	here        map[string]hits.Day
	hereChanged int64

	members map[string]time.Time
	of      map[string]int // objects, by member
	upTo    int64          // date_added up to which sightings are in it
	removed int64          // … and removals
	stale   bool
	read    time.Time
	changed int64 // unix microseconds
}

// SightedChanged tells when what [Room.Sighted] says became another one, in unix microseconds.
func (r *Room) SightedChanged() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follow()
}

// Sighted tells when indicators were seen last, here or by a member: zero for what nobody has seen.
func (r *Room) Sighted() (func(indicator string) time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.follow(); err != nil {
		return nil, err
	}
	here, members := r.lately.here, r.lately.members
	return func(indicator string) time.Time {
		last := members[indicator]
		if day, hit := here[indicator]; hit && day.Begin().After(last) {
			return day.Begin()
		}
		return last
	}, nil
}

// follow brings it up to date. What was given out before is not changed by that. The caller holds the mutex.
func (r *Room) follow() (changed int64, err error) {
	l := &r.lately
	at, err := r.Book.Changed()
	if err != nil {
		return 0, err
	}
	if l.here == nil || at != l.hereChanged {
		here := map[string]hits.Day{}
		err := r.Book.Each(func(c hits.Counter) error {
			here[c.Indicator] = c.Last()
			return nil
		})
		if err != nil {
			return 0, err
		}
		l.here, l.hereChanged = here, at
	}
	if err := r.noticeRemovals(); err != nil {
		return 0, err
	}
	if l.members == nil || l.stale && time.Since(l.read) > readsAnew {
		l.members, l.of, l.upTo, l.stale, l.read = map[string]time.Time{}, map[string]int{}, 0, false, time.Now()
	}
	if err := r.hear(); err != nil {
		l.members = nil
		return 0, err
	}
	return max(l.changed, l.hereChanged), nil
}

// noticeRemovals looks whether a sighting has left the view.
func (r *Room) noticeRemovals() error {
	for l := &r.lately; ; {
		left, more, err := r.Finder.View.Removals(everything, l.removed, latelyPage)
		if err != nil {
			return err
		}
		for _, one := range left {
			if l.removed = one.Date; one.Type == "sighting" {
				l.stale, l.changed = l.stale || l.members != nil, max(l.changed, one.Date)
			}
		}
		if !more {
			return nil
		}
	}
}

// hear takes in the sightings that are new.
func (r *Room) hear() error {
	l := &r.lately
	q := view.Query{
		Collection: everything, Types: []string{"sighting"}, AnyLine: true, Versions: view.Versions{Last: true}, After: l.upTo, Limit: latelyPage, WithObjects: true,
	}
	copied := false
	for more := true; more; {
		var entries []*view.Entry
		var err error
		if entries, more, err = r.Finder.View.Page(q); err != nil {
			return fmt.Errorf("reading sightings: %w", err)
		}
		for _, e := range entries {
			q.After, l.upTo = e.DateAdded, e.DateAdded
			s, is := search.ReadSighting(e.Object, e.Added())
			last, known := l.members[s.Of]
			full := !known && (len(l.members) >= mostLately || l.of[e.Owner()] >= mostOfOne)
			if !is || s.Count == 0 || full || !s.Last.After(last) {
				continue
			}
			if !copied { // somebody may be reading the other one
				next := make(map[string]time.Time, len(l.members)+len(entries))
				for id, at := range l.members {
					next[id] = at
				}
				l.members, copied = next, true
			}
			if !known {
				l.of[e.Owner()]++
			}
			l.members[s.Of], l.changed = s.Last, max(l.changed, e.DateAdded)
		}
	}
	return nil
}
