package desk

import (
	"context"
	"time"

	"github.com/serviceledger/slnode/internal/console"
	"github.com/serviceledger/slnode/node/search"
	"github.com/serviceledger/slnode/taxii"
)

// sighted tells how often objects were seen.
type sighted struct{ *Desk }

var _ console.Sightings = sighted{}

// Seen tells what the sightings say that somebody may read, and how often our sensors hit.
func (s sighted) Seen(ctx context.Context, by console.By, id string) (console.Seen, error) {
	all, err := s.press.clients.Sightings.Seen(ctx, by.Principal, id)
	if err != nil {
		return console.Seen{}, err
	}
	told, _ := all.Seen.(search.Seen)
	seen := seenOf(told)
	if h := all.Here; h != nil {
		seen.Here = &console.HitsHere{Count: h.Count, First: h.First, Last: h.Last, Sighting: h.Sighting, Told: h.Told, Pending: h.Pending}
	}
	return seen, nil
}

// Saw counts a hit of an indicator.
func (s sighted) Saw(ctx context.Context, by console.By, id string) error {
	taken, err := s.press.clients.Sightings.Report(ctx, by.Principal, taxii.HitReport{Hits: []taxii.Hit{{Line: 1, Indicator: id, Count: 1}}})
	if err != nil {
		return err
	}
	if taken.Counted == 0 {
		return &taxii.InvalidError{Reason: "Nothing was counted: there is no such indicator here, or none that this account may read."}
	}
	s.press.record(by, taxii.Event{Name: taxii.EventHits, Count: 1})
	return nil
}

func seenOf(told search.Seen) console.Seen {
	seen := console.Seen{Count: told.Count, First: told.First, Last: told.Last}
	if told.More {
		seen.Most = search.MaxSightings
	}
	for _, b := range told.By {
		seen.By = append(seen.By, console.SeenBy{Member: b.Member, Author: b.Author, Count: b.Count, First: b.First, Last: b.Last})
	}
	for _, m := range told.Month {
		if month, err := time.Parse("2006-01", m.Month); err == nil {
			seen.Months = append(seen.Months, console.SeenMonth{Month: month, Count: m.Count})
		}
	}
	return seen
}
